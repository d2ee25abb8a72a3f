"""Starting a transport (a local interpreter, ssh, docker) as a process."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Protocol


class Process(Protocol):
    """A started transport. The three streams are file descriptors; `close` gives them up."""

    pid: int
    stdin: int
    stdout: int
    stderr: int

    def poll(self) -> int | None:
        """Exit status, negative for a signal, or None."""

    def close_stdin(self) -> None: ...

    def kill(self) -> None:
        """End the process and its group at once, and reap it."""


class Runner(Protocol):
    def __call__(self, argv: Sequence[str], env: Mapping[str, str]) -> Process:
        """Raises FileNotFoundError, PermissionError or another OSError when the program cannot be started."""


def start(argv: Sequence[str], env: Mapping[str, str]) -> Process:
    """The runner of real processes: no shell, a session of its own, started in the root directory."""
    return LocalProcess(argv, env)


class LocalProcess:
    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._popen = subprocess.Popen(
            argv,
            env=dict(env),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        assert self._popen.stdin and self._popen.stdout and self._popen.stderr
        self.pid = self._popen.pid
        self.stdin = self._popen.stdin.fileno()
        self.stdout = self._popen.stdout.fileno()
        self.stderr = self._popen.stderr.fileno()

    def poll(self) -> int | None:
        return self._popen.poll()

    def close_stdin(self) -> None:
        assert self._popen.stdin
        self._popen.stdin.close()

    def kill(self) -> None:
        """A group outlives its leader: its other members are ended too. Before the leader is reaped, its
        number is nobody else's."""
        if self._popen.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            assert stream
            stream.close()
