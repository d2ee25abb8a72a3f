"""Replays from the rows, shared: after a cut many come back at nearly the same line at once."""

import asyncio
from collections import OrderedDict
from weakref import WeakKeyDictionary

from dbops.transcript.pieces import Gap, Piece
from dbops.transcript.reading import read_after
from dbops.transcript.threads import beside_the_loop

# Answers that are kept: each has some REPLAY_BYTES.
KEPT = 16
_read = beside_the_loop(read_after)


class Replays:
    """What was read behind a line is given to everyone who asks for the same, also while it is still read."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[int, int], asyncio.Task[list[Piece]]] = OrderedDict()

    async def behind(self, job_id: int, after: int, gap: Gap) -> list[Piece]:
        """The next pieces behind line `after`, not all of them; empty where no row has one."""
        key = job_id, after
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = asyncio.create_task(_pieces(job_id, after, gap))
            answer.add_done_callback(lambda done: self._look_at(key, done))
        # Who asked first may leave; the others still wait for it.
        return await asyncio.shield(answer)

    def _look_at(self, key: tuple[int, int], done: asyncio.Task[list[Piece]]) -> None:
        if done.cancelled() or done.exception() or not done.result():
            self._answers.pop(key, None)
        while len(self._answers) > KEPT:
            self._answers.popitem(last=False)


async def _pieces(job_id: int, after: int, gap: Gap) -> list[Piece]:
    return [Piece(lines, gap) for lines in await _read(job_id, after)]


_replays: WeakKeyDictionary[asyncio.AbstractEventLoop, Replays] = WeakKeyDictionary()


def replays() -> Replays:
    """Of the running event loop."""
    return _replays.setdefault(asyncio.get_running_loop(), Replays())
