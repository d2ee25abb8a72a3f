from django.http import HttpResponse
from django.shortcuts import render

from dbops.access import OpsRequest, Role, needs
from dbops.forms import OverviewFilter
from dbops.pages.overview import overview_page


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
    template = "_fragments/overview_rows.html" if request.htmx else "pages/overview.html"
    return render(request, template, {"page": page, "form": form})
