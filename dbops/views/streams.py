"""The live page of a job: one SSE response carries its fragments and its transcript."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import Error, connections
from django.http import StreamingHttpResponse
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from dbops import conf
from dbops.access import OpsRequest, Role, job_or_404, needs, role_of
from dbops.models.away import is_away
from dbops.pages.job import FRAGMENTS, job_page
from dbops.transcript.following import Changed, Ended, Tail, follow
from dbops.transcript.reading import Lines
from dbops.views.errors import words

logger = logging.getLogger(__name__)


@require_GET
@needs(Role.VIEWER)
async def job_stream(request: OpsRequest, job_id: int) -> StreamingHttpResponse:
    """Events: `fragments` {"html": {id: html}}, `lines` {"first", "lines"} with the last line's number as
    id, `tail` {"text"}, `end` {"state"}, `bye` {"why"}. Every data line is one JSON document, so nothing that
    a target prints can forge an event. `?after=N` resumes behind line N."""
    job = await sync_to_async(job_or_404)(job_id)
    await sync_to_async(connections.close_all)()
    return StreamingHttpResponse(
        _until_away(_events(request, job.pk, _after(request)), job.pk),
        content_type="text/event-stream",
        # identity: a compressing middleware or proxy would hold events back.
        headers={"Cache-Control": "no-store", "Content-Encoding": "identity", "X-Accel-Buffering": "no"},
    )


def _after(request: OpsRequest) -> int:
    text = request.GET.get("after") or request.headers.get("Last-Event-ID") or "0"
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


async def _until_away(events: AsyncGenerator[str], job_id: int) -> AsyncGenerator[str]:
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


async def _events(request: OpsRequest, job_id: int, after: int) -> AsyncGenerator[str]:
    spoke = checked = time.monotonic()
    async with aclosing(follow(job_id, after)) as all_news:
        async for news in all_news:
            now = time.monotonic()
            if now - checked > conf.knob("STREAM_RECHECK_S"):
                checked = now
                if not await _still_allowed(request):
                    yield event("bye", {"why": "signed out"})
                    return
            if news is None and now - spoke <= conf.knob("STREAM_KEEPALIVE_S"):
                continue
            yield await _told(request, job_id, news)
            spoke = now
            # Let a client that has gone be noticed between two events.
            await asyncio.sleep(0)


async def _told(request: OpsRequest, job_id: int, news: Lines | Tail | Changed | Ended | None) -> str:
    if isinstance(news, Lines):
        return event("lines", news.document(), number=news.last)
    if isinstance(news, Tail):
        return event("tail", {"text": news.text})
    if isinstance(news, Changed):
        return event("fragments", {"html": await _fragments(request, job_id)})
    if isinstance(news, Ended):
        return event("end", {"state": news.state})
    return ": alive\n\n"


def event(name: str, data: Any, number: int | None = None) -> str:
    head = f"id: {number}\n" if number is not None else ""
    return f"event: {name}\n{head}data: {json.dumps(data)}\n\n"


@sync_to_async
def _fragments(request: OpsRequest, job_id: int) -> dict[str, str]:
    try:
        context = {"page": job_page(request.role, job_or_404(job_id))}
        return {
            name: render_to_string(f"_fragments/{name}.html", context, request=request) for name in FRAGMENTS
        }
    finally:
        connections.close_all()


@sync_to_async
def _still_allowed(request: OpsRequest) -> bool:
    """Read anew: the person may have been deactivated, or signed out elsewhere, since the stream began."""
    try:
        user = User.objects.filter(pk=request.user.pk).first()
        session_lives = request.session.exists(request.session.session_key or "")
        return user is not None and role_of(user) >= Role.VIEWER and session_lives
    finally:
        connections.close_all()
