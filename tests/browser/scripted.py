"""A small real HTTP server, in a thread of its own, whose event stream does what a test tells it to."""

import asyncio
import json
import mimetypes
import re
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

import django.contrib.admin
import django_htmx

PROJECT = Path(__file__).resolve().parents[2]
STATIC_ROOTS = [
    PROJECT / "static",
    Path(django.contrib.admin.__file__).parent / "static",
    Path(django_htmx.__file__).parent / "static",
]
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
BATCH = 1000
PAGE_SCRIPTS = ("details", "elapsed", "once", "refresh")
JOB_PAGE = (PROJECT / "templates" / "pages" / "job.html").read_text()
LIVE_SCRIPTS = (*PAGE_SCRIPTS, *re.findall(r"'js/([\w-]+)\.js'", JOB_PAGE))
AT = 1_732_800_000_123  # 2024-11-28T13:20:00.123Z, when all lines came
MOST_LINES = 1000

Result = TypeVar("Result")


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/html; charset=utf-8"})


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: str


Page = Callable[[Request], Answer]


class Stream:
    """One open response of text/event-stream."""

    def __init__(self, writer: asyncio.StreamWriter, line_end: str, slice_bytes: int) -> None:
        self.writer = writer
        self.line_end = line_end
        self.slice_bytes = slice_bytes
        self.waiting: asyncio.Queue[bytes | None] = asyncio.Queue()

    def event(self, name: str, data: object, number: int | None = None) -> None:
        lines = [f"event: {name}", f"data: {json.dumps(data)}", "", ""]
        if number is not None:
            lines.insert(0, f"id: {number}")
        self.raw(self.line_end.join(lines))

    def raw(self, text: str) -> None:
        self.waiting.put_nowait(text.encode())

    def close(self) -> None:
        self.waiting.put_nowait(None)

    async def follow(self) -> None:
        while (piece := await self.waiting.get()) is not None:
            size = self.slice_bytes or len(piece) or 1
            for start in range(0, len(piece), size):
                self.writer.write(piece[start : start + size])
                await self.writer.drain()


Stage = Callable[[Stream, int], Awaitable[None]]


class ScriptedServer:
    """`pages` are what it serves; `publish` and its sisters speak on the stream; `next` are its next answers.

    All of it may be called from the test's thread.
    """

    stream_path = "/stream/"

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.lines: list[str] = []
        self.most_found = 10_000
        self.slow: dict[str, float] = {}  # path -> seconds before it is answered
        self.gap: tuple[int, int] | None = None
        self.tail_text = ""
        self.fragments_shown: dict[str, str] = {}
        self.ended = ""  # the state in which the job ended
        self.next: deque[Answer | Stage] = deque()
        self.always: Answer | Stage | None = None
        self.asked: list[int] = []
        self.requests: list[Request] = []
        self.streams: set[Stream] = set()
        self.writers: set[asyncio.StreamWriter] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.most_open = 0
        self.line_end = "\n"
        self.slice_bytes = 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        self.server = self.call(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.call(self._stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def _stop(self) -> None:
        self.server.close()
        # What was accepted just now gets its transport first: a task that never began would leave its socket
        # open.
        await self._some_turns()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._some_turns()
        # A transport that is still sending would outlive the loop, and its socket would be left open.
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in self.writers), return_exceptions=True)
        # A connection whose beginning was cancelled closes in a turn of its own.
        await self._some_turns()

    async def _some_turns(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    def call(self, work: Coroutine[Any, Any, Result]) -> Result:
        future: Future[Result] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(10)

    # -- what a test says

    def publish(self, *lines: str) -> None:
        async def work() -> None:
            first = len(self.lines) + 1
            self.lines.extend(lines)
            self.tail_text = ""
            for stream in self.streams:
                stream.event("lines", self._chunk(first, list(lines)), len(self.lines))

        self.call(work())

    def tail(self, text: str) -> None:
        self.tail_text = text
        self.say("tail", {"text": text})

    def fragments(self, **html: str) -> None:
        self.fragments_shown.update(html)
        self.say("fragments", {"html": html})

    def end(self, state: str) -> None:
        self.ended = state
        self.say("end", {"state": state})

    def say(self, event: str, data: object) -> None:
        async def work() -> None:
            for stream in self.streams:
                stream.event(event, data)

        self.call(work())

    def raw(self, text: str) -> None:
        async def work() -> None:
            for stream in self.streams:
                stream.raw(text)

        self.call(work())

    def cut(self) -> None:
        """The line breaks: no end, no goodbye."""

        async def work() -> None:
            for stream in self.streams:
                stream.writer.transport.abort()

        self.call(work())

    def finish(self) -> None:
        """Every open response ends properly, without an end event."""

        async def work() -> None:
            for stream in self.streams:
                stream.close()

        self.call(work())

    # -- what the transcript is asked

    def lines_between(self, request: Request) -> Answer:
        """Without those in the gap."""
        first, last = (int(request.query[name][0]) for name in ("from", "to"))
        assert 1 <= first <= last < first + MOST_LINES, request.query
        parts = [(first, last)]
        if self.gap:
            parts = [(first, min(last, self.gap[0] - 1)), (max(first, self.gap[1] + 1), last)]
        chunks = [self._chunk(start, self.lines[start - 1 : end]) for start, end in parts if start <= end]
        return self.answer({"chunks": chunks, "last": len(self.lines), "gap": self.gap})

    def lines_with(self, request: Request) -> Answer:
        words, after = request.query["q"][0], int(request.query["after"][0])
        found = [
            number
            for number, line in enumerate(self.lines[after:], start=after + 1)
            if (words in line if "case" in request.query else words.lower() in line.lower())
        ]
        lines = found[: self.most_found]
        more = len(lines) < len(found)
        return self.answer({"lines": lines, "count": len(found), "more": more, "until": len(self.lines)})

    def answer(self, document: object) -> Answer:
        return Answer(200, json.dumps(document), {"Content-Type": "application/json"})

    def _chunk(self, first: int, lines: list[str]) -> dict[str, object]:
        chunk: dict[str, object] = {"first": first, "at": AT, "lines": lines}
        return chunk | {"gap": self.gap} if self.gap else chunk

    def asked_for(self, path: str) -> list[dict[str, str]]:
        """The queries of all requests for this path."""
        return [
            {name: values[0] for name, values in request.query.items()}
            for request in self.requests
            if request.path == path
        ]

    # -- HTTP

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Known at once: a task that is stopped before it began would leave its socket open."""
        self.writers.add(writer)
        task = self.loop.create_task(self._serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await self._read(reader)
            if request is not None:
                self.requests.append(request)
                await self._answer(request, reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Request | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return None
        first, *rest = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        parts = urlsplit(target)
        return Request(method, parts.path, parse_qs(parts.query), headers, body.decode())

    async def _answer(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await asyncio.sleep(self.slow.get(request.path, 0))
        if request.path == self.stream_path:
            await self._stream(request, reader, writer)
        elif request.path.startswith("/static/"):
            await self._static(request.path.removeprefix("/static/"), writer)
        elif request.path in self.pages:
            await self._send(writer, self.pages[request.path](request))
        elif request.path == "/lines/":
            await self._send(writer, self.lines_between(request))
        elif request.path == "/search/":
            await self._send(writer, self.lines_with(request))
        else:
            await self._send(writer, Answer(404, "not here"))

    async def _static(self, name: str, writer: asyncio.StreamWriter) -> None:
        for root in STATIC_ROOTS:
            path = (root / name).resolve()
            if path.is_relative_to(root) and path.is_file():
                kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
                await self._send(writer, Answer(200, path.read_text(), {"Content-Type": kind}))
                return
        await self._send(writer, Answer(404, f"no static file {name}"))

    async def _send(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        body = answer.body.encode()
        self._head(writer, answer.status, {"Content-Length": str(len(body)), **answer.headers})
        writer.write(body)
        await writer.drain()

    def _head(self, writer: asyncio.StreamWriter, status: int, headers: dict[str, str]) -> None:
        everywhere = {"Connection": "close", "Cache-Control": "no-store", "Content-Security-Policy": POLICY}
        lines = [f"{name}: {value}" for name, value in {**everywhere, **headers}.items()]
        writer.write("\r\n".join([f"HTTP/1.1 {status} -", *lines, "", ""]).encode())

    async def _stream(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        after = int(request.query.get("after", ["0"])[0])
        self.asked.append(after)
        planned = self.next.popleft() if self.next else self.always or self._usual(request)
        if isinstance(planned, Answer):
            await self._send(writer, planned)
            return
        self._head(writer, 200, {"Content-Type": "text/event-stream"})
        stream = Stream(writer, self.line_end, self.slice_bytes)
        self.streams.add(stream)
        self.most_open = max(self.most_open, len(self.streams))
        try:
            await planned(stream, after)
            await self._until_gone(stream, reader)
        finally:
            self.streams.discard(stream)

    def _usual(self, request: Request) -> Stage:
        return self._snapshot if "once" in request.query else self._replay

    async def _snapshot(self, stream: Stream, after: int) -> None:
        """All there is, and then the end of the answer or of all."""
        await self._replay(stream, after)
        if self.ended:
            stream.event("end", {"state": self.ended})
        else:
            stream.event("bye", {"why": "asked to be short", "again_s": 2})
        stream.close()

    async def _replay(self, stream: Stream, after: int) -> None:
        if self.fragments_shown:
            stream.event("fragments", {"html": self.fragments_shown})
        for start in range(after, len(self.lines), BATCH):
            batch = self.lines[start : start + BATCH]
            stream.event("lines", self._chunk(start + 1, batch), start + len(batch))
        if self.tail_text:
            stream.event("tail", {"text": self.tail_text})

    async def _until_gone(self, stream: Stream, reader: asyncio.StreamReader) -> None:
        work = {asyncio.ensure_future(stream.follow()), asyncio.ensure_future(reader.read())}
        _, left = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)


def html_page(body: str, scripts: tuple[str, ...] = PAGE_SCRIPTS) -> Answer:
    """A page with what templates/base.html puts into its head, and these of our scripts."""
    tags = "".join(f'<script src="/static/js/{name}.js" defer></script>' for name in scripts)
    return Answer(
        body="<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>before</title>"
        f'{htmx_configuration()}<link rel="icon" href="/static/img/favicon.svg">'
        '<meta name="viewport" content="width=device-width">'
        '<link rel="stylesheet" href="/static/css/opsdash.css">'
        '<script src="/static/admin/js/theme.js"></script>'
        f'<script src="/static/django_htmx/htmx-2.min.js" defer></script>{tags}'
        f"</head><body>{body}</body></html>"
    )


def htmx_configuration() -> str:
    base = (PROJECT / "templates" / "base.html").read_text()
    found = re.search(r"<meta name=\"htmx-config\".*?\}'>", base, re.DOTALL)
    assert found, "templates/base.html has no htmx-config"
    return found.group()


def live_page(
    lines: list[str] | None = None,
    *,
    first: int = 1,
    tail: str = "",
    extra: str = "",
    gap: tuple[int, int] | None = None,
    removed: str = "",
    steps: str = '<section id="job_steps"></section>',
    is_running: bool = True,
) -> Page:
    """A job's page as docs/look.md describes it, with these lines already in it."""
    lines = lines or []
    last = first - 1 + len(lines)
    chunks = [
        {"first": start, "at": AT, "lines": lines[start - first : start - first + 700]}
        for start in range(first, last + 1, 700)
    ]
    data = (
        json.dumps({"last": last, "chunks": chunks, "tail": tail, "gap": gap, "removed": removed})
        .replace("<", "\\u003C")
        .replace(">", "\\u003E")
        .replace("&", "\\u0026")
    )
    live = f'hx-ext="live" live-url="/stream/" data-after="{last}" {extra}' if is_running else ""
    body = (
        f'<p id="connection_state" class="connection" data-state="{"off" if is_running else "ended"}">'
        f"{'not live' if is_running else 'ended'}</p>"
        f'<div id="live" {live}><section id="job_state">queued</section>{steps}</div>'
        '<section class="module"><h2 id="transcript_title">Transcript</h2>'
        '<div id="transcript" class="transcript" data-lines="/lines/" data-search="/search/"'
        ' data-download="/transcript.txt" role="log" aria-live="off" tabindex="0"'
        ' aria-labelledby="transcript_title"></div>'
        f'<script type="application/json" id="transcript_lines">{data}</script></section>'
    )
    return lambda request: html_page(body, LIVE_SCRIPTS)


@dataclass(frozen=True)
class ShownStep:
    name: str
    first: int | str
    last: int | str = ""
    state: str = "succeeded"
    time: str = '<span class="step__time">1.2 s</span>'


def steps_fragment(*steps: ShownStep, first_error: int | str = "") -> str:
    """templates/_fragments/job_steps.html, of these steps."""
    items = "".join(
        f'<li class="step step--{step.state}" data-first-line="{step.first}" data-last-line="{step.last}">'
        f'<span class="step__name"><a href="#L{step.first}">{step.name}</a></span>'
        f'<span class="status status--{step.state}">{step.state}</span>{step.time}</li>'
        for step in steps
    )
    return (
        f'<section id="job_steps" data-first-error="{first_error}"><ol class="steps">{items}</ol></section>'
    )
