"""Following: replay from the rows, then live; no gap at the join, no line twice."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from asgiref.sync import sync_to_async
from django.db import connections

from dbops.models import Job
from dbops.models.job import FINAL
from dbops.transcript.hub import Mailbox, hub
from dbops.transcript.live import current_tail
from dbops.transcript.reading import Lines, read_after

# Without a message for this long the rows are read anyway: Redis may be away, or a message was dropped.
POLL_S = 2.0


@dataclass(frozen=True)
class Tail:
    """The unfinished last line; replaces the one before."""

    text: str


@dataclass(frozen=True)
class Changed:
    """The job's state, steps or progress changed since the last time (version as in the row)."""

    version: int


@dataclass(frozen=True)
class Ended:
    """All lines were given and the job is in a final state."""

    state: str


async def follow(job_id: int, after: int) -> AsyncGenerator[Lines | Tail | Changed | Ended | None]:
    """What happens to a job from line `after` on; None every POLL_S when nothing does.

    Holds no database connection between reads.
    """
    version, told_tail = -1, False
    async with hub().mailbox(job_id) as mailbox:
        while True:
            # The state is read before the lines: what was written before the end is then surely read.
            state, new_version = await _job(job_id)
            while some := await _lines(job_id, after):
                for piece in some:
                    yield piece
                after = some[-1].last
            if not told_tail:
                told_tail = True
                yield Tail(await sync_to_async(current_tail)(job_id))
            if new_version != version:
                version = new_version
                yield Changed(version)
            if state in FINAL:
                yield Ended(state)
                return
            async for news in _live(mailbox, after):
                if isinstance(news, Lines):
                    after = news.last
                yield news


async def _live(mailbox: Mailbox, after: int) -> AsyncIterator[Lines | Tail | None]:
    """Messages that continue at `after`, until the rows must be read."""
    while True:
        try:
            message = await asyncio.wait_for(mailbox.get(), POLL_S)
        except TimeoutError:
            yield None
            return
        if message["kind"] == "tail":
            yield Tail(message["text"])
        elif message["kind"] == "lines":
            lines = Lines.of(message)
            if lines.last <= after:
                continue
            if lines.first > after + 1:
                return
            yield lines.between(after + 1, lines.last)
            after = lines.last
        else:
            return


@sync_to_async
def _job(job_id: int) -> tuple[str, int]:
    try:
        return Job.objects.values_list("state", "version").get(pk=job_id)
    finally:
        connections.close_all()


@sync_to_async
def _lines(job_id: int, after: int) -> list[Lines]:
    try:
        return read_after(job_id, after)
    finally:
        connections.close_all()
