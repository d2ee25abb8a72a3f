"""Nothing is left running: a small process watches over the one that does the work, and cleans up behind it.

`keep(work)` forks. The child does the work, the parent only waits. Both are *subreapers* (prctl(2)): whatever
loses its parent below the worker becomes the worker's child and can be found, whichever session it has put
itself into, and so the worker ends it last of all. When the worker is killed instead, all of that becomes the
keeper's, who ends it. When the keeper is killed, the worker notices it (its `Notice` says so) and ends in
order.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

PR_SET_CHILD_SUBREAPER = 36
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Asked twice before it is killed: to a Postgres SIGTERM only means "wait until all sessions have ended".
LADDER = ((signal.SIGTERM, 5.0), (signal.SIGINT, 5.0))
KILL_SECONDS = 5.0
Handler = Callable[[int, FrameType | None], None] | signal.Handlers


class Notice:
    """Tells the worker that it should end: because of a signal, or because its keeper is gone."""

    def __init__(self, keeper: int) -> None:
        self._keeper = keeper
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.count = 0
        _handle(self._take)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)

    def wait(self, seconds: float) -> bool:
        """Sleep, but not longer than until the notice; True if it was given, now or before."""
        if self.count == 0:
            ready, _, _ = select.select([self._reader, self._keeper], [], [], seconds)
            self.count += self._keeper in ready
        return self.count > 0

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        os.write(self._writer, b"!")


def _handle(handler: Handler) -> None:
    for number in FORWARDED:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # it is ignored under nohup
            signal.signal(number, handler)


def keep(work: Callable[[Notice], int], *, own_session: bool) -> int:
    """Do `work` in a child process and return its status when nothing is left of it.

    With `own_session` the terminal's Ctrl-C reaches the worker through its keeper only, once.
    """
    _become_subreaper()
    end_of_worker, end_of_keeper = os.pipe2(os.O_CLOEXEC)
    _flush()
    # A signal that comes before both sides have their handlers waits for them.
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    worker = os.fork()
    if worker == 0:
        os.close(end_of_keeper)
        if own_session:
            os.setsid()
        _become_subreaper()  # not inherited
        _leave(work, Notice(end_of_worker))
    os.close(end_of_worker)
    status = _wait_and_forward(worker, own_session)
    end_what_is_left()
    os.close(end_of_keeper)
    return status


def _become_subreaper() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def _leave(work: Callable[[Notice], int], notice: Notice) -> None:
    """Run the work and end this process there: never return into the code that forked."""
    status = 1
    try:
        status = work(notice)
        end_what_is_left()
    except BaseException:
        traceback.print_exc()
    finally:
        _flush()
        os._exit(status)


def _flush() -> None:
    with contextlib.suppress(OSError):  # the terminal is gone
        sys.stdout.flush()
        sys.stderr.flush()


def _wait_and_forward(worker: int, own_session: bool) -> int:
    def forward(number: int, frame: FrameType | None) -> None:
        if own_session or number != signal.SIGINT:  # else the terminal has sent it to the worker already
            os.kill(worker, number)

    _handle(forward)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    while True:
        pid, status = os.waitpid(-1, 0)  # an orphan may be among them
        if pid == worker:
            # A late signal must not reach whoever gets this number next, nor stop the cleaning up.
            _handle(signal.SIG_IGN)
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def end_what_is_left() -> None:
    """End every process below this one: ask, ask again, kill."""
    for number, patience in LADDER:
        _end_by(number, patience)
    deadline = time.monotonic() + KILL_SECONDS
    while time.monotonic() < deadline and (left := descendants(os.getpid())):
        for pid in left:
            _send(pid, signal.SIGKILL)
        _reap()
        time.sleep(0.02)


def _end_by(number: signal.Signals, patience: float) -> None:
    """Send it once to each child (a grandchild becomes one when its parent has ended) until none is left."""
    told: set[int] = set()
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        _reap()
        left = children(os.getpid())
        if not left:
            return
        for pid in left - told:
            _send(pid, number)
        told |= left
        time.sleep(0.02)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself
        os.kill(pid, number)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:  # none is left
        return


def reap_adopted(own: set[int]) -> None:
    """Take note of the end of processes that lost their parent; `own` are left to whoever started them."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in own:
            return
        os.waitpid(ended.si_pid, 0)


def children(parent: int) -> set[int]:
    return {pid for pid, its_parent in _parents().items() if its_parent == parent}


def descendants(ancestor: int) -> set[int]:
    """All processes below this one, at any depth."""
    parents = _parents()
    found: set[int] = set()
    generation = {ancestor}
    while generation:
        generation = {pid for pid, parent in parents.items() if parent in generation} - found
        found |= generation
    return found


def _parents() -> dict[int, int]:
    parents: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            stat = (process / "stat").read_text(errors="replace")
        except OSError:  # it has just ended
            continue
        parents[int(process.name)] = int(stat.rpartition(")")[2].split()[1])
    return parents
