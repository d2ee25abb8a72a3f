"""The forked child: away from the protocol's streams, then the target."""

import _thread
import ctypes
import io
import os
import signal
import sys

from . import cancel, environment, launch
from .channel import Channel

PR_SET_PDEATHSIG = 1


def run(ends):
    """Become the target and perform the request. Returns when the target's own launcher has returned."""
    parent = os.getppid()
    os.setsid()
    die_with(parent)
    take_streams(ends.output)
    # However the agent was started, the target has the dispositions that a shell gives.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, cancel.on_interrupt)
    environment.catch_up()
    _thread.start_new_thread(cancel.listen, (ends.control,))
    launch.run(ends.request, Channel(ends.events, ends.acknowledgements))


def die_with(parent):
    """Covers the case that native code holds the interpreter, so that `cancel.listen` cannot act."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(70)


def take_streams(output):
    null = os.open(os.devnull, os.O_RDONLY)
    for source, fd in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, fd)
    os.close(null)
    os.close(output)
    sys.stdout = sys.__stdout__ = unbuffered(1)
    sys.stderr = sys.__stderr__ = unbuffered(2)


def unbuffered(fd):
    """As under `python -u`: what was printed before os._exit or a crash has left the process."""
    raw = open(fd, "wb", buffering=0, closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)
