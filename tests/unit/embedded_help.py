"""What the tests of embedded/ share: programs of a few words, and a look at which processes there are."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from embedded.processes import Program

ROOT = Path(__file__).resolve().parents[2]


def python_program(name: str, code: str, folder: Path, *arguments: str, grace: float = 5.0) -> Program:
    """A stand-in for one of opsdash's processes: Python code that runs in `folder`."""
    argv = (sys.executable, "-u", "-S", "-c", code, *arguments)
    return Program(name, argv, {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}, folder, grace=grace)


def processes_with(mark: str) -> list[str]:
    """The command lines that contain `mark`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        line = b" ".join(words).decode(errors="replace")
        if mark in line:
            found.append(line)
    return found


def eventually(check: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether it becomes true within that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.02)
    return check()
