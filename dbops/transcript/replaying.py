"""Replays from the rows, shared: after a cut many come back at nearly the same line at once."""

import asyncio
from collections import OrderedDict
from weakref import WeakKeyDictionary

from dbops.models import Job
from dbops.transcript.pieces import Piece
from dbops.transcript.reading import read_after
from dbops.transcript.threads import beside_the_loop

# Answers that are kept: each has some REPLAY_BYTES.
KEPT = 16


@beside_the_loop
def read_pieces(job_id: int, after: int) -> list[Piece]:
    """Some pieces behind line `after`; empty where no row has one. The gap is read behind the rows: what was
    taken away before they were read is then surely known to be."""
    some = read_after(job_id, after)
    gap = Job.objects.only("gap_first", "gap_last").get(pk=job_id).gap
    return [Piece(lines, gap) for lines in some]


class Replays:
    """What was read behind a line is given to everyone who asks for the same, also while it is still read."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[int, int], asyncio.Task[list[Piece]]] = OrderedDict()

    async def behind(self, job_id: int, after: int) -> list[Piece]:
        """The next pieces behind line `after`, not all of them; empty where no row has one."""
        key = job_id, after
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = asyncio.create_task(read_pieces(job_id, after))
            answer.add_done_callback(lambda done: self._look_at(key, done))
        # Who asked first may leave; the others still wait for it.
        return await asyncio.shield(answer)

    def _look_at(self, key: tuple[int, int], done: asyncio.Task[list[Piece]]) -> None:
        if done.cancelled() or done.exception() or not done.result():
            self._answers.pop(key, None)
        while len(self._answers) > KEPT:
            self._answers.popitem(last=False)


_replays: WeakKeyDictionary[asyncio.AbstractEventLoop, Replays] = WeakKeyDictionary()


def replays() -> Replays:
    """Of the running event loop."""
    return _replays.setdefault(asyncio.get_running_loop(), Replays())
