from django.http import HttpResponse

from dbops.access import OpsRequest, needs
from dbops.forms import OverviewFilter
from dbops.pages.overview import overview_page
from dbops.pages.overview_query import Wanted
from dbops.rights import Role
from dbops.views.answers import page_or_fragment


@needs(Role.VIEWER)
def overview(request: OpsRequest) -> HttpResponse:
    form = OverviewFilter(request.GET)
    form.is_valid()
    chosen = {name: value for name, value in form.cleaned_data.items() if value}
    page = overview_page(request.rights, Wanted(**chosen))
    context = {"page": page, "form": form}
    return page_or_fragment(request, "pages/overview.html", "_fragments/overview_rows.html", context)
