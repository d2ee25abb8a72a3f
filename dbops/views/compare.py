from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from dbops import launch
from dbops.access import OpsRequest, actor_of, insist, needs
from dbops.forms import CompareForm
from dbops.pages.compare import compare_page
from dbops.rights import Role
from dbops.views.answers import page_or_fragment


@require_GET
@needs(Role.VIEWER)
def compare(request: OpsRequest) -> HttpResponse:
    form = CompareForm(request.GET)
    page = compare_page(request.rights, *form.chosen, view=request.GET.get("diff", ""))
    return page_or_fragment(request, "pages/compare.html", "_fragments/compare_schemas.html", {"page": page})


@require_POST
@needs(Role.OPERATOR)
def snapshots(request: OpsRequest) -> HttpResponse:
    """Ask for the schemas of both; their comparison shows them as soon as workers have read them."""
    chosen = CompareForm(request.POST).chosen
    page = compare_page(request.rights, *chosen)
    if not page.sides:
        return render(request, "pages/compare.html", {"page": page}, status=422)
    for side in page.sides:
        insist(request, side.database.target)
    for side in page.sides:
        launch.snapshot(side.database, actor_of(request))
    messages.info(request, "Both schemas are asked for. Reading them changes nothing.")
    return redirect(f"{reverse('compare')}?{urlencode({'a': page.a, 'b': page.b})}")
