"""The child's end of the protocol."""

import _thread
import os
import sys

from . import cancel, frames


class Channel:
    def __init__(self, events, acknowledgements):
        self._events = events
        self._acknowledgements = acknowledgements
        self._lock = _thread.allocate_lock()
        self._pid = os.getpid()
        self.finished = False

    def event(self, name, /, **data):
        self._send({"type": "event", "name": name, "data": data})

    def answer(self, data):
        self._send({"type": "answer", "data": data}, final=True)

    def error(self, failure):
        """`failure` is a failures.Failure."""
        self._send({"type": "error", "error": failure.as_dict()}, final=True)

    def _send(self, header, final=False):
        """Blocks until the supervisor has the frame in its queue: no later output can overtake it.

        A process that the target forked has this channel too, but nothing to say on it.
        """
        if os.getpid() != self._pid:
            return
        flush()
        with cancel.shield(), self._lock:
            if self.finished:
                return
            self.finished = final
            data = frames.encode(header)
            while data:
                data = data[os.write(self._events, data) :]
            if not os.read(self._acknowledgements, 1):
                os._exit(70)


def flush():
    """The target may have put anything in place of the streams."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception as problem:
            os.write(2, ("opsdash: %s cannot be flushed: %s\n" % (stream, problem)).encode())
