"""What one person may have done at a time in one web process: so many searches, so many downloads."""

import weakref
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Self

from dbops import conf


class TooManyError(Exception):
    """str() says so, what is still true and what to do."""


class Places:
    """So many for each person as the knob says."""

    def __init__(self, knob: str, words: str) -> None:
        self._knob, self._words = knob, words
        self._taken, self._lock = Counter[int](), RLock()

    def take(self, user_id: int) -> None:
        with self._lock:
            if self._taken[user_id] >= conf.knob(self._knob):
                raise TooManyError(f"{self._taken[user_id]} {self._words}")
            self._taken[user_id] += 1

    def leave(self, user_id: int) -> None:
        with self._lock:
            self._taken[user_id] -= 1
            if not self._taken[user_id]:
                del self._taken[user_id]

    @contextmanager
    def one(self, user_id: int) -> Iterator[None]:
        self.take(user_id)
        try:
            yield
        finally:
            self.leave(user_id)


searches = Places(
    "SEARCHES_PER_USER", "searches of yours are still at work. Nothing was looked for. Try again in a moment."
)
downloads = Places(
    "DOWNLOADS_PER_USER",
    "downloads of yours are on their way, and go on. This one was not begun. Try again when one has ended.",
)


class Download:
    """Parts of a file on their way to a person. It is over when Django closes it, or when nobody holds it."""

    def __init__(self, user_id: int) -> None:
        downloads.take(user_id)
        self._parts: AsyncIterator[str] | None = None
        # The collector may call it, also within `take` of the same thread.
        self.close = weakref.finalize(self, downloads.leave, user_id)

    def of(self, parts: AsyncIterator[str]) -> Self:
        self._parts = parts
        return self

    def __aiter__(self) -> AsyncIterator[str]:
        assert self._parts is not None
        return self._parts
