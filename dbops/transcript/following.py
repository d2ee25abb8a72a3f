"""Following: replay from the rows, then live; no gap at the join, no line twice."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import accumulate

from dbops.models.job import FINAL
from dbops.transcript.broadcast import Broadcast, broadcasts
from dbops.transcript.pieces import Piece
from dbops.transcript.replaying import replays

# What a viewer is handed at once; one that does not take it holds no more than that.
AT_ONCE_BYTES = 131_072


@dataclass(frozen=True)
class Tail:
    """The unfinished last line; replaces the one before."""

    text: str


@dataclass(frozen=True)
class Changed:
    """The job's state, steps or progress are now as in this version of its row."""

    version: int


@dataclass(frozen=True)
class Ended:
    """All lines were given and the job is in a final state."""

    state: str


News = Piece | Tail | Changed | Ended


async def follow(job_id: int, after: int, *, once: bool = False) -> AsyncGenerator[list[News]]:
    """What happens to a job from line `after` on, as it comes; now and then nothing, as a sign of life.

    `once`: what there is now, and no more. Holds no database connection, and of the lines only what it has
    just handed out: whoever is slow goes on at its own pace, from the rows where it is too far behind.
    """
    async with broadcasts().of(job_id) as live:
        seen = _Seen(live)
        while True:
            # Looked at together, before anything is handed out: what comes meanwhile sets `news`.
            news, pieces = live.news, live.newest.behind(after)
            live.raise_failure()
            is_behind = pieces is None
            if pieces is None:
                pieces = await replays().behind(job_id, after)
                # What no row has any more was taken away for good.
                after = after if pieces else live.newest.edge
            portion = _portion(pieces)
            is_behind = is_behind or len(portion) < len(pieces)
            others, is_end = (None, False) if is_behind else (seen.others(), live.state in FINAL)
            # While it is taken, which may last, nothing else is held.
            del pieces
            if portion:
                after = portion[-1].last
                yield [*portion]
            if is_behind:
                continue
            if others is not None:
                yield others
            if once or is_end:
                return
            await news.wait()


def _portion(pieces: list[Piece]) -> list[Piece]:
    """The first of them, one at least, that have no more than AT_ONCE_BYTES."""
    sizes = accumulate(len(piece.event) for piece in pieces)
    return [piece for piece, size in zip(pieces, sizes, strict=True) if size <= AT_ONCE_BYTES] or pieces[:1]


class _Seen:
    """What a viewer knows of all that is no line."""

    def __init__(self, live: Broadcast) -> None:
        self._live = live
        self._tails = self._version = -1
        self._beats = live.beats

    def others(self) -> list[News] | None:
        """What is new of it; empty: a sign of life is due; None: neither."""
        live, news = self._live, list[News]()
        beats, self._beats = self._beats, live.beats
        if live.tails != self._tails:
            self._tails = live.tails
            news.append(Tail(live.tail.text))
        if live.version != self._version:
            self._version = live.version
            news.append(Changed(live.version))
            if live.state in FINAL:
                news.append(Ended(live.state))
        return news if news or live.beats != beats else None
