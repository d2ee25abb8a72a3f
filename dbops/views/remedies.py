"""Staff asks for one of the two remedies that a job's page offers where they are proven. Each is a job."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from dbops import aftermath, launch
from dbops.access import OpsRequest, actor_of, job_or_404, needs
from dbops.forms import ConfirmForm
from dbops.pages.remedies import RemedyPage, drop_page, record_page
from dbops.rights import Role


@require_http_methods(["GET", "POST"])
@needs(Role.STAFF)
def record(request: OpsRequest, job_id: int) -> HttpResponse:
    """`migration`: app.name, one that was examined after this job."""
    job = job_or_404(request, job_id)
    app, _, name = sent(request, "migration").partition(".")
    fact = aftermath.examined_of(job, app, name)
    if fact is None:
        raise Http404("This job has no such migration to record.")
    return _ask_or_start(request, record_page(job, fact))


@require_http_methods(["GET", "POST"])
@needs(Role.STAFF)
def invalid_index(request: OpsRequest, job_id: int) -> HttpResponse:
    """`schema`, `index`: one that was found invalid after this job."""
    job = job_or_404(request, job_id)
    fact = aftermath.invalid_index_of(job, sent(request, "schema"), sent(request, "index"))
    if fact is None:
        raise Http404("This job has no such index to drop.")
    return _ask_or_start(request, drop_page(job, fact))


def sent(request: OpsRequest, name: str) -> str:
    return (request.POST if request.method == "POST" else request.GET).get(name, "")


def _ask_or_start(request: OpsRequest, page: RemedyPage) -> HttpResponse:
    form = ConfirmForm(request.POST or None)
    if request.method == "GET":
        return _form(request, page, form)
    if not form.is_valid():
        return _form(request, page, form, status=422)
    try:
        started = launch.start(
            page.job.database,
            page.operation,
            page.arguments,
            actor_of(request),
            key=form.cleaned_data["key"],
            reason=form.cleaned_data["reason"],
            unless=page.refused,
        )
    except launch.RefusedError as refused:
        return _form(request, page, form, status=409, refused=refused)
    if not started.new:
        messages.info(request, "This form was sent before; this is its job.")
    return redirect(started.job)


def _form(
    request: OpsRequest,
    page: RemedyPage,
    form: ConfirmForm,
    status: int = 200,
    refused: launch.RefusedError | None = None,
) -> HttpResponse:
    context = {"page": page, "form": form, "refused": refused}
    return render(request, "pages/remedy.html", context, status=status)
