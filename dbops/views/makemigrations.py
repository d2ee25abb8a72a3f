"""Staff has the migrations written that a preview shows: on development targets whose tree is seen."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from dbops import launch
from dbops.access import OpsRequest, actor_of, needs, target_or_404
from dbops.forms import PreviewForm
from dbops.pages.makemigrations import MakeMigrationsPage, makemigrations_page
from dbops.rights import Role


@require_http_methods(["GET", "POST"])
@needs(Role.STAFF)
def makemigrations(request: OpsRequest, name: str) -> HttpResponse:
    found = target_or_404(request, name)
    return _ask_or_start(request, makemigrations_page(request.rights, found, merge=False))


@require_http_methods(["GET", "POST"])
@needs(Role.STAFF)
def merge(request: OpsRequest, name: str) -> HttpResponse:
    found = target_or_404(request, name)
    return _ask_or_start(request, makemigrations_page(request.rights, found, merge=True))


def _ask_or_start(request: OpsRequest, page: MakeMigrationsPage) -> HttpResponse:
    form = PreviewForm(request.POST or None, shown=page.expected)
    if request.method == "GET" or page.database is None:
        return _form(request, page, form, status=200 if request.method == "GET" else 409)
    if not form.is_valid():
        return _form(request, page, form, status=422)
    try:
        started = launch.start(
            page.database,
            "makemigrations",
            # As it was seen: where that has changed, the agent refuses and says what it is now.
            {"merge": page.merge, "expected": form.cleaned_data["expected"]},
            actor_of(request),
            key=form.cleaned_data["key"],
            reason=form.cleaned_data["reason"],
            unless=page.unless.rstrip("."),
        )
    except launch.RefusedError as refused:
        return _form(request, page, form, status=409, refused=refused)
    if not started.new:
        messages.info(request, "This form was sent before; this is its job.")
    return redirect(started.job)


def _form(
    request: OpsRequest,
    page: MakeMigrationsPage,
    form: PreviewForm,
    status: int = 200,
    refused: launch.RefusedError | None = None,
) -> HttpResponse:
    context = {"page": page, "form": form, "refused": refused}
    return render(request, "pages/makemigrations.html", context, status=status)
