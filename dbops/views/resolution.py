"""Staff ends a job that nothing else can end."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from dbops import launch
from dbops.access import OpsRequest, actor_of, job_or_404, needs
from dbops.forms import ResolutionForm
from dbops.models import Job
from dbops.pages.job import job_page, transcript_so_far
from dbops.rights import Role


@require_POST
@needs(Role.STAFF)
def resolution(request: OpsRequest, job_id: int) -> HttpResponse:
    found = job_or_404(request, job_id)
    form = ResolutionForm(request.POST)
    if not form.is_valid():
        return _page(request, found, status=422, form=form)
    try:
        messages.info(request, launch.resolve(found, actor_of(request), form.cleaned_data["reason"]))
    except launch.RefusedError as refused:
        return _page(request, job_or_404(request, job_id), status=409, refused=refused)
    return redirect(found)


def _page(request: OpsRequest, job: Job, *, status: int, **more: Any) -> HttpResponse:
    context = {"page": job_page(request.rights, job), "transcript": transcript_so_far(job), **more}
    return render(request, "pages/job.html", context, status=status)
