"""The least that a server of streams can be, under the same gunicorn: each tenth of a second an event of 100
lines to all that listen. `benchmarks.viewers` compares opsdash with it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

LINES, BEAT_S = 100, 0.1
HEADERS = [(b"content-type", b"text/event-stream")]
Message = dict[str, Any]


class Ticker:
    """`event` is the newest one; `news` is set and replaced when it is there."""

    def __init__(self) -> None:
        self.news, self.event, self.last = asyncio.Event(), b"", 0
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            line = f"line {time.monotonic():.6f} of a migration that fills a table"
            data = json.dumps({"first": self.last + 1, "at": 0, "lines": [line] * LINES})
            self.last += LINES
            self.event = f"event: lines\nid: {self.last}\ndata: {data}\n\n".encode()
            self.news.set()
            self.news = asyncio.Event()


tickers: list[Ticker] = []


async def application(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] != "http":
        raise RuntimeError("not served here")
    if scope["path"] == "/livez":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
        return
    if not tickers:
        tickers.append(Ticker())
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    while True:
        await tickers[0].news.wait()
        await send({"type": "http.response.body", "body": tickers[0].event, "more_body": True})
