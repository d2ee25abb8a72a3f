from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dbops.access import OpsRequest, database_or_404, needs
from dbops.pages.graph import graph_page
from dbops.rights import Role


@require_GET
@needs(Role.VIEWER)
def graph(request: OpsRequest, name: str, alias: str) -> HttpResponse:
    page = graph_page(request.rights, database_or_404(request, name, alias), request.GET.get("app", ""))
    return render(request, "pages/graph.html", {"page": page})
