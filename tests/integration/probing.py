"""Things to probe, and a prober to run: silent servers, a way to opsdash's database that can be cut."""

import contextlib
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection

from dbops.postgres.parameters import Parameters, parameters

CANARY = "canary-7f3a-password"


def connection_of(url: str, **changes: Any) -> dict[str, Any]:
    """What the agent would report for a target with this DATABASE_URL."""
    parts = urlsplit(url)
    reported = {
        "engine": "django.db.backends.postgresql",
        "name": parts.path.lstrip("/"),
        "user": parts.username or "",
        "password": parts.password or "",
        "host": parts.hostname or "",
        "port": str(parts.port or ""),
        "options": {},
    }
    return {**reported, **changes}


def parameters_of(url: str, **changes: Any) -> Parameters:
    return parameters(connection_of(url, **changes))


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def listening(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on a port of its own; `handle` gets each connection in a thread."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                handle(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def say_nothing(line: socket.socket) -> None:
    while line.recv(4096):
        pass


def let_in_and_say_nothing(line: socket.socket) -> None:
    """The first half of Postgres' protocol: no encryption, authentication passed, ready. Then silence.

    https://www.postgresql.org/docs/current/protocol-message-formats.html
    """
    while line.recv(4096)[4:6] == b"\x04\xd2":
        line.sendall(b"N")
    line.sendall(b"R\0\0\0\x08\0\0\0\0" + b"S\0\0\0\x19client_encoding\0UTF8\0" + b"Z\0\0\0\x05I")
    say_nothing(line)


class Cuttable:
    """A port that leads to opsdash's own database until it is cut."""

    def __init__(self) -> None:
        own = connection.settings_dict
        self._there = (own["HOST"], int(own["PORT"]))
        self._lines: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.port = 0
        self.is_mute = False

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """As when the server is gone: open connections end, new ones are refused."""
        if self._listener is not None:
            # Closing alone would not wake the thread that waits in accept().
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()
        self._lines.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._there)
                self._lines += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self.is_mute:
                    time.sleep(0.05)
                sink.sendall(data)
        for line in (source, sink):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


class Prober:
    """The real process. Its log is in `log`."""

    def __init__(self, log: Path, **environment: str) -> None:
        self._file = log
        own = connection.settings_dict
        url = f"postgres://{own['USER']}:{own['PASSWORD']}@{own['HOST']}:{own['PORT']}/{own['NAME']}"
        variables = {**os.environ, "DATABASE_URL": url, "OPSDASH_PROBE_INTERVAL_S": "1", **environment}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "manage.py", "run_probes"],
                cwd=settings.BASE_DIR,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def log(self) -> str:
        return self._file.read_text()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """(exit status, seconds it took)"""
        began = time.monotonic()
        self.process.send_signal(number)
        try:
            return self.process.wait(10), time.monotonic() - began
        finally:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def prober(log: Path, **environment: str) -> Iterator[Prober]:
    running = Prober(log, **environment)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def eventually(is_so: Callable[[], bool], seconds: float = 30.0, what: Callable[[], str] = str) -> None:
    limit = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < limit, what()
        time.sleep(0.05)
