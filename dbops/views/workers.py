from django.http import HttpResponse
from django.views.decorators.http import require_GET

from dbops.access import OpsRequest, needs
from dbops.pages.workers import workers_page
from dbops.rights import Role
from dbops.views.answers import page_or_fragment


@require_GET
@needs(Role.VIEWER)
def workers(request: OpsRequest) -> HttpResponse:
    context = {"page": workers_page(request.rights)}
    return page_or_fragment(request, "pages/workers.html", "_fragments/workers_rows.html", context)
