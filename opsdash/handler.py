"""Django's ASGI handler, where a stream outlives its request, and a body is not read without end."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse
from django.http.response import HttpResponseBase

from dbops.middleware import HEADERS
from dbops.views.streams import EventStream

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class TooLargeError(Exception):
    """What is sent is more than any form of ours has. Django would keep all of it, before anybody asks who
    sends it."""


class Handler(ASGIHandler):
    """A request keeps some 300 objects, a thread and a place for a database connection until its response is
    complete. Of a page that is a moment; a stream that is open for hours keeps only what it has to say."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        line = Line(receive, send)
        try:
            refuse_announced(scope)
            await super().__call__(scope, line.receive, line)
            if line.stream is not None:
                await self._tell(line.stream.alone(), line)
        except TooLargeError:
            await super().send_response(too_large(), send)
        finally:
            line.hang_up()

    async def send_response(self, response: HttpResponseBase, send: Any) -> None:
        if isinstance(response, EventStream) and isinstance(send, Line) and send.stream is None:
            send.stream = response
        else:
            await super().send_response(response, send)

    async def _tell(self, stream: EventStream, line: "Line") -> None:
        """Until it ends, or nobody listens any more."""
        task = asyncio.current_task()
        assert task is not None
        line.when_gone(task.cancel)
        try:
            await self.send_response(stream, line)
        except asyncio.CancelledError:
            if not line.is_gone:
                raise


def refuse_announced(scope: Any) -> None:
    announced = dict(scope.get("headers", ())).get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise TooLargeError


def too_large() -> HttpResponse:
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    sentence = f"What was sent is larger than {most:,} bytes. Nothing was done.\n"
    return HttpResponse(
        sentence, status=413, content_type="text/plain", headers={**HEADERS, "Connection": "close"}
    )


class Line:
    """To one client. `stream` is what is to be told when the request has ended."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._receiving: asyncio.Future[Message] | None = None
        self._is_over = False
        self._size = 0
        self.stream: EventStream | None = None

    async def __call__(self, message: Message) -> None:
        await self._send(message)

    async def receive(self) -> Message:
        """Django gives up listening when it has answered, and gunicorn takes a receive that was given up for
        the end of the client. So it goes on, and whoever listens next hears it."""
        message = await asyncio.shield(self._listening())
        self._receiving = None
        self._size += len(message.get("body", b""))
        if self._size > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise TooLargeError
        return message

    def when_gone(self, call: Callable[[], object]) -> None:
        """A request that has ended brings nothing more but its client's end."""
        self._listening().add_done_callback(lambda _: None if self._is_over else call())

    @property
    def is_gone(self) -> bool:
        return self._receiving is not None and self._receiving.done()

    def hang_up(self) -> None:
        self._is_over = True
        if self._receiving is not None:
            self._receiving.cancel()

    def _listening(self) -> asyncio.Future[Message]:
        if self._receiving is None:
            self._receiving = asyncio.ensure_future(self._receive())
        return self._receiving
