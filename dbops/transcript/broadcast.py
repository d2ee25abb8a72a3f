"""What one job says now, heard and read once for all its viewers in this process.

The rows are the truth: they are read at the start, at a gap, when Redis tells that the job changed, and every
POLL_S while Redis is silent. A viewer holds nothing but the number of its last line.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from django.db import Error

from dbops import conf
from dbops.models import Job
from dbops.models.away import is_away
from dbops.models.job import FINAL
from dbops.transcript.hub import Mailbox, hub
from dbops.transcript.live import NO_TAIL, LinesCame, Tail, current_tail, heard
from dbops.transcript.pieces import Newest, Piece
from dbops.transcript.replaying import read_pieces
from dbops.transcript.threads import beside_the_loop

logger = logging.getLogger(__name__)

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


class Broadcast:
    """`news` is set and replaced whenever there is something new; whoever waits takes it before it looks."""

    def __init__(self, job_id: int) -> None:
        self.job_id = job_id
        self.viewers = 0
        # What a viewer is sent at a change, in bytes; whoever makes it says so.
        self.weight = 0
        self.news = asyncio.Event()
        self.tail = NO_TAIL
        self.tails = 0
        self.beats = 0
        self.version = -1
        self.state = ""
        self.newest = Newest(0)
        self.failure: Exception | None = None
        self._begun = asyncio.Event()
        self._changed = False
        self._told_at = self._woke_at = self._looked_at = float("-inf")
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
            # Of all viewers: each would add its own way to the traceback.
            raise self.failure.with_traceback(None)

    # -- the one that listens

    async def _run(self) -> None:
        try:
            async with hub().mailbox(self.job_id) as mailbox:
                # Subscribed first, looked at the rows then: nothing falls in between.
                await self._begin()
                while self.state not in FINAL:
                    await self._listen(mailbox)
        except Exception as error:  # every viewer raises it
            self._fail(error)
        finally:
            self._begun.set()
            self.wake()

    def _fail(self, error: Exception) -> None:
        self.failure = error
        if not (isinstance(error, Error) and is_away(error)):
            logger.exception("job %s cannot be told any more: an error of opsdash itself", self.job_id)

    async def _begin(self) -> None:
        standing = await _standing(self.job_id)
        self.newest = Newest(standing.last_line)
        tail = await _tail(self.job_id)
        self.tail = tail if tail.after == standing.last_line and standing.state not in FINAL else NO_TAIL
        self._looked_at = _time()
        self._stand(standing)

    async def _listen(self, mailbox: Mailbox) -> None:
        try:
            async with asyncio.timeout(max(0.0, self._next_look() - _time())):
                message = await mailbox.get()
        except TimeoutError:
            await self._look()
        else:
            await self._hear(heard(message))

    def _next_look(self) -> float:
        """A message may have been lost, also while others keep coming."""
        poll = self._looked_at + POLL_S
        return min(poll, self._next_change()) if self._changed else poll

    def _next_change(self) -> float:
        return self._told_at + max(CHANGES_S, self.weight * self.viewers / CHANGES_BYTES_S)

    async def _hear(self, message: LinesCame | Tail | None) -> None:
        if isinstance(message, LinesCame):
            await self._take(Piece(message.lines, message.gap))
        elif isinstance(message, Tail):
            await self._take_tail(message)
        else:
            self._changed = True
        if _time() >= self._next_look():
            await self._look()

    async def _take(self, piece: Piece) -> None:
        if piece.last <= self.newest.edge:
            return
        if not piece.leads_on_from(self.newest.edge):
            await self._look()
            return
        self._add(piece.behind(self.newest.edge))
        self.wake()

    def _add(self, piece: Piece) -> None:
        """Whoever is told lines shows no unfinished one any more."""
        self.newest.add(piece)
        self.tail = NO_TAIL

    async def _take_tail(self, tail: Tail) -> None:
        if tail.after > self.newest.edge:
            await self._look()
        if tail.after == self.newest.edge:
            self.tail = tail
            self.tails += 1
            self.wake()

    async def _look(self) -> None:
        """The state is read before the lines: what was written before the end is surely told before it."""
        self._looked_at = _time()
        standing = await _standing(self.job_id)
        while self.newest.edge < standing.last_line:
            some = await read_pieces(self.job_id, self.newest.edge)
            if not some:
                # Retention has taken them away.
                self.newest = Newest(standing.last_line)
            for piece in some:
                self._add(piece)
            self.wake()
        self._changed = standing.version != self.version
        if standing.state in FINAL or (self._changed and _time() >= self._next_change()):
            self._stand(standing)
        elif _time() - self._woke_at >= conf.knob("STREAM_KEEPALIVE_S"):
            self.beat()

    def _stand(self, standing: Standing) -> None:
        self._changed, self._told_at = False, _time()
        self.version, self.state = standing.version, standing.state
        self._begun.set()
        self.wake()


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


def _time() -> float:
    return asyncio.get_running_loop().time()


@beside_the_loop
def _standing(job_id: int) -> Standing:
    state, version, last_line = Job.objects.values_list("state", "version", "last_line").get(pk=job_id)
    return Standing(state, version, last_line)


_tail = beside_the_loop(current_tail)
