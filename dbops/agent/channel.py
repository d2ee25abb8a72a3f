"""The child's end of the protocol."""

from __future__ import annotations

import _thread
import os
import sys
from typing import TYPE_CHECKING

from . import cancel, frames

if TYPE_CHECKING:
    from typing import Any

    from .failures import Failure


class Channel:
    def __init__(self, events: int, acknowledgements: int) -> None:
        self._events = events
        self._acknowledgements = acknowledgements
        self._lock = _thread.allocate_lock()
        self._pid = os.getpid()
        self._finished = False

    def event(self, name: str, /, **data: Any) -> None:
        self._send({"type": "event", "name": name, "data": data})

    def answer(self, data: dict[str, Any]) -> None:
        self._send({"type": "answer", "data": data}, final=True)

    def error(self, failure: Failure) -> None:
        self._send({"type": "error", "error": failure.as_dict()}, final=True)

    def leave_a_fork(self) -> None:
        """What the target forked may outlive the supervisor's child: nobody would see or stop its work."""
        if os.getpid() != self._pid:
            os._exit(70)

    def _send(self, header: dict[str, Any], final: bool = False) -> None:
        """Blocks until the supervisor has the frame in its queue: no later output can overtake it.

        A process that the target forked has this channel too, but nothing to say on it.
        """
        if os.getpid() != self._pid:
            return
        flush()
        with cancel.shield(), self._lock:
            if self._finished:
                return
            self._finished = final
            data = frames.encode(header)
            while data:
                data = data[os.write(self._events, data) :]
            if not os.read(self._acknowledgements, 1):
                os._exit(70)


def flush() -> None:
    """The target may have put anything in place of the streams."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception as problem:
            os.write(2, b"opsdash: %r cannot be flushed: %r\n" % (stream, problem))
