"""What a migrate would do: the newest plan, any other that was asked for, and asking for one."""

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dbops import launch
from dbops.access import OpsRequest, actor_of, database_or_404, needs, plan_or_404
from dbops.forms import PlanForm
from dbops.inspection.knowledge import latest_done, report_now
from dbops.pages.plan import Shown, known_migrations, newest_plan_page, plan_page
from dbops.rights import Role
from dbops.views.answers import page_or_fragment


@require_GET
@needs(Role.VIEWER)
def newest_plan(request: OpsRequest, name: str, alias: str) -> HttpResponse:
    database = database_or_404(request, name, alias)
    page = newest_plan_page(request.rights, database, shown(request))
    form = PlanForm(known=known_migrations(page.report))
    return render(request, "pages/newest_plan.html", {"page": page, "form": form})


@require_GET
@needs(Role.VIEWER)
def plan(request: OpsRequest, name: str, alias: str, plan_id: int) -> HttpResponse:
    found = plan_or_404(database_or_404(request, name, alias), plan_id)
    page = plan_page(request.rights, found, shown(request))
    return page_or_fragment(request, "pages/plan.html", "_fragments/plan_content.html", {"page": page})


@require_POST
@needs(Role.OPERATOR)
def plans(request: OpsRequest, name: str, alias: str) -> HttpResponse:
    """Ask for a plan; its page shows it as soon as a worker has read it."""
    database = database_or_404(request, name, alias)
    report = report_now(database, latest_done(database.target))
    form = PlanForm(request.POST, known=known_migrations(report))
    if not form.is_valid():
        page = newest_plan_page(request.rights, database, Shown())
        return render(request, "pages/newest_plan.html", {"page": page, "form": form}, status=422)
    return redirect(launch.plan(database, *form.chosen, actor_of(request)))


def shown(request: OpsRequest) -> Shown:
    number = request.GET.get("page", "")
    return Shown(
        page=int(number) if number.isascii() and number.isdigit() and len(number) < 7 else 1,
        schema=request.GET.get("show") == "schema",
        split=request.GET.get("diff") == "split",
    )
