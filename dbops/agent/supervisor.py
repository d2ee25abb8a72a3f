"""The process that owns the agent's stdin and stdout. Standard library only: nothing of the target is in it.

It forwards what the child writes, drains that completely before it reports the end, stops the child when it
is asked to or when its caller is gone, and leaves nothing of the child's process group behind.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import select
import signal
import sys
import termios
import time
from typing import TYPE_CHECKING

from . import control, environment, frames
from .ladder import ALL, AT_ONCE, KILL, POLITE, Ladder
from .watcher import Watcher

if TYPE_CHECKING:
    from typing import Any, Callable

VERBS = ("inspect", "plan", "perform", "examine")
CHUNK = 65536
# The caller reads slowly: beyond so many bytes in the queue the child waits. One that is stopped may finish
# its words.
QUEUE_LIMIT = 1 << 20
QUEUE_LIMIT_CLIMBING = 8 << 20
# A target that prints line by line is read at most every so often, so that a frame holds many of its lines.
REST_S = 0.005
GONE_GRACE_S = 2.0
# After its last word the child may unwind, run atexit, join threads.
LINGER_S = 10.0
LINGER_GRACE_S = 1.0
# After the child's end, how long others of its group may keep the output open: before and after they are
# killed.
STRAGGLERS_S = 1.0
UNREAD_END_S = 5.0
SPOILED = {
    "type": "spoiled",
    "message": "It wrote into the agent's own channel.",
    "traceback": "",
    "fault": "target",
    "facts": {"recorded_known": False, "recorded_after": []},
}


class ChildEnds:
    """What the child needs from its supervisor: the request and its ends of the pipes."""

    def __init__(
        self,
        request: dict[str, Any],
        supervisor: int,
        output: int,
        events: int,
        acknowledgements: int,
        control: int,
    ) -> None:
        self.request = request
        self.supervisor = supervisor
        self.output = output
        self.events = events
        self.acknowledgements = acknowledgements
        self.control = control


def run(read: Callable[[int], bytes]) -> ChildEnds | None:
    """Serve one request. Returns None in the supervisor when all is over, ChildEnds in the child."""
    write_all(1, frames.PREAMBLE + frames.encode(hello()))
    request = frames.read_one(read)
    refusal = refuse(request)
    if refusal is not None:
        write_all(1, frames.encode({"type": "error", "error": refusal}) + frames.encode(end_frame()))
        return None
    return Supervisor(request).run()


def hello() -> dict[str, Any]:
    return {
        "type": "hello",
        "protocol": frames.PROTOCOL,
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "pid": os.getpid(),
    }


def refuse(request: dict[str, Any]) -> dict[str, Any] | None:
    """The one typed error of a request that cannot be served; None once its environment is entered."""
    protocol, verb = request.get("protocol"), request.get("verb")
    if protocol != frames.PROTOCOL:
        return error("bad_request", f"The agent speaks protocol {frames.PROTOCOL}, the request {protocol!r}.")
    if verb not in VERBS:
        return error("bad_request", f"The agent knows no verb {verb!r}.")
    if not request.get("launcher") and not request.get("settings_module"):
        return error("bad_request", "The target has neither a launcher nor a settings module.")
    try:
        environment.enter(request["env"], request["cwd"])
    except (OSError, ValueError) as problem:
        return error(
            "bad_directory", f"Its working directory {request['cwd']} cannot be entered: {why(problem)}."
        )
    return None


def why(problem: Exception) -> str:
    if isinstance(problem, PermissionError):
        return f"the user that its Python runs as (uid {os.getuid()}) may not"
    return getattr(problem, "strerror", None) or str(problem)


def error(kind: str, message: str) -> dict[str, Any]:
    return {"type": kind, "message": message, "traceback": "", "fault": "caller", "facts": {}}


def end_frame(
    status: int | None = None, ladder: Ladder | None = None, output_open: bool = False
) -> dict[str, Any]:
    """`status` as os.waitpid gives it."""
    exited = status is not None and os.WIFEXITED(status)
    signaled = status is not None and os.WIFSIGNALED(status)
    return {
        "type": "end",
        "exit_status": os.WEXITSTATUS(status) if status is not None and exited else None,
        "signal": os.WTERMSIG(status) if status is not None and signaled else None,
        "rung": ladder.rung if ladder else None,
        "why": ladder.why if ladder else None,
        "output_open": output_open,
        "stuck": bool(ladder and ladder.stuck),
    }


def write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


class Supervisor:
    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.ladder = Ladder(float(request["grace_s"]))
        self.queue = bytearray()
        self.from_door = frames.Decoder()
        self.from_child = frames.Decoder()
        self.stdin_open = self.stdout_open = self.output_open = self.events_open = True
        self.rested_at = 0.0
        self.working = False
        self.final_at: float | None = None

    def run(self) -> ChildEnds | None:
        ends = self.fork()
        if ends is not None:
            return ends
        for fd in (0, 1, self.output, self.events, self.wake, self.control):
            os.set_blocking(fd, False)
        self.watch_the_child()
        status, output_open = self.clear_up()
        self.queue += frames.encode(end_frame(status, self.ladder, output_open))
        self.deliver_the_rest()
        return None

    def fork(self) -> ChildEnds | None:
        """Returns ChildEnds in the child."""
        supervisor = os.getpid()
        self.output, output = os.pipe()
        self.events, events = os.pipe()
        acknowledgements, self.acknowledgements = os.pipe()
        control, self.control = os.pipe()
        self.wake, wake = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            for fd in (self.output, self.events, self.acknowledgements, self.control, self.wake, wake):
                os.close(fd)
            return ChildEnds(self.request, supervisor, output, events, acknowledgements, control)
        for fd in (output, events, acknowledgements, control):
            os.close(fd)
        self.watcher = Watcher(self.pid)
        self.listen_to_signals(wake)
        return None

    def listen_to_signals(self, wake: int) -> None:
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: self.caller_is_gone())

    # While the child lives

    def watch_the_child(self) -> None:
        while not self.child_is_over() and not self.ladder.stuck:
            self.turn(self.wait_s())
            self.climb()

    def child_is_over(self) -> bool:
        """Without reaping it: as long as it is a zombie, its process group cannot become somebody else's."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait_s(self) -> float | None:
        now = time.monotonic()
        if self.final_at is not None and not self.ladder.climbing:
            return max(0.0, self.final_at + LINGER_S - now)
        return self.ladder.wait_s(now)

    def climb(self) -> None:
        now = time.monotonic()
        if self.final_at is not None and now >= self.final_at + LINGER_S:
            self.ladder.start("lingered", now, grace_s=LINGER_GRACE_S)
        rung = self.ladder.due(now)
        if rung == POLITE:
            self.ask_politely()
        elif rung is not None:
            self.signal_group(signal.SIGKILL if rung in (KILL, AT_ONCE) else signal.SIGTERM)

    def ask_politely(self) -> None:
        self.tell_the_child(control.CANCEL if self.ladder.why == "cancelled" else control.STOP)

    def tell_the_child(self, line: bytes) -> None:
        """Where it does not listen, the next rung comes; who asked for a session's end has no answer."""
        with contextlib.suppress(BrokenPipeError, BlockingIOError):
            os.write(self.control, line)

    def signal_group(self, number: signal.Signals) -> None:
        """The child makes itself the leader of its group first thing; before that there is only the child."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            os.kill(self.pid, number)
        except PermissionError:
            # What is left of the group belongs to another user by now. That it still runs shows in the end
            # frame.
            return

    # One turn of the loop

    def turn(self, timeout_s: float | None) -> None:
        rest_s = self.rested_at - time.monotonic()
        child = [fd for fd in self.child_fds() if rest_s <= 0 or fd != self.output]
        if rest_s > 0:
            timeout_s = rest_s if timeout_s is None else min(timeout_s, rest_s)
        reads = [self.wake, *child, *([0] if self.stdin_open else [])]
        writes = [1] if self.queue and self.stdout_open else []
        readable, writable, _ = select.select(reads, writes, [], timeout_s)
        if self.wake in readable:
            read_some(self.wake)
        if 0 in readable:
            self.hear()
        if self.events in readable:
            self.take_events()
        elif self.output in readable and self.take_output(CHUNK) < CHUNK // 2:
            self.rested_at = time.monotonic() + REST_S
        if writable:
            self.write_queue()

    def child_fds(self) -> list[int]:
        """None of them while the queue is full: the child then waits in its write. A cancel is heard."""
        if len(self.queue) >= (QUEUE_LIMIT_CLIMBING if self.ladder.climbing else QUEUE_LIMIT):
            return []
        both = ((self.output, self.output_open), (self.events, self.events_open))
        return [fd for fd, is_open in both if is_open]

    def hear(self) -> None:
        data = read_some(0)
        if data == b"":
            self.stdin_open = False
            self.caller_is_gone()
        try:
            heard = self.from_door.feed(data or b"")
        except frames.Garbage:
            self.stdin_open = False
            self.caller_is_gone()
            return
        for header, _ in heard:
            if header["type"] == "cancel":
                self.ladder.start("cancelled", time.monotonic(), self.rungs())
            elif header["type"] == "end_session":
                self.tell_the_child(control.line_of(header))

    def caller_is_gone(self) -> None:
        grace_s = min(self.ladder.grace_s, GONE_GRACE_S)
        self.ladder.start("caller gone", time.monotonic(), self.rungs(), grace_s)

    def rungs(self) -> tuple[str, ...]:
        """Before the child began to change anything there is nothing to end politely."""
        return ALL if self.working else (AT_ONCE,)

    def take_events(self) -> None:
        """What the child wrote before an event is in the output pipe by now: that goes first."""
        data = read_some(self.events)
        if data == b"":
            self.events_open = False
        try:
            for header, raw in self.from_child.feed(data or b""):
                self.take_output(waiting_bytes(self.output))
                self.note(header)
                self.send(frames.encode(header, raw))
                with contextlib.suppress(BrokenPipeError):
                    os.write(self.acknowledgements, b"a")
        except frames.Garbage:
            self.give_the_child_up()

    def note(self, header: dict[str, Any]) -> None:
        if header["type"] in ("answer", "error"):
            self.final_at = time.monotonic()
        elif header["type"] != "event" or "name" not in header:
            raise frames.Garbage(f"a frame {header['type']!r} of the child")
        elif header["name"] == "working":
            self.working = True

    def give_the_child_up(self) -> None:
        """The target wrote into our pipe: nothing that comes from there can be believed any more. Behind the
        child's last word that does not matter."""
        self.events_open = False
        if self.final_at is not None:
            return
        self.take_output(waiting_bytes(self.output))
        self.final_at = time.monotonic()
        self.send(frames.encode({"type": "error", "error": SPOILED}))
        self.ladder.start("spoiled", self.final_at, (AT_ONCE,))

    def take_output(self, most: int) -> int:
        """How many bytes came: what is in the pipe now, at most `most`."""
        taken = 0
        while taken < most and self.output_open:
            wanted = min(most - taken, CHUNK)
            data = read_some(self.output, wanted)
            self.output_open = data != b""
            if data:
                taken += len(data)
                self.send(frames.encode({"type": "output"}, data))
            if data is None or len(data) < wanted:
                break
        return taken

    def send(self, frame: bytes) -> None:
        if self.stdout_open:
            self.queue += frame

    def write_queue(self) -> None:
        try:
            written = os.write(1, self.queue[:CHUNK])
        except BlockingIOError:
            return
        except OSError:
            self.stdout_open = False
            self.queue.clear()
            self.caller_is_gone()
            return
        del self.queue[:written]

    # After the child

    def clear_up(self) -> tuple[int | None, bool]:
        """Drain, end what is left of the group, reap: (wait status or None, is the output still open)."""
        self.drain(STRAGGLERS_S)
        self.signal_group(signal.SIGKILL)
        self.watcher.dismiss()
        self.drain(STRAGGLERS_S)
        status = None if self.ladder.stuck else os.waitpid(self.pid, 0)[1]
        output_open, self.output_open, self.events_open = self.output_open, False, False
        return status, output_open

    def drain(self, left_s: float) -> None:
        """Until end of file. Waiting for a slow caller does not count, unless it has closed our stdin."""
        while (self.output_open or self.events_open) and left_s > 0:
            counts = bool(self.child_fds()) or not self.stdin_open
            began = time.monotonic()
            self.turn(left_s)
            left_s -= (time.monotonic() - began) if counts else 0

    def deliver_the_rest(self) -> None:
        """A caller that closed our stdin and does not read either is waited for in vain."""
        left_s = UNREAD_END_S
        while self.queue and self.stdout_open and left_s > 0:
            began = time.monotonic()
            self.turn(left_s)
            left_s -= (time.monotonic() - began) if not self.stdin_open else 0


def waiting_bytes(fd: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


def read_some(fd: int, size: int = CHUNK) -> bytes | None:
    """Bytes, b"" at end of file, None when there is nothing right now."""
    try:
        return os.read(fd, size)
    except BlockingIOError:
        return None
    except OSError:
        return b""
