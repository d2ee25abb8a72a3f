"""The live page of a job: one SSE response carries its fragments and its transcript."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from asgiref.sync import sync_to_async
from django.db import Error, connections
from django.http import StreamingHttpResponse
from django.middleware.csrf import get_token
from django.views.decorators.http import require_GET

from dbops.access import OpsRequest, job_or_404, needs
from dbops.models.away import is_away, words
from dbops.rights import Rights, Role
from dbops.transcript.broadcast import broadcasts
from dbops.transcript.events import ALIVE, event
from dbops.transcript.following import Changed, Ended, News, follow
from dbops.transcript.pieces import Piece
from dbops.views.fragments import TOKEN, fragments
from dbops.views.viewers import Viewer, viewers

logger = logging.getLogger(__name__)

# A page that has no stream of its own asks again after this long.
AGAIN_S = 2


@require_GET
@needs(Role.VIEWER)
async def job_stream(request: OpsRequest, job_id: int) -> "EventStream":
    """Events: `fragments` {"html": {id: html}}, `lines` {"first", "at", "lines", "gap"} with the last line's
    number as id, `tail` {"text"}, `end` {"state"}, `bye` {"why", "again_s"}. Every data line is one JSON
    document, so nothing that a target prints can forge an event. `?after=N` resumes behind line N.

    With `?once=1`, or where the session has STREAMS_PER_SESSION or the person STREAMS_PER_USER of them open,
    it is told what there is, and to ask again."""
    job = await sync_to_async(job_or_404)(request, job_id)
    await sync_to_async(connections.close_all)()
    viewer = Viewer(request.user.pk, request.session.session_key or "", request.rights)
    # One token for the whole stream: a part of the page that stays the same is not told again.
    teller = _Teller(job.pk, request.rights, get_token(request))
    once = request.GET.get("once") == "1"
    return EventStream(_until_away(_events(viewer, teller, job.pk, _after(request), once=once), job.pk))


class EventStream(StreamingHttpResponse):
    """It holds nothing of its request (see opsdash.handler)."""

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        super().__init__(
            events,
            content_type="text/event-stream",
            # identity: a compressing middleware or proxy would hold events back.
            headers={"Cache-Control": "no-store", "Content-Encoding": "identity", "X-Accel-Buffering": "no"},
        )
        self._events = events

    def alone(self) -> "EventStream":
        """The same, with what middleware has added, after Django is done with it and its request."""
        copy = EventStream(self._events)
        copy.headers, copy.cookies = self.headers, self.cookies
        return copy


def _after(request: OpsRequest) -> int:
    text = request.GET.get("after") or request.headers.get("Last-Event-ID") or "0"
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


async def _until_away(events: AsyncGenerator[bytes], job_id: int) -> AsyncGenerator[bytes]:
    """Without our database there is nothing to tell but that; who listens comes again, and misses nothing."""
    try:
        async with aclosing(events):
            async for text in events:
                yield text
    except Error as error:
        if not is_away(error):
            raise
        logger.warning("the stream of job %s ends, our database fails: %s", job_id, error)
        yield event("bye", {"why": words(error)})


async def _events(
    viewer: Viewer, teller: "_Teller", job_id: int, after: int, *, once: bool
) -> AsyncGenerator[bytes]:
    with viewers().enter(viewer):
        too_many, is_over = viewers().why_too_many(viewer), False
        async with aclosing(follow(job_id, after, once=once or bool(too_many))) as all_news:
            async for news in all_news:
                if viewer.bye:
                    break
                is_over = bool(news) and isinstance(news[-1], Ended)
                yield await teller.tell(news)
        if viewer.bye:
            yield event("bye", {"why": viewer.bye})
        elif not is_over:
            yield event("bye", {"why": too_many or "it was asked for once", "again_s": AGAIN_S})


class _Teller:
    """News as one viewer is told them."""

    def __init__(self, job_id: int, rights: Rights, token: str) -> None:
        self._job_id, self._rights, self._token = job_id, rights, token.encode()
        self._told: dict[str, str] = {}

    async def tell(self, all_news: list[News]) -> bytes:
        """Nothing new is a sign of life."""
        return b"".join([await self._event(news) for news in all_news]) or ALIVE

    async def _event(self, news: News) -> bytes:
        if isinstance(news, Piece):
            return news.event
        if isinstance(news, Changed):
            return await self._fragments(news.version)
        if isinstance(news, Ended):
            return event("end", {"state": news.state})
        return event("tail", {"text": news.text})

    async def _fragments(self, version: int) -> bytes:
        found = await fragments().of(self._job_id, self._rights, version)
        names = found.unlike(self._told)
        self._told = found.html
        data = found.data(names)
        broadcasts().weigh(self._job_id, len(data))
        return b"event: fragments\ndata: %b\n\n" % data.replace(TOKEN.encode(), self._token)
