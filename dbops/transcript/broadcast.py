"""What one job says now, heard and read once for all its viewers in this process.

The rows are the truth: they are read at the start, at a gap, when Redis tells that the job changed, and every
POLL_S while Redis is silent. A viewer holds nothing but the number of its last line.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from dbops import conf
from dbops.models import Job
from dbops.models.job import FINAL
from dbops.transcript.hub import Mailbox, hub
from dbops.transcript.live import current_tail
from dbops.transcript.pieces import Gap, Newest, Piece
from dbops.transcript.reading import Lines, read_after
from dbops.transcript.threads import beside_the_loop

# Without a message for this long the rows are read anyway: Redis may be away, or a message was dropped.
POLL_S = 2.0
# A change is told this often at most; where many look on, or the page is large, so seldom that it takes no
# more than CHANGES_BYTES_S of what the process sends.
CHANGES_S = 0.25
CHANGES_BYTES_S = 20_000_000


@dataclass(frozen=True)
class Standing:
    """Of a job's row. `version` grows with each change of its state, steps or progress."""

    state: str
    version: int
    last_line: int
    gap: Gap


class Broadcast:
    """`news` is set and replaced whenever there is something new; whoever waits takes it before it looks."""

    def __init__(self, job_id: int) -> None:
        self.job_id = job_id
        self.viewers = 0
        # What a viewer is sent at a change, in bytes; whoever makes it says so.
        self.weight = 0
        self.news = asyncio.Event()
        self.tail = ""
        self.tails = 0
        self.beats = 0
        self.version = -1
        self.state = ""
        self.gap: Gap = None
        self.newest = Newest(0)
        self.failure: Exception | None = None
        self._begun = asyncio.Event()
        self._changed = False
        self._told_at = self._woke_at = float("-inf")
        self._task = asyncio.create_task(self._run())

    async def begun(self) -> None:
        """Until the first look at the rows."""
        await self._begun.wait()

    def stop(self) -> None:
        self._task.cancel()

    def wake(self) -> None:
        """Every viewer looks."""
        self._woke_at = _time()
        self.news.set()
        self.news = asyncio.Event()

    def beat(self) -> None:
        """A sign of life for every viewer, who may have other reasons to look up."""
        self.beats += 1
        self.wake()

    def raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure

    # -- the one that listens

    async def _run(self) -> None:
        try:
            async with hub().mailbox(self.job_id) as mailbox:
                # Subscribed first, looked at the rows then: nothing falls in between.
                await self._begin()
                while self.state not in FINAL:
                    await self._listen(mailbox)
        except Exception as error:  # every viewer raises it
            self.failure = error
        finally:
            self._begun.set()
            self.wake()

    async def _begin(self) -> None:
        standing = await _standing(self.job_id)
        self.newest = Newest(standing.last_line)
        self.tail = await _tail(self.job_id)
        self._stand(standing)

    async def _listen(self, mailbox: Mailbox) -> None:
        try:
            async with asyncio.timeout(self._patience()):
                message = await mailbox.get()
        except TimeoutError:
            await self._look()
        else:
            await self._hear(message)

    def _patience(self) -> float:
        """Until the rows are looked at: a while, or as long as a change has still to wait."""
        return max(0.0, self._next_look() - _time())

    def _next_look(self) -> float:
        return self._next_change() if self._changed else self._told_at + POLL_S

    def _next_change(self) -> float:
        return self._told_at + max(CHANGES_S, self.weight * self.viewers / CHANGES_BYTES_S)

    async def _hear(self, message: dict[str, Any]) -> None:
        if message["kind"] == "lines":
            self.gap = _gap(message["gap"])
            await self._take(Piece(Lines.of(message), self.gap))
        elif message["kind"] == "tail":
            self._take_tail(message["text"])
        else:
            self._changed = True
        # A message may have been lost, also while others keep coming.
        if _time() >= self._next_look():
            await self._look()

    async def _take(self, piece: Piece) -> None:
        if piece.last <= self.newest.edge:
            return
        if piece.leads_on_from(self.newest.edge):
            self.newest.add(piece.behind(self.newest.edge))
            self.wake()
        else:
            await self._look()

    def _take_tail(self, text: str) -> None:
        self.tail = text
        self.tails += 1
        self.wake()

    async def _look(self) -> None:
        """The state is read before the lines: what was written before the end is surely told before it."""
        standing = await _standing(self.job_id)
        while self.newest.edge < standing.last_line:
            some = await _lines(self.job_id, self.newest.edge)
            if not some:
                # Retention has taken them away.
                self.newest = Newest(standing.last_line)
            for lines in some:
                self.newest.add(Piece(lines, standing.gap))
            self.wake()
        self._stand(standing)

    def _stand(self, standing: Standing) -> None:
        self._changed, self._told_at, self.gap = False, _time(), standing.gap
        if standing.version == self.version:
            return self._beat_when_due()
        self.version, self.state = standing.version, standing.state
        self._begun.set()
        return self.wake()

    def _beat_when_due(self) -> None:
        if _time() - self._woke_at >= conf.knob("STREAM_KEEPALIVE_S"):
            self.beat()


class Broadcasts:
    """Those of one event loop, each there for as long as it has viewers."""

    def __init__(self) -> None:
        self._of: dict[int, Broadcast] = {}

    @asynccontextmanager
    async def of(self, job_id: int) -> AsyncIterator[Broadcast]:
        broadcast = self._of.get(job_id)
        # One that failed is left to those who have it.
        if broadcast is None or broadcast.failure is not None:
            broadcast = self._of[job_id] = Broadcast(job_id)
        broadcast.viewers += 1
        try:
            await broadcast.begun()
            yield broadcast
        finally:
            broadcast.viewers -= 1
            if not broadcast.viewers:
                broadcast.stop()
                if self._of.get(job_id) is broadcast:
                    del self._of[job_id]

    def weigh(self, job_id: int, sent_bytes: int) -> None:
        """So much is sent to each viewer at a change of this job."""
        if broadcast := self._of.get(job_id):
            broadcast.weight = sent_bytes

    def beat(self) -> None:
        for broadcast in self._of.values():
            broadcast.beat()


_broadcasts: WeakKeyDictionary[asyncio.AbstractEventLoop, Broadcasts] = WeakKeyDictionary()


def broadcasts() -> Broadcasts:
    """Of the running event loop; a web process has one."""
    return _broadcasts.setdefault(asyncio.get_running_loop(), Broadcasts())


def _gap(found: list[int] | None) -> Gap:
    return (found[0], found[1]) if found else None


def _time() -> float:
    return asyncio.get_running_loop().time()


@beside_the_loop
def _standing(job_id: int) -> Standing:
    job = Job.objects.only("state", "version", "last_line", "gap_first", "gap_last").get(pk=job_id)
    return Standing(job.state, job.version, job.last_line, job.gap)


_tail = beside_the_loop(current_tail)
_lines = beside_the_loop(read_after)
