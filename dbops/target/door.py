"""Talking to an agent: one process, one request, frames until the end.

`call` is for a short question, `open_session` for a job whose output and events are followed while it runs.
"""

import os
import threading
import time
from collections.abc import Mapping
from pathlib import PurePath
from types import TracebackType
from typing import Any, Self

from dbops.redaction import Redactor
from dbops.target import frames, words
from dbops.target.address import Address
from dbops.target.bundle import BOOTSTRAP, bundle
from dbops.target.errors import (
    ConnectionLost,
    ProtocolBroken,
    TargetBroken,
    TargetError,
    TimedOut,
    from_failure,
)
from dbops.target.frames import Answer, End, Event, Failure, Frame, Hello, Output
from dbops.target.runner import Runner, start
from dbops.target.streams import Streams

START_TIMEOUT_S = 60.0
GRACE_S = 5.0
# Three rungs of the ladder, what the agent allows stragglers, and the way back.
CLOSE_MARGIN_S = 5.0
CANCEL = frames.encode({"type": "cancel"})
ENV_KEPT = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
ENV_OF_TRANSPORTS = (
    "USER", "LOGNAME", "SSH_AUTH_SOCK", "KUBECONFIG", "XDG_RUNTIME_DIR",
    "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY",
)  # fmt: skip


def call(
    address: Address,
    verb: str,
    arguments: Mapping[str, Any],
    *,
    timeout_s: float,
    runner: Runner = start,
) -> Mapping[str, Any]:
    """The answer, or a TargetError that holds the last 20 KB of what the target wrote."""
    deadline = time.monotonic() + timeout_s
    with open_session(address, verb, arguments, runner=runner) as session:
        while (left_s := deadline - time.monotonic()) > 0:
            match session.receive(left_s):
                case Answer(data):
                    return data
                case Failure() as failure:
                    raise session.error(failure)
                case End() as end:
                    raise session.ended_without_answer(end)
        late = {"reason": "timeout"}
        raise TimedOut(words.timed_out(address, verb, timeout_s), output=session.last_words(), facts=late)


def open_session(
    address: Address,
    verb: str,
    arguments: Mapping[str, Any],
    *,
    grace_s: float = GRACE_S,
    runner: Runner = start,
) -> "Session":
    """Start the interpreter; raises a TargetError when there is none. What follows is received."""
    argv = with_program_found(address.command(BOOTSTRAP), address.cwd)
    try:
        process = runner(argv, transport_env(argv[0], os.environ))
    except OSError as problem:
        raise words.cannot_start(address, argv[0], problem) from problem
    request = {
        "type": "request",
        "protocol": frames.PROTOCOL,
        "verb": verb,
        "arguments": dict(arguments),
        "launcher": list(address.launcher),
        "settings_module": address.settings_module,
        "cwd": address.cwd,
        "env": dict(address.env),
        "grace_s": grace_s,
    }
    return Session(address, request, Streams(process))


def with_program_found(argv: list[str], cwd: str) -> list[str]:
    """A relative path is meant from the target's working directory; a bare name is looked for on PATH."""
    program = argv[0]
    if cwd and "/" in program and not PurePath(program).is_absolute():
        program = str(PurePath(cwd) / program)
    return [program, *argv[1:]]


def transport_env(program: str, worker_env: Mapping[str, str]) -> dict[str, str]:
    """What the started process inherits: nothing of opsdash's own. A client such as ssh needs a little more
    than an interpreter."""
    names = ENV_KEPT if PurePath(program).name.startswith("python") else ENV_KEPT + ENV_OF_TRANSPORTS
    return {name: worker_env[name] for name in names if name in worker_env}


class Session:
    """One request on its way. One thread receives; `cancel` and `end_session` may be called from any. A
    context manager that leaves nothing running."""

    def __init__(self, address: Address, request: Mapping[str, Any], streams: Streams) -> None:
        self.address = address
        self.end: End | None = None
        self.python = ""
        self._grace_s = float(request["grace_s"])
        self._streams = streams
        self._request = frames.encode(request)
        self._decoder = frames.Decoder()
        self._received: list[Frame] = []
        self._redactor = Redactor(words.secrets_of(address.env))
        self._tail = words.Tail(self._redactor)
        self._start_deadline: float | None = time.monotonic() + START_TIMEOUT_S
        self._lock = threading.Lock()
        self._requested = self._cancelled = False
        self._closed = False
        streams.write(bundle())

    @property
    def may_work_on(self) -> bool:
        """The agent was told its request and never said that its child has ended."""
        return self._requested and self.end is None

    @property
    def pid(self) -> int:
        """Of the local process: the interpreter itself, or the client of the transport."""
        return self._streams.process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def receive(self, timeout_s: float) -> Frame | None:
        """The next frame, or None when none came in time. After End there is nothing more.

        Raises a TargetError when the agent did not start, or vanished.
        """
        deadline = time.monotonic() + timeout_s
        while not self._received and self.end is None:
            self._pump(max(0.0, deadline - time.monotonic()))
            if time.monotonic() >= deadline:
                break
        return self._received.pop(0) if self._received else None

    def cancel(self) -> None:
        """Ask for the ladder. Does not wait; a second call does nothing."""
        with self._lock:
            if self._cancelled or self._closed:
                return
            self._cancelled = True
            # The request is the first thing that the agent reads.
            if self._requested:
                self._streams.write(CANCEL)

    def end_session(
        self, ending: int, pid: int, backend_start: str, transaction_start: str | None, act: str
    ) -> None:
        """Another session on the target's server is to be ended; the event `session_ended` answers."""
        starts = {"backend_start": backend_start, "transaction_start": transaction_start}
        with self._lock:
            if self._requested and not self._closed:
                self._streams.write(
                    frames.encode({"type": "end_session", "id": ending, "pid": pid, **starts, "act": act})
                )

    def close(self) -> End | None:
        """Stop whatever still runs and leave nothing behind. Returns the End when the agent could still tell
        it."""
        if self._closed:
            return self.end
        self._closed = True
        self._streams.close_stdin()
        deadline = time.monotonic() + 3 * self._grace_s + CLOSE_MARGIN_S
        try:
            while self.end is None and time.monotonic() < deadline and not self._streams.at_end:
                self._pump(deadline - time.monotonic())
        except TargetError:
            # It never spoke, or went silent: there is no End to be had, and what runs is killed below.
            self.end = None
        finally:
            self._streams.kill()
        return self.end

    def error(self, failure: Failure) -> TargetError:
        """The typed error of a Failure frame of this session."""
        return from_failure(self.address.name, failure, self.last_words())

    def ended_without_answer(self, end: End) -> TargetError:
        output = self.last_words()
        return TargetBroken(words.ended_silently(self.address, end, output), output=output)

    def last_words(self) -> str:
        """The last 20 KB that the target wrote, without the declared secrets."""
        return self._tail.text()

    # The streams

    def _pump(self, timeout_s: float) -> None:
        if self._start_deadline is not None:
            timeout_s = min(timeout_s, max(0.0, self._start_deadline - time.monotonic()))
        data = self._streams.turn(timeout_s)
        try:
            for frame in self._decoder.feed(data) if self.python else self._greet(data):
                self._take(frame)
        except frames.Garbage as problem:
            raise ProtocolBroken(words.garbage(self.address, problem), output=self.last_words()) from problem
        if self.end is None and self._streams.at_end:
            raise self._vanished()
        if self._start_deadline is not None and time.monotonic() >= self._start_deadline:
            raise TimedOut(words.never_started(self.address, START_TIMEOUT_S), output=self._transport_text())

    def _greet(self, data: bytes) -> list[Frame | Hello]:
        """Bytes of the transport up to the preamble; only who says hello is told the request."""
        if not self._streams.find_preamble(data):
            if self._streams.noise_is_too_long:
                raise words.too_noisy(self.address, self._transport_text(), self._noise_text())
            return []
        self.python = "unknown"
        return self._decoder.feed(self._streams.behind_preamble)

    def _take(self, frame: Frame | Hello) -> None:
        match frame:
            case Hello(protocol, python):
                if protocol != frames.PROTOCOL:
                    raise frames.Garbage(f"protocol {protocol}")
                self.python, self._start_deadline = python, None
                self._send_request()
                return
            case Output(data):
                self._tail.add(data)
            case End():
                self.end = frame
        self._received.append(frame)

    def _send_request(self) -> None:
        with self._lock:
            self._requested = True
            self._streams.write(self._request + (CANCEL if self._cancelled else b""))

    def _vanished(self) -> TargetError:
        text, status = self._transport_text(), self._streams.wait_status()
        if self.python:
            return ConnectionLost(
                words.lost(self.address, status, text), detail=text, output=self.last_words()
            )
        return words.did_not_start(self.address, status, text, self._noise_text())

    def _noise_text(self) -> str:
        return self._redactor.clean(self._streams.noise_text())

    def _transport_text(self) -> str:
        return self._redactor.clean(self._streams.stderr_text())


__all__ = [
    "Answer",
    "End",
    "Event",
    "Failure",
    "Frame",
    "Output",
    "Session",
    "TargetError",
    "TimedOut",
    "call",
    "open_session",
]
