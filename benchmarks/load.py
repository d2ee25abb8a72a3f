"""Browsers in large numbers: each an open stream that checks what it hears, all in one event loop."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache


@dataclass
class Tally:
    """Of many streams together. Lines look like `line MONOTONIC_SECONDS ...`."""

    lines: int = 0
    lost: int = 0
    doubled: int = 0
    refused: int = 0
    delays: list[float] = field(default_factory=list)
    is_measuring: bool = False


@lru_cache(maxsize=4096)
def heard(block: bytes) -> tuple[str, int, int, tuple[float, ...]]:
    """An event -> its name, its first and last line, and when these were written. All streams hear the same
    bytes, so each event is read once."""
    name = block.partition(b"\n")[0].removeprefix(b"event: ").decode()
    if name != "lines":
        return name, 0, 0, ()
    document = json.loads(block.rpartition(b"data: ")[2])
    first, lines = document["first"], document["lines"]
    moments = tuple(float(line.split(" ")[1]) for line in (lines[0], lines[-1]))
    return name, first, first + len(lines) - 1, moments


class Stream(asyncio.Protocol):
    """One request after another, each behind the last line that was heard. `cut` breaks the line."""

    def __init__(
        self, port: int, path: str, cookie: str, tally: Tally, on_end: Callable[[str], None]
    ) -> None:
        self.port, self.path, self.cookie, self.tally, self.on_end = port, path, cookie, tally, on_end
        self.last, self.may_begin_anywhere = 0, False
        self.is_heard = asyncio.Event()
        self.closed = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._forget()

    def _forget(self) -> None:
        self._bytes, self._rest, self._has_head = bytearray(), b"", False

    async def open(self) -> None:
        self._forget()
        self.is_heard.clear()
        self.closed.clear()
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self.port)

    def cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def stall(self) -> None:
        """Take nothing more, as a laptop that fell asleep."""
        if self._transport is not None:
            self._transport.pause_reading()

    def go_on(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        head = f"GET {self.path}?after={self.last} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
        transport.write(f"{head}Accept: text/event-stream\r\nCookie: {self.cookie}\r\n\r\n".encode())

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.closed.set()

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        if not self._has_head:
            head, found, rest = bytes(self._bytes).partition(b"\r\n\r\n")
            if not found:
                return
            if b" 200 " not in head.partition(b"\r\n")[0]:
                self.tally.refused += 1
                self.cut()
                return
            self._has_head, self._bytes = True, bytearray(rest)
        self._unchunk()

    def _unchunk(self) -> None:
        """gunicorn sends what it is handed as one chunk: events as a whole, or several."""
        while (end := self._bytes.find(b"\r\n")) >= 0:
            size = int(self._bytes[:end], 16)
            if len(self._bytes) < end + 2 + size + 2:
                return
            chunk = bytes(self._bytes[end + 2 : end + 2 + size])
            del self._bytes[: end + 2 + size + 2]
            *blocks, self._rest = (self._rest + chunk).split(b"\n\n")
            for block in blocks:
                self._take(block)

    def _take(self, block: bytes) -> None:
        if not block or block.startswith(b":"):
            return
        name, first, last, moments = heard(block)
        self.is_heard.set()
        if name == "lines":
            self._count(first, last, moments)
        elif name in ("end", "bye"):
            self.on_end(name)

    def _count(self, first: int, last: int, moments: tuple[float, ...]) -> None:
        tally = self.tally
        # The bare server begins where it is.
        self.last = self.last or (first - 1 if self.may_begin_anywhere else 0)
        tally.doubled += max(0, self.last + 1 - first)
        tally.lost += max(0, first - self.last - 1)
        tally.lines += last - max(self.last, first - 1)
        self.last = last
        if tally.is_measuring:
            now = time.monotonic()
            tally.delays.extend(now - moment for moment in moments)


def percentile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
