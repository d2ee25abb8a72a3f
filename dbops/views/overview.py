from django.http import HttpResponse

from dbops.access import OpsRequest, Role, needs
from dbops.forms import OverviewFilter
from dbops.pages.overview import overview_page
from dbops.views.answers import page_or_fragment


@needs(Role.VIEWER)
def overview(request: OpsRequest) -> HttpResponse:
    form = OverviewFilter(request.GET)
    form.is_valid()
    chosen = form.cleaned_data
    page = overview_page(
        request.role,
        q=chosen.get("q") or "",
        environment=chosen.get("environment") or "",
        status=chosen.get("status") or "",
        page=chosen.get("page") or 1,
    )
    context = {"page": page, "form": form}
    return page_or_fragment(request, "pages/overview.html", "_fragments/overview_rows.html", context)
