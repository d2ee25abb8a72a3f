"""What the supervisor says to the child: one line each, on a pipe of its own.

`cancel`, `stop`, or the JSON of a session that is to be ended (`end_session` in frames). The end of the pipe
means that the supervisor is gone.
"""

from __future__ import annotations

import collections
import json
import os
import signal
from typing import TYPE_CHECKING

from . import cancel

if TYPE_CHECKING:
    from typing import Any

# A person asked for it, or something else did.
CANCEL, STOP = b"cancel\n", b"stop\n"
REASONS = {CANCEL: cancel.ON_REQUEST, STOP: cancel.FROM_OUTSIDE}
CHUNK = 4096
# A line up to this is written to a pipe whole or not at all.
LONGEST = 512
_endings: "collections.deque[dict[str, Any]]" = collections.deque()


def line_of(ending: dict[str, Any]) -> bytes:
    """b"" where it is none."""
    wanted = {name: ending.get(name) for name in ("id", "pid", "backend_start", "transaction_start", "act")}
    line = json.dumps(wanted).encode("ascii") + b"\n"
    return line if len(line) <= LONGEST else b""


def listen(control: int) -> None:
    """Hear until the supervisor is gone; then so are we, with everything that we started."""
    heard = b""
    while True:
        data = os.read(control, CHUNK)
        if not data:
            os.killpg(os.getpgid(0), signal.SIGKILL)
        *lines, heard = (heard + data).split(b"\n")
        for line in lines:
            obey(line + b"\n")


def obey(line: bytes) -> None:
    if line in REASONS:
        cancel.stop(REASONS[line])
    else:
        _endings.append(json.loads(line.decode("ascii")))


def next_ending() -> dict[str, Any] | None:
    """The one that was asked for first, once."""
    return _endings.popleft() if _endings else None
