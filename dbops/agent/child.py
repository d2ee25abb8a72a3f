"""The forked child: away from the protocol's streams, then the target."""

from __future__ import annotations

import _thread
import ctypes
import fcntl
import io
import os
import signal
import sys
from typing import TYPE_CHECKING

from . import cancel, control, environment, launch
from .channel import Channel

if TYPE_CHECKING:
    from typing import Any

    from .supervisor import ChildEnds

PR_SET_PDEATHSIG = 1
# Code that closes or writes to descriptors by number means those that a program has at its start.
OUT_OF_REACH = 200


def run(ends: ChildEnds) -> None:
    """Become the target and perform the request. Returns when the target's own launcher has returned."""
    os.setsid()
    die_with(ends.supervisor)
    events, acknowledgements, told = map(out_of_reach, (ends.events, ends.acknowledgements, ends.control))
    take_streams(ends.output)
    take_signals()
    environment.catch_up()
    _thread.start_new_thread(control.listen, (told,))
    launch.run(ends.request, Channel(events, acknowledgements))


def die_with(supervisor: int) -> None:
    """Covers the case that native code holds the interpreter, so that `control.listen` cannot act."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(70)


def out_of_reach(fd: int) -> int:
    """The same pipe under a high number; it keeps its own where so many are not allowed."""
    try:
        moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, OUT_OF_REACH)
    except OSError:
        return fd
    os.close(fd)
    return moved


def take_streams(output: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    for source, fd in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, fd)
    os.close(null)
    os.close(output)
    sys.stdout = sys.__stdout__ = text_stream(1)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = text_stream(2)  # type: ignore[misc]


class Unbuffered(io.BufferedWriter):
    """As under `python -u`, and a write that a signal cuts short is completed."""

    def write(self, data: Any) -> int:
        written = super().write(data)
        self.flush()
        return written


def text_stream(fd: int) -> io.TextIOWrapper:
    raw = io.FileIO(fd, "w", closefd=False)
    return io.TextIOWrapper(Unbuffered(raw), encoding="utf-8", errors="backslashreplace", write_through=True)


def take_signals() -> None:
    """However the agent was started, the target has what a shell would give it."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, cancel.on_interrupt)
