"""The process that owns the agent's stdin and stdout. Standard library only; it never imports anything of the target.

It forwards what the child writes, drains that completely before it reports the end, stops the child when it is asked to
or when its caller is gone, and leaves nothing of the child's process group behind.
"""

import array
import contextlib
import fcntl
import os
import select
import signal
import sys
import termios
import time

from . import environment, frames
from .ladder import AT_ONCE, KILL, POLITE, Ladder

CHUNK = 65536
# The caller reads slowly: beyond this many bytes in the queue the child has to wait. While it is being stopped it may finish its words.
QUEUE_LIMIT = 1 << 20
QUEUE_LIMIT_CLIMBING = 8 << 20
GONE_GRACE_S = 2.0
# After its last word the child may unwind, run atexit, join threads.
LINGER_S = 10.0
# After the child's end: how long others of its group may keep the output open, before and after they are killed.
STRAGGLERS_S = 1.0
UNREAD_END_S = 5.0
FINAL = ("answer", "error")


class ChildEnds:
    """What the child needs from its supervisor: its ends of the pipes, and the request."""

    def __init__(self, request, output, events, acknowledgements, control):
        self.request = request
        self.output = output
        self.events = events
        self.acknowledgements = acknowledgements
        self.control = control


def run(read):
    """Serve one request. Returns None in the supervisor when all is over, ChildEnds in the child."""
    hello = {
        "type": "hello",
        "protocol": frames.PROTOCOL,
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "pid": os.getpid(),
    }
    write_all(1, frames.PREAMBLE + frames.encode(hello))
    request = frames.read_one(read)
    refusal = refuse(request)
    if refusal:
        write_all(1, frames.encode({"type": "error", "error": refusal}) + frames.encode(end_frame()))
        return None
    return Supervisor(request).run()


def refuse(request):
    """The one typed error of a request that cannot be served at all, or None."""
    if request.get("protocol") != frames.PROTOCOL:
        return error(
            "bad_request",
            "The agent speaks protocol %d, the request %r." % (frames.PROTOCOL, request.get("protocol")),
        )
    if request.get("verb") not in ("inspect", "plan", "perform"):
        return error("bad_request", "The agent knows no verb %r." % (request.get("verb"),))
    if not request.get("launcher") and not request.get("settings_module"):
        return error("bad_request", "The target has neither a launcher nor a settings module.")
    try:
        environment.enter(request.get("env") or {}, request.get("cwd") or "")
    except (OSError, ValueError) as problem:
        return error(
            "bad_directory", "The working directory %r cannot be entered: %s." % (request.get("cwd"), problem)
        )
    return None


def error(kind, message):
    return {"type": kind, "message": message, "traceback": "", "fault": "caller", "facts": {}}


def end_frame(status=None, ladder=None, output_open=False):
    exited = status is not None and os.WIFEXITED(status)
    signaled = status is not None and os.WIFSIGNALED(status)
    return {
        "type": "end",
        "exit_status": os.WEXITSTATUS(status) if exited else None,
        "signal": os.WTERMSIG(status) if signaled else None,
        "rung": ladder.rung if ladder else None,
        "why": ladder.why if ladder else None,
        "output_open": output_open,
        "stuck": bool(ladder and ladder.stuck),
    }


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data) :]


class Supervisor:
    def __init__(self, request):
        self.request = request
        self.ladder = Ladder(float(request.get("grace_s", 5.0)))
        self.queue = bytearray()
        self.requests = frames.Decoder()
        self.frames = frames.Decoder()
        self.stdin_open = self.stdout_open = self.output_open = self.events_open = True
        self.working = False
        self.final_at = None

    def run(self):
        ends = self.fork()
        if ends is not None:
            return ends
        for fd in (0, 1, self.output, self.events, self.wake):
            os.set_blocking(fd, False)
        self.watch_the_child()
        status, output_open = self.clear_up()
        self.queue += frames.encode(end_frame(status, self.ladder, output_open))
        self.deliver_the_rest()
        return None

    def fork(self):
        """Returns ChildEnds in the child."""
        self.output, output = os.pipe()
        self.events, events = os.pipe()
        acknowledgements, self.acknowledgements = os.pipe()
        control, self.control = os.pipe()
        self.wake, wake = os.pipe()
        os.set_blocking(wake, False)
        self.parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            for fd in (self.output, self.events, self.acknowledgements, self.control, self.wake, wake):
                os.close(fd)
            return ChildEnds(self.request, output, events, acknowledgements, control)
        for fd in (output, events, acknowledgements, control):
            os.close(fd)
        self.listen_to_signals(wake)
        return None

    def listen_to_signals(self, wake):
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: self.caller_is_gone())

    # While the child lives

    def watch_the_child(self):
        while not self.child_is_over() and not self.ladder.stuck:
            self.turn(self.wait_s())
            self.climb()

    def child_is_over(self):
        """Without reaping it: as long as it is a zombie, its process group cannot become somebody else's."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait_s(self):
        now = time.monotonic()
        waits = [self.ladder.wait_s(now)]
        if self.final_at is not None and not self.ladder.climbing:
            waits.append(max(0.0, self.final_at + LINGER_S - now))
        return min([wait for wait in waits if wait is not None], default=None)

    def climb(self):
        now = time.monotonic()
        if self.final_at is not None and now >= self.final_at + LINGER_S:
            self.ladder.start("lingered", now, grace_s=1.0)
        rung = self.ladder.due(now)
        if rung == POLITE:
            self.tell_child(b"c")
        elif rung is not None:
            self.signal_group(signal.SIGKILL if rung in (KILL, AT_ONCE) else signal.SIGTERM)

    def tell_child(self, word):
        with contextlib.suppress(OSError):
            os.write(self.control, word)

    def signal_group(self, number):
        """The child makes itself the leader of its group first thing; before that there is only the child."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            os.kill(self.pid, number)
        except PermissionError:
            # Everything left in the group belongs to another user by now: that it still runs shows in the end frame.
            return

    # One turn of the loop

    def turn(self, timeout_s):
        reads = [self.wake] + self.child_fds() + ([0] if self.stdin_open else [])
        writes = [1] if self.queue and self.stdout_open else []
        readable, writable, _ = select.select(reads, writes, [], timeout_s)
        if self.wake in readable:
            read_some(self.wake)
        if 0 in readable:
            self.hear()
        if self.events in readable:
            self.take_events()
        elif self.output in readable:
            self.take_output(CHUNK)
        if writable:
            self.write_queue()

    def child_fds(self):
        """None of them while the queue is full: the child then waits in its write, and a cancel is still heard."""
        if len(self.queue) >= (QUEUE_LIMIT_CLIMBING if self.ladder.climbing else QUEUE_LIMIT):
            return []
        return [
            fd
            for fd, is_open in ((self.output, self.output_open), (self.events, self.events_open))
            if is_open
        ]

    def hear(self):
        data = read_some(0)
        if data == b"":
            self.stdin_open = False
            self.caller_is_gone()
        for header, _ in self.requests.feed(data or b""):
            if header.get("type") == "cancel":
                self.cancel()

    def cancel(self):
        rungs = {} if self.working else {"rungs": (AT_ONCE,)}
        self.ladder.start("cancelled", time.monotonic(), **rungs)

    def caller_is_gone(self):
        grace_s = min(self.ladder.grace_s, GONE_GRACE_S)
        rungs = {} if self.working else {"rungs": (AT_ONCE,)}
        self.ladder.start("caller gone", time.monotonic(), grace_s=grace_s, **rungs)

    def take_events(self):
        """What the child wrote before an event is in the output pipe by now: that goes first."""
        data = read_some(self.events)
        if data == b"":
            self.events_open = False
        for header, raw in self.frames.feed(data or b""):
            self.take_output(waiting_bytes(self.output))
            self.note(header)
            self.send(frames.encode(header, raw))
            self.acknowledge()

    def note(self, header):
        if header["type"] in FINAL:
            self.final_at = time.monotonic()
        elif header.get("name") == "working":
            self.working = True

    def acknowledge(self):
        with contextlib.suppress(BrokenPipeError):
            os.write(self.acknowledgements, b"a")

    def take_output(self, size):
        while size > 0 and self.output_open:
            data = read_some(self.output, min(size, CHUNK))
            if not data:
                self.output_open = data is None
                return
            size -= len(data)
            self.send(frames.encode({"type": "output"}, data))

    def send(self, frame):
        if self.stdout_open:
            self.queue += frame

    def write_queue(self):
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

    def clear_up(self):
        """Drain, end what is left of the group, reap. Returns (wait status or None, is the output still open)."""
        self.drain(STRAGGLERS_S)
        self.signal_group(signal.SIGKILL)
        self.drain(STRAGGLERS_S)
        status = None if self.ladder.stuck else os.waitpid(self.pid, 0)[1]
        output_open, self.output_open, self.events_open = self.output_open, False, False
        return status, output_open

    def drain(self, left_s):
        """Until end of file. Waiting for a caller that reads slowly does not count, unless it has closed our stdin."""
        while (self.output_open or self.events_open) and left_s > 0:
            counts = bool(self.child_fds()) or not self.stdin_open
            began = time.monotonic()
            self.turn(left_s)
            left_s -= (time.monotonic() - began) if counts else 0

    def deliver_the_rest(self):
        """A caller that closed our stdin and does not read either is waited for in vain."""
        left_s = UNREAD_END_S
        while self.queue and self.stdout_open and left_s > 0:
            began = time.monotonic()
            self.turn(left_s)
            left_s -= (time.monotonic() - began) if not self.stdin_open else 0


def waiting_bytes(fd):
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


def read_some(fd, size=CHUNK):
    """Bytes, b"" at end of file, None when there is nothing right now."""
    try:
        return os.read(fd, size)
    except BlockingIOError:
        return None
    except OSError:
        return b""
