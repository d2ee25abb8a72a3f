"""A program to run, as data, and a running one. Each has a session of its own and a log of its own."""

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from embedded.accounts import Account
from embedded.errors import ServerError

POLL_SECONDS = 0.02
PATIENCE_BEFORE_WORDS = 3.0
LOG_BYTES = 5 * 1024 * 1024
CHUNK = 65536


@dataclass(frozen=True)
class Program:
    """How to start a program and how to end it. `env` is all of its environment, `stdin` all it can read."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    account: Account | None = None
    stdin: bytes | None = field(default=None, repr=False)
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 5.0


class Running:
    """A started program. Its output goes line by line to the log and to `on_line`."""

    def __init__(
        self, program: Program, log: Path, on_line: Callable[[str, str], None] | None = None
    ) -> None:
        self.program = program
        self.log = log
        self.started = time.monotonic()
        self._on_line = on_line
        with contextlib.suppress(OSError):  # there from the start, so that who is sent to it finds it
            log.touch()
        self._process = _spawn(program)
        self._pump = threading.Thread(target=self._copy_output, name=f"log of {program.name}", daemon=True)
        self._pump.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended. It stays a zombie until `finish`, so that its number keeps meaning it."""
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def finish(self) -> int:
        """Kill what is left of it, its own children included (they are in its group). Its exit status."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        status = self._process.wait()
        self._pump.join(timeout=1)
        return status

    def how_it_ended(self) -> str:
        """`with status 3`, `by SIGKILL`; kills what is left of it."""
        status = self.finish()
        return f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"

    def write(self, data: bytes) -> None:
        """Hand more to its stdin, which must have been left open (`stdin=b""`)."""
        _feed(self._process, data, close=True)

    def ask_to_stop(self) -> None:
        if not self.ended:
            os.kill(self.pid, self.program.stop_signal)

    def last_lines(self, count: int = 15) -> str:
        self._pump.join(timeout=0.2)
        return last_lines(self.log, count)

    def _copy_output(self) -> None:
        output: IO[bytes] | None = self._process.stdout
        assert output is not None
        log = _open_log(self.log)
        rest = b""
        with output:
            while chunk := os.read(output.fileno(), CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > CHUNK:
                    lines, rest = [*lines, rest], b""
                self._take(log, lines)
        self._take(log, [rest] if rest else [])
        with contextlib.suppress(OSError):  # the disk is still full
            log.close()

    def _take(self, log: RotatingFileHandler, lines: list[bytes]) -> None:
        for line in lines:
            text = line.decode(errors="replace").rstrip("\r")
            log.emit(logging.LogRecord(self.program.name, logging.INFO, "", 0, text, None, None))
            if self._on_line is not None:
                self._on_line(self.program.name, text)


class _Log(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """A full disk costs lines of the log; the program whose output it is must not stop for it."""


def _open_log(path: Path) -> RotatingFileHandler:
    return _Log(path, maxBytes=LOG_BYTES, backupCount=1, delay=True, errors="replace")


def _spawn(program: Program) -> subprocess.Popen[bytes]:
    account = program.account
    try:
        process = subprocess.Popen(
            program.argv,
            cwd=program.cwd,
            env=dict(program.env),
            stdin=subprocess.DEVNULL if program.stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except OSError as error:
        raise ServerError(
            f"{program.name} cannot be started: {program.argv[0]}: {error.strerror}."
        ) from error
    if program.stdin:
        _feed(process, program.stdin, close=True)
    return process


def _feed(process: subprocess.Popen[bytes], data: bytes, *, close: bool) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it ended before it read; its status and log say why
        process.stdin.write(data)
        if close:
            process.stdin.close()


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log, for a message about its program."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])


def stop_all(
    running: list[Running],
    hurry: Callable[[], bool] = lambda: False,
    waiting: Callable[[list[str]], None] = lambda names: None,
) -> list[str]:
    """Ask all to stop; kill what is left when its grace is over or `hurry` says so. Names of those killed.

    `waiting` is told once, after a moment, which ones take their time.
    """
    asked = time.monotonic()
    told = False
    for one in running:
        one.ask_to_stop()
    left = running
    while left and not hurry():
        since = time.monotonic() - asked
        left = [one for one in running if not one.ended]
        if since > max((one.program.grace for one in left), default=0.0):
            break
        if left and since > PATIENCE_BEFORE_WORDS and not told:
            waiting([one.program.name for one in left])
            told = True
        time.sleep(POLL_SECONDS)
    for one in running:
        one.finish()
    return [one.program.name for one in left]


def polling() -> Iterator[None]:
    """The beats at which something is looked at again until it is ready."""
    while True:
        yield
        time.sleep(POLL_SECONDS)
