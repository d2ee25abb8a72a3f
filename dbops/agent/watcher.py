"""A small process beside the supervisor: when that is killed, so is everything that its child started.

The child itself dies with the supervisor (see `child.die_with`) and cannot take its own programs along.
"""

from __future__ import annotations

import contextlib
import os
import signal

# The supervisor opened a handful, and was given its three streams.
HIGHEST_FD = 1024


class Watcher:
    """A child of the supervisor, so that the target never meets it, in a session of its own.

    It waits for the end of a pipe that nobody but the supervisor holds.
    """

    def __init__(self, group: int) -> None:
        watched, self._held = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            watch(watched, group)
        os.close(watched)

    def dismiss(self) -> None:
        """To be called before the group's leader is reaped: its number could become somebody else's."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._held)


def watch(watched: int, group: int) -> None:
    """Does not return. Holds none of the supervisor's streams and pipes, above all not its own pipe's
    other end."""
    try:
        os.setsid()
        os.dup2(watched, 0)
        os.closerange(1, HIGHEST_FD)
        os.read(0, 1)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    finally:
        os._exit(0)
