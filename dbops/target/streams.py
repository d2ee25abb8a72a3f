"""The three streams of a transport, without blocking: what is to be written waits, what was read is
sorted."""

import os
import select
import threading
import time

from dbops.target.frames import PREAMBLE
from dbops.target.runner import Process

CHUNK = 1 << 18
STDERR_KEPT = 20_000
NOISE_LIMIT = 64 << 10
EXIT_WAIT_S = 2.0


class Streams:
    def __init__(self, process: Process) -> None:
        self.process = process
        self.at_end = False
        self.behind_preamble = b""
        self._noise = bytearray()
        self._stderr = bytearray()
        self._stderr_open = True
        self._stdin_open = True
        self._outgoing = bytearray()
        self._lock = threading.Lock()
        for fd in (process.stdin, process.stdout, process.stderr):
            os.set_blocking(fd, False)

    def write(self, data: bytes) -> None:
        """What does not fit now is written in later turns."""
        with self._lock:
            self._outgoing += data
            self._write_some()

    def turn(self, timeout_s: float) -> bytes:
        """Wait until something can be read or written, at most so long. What came on stdout."""
        reads = [
            fd
            for fd, is_open in (
                (self.process.stdout, not self.at_end),
                (self.process.stderr, self._stderr_open),
            )
            if is_open
        ]
        writes = [self.process.stdin] if self._outgoing and self._stdin_open else []
        readable, writable, _ = select.select(reads, writes, [], timeout_s)
        if writable:
            with self._lock:
                self._write_some()
        if self.process.stderr in readable:
            self._read_stderr()
        return self._read_stdout() if self.process.stdout in readable else b""

    def find_preamble(self, data: bytes) -> bool:
        """True once it has come; what follows it is then in `behind_preamble`."""
        self._noise += data
        before, found, behind = bytes(self._noise).partition(PREAMBLE)
        if found:
            self._noise[:] = before
            self.behind_preamble = behind
        return bool(found)

    @property
    def noise_is_too_long(self) -> bool:
        return len(self._noise) > NOISE_LIMIT

    def noise_text(self) -> str:
        return text_of(self._noise[-STDERR_KEPT:])

    def stderr_text(self) -> str:
        return text_of(self._stderr)

    def close_stdin(self) -> None:
        with self._lock:
            self._outgoing.clear()
            if self._stdin_open:
                self._stdin_open = False
                self.process.close_stdin()

    def wait_status(self) -> int | None:
        """The exit status of a process whose stdout has ended, or None if it stays. Its last words on stderr
        are read too."""
        deadline = time.monotonic() + EXIT_WAIT_S
        while (status := self.process.poll()) is None and time.monotonic() < deadline:
            self.turn(0.02)
        while self._stderr_open and select.select([self.process.stderr], [], [], 0)[0]:
            self._read_stderr()
        return status

    def kill(self) -> None:
        self._stdin_open = False
        self.process.kill()

    def _write_some(self) -> None:
        if not self._outgoing or not self._stdin_open:
            return
        try:
            written = os.write(self.process.stdin, self._outgoing)
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._outgoing.clear()
            return
        del self._outgoing[:written]

    def _read_stdout(self) -> bytes:
        data = os.read(self.process.stdout, CHUNK)
        self.at_end = not data
        return data

    def _read_stderr(self) -> None:
        data = os.read(self.process.stderr, CHUNK)
        self._stderr_open = bool(data)
        self._stderr += data
        del self._stderr[:-STDERR_KEPT]


def text_of(data: bytes | bytearray) -> str:
    return data.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
