"""The lines of a job as they come: behind a number, at once or after a wait that has an end."""

import asyncio
from contextlib import aclosing
from typing import Annotated, Any, ClassVar

from asgiref.sync import sync_to_async
from django.db import connections
from ninja import Router
from pydantic import Field

from dbops import conf, goodbye
from dbops.access import job_or_404
from dbops.api.doors import ApiRequest
from dbops.api.limits import follows
from dbops.api.reading import READS
from dbops.api.schemas import LinesDocument
from dbops.documents import VERSION
from dbops.models import Job
from dbops.models.job import FINAL
from dbops.pages.job import ANSWER_BYTES, LINES_AT_ONCE
from dbops.transcript.following import Ended, follow
from dbops.transcript.pieces import Piece
from dbops.transcript.reading import Lines, read_after
from dbops.transcript.retention import removed_words

router = Router(tags=["jobs"])
After = Annotated[int, Field(ge=0, le=2**31 - 1)]
Wait = Annotated[int, Field(ge=0, le=conf.knob("API_WAIT_S"))]
Limit = Annotated[int, Field(ge=1, le=LINES_AT_ONCE)]


class Waiting:
    """Those that wait now, in this process."""

    tasks: ClassVar[set["asyncio.Task[None]"]] = set()
    is_over = False


@router.get("/jobs/{int:job_id}/lines", auth=READS, response=LinesDocument)
async def lines(
    request: ApiRequest, job_id: int, after: After = 0, wait: Wait = 0, limit: Limit = LINES_AT_ONCE
) -> dict[str, Any]:
    """The complete lines behind number `after`. Where there are none yet, they are waited for, `wait` seconds
    at most, or until the job ends; with no lines and `ended` false: ask again. To follow a job, ask with
    `after` = `next` until `ended`."""
    document = await _read(request, job_id, after, limit)
    if document["lines"] or document["ended"] or not wait:
        return document
    with follows.enter(request.token.owner_id):
        await _let_go()
        await _until_news(job_id, after, wait)
    # Who may not see it any more by now is told nothing.
    await _look_again(request)
    return await _read(request, job_id, after, limit)


async def _until_news(job_id: int, after: int, seconds: int) -> None:
    """No connection is held meanwhile, and one reader hears for all who follow this job."""
    news = asyncio.create_task(_first_news(job_id, after))
    Waiting.tasks.add(news)
    try:
        await asyncio.wait({news}, timeout=0 if Waiting.is_over else seconds)
        if news.done() and not news.cancelled():
            news.result()
    finally:
        Waiting.tasks.discard(news)
        news.cancel()
        await asyncio.gather(news, return_exceptions=True)


async def _first_news(job_id: int, after: int) -> None:
    async with aclosing(follow(job_id, after)) as all_news:
        async for news in all_news:
            if any(isinstance(one, Piece | Ended) for one in news):
                return


@goodbye.when_told
def _wait_no_longer() -> None:
    Waiting.is_over = True
    for news in list(Waiting.tasks):
        news.cancel()


@sync_to_async
def _read(request: ApiRequest, job_id: int, after: int, limit: int) -> dict[str, Any]:
    """The state is read before the lines: what was written before the end is surely there."""
    job = job_or_404(request, job_id)
    chunks, left = list[Lines](), limit
    for chunk in read_after(job.pk, after, ANSWER_BYTES):
        if left:
            chunks.append(chunk.between(chunk.first, chunk.first + left - 1))
            left -= len(chunks[-1].lines)
    return _document(job, after, chunks)


def _document(job: Job, after: int, chunks: list[Lines]) -> dict[str, Any]:
    told = [
        {"number": chunk.first + place, "at": chunk.at.isoformat(), "text": text}
        for chunk in chunks
        for place, text in enumerate(chunk.lines)
    ]
    following = chunks[-1].last if chunks else after
    return {
        "version": VERSION,
        "job": job.pk,
        "state": job.state,
        "lines": told,
        "next": following,
        "last": job.last_line,
        "ended": job.state in FINAL and (not told or following >= job.last_line),
        "gap": list(job.gap) if job.gap else None,
        "removed": removed_words(job),
    }


_let_go = sync_to_async(connections.close_all)
_look_again = sync_to_async(READS.look_again)
