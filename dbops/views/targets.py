from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from dbops import launch
from dbops.access import OpsRequest, actor_of, database_or_404, needs, target_or_404
from dbops.forms import MigrateForm
from dbops.inspection.plans import current
from dbops.models import TargetDatabase
from dbops.pages.migration import migration_page
from dbops.pages.target import MigratePage, migrate_page, target_page
from dbops.rights import Role
from dbops.views.answers import page_or_fragment


@require_GET
@needs(Role.VIEWER)
def target(request: OpsRequest, name: str) -> HttpResponse:
    context = {"page": target_page(request.rights, target_or_404(request, name))}
    return page_or_fragment(request, "pages/target.html", "_fragments/target_databases.html", context)


@require_GET
@needs(Role.VIEWER)
def migration(request: OpsRequest, name: str, alias: str, app: str, migration: str) -> HttpResponse:
    page = migration_page(request.rights, database_or_404(request, name, alias), app, migration)
    if page is None:
        raise Http404(f"Nothing is known of a migration {app}.{migration} of {name}/{alias}.")
    return render(request, "pages/migration.html", {"page": page})


@require_POST
@needs(Role.OPERATOR)
def inspections(request: OpsRequest, name: str) -> HttpResponse:
    found = target_or_404(request, name)
    messages.info(request, launch.inspect(found, actor_of(request)))
    return redirect(found)


@require_http_methods(["GET", "POST"])
@needs(Role.OPERATOR)
def migrate(request: OpsRequest, name: str, alias: str) -> HttpResponse:
    """The plan and the form; sent, it starts the job once however often it is sent."""
    database = database_or_404(request, name, alias)
    page = migrate_page(request.rights, database)
    form = MigrateForm(request.POST or None, known=page.part.plan, plan=page.fingerprint)
    if request.method == "GET":
        return _form(request, page, form)
    if not form.is_valid():
        return _form(request, page, form, status=422)
    arguments = launch.with_plan(database, form.arguments, form.cleaned_data["plan"])
    if request.POST.get("show"):
        return _its_plan(request, database, arguments)
    if launch.is_to_be_seen(arguments) and not form.cleaned_data["unseen"]:
        messages.info(request, "Nothing was started yet. This is what it would do; start it from here.")
        return _its_plan(request, database, arguments)
    try:
        started = launch.start(
            database,
            "migrate",
            arguments,
            actor_of(request),
            key=form.cleaned_data["key"],
            reason=form.cleaned_data["reason"],
        )
    except launch.RefusedError as refused:
        return _form(request, page, form, status=409, refused=refused)
    if not started.new:
        messages.info(request, "This form was sent before; this is its job.")
    return redirect(started.job)


def _its_plan(request: OpsRequest, database: TargetDatabase, arguments: dict[str, str]) -> HttpResponse:
    """The kept one, where nothing makes it doubtful; else it is asked for."""
    app, migration = arguments.get("app", ""), arguments.get("migration", "")
    kept = current(database, app, migration)
    if kept:
        return redirect("plan", database.target.name, database.alias, kept.pk)
    return redirect(launch.plan(database, app, migration, actor_of(request)))


def _form(
    request: OpsRequest, page: MigratePage, form: MigrateForm, status: int = 200, **more: Any
) -> HttpResponse:
    return render(request, "pages/migrate.html", {"page": page, "form": form, **more}, status=status)
