"""The door's half of the protocol, and its frames as types. The protocol itself is documented in the agent's
`frames`."""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

PROTOCOL = 1
PREAMBLE = b"\x01opsdash-agent\x02frames\x03\n"
LARGEST_HEADER = 256 << 20
LARGEST_RAW = 1 << 20
_SIZES = struct.Struct(">II")


@dataclass(frozen=True)
class Hello:
    protocol: int
    python: str


@dataclass(frozen=True)
class Output:
    """What the target wrote to its stdout or stderr, byte for byte."""

    data: bytes


@dataclass(frozen=True)
class Event:
    name: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Failure:
    """`fault`: target, server, person, caller, agent. `facts`: what is known all the same, for example
    `recorded_after`."""

    type: str
    message: str
    traceback: str = field(repr=False)
    fault: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class End:
    """The last frame. `rung`: the step of the ladder that was needed to stop the child; `why` it was
    climbed."""

    status: int | None
    signal: int | None
    rung: str | None = None
    why: str | None = None
    output_open: bool = False
    stuck: bool = False


Frame = Output | Event | Answer | Failure | End


class Garbage(Exception):
    """The bytes are not frames."""


def encode(header: Mapping[str, Any]) -> bytes:
    text = json.dumps(header).encode("ascii")
    return _SIZES.pack(len(text), 0) + text


class Decoder:
    """Bytes in, whole frames out; Garbage when they cannot be frames."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Frame | Hello]:
        self._pending += data
        frames: list[Frame | Hello] = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | Hello | None:
        if len(self._pending) < _SIZES.size:
            return None
        header_size, raw_size = _SIZES.unpack_from(self._pending)
        if header_size > LARGEST_HEADER or raw_size > LARGEST_RAW:
            raise Garbage(f"a frame of {header_size} + {raw_size} bytes")
        start, end = _SIZES.size + header_size, _SIZES.size + header_size + raw_size
        if len(self._pending) < end:
            return None
        header, raw = bytes(self._pending[_SIZES.size : start]), bytes(self._pending[start:end])
        del self._pending[:end]
        return typed(header, raw)


def typed(text: bytes, raw: bytes) -> Frame | Hello:
    try:
        header = json.loads(text)
        if b"\\ud" in text.lower():
            header = without_surrogates(header)
        if b"\\u0000" in text:
            header = without_nul(header)
        return MAKERS[header["type"]](header, raw)
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise Garbage(f"a frame that is not one of protocol {PROTOCOL}") from problem


def without_surrogates(header: Any) -> Any:
    """A file name that is not UTF-8 comes as lone surrogates, which no database and no page can hold."""
    return json.loads(json.dumps(header, ensure_ascii=False).encode("utf-8", "replace"))


def without_nul(value: Any) -> Any:
    """Postgres holds it neither as text nor in JSON."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    if isinstance(value, dict):
        return {without_nul(key): without_nul(item) for key, item in value.items()}
    return value


def make_end(header: dict[str, Any], raw: bytes) -> End:
    names = ("rung", "why", "output_open", "stuck")
    return End(header["exit_status"], header["signal"], **{name: header[name] for name in names})


MAKERS: dict[str, Callable[[dict[str, Any], bytes], Frame | Hello]] = {
    "hello": lambda header, raw: Hello(header["protocol"], header["python"]),
    "output": lambda header, raw: Output(raw),
    "event": lambda header, raw: Event(header["name"], header["data"]),
    "answer": lambda header, raw: Answer(header["data"]),
    "error": lambda header, raw: Failure(**header["error"]),
    "end": make_end,
}
