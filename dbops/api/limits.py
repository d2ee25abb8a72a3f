"""How much one person may ask of one web process, with however many tokens."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from time import monotonic

from dbops import conf
from dbops.api.problems import TOO_MANY, Problem

MINUTE = 60.0
# Of all tokens: who waits keeps a thread.
FOLLOWS_OF_ALL = 64


class Allowance:
    """API_REQUESTS_A_MINUTE of a person: as many at once, and as they trickle in again behind them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # The owner's id -> what is left, and when that was so.
        self._left: dict[int, tuple[float, float]] = {}

    def take(self, owner_id: int) -> None:
        """One request; a Problem where none is left."""
        most, now = float(conf.knob("API_REQUESTS_A_MINUTE")), monotonic()
        with self._lock:
            left, then = self._left.get(owner_id, (most, now))
            left = min(most, left + (now - then) * most / MINUTE)
            self._left[owner_id] = max(0.0, left - 1) if left >= 1 else left, now
        if left < 1:
            raise _too_many(
                f"Your tokens may ask {most:.0f} times a minute together (OPSDASH_API_REQUESTS_A_MINUTE).",
                (1 - left) * MINUTE / most,
            )


class Follows:
    """Those that wait for lines at this moment, by owner."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, int] = {}

    @contextmanager
    def enter(self, owner_id: int) -> Iterator[None]:
        with self._lock:
            mine, most = self._open.get(owner_id, 0), conf.knob("API_FOLLOWS")
            if mine >= most:
                raise _too_many(
                    f"Your tokens may wait for lines {most} times at once together (OPSDASH_API_FOLLOWS).", 2
                )
            if sum(self._open.values()) >= FOLLOWS_OF_ALL:
                raise _too_many("As many requests wait for lines as this process can have.", 2)
            self._open[owner_id] = mine + 1
        try:
            yield
        finally:
            self._leave(owner_id)

    def _leave(self, owner_id: int) -> None:
        with self._lock:
            self._open[owner_id] -= 1
            if not self._open[owner_id]:
                del self._open[owner_id]


def _too_many(why: str, seconds: float) -> Problem:
    after = max(1, ceil(seconds))
    return Problem(TOO_MANY, f"{why} Nothing was done. Ask again later.", {"Retry-After": str(after)})


allowance = Allowance()
follows = Follows()
