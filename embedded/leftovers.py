"""What an earlier start left running, which takes the killing of both its supervisor and its keeper."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from embedded.errors import ServerError
from embedded.state import State

PATIENCE = 10.0
KILL_AFTER = 10.0


def identity(pid: int) -> list[str]:
    """What names a process beyond its life: number, start time, boot. Empty if there is none such."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    started = stat.rpartition(")")[2].split()[19]
    return [str(pid), started, Path("/proc/sys/kernel/random/boot_id").read_text().strip()]


def end(state: State, say: Callable[[str, str], None]) -> None:
    """End what the roster names, where it is still that process. The caller holds the lock of the state."""
    left = _roster(state)
    if not left:
        return
    say("state", f"ending what an interrupted start left running: {', '.join(left)}")
    for name, pid in left.items():
        _send(pid, signal.SIGINT if name == "postgres" else signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and any(identity(pid) for pid in left.values()):
        time.sleep(0.05)
    for pid in left.values():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _roster(state: State) -> dict[str, int]:
    try:
        rows = json.loads(state.roster.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {name: int(row[0]) for name, row in rows.items() if row and identity(int(row[0])) == row}


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def clear_stale_pid_file(data: Path, say: Callable[[str, str], None]) -> None:
    """Remove a postmaster.pid whose number now belongs to some other process, as happens after a reboot.

    Postgres removes it itself where the number is free, and refuses to start where it is not. The caller
    holds the lock of the state, so a Postgres that does work on these data was started by hand.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    if not identity(pid):
        return
    if Path(f"/proc/{pid}/cwd").resolve() == data.resolve():
        raise ServerError(
            f"A Postgres (process {pid}) already works on {data}: end it with `kill -INT {pid}`."
        )
    say("Postgres", "removing the postmaster.pid of a start that did not end in order")
    pid_file.unlink()
