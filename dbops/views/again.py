"""Ask for a job once more, after a look at what changed since."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from dbops import launch
from dbops.access import OpsRequest, actor_of, job_or_404, needs
from dbops.forms import ConfirmForm
from dbops.models import Job
from dbops.pages.again import again_page
from dbops.rights import Role


@require_http_methods(["GET", "POST"])
@needs(Role.OPERATOR)
def again(request: OpsRequest, job_id: int) -> HttpResponse:
    found = job_or_404(request, job_id)
    form = ConfirmForm(request.POST or None)
    if request.method == "GET":
        return _page(request, found, form)
    if not form.is_valid():
        return _page(request, found, form, status=422)
    key, reason = form.cleaned_data["key"], form.cleaned_data["reason"]
    try:
        seen = form.cleaned_data["plan"]
        started = launch.again(found, actor_of(request), key=key, reason=reason, seen=seen)
    except launch.RefusedError as refused:
        return _page(request, found, form, status=409, refused=refused)
    if not started.new:
        messages.info(request, "This form was sent before; this is its job.")
    return redirect(started.job)


def _page(request: OpsRequest, job: Job, form: ConfirmForm, status: int = 200, **more: Any) -> HttpResponse:
    page = again_page(request.rights, job)
    form.initial["plan"] = page.plan.fingerprint if page.plan else ""
    context = {"page": page, "form": form, **more}
    return render(request, "pages/again.html", context, status=status)
