"""Staff ends what keeps a job waiting for a lock: another session's statement, or all of that session."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from dbops import endings
from dbops.access import OpsRequest, actor_of, job_or_404, needs
from dbops.forms import SessionForm
from dbops.pages.blockers import session_page
from dbops.rights import Role
from dbops.transcript.live import publish_change


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Role.STAFF)
def session_cancellation(request: OpsRequest, job_id: int, pid: int) -> HttpResponse:
    return _confirm_or_ask(request, job_id, pid, "cancel")


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Role.STAFF)
def session_termination(request: OpsRequest, job_id: int, pid: int) -> HttpResponse:
    return _confirm_or_ask(request, job_id, pid, "terminate")


def _confirm_or_ask(request: OpsRequest, job_id: int, pid: int, act: str) -> HttpResponse:
    job = job_or_404(request, job_id)
    if request.method != "POST":
        return _page(request, job, pid, act, form=SessionForm())
    form = SessionForm(request.POST)
    if not form.is_valid():
        return _page(request, job, pid, act, status=422, form=form)
    asked = {"pid": pid, "act": act, **form.cleaned_data}
    try:
        messages.info(request, endings.ask(job.pk, actor_of(request), **asked))
    except endings.NotNowError as refused:
        return _page(request, job_or_404(request, job_id), pid, act, status=409, form=form, refused=refused)
    publish_change(job.pk)
    return redirect(job)


def _page(
    request: OpsRequest, job: Any, pid: int, act: str, *, status: int = 200, **more: Any
) -> HttpResponse:
    context = {"page": session_page(request.rights, job, pid, act), **more}
    return render(request, "pages/session.html", context, status=status)
