"""The protocol between the door and the agent, version 1.

The interpreter is started as ``ARGV -c BOOTSTRAP``. Then, over its three standard streams only:

1. door -> agent: ten decimal digits, then that many bytes of JSON: ``{module name: source}``.
2. agent -> door: PREAMBLE, then a ``hello`` frame. Anything before PREAMBLE is noise of the transport.
3. door -> agent: a ``request`` frame. It carries secrets, so it is sent only after a hello.
4. agent -> door: ``output``, ``event``, at most one ``answer`` or ``error``, always one ``end``, the last
   frame. door -> agent, at any time: ``cancel``, ``end_session``. End of file on the agent's stdin means that
   the caller is gone: everything is stopped.

A frame is two big-endian unsigned 32-bit sizes, then that many bytes of JSON (an object with a ``type``),
then that many raw bytes.

===========  ============================================================================================
type         fields
===========  ============================================================================================
hello        protocol, python "3.11.7", executable, pid
request      protocol, verb, arguments {}, launcher [], settings_module, cwd, env {}, grace_s (of one rung)
cancel
end_session  id, pid, backend_start, transaction_start (both as blockers told them, the latter or null), act:
             "cancel" (its statement) or "terminate" (the session); of another session on the target's
             server, while perform works. Answered by the event session_ended.
output       raw: what the target wrote to its stdout or stderr, byte for byte
event        name, data {}: see the verb, blockers (lock_wait) and endings (session_ended)
answer       data {}: see the verb
error        error {type, message, traceback, fault, facts {}}; fault: target, server, person, caller, agent
end          exit_status or null, signal or null, rung (of the ladder, as far as it was climbed) or null,
             why it was climbed or null, output_open: a process that left the child's group still holds the
             output, stuck: the child did not die
===========  ============================================================================================

Frames of the child reach the door in the order in which the child made them, output included. Strings are
UTF-8 without NUL. Between child and supervisor the same frames travel on a pipe; each is acknowledged with
one byte once it is in the queue behind everything that the child had written before. Other bytes on that
pipe are the target's: the child is killed, and the error is ``spoiled``.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Callable

PROTOCOL = 1
# In two parts, so that an echo of this source on a terminal is not taken for the preamble.
PREAMBLE = b"\x01opsdash-agent\x02" + b"frames\x03\n"
LARGEST_HEADER = 256 << 20
LARGEST_RAW = 1 << 20
_SIZES = struct.Struct(">II")


class Garbage(Exception):
    """The bytes are not frames."""


def encode(header: dict[str, Any], raw: bytes = b"") -> bytes:
    text = json.dumps(header, separators=(",", ":"), default=str).encode("ascii")
    return _SIZES.pack(len(text), len(raw)) + text + raw


class Decoder:
    """Bytes in, whole frames out; Garbage when they cannot be frames."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[tuple[dict[str, Any], bytes]]:
        """The frames that are complete now, as (header, raw bytes)."""
        self._pending += data
        frames: list[tuple[dict[str, Any], bytes]] = []
        while True:
            frame = self._next()
            if frame is None:
                return frames
            frames.append(frame)

    def _next(self) -> tuple[dict[str, Any], bytes] | None:
        if len(self._pending) < _SIZES.size:
            return None
        header_size, raw_size = _SIZES.unpack_from(self._pending)
        if header_size > LARGEST_HEADER or raw_size > LARGEST_RAW:
            raise Garbage(f"a frame of {header_size} + {raw_size} bytes")
        end = _SIZES.size + header_size + raw_size
        if len(self._pending) < end:
            return None
        header = header_in(bytes(self._pending[_SIZES.size : _SIZES.size + header_size]))
        raw = bytes(self._pending[_SIZES.size + header_size : end])
        del self._pending[:end]
        return header, raw


def header_in(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as problem:
        raise Garbage("a header that is not JSON") from problem
    if not isinstance(header, dict) or not isinstance(header.get("type"), str):
        raise Garbage("a header without a type")
    return header


def read_one(read: Callable[[int], bytes]) -> dict[str, Any]:
    """The header of one frame from a blocking `read(n)`."""
    header_size, raw_size = _SIZES.unpack(read(_SIZES.size))
    header: dict[str, Any] = json.loads(read(header_size).decode("utf-8"))
    read(raw_size)
    return header
