from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.db import connections
from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dbops import launch
from dbops.access import OpsRequest, Role, actor_of, job_or_404, needs
from dbops.forms import CancelForm, JobsFilter
from dbops.pages.job import LINES_AT_ONCE, job_page, jobs_page, transcript_so_far
from dbops.transcript.reading import Lines, read_after, read_before, read_last
from dbops.views.answers import page_or_fragment


@require_GET
@needs(Role.VIEWER)
def jobs(request: OpsRequest) -> HttpResponse:
    form = JobsFilter(request.GET)
    form.is_valid()
    chosen = form.cleaned_data
    page = jobs_page(
        request.role,
        q=chosen.get("q") or "",
        state=chosen.get("state") or "",
        page=chosen.get("page") or 1,
    )
    context = {"page": page, "form": form}
    return page_or_fragment(request, "pages/jobs.html", "_fragments/jobs_rows.html", context)


@require_GET
@needs(Role.VIEWER)
def job(request: OpsRequest, job_id: int) -> HttpResponse:
    found = job_or_404(job_id)
    transcript = transcript_so_far(found)
    return render(
        request, "pages/job.html", {"page": job_page(request.role, found), "transcript": transcript}
    )


@require_GET
@needs(Role.VIEWER)
def waiting(request: OpsRequest, job_id: int) -> HttpResponse:
    """Who could take a queued job, which changes without the job."""
    context = {"page": job_page(request.role, job_or_404(job_id))}
    response = render(request, "_fragments/job_waiting.html", context)
    response["Cache-Control"] = "no-store"
    return response


@require_POST
@needs(Role.OPERATOR)
def cancellation(request: OpsRequest, job_id: int) -> HttpResponse:
    found = job_or_404(job_id)
    form = CancelForm(request.POST)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    messages.info(request, launch.cancel(found, actor_of(request), reason))
    return redirect(found)


@require_GET
@needs(Role.VIEWER)
def lines(request: OpsRequest, job_id: int) -> HttpResponse:
    """{"first", "lines"}: at most LINES_AT_ONCE complete lines, those in front of number `?before=N` or,
    without it, the last ones. `lines[0]` has the number `first`; no line stands before line 1."""
    found = job_or_404(job_id)
    before = request.GET.get("before")
    if before is None:
        batch = read_last(found.pk, LINES_AT_ONCE)
    elif before.isascii() and before.isdigit() and len(before) < 10 and int(before):
        batch = read_before(found.pk, int(before), LINES_AT_ONCE)
    else:
        return HttpResponseBadRequest("`before` is no number of a line.", content_type="text/plain")
    return JsonResponse({"first": batch.first, "lines": batch.lines}, headers={"Cache-Control": "no-store"})


@require_GET
@needs(Role.VIEWER)
async def transcript(request: OpsRequest, job_id: int) -> StreamingHttpResponse:
    """The whole transcript as a text file; while the job runs, what there is."""
    found = await sync_to_async(job_or_404)(job_id)
    name = f"opsdash-job-{found.pk}.txt"
    return StreamingHttpResponse(
        _all_lines(found.pk),
        content_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _all_lines(job_id: int) -> AsyncIterator[str]:
    after = 0
    while batch := await _read(job_id, after):
        yield "\n".join(batch.lines) + "\n"
        after = batch.last


@sync_to_async
def _read(job_id: int, after: int) -> Lines | None:
    try:
        return read_after(job_id, after)
    finally:
        connections.close_all()
