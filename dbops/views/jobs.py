import time
from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.http import (
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dbops import conf, launch
from dbops.access import OpsRequest, actor_of, job_or_404, needs
from dbops.forms import CancelForm, JobsFilter
from dbops.models import Job
from dbops.pages.job import ANSWER_BYTES, LINES_AT_ONCE, job_page, jobs_page, transcript_so_far
from dbops.rights import Role, rights_now
from dbops.transcript.reading import read_after, read_between, with_gaps
from dbops.transcript.retention import end_of_text, removed_words
from dbops.transcript.searching import SearchTooLongError
from dbops.transcript.searching import search as search_lines
from dbops.transcript.threads import beside_the_loop
from dbops.views.answers import page_or_fragment, too_many
from dbops.views.places import Download, TooManyError, searches

# What may be looked for in a transcript, in characters.
WORDS_MOST = 200


@require_GET
@needs(Role.VIEWER)
def jobs(request: OpsRequest) -> HttpResponse:
    form = JobsFilter(request.GET)
    form.is_valid()
    chosen = form.cleaned_data
    page = jobs_page(
        request.rights,
        q=chosen.get("q") or "",
        state=chosen.get("state") or "",
        page=chosen.get("page") or 1,
    )
    context = {"page": page, "form": form}
    return page_or_fragment(request, "pages/jobs.html", "_fragments/jobs_rows.html", context)


@require_GET
@needs(Role.VIEWER)
def job(request: OpsRequest, job_id: int) -> HttpResponse:
    found = job_or_404(request, job_id)
    transcript = transcript_so_far(found)
    return render(
        request, "pages/job.html", {"page": job_page(request.rights, found), "transcript": transcript}
    )


@require_GET
@needs(Role.VIEWER)
def waiting(request: OpsRequest, job_id: int) -> HttpResponse:
    """Who could take a queued job, which changes without the job."""
    context = {"page": job_page(request.rights, job_or_404(request, job_id))}
    response = render(request, "_fragments/job_waiting.html", context)
    response["Cache-Control"] = "no-store"
    return response


@require_POST
@needs(Role.OPERATOR)
def cancellation(request: OpsRequest, job_id: int) -> HttpResponse:
    found = job_or_404(request, job_id)
    form = CancelForm(request.POST)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    messages.info(request, launch.cancel(found, actor_of(request), reason))
    return redirect(found)


@require_GET
@needs(Role.VIEWER)
def lines(request: OpsRequest, job_id: int) -> HttpResponse:
    """The complete lines number `?from=N` to `&to=M`, LINES_AT_ONCE at most: {"chunks": [{"first", "at",
    "lines"}], "last", "gap", "removed"}. `last` is the number of the last one that there is. What lies in
    `gap`, [a, b] or null, is not kept; `removed` says why none is, or is "". Of very long lines fewer may
    come than were asked for."""
    found = job_or_404(request, job_id)
    first, last = number_of_line(request.GET.get("from")), number_of_line(request.GET.get("to"))
    if not first or not last or not first <= last < first + LINES_AT_ONCE:
        sentence = f"`from` and `to` are no numbers of at most {LINES_AT_ONCE} lines."
        return HttpResponseBadRequest(sentence, content_type="text/plain")
    chunks = read_between(found.pk, first, last, ANSWER_BYTES)
    told = {"last": found.last_line, "gap": found.gap, "removed": removed_words(found)}
    document = {"chunks": [chunk.document() for chunk in chunks], **told}
    return JsonResponse(document, headers={"Cache-Control": "no-store"})


@require_GET
@needs(Role.VIEWER)
def search(request: OpsRequest, job_id: int) -> HttpResponse:
    """Which lines behind `&after=N` hold `?q=words` as they are shown, whatever the case (`&case=1`: as it is
    written): {"lines": [numbers], "count", "more", "until"}. `lines` are the first ones, 10,000 at most, of
    `count`; `more` says that there are others; `until` is the number of the last line that was looked at."""
    found = job_or_404(request, job_id)
    words, after = request.GET.get("q", ""), request.GET.get("after", "0")
    if not 1 <= len(words) <= WORDS_MOST:
        sentence = f"`q` is not a text of 1 to {WORDS_MOST} characters. Nothing was looked for."
        return HttpResponseBadRequest(sentence, content_type="text/plain")
    if after != "0" and not number_of_line(after):
        sentence = "`after` is not the number of a line. Nothing was looked for."
        return HttpResponseBadRequest(sentence, content_type="text/plain")
    try:
        with searches.one(request.user.pk):
            lines = search_lines(found.pk, words, int(after), case=request.GET.get("case") == "1")
    except (TooManyError, SearchTooLongError) as error:
        status = 429 if isinstance(error, TooManyError) else 503
        return HttpResponse(str(error), status=status, content_type="text/plain")
    return JsonResponse(lines.document(), headers={"Cache-Control": "no-store"})


def number_of_line(text: str | None) -> int:
    """0 where it is none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0


@require_GET
@needs(Role.VIEWER)
async def transcript(request: OpsRequest, job_id: int) -> HttpResponseBase:
    """The whole transcript as a text file; while the job runs, what there is."""
    found = await sync_to_async(job_or_404)(request, job_id)
    name = f"opsdash-job-{found.pk}.txt"
    parts = _all_lines(found, (request.user.pk, request.session.session_key or ""))
    try:
        download = Download(request.user.pk).of(parts)
    except TooManyError as error:
        return await too_many(request, error)
    return StreamingHttpResponse(
        download,
        content_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _all_lines(job: Job, who: tuple[int, str]) -> AsyncIterator[str]:
    """A large one takes a slow client long: whether it still may have it is looked at as of a stream."""
    after, looked_at = 0, time.monotonic()
    while some := await _read(job.pk, after):
        yield "".join(line + "\n" for line in with_gaps(some, after))
        after = some[-1].last
        if time.monotonic() - looked_at > conf.knob("STREAM_RECHECK_S"):
            looked_at = time.monotonic()
            if not (await _rights_now([who]))[who].sees(job.database.target_id):
                yield "opsdash: you may not see this any more; the rest is not in this file.\n"
                return
    yield await _end_of_text(job.pk)


_read = beside_the_loop(read_after)
_end_of_text = beside_the_loop(end_of_text)
_rights_now = beside_the_loop(rights_now)
