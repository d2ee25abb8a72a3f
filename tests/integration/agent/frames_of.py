"""What a test asks of a session."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dbops.inspection import shape
from dbops.target import door
from dbops.target.address import Address
from dbops.target.door import Answer, End, Event, Failure, Frame, Output, Session

LONG_S = 60.0


@dataclass
class Record:
    """All frames of one session, in order."""

    frames: list[Frame] = field(default_factory=list)

    @property
    def output(self) -> bytes:
        return b"".join(frame.data for frame in self.frames if isinstance(frame, Output))

    def events(self, name: str) -> list[Any]:
        return [frame.data for frame in self.frames if isinstance(frame, Event) and frame.name == name]

    @property
    def answer(self) -> Any:
        return next(frame.data for frame in self.frames if isinstance(frame, Answer))

    @property
    def failure(self) -> Failure:
        return next(frame for frame in self.frames if isinstance(frame, Failure))

    @property
    def end(self) -> End:
        assert isinstance(self.frames[-1], End)
        return self.frames[-1]

    @property
    def story(self) -> list[str]:
        """The frames as words: what was written, names of events, migrations of steps."""
        return [told(frame) for frame in self.frames]


def told(frame: Frame) -> str:
    if isinstance(frame, Output):
        return frame.data.decode()
    if isinstance(frame, Event):
        return f"<{frame.name} {frame.data.get('name', '')}>"
    return f"<{type(frame).__name__}>"


def migrate(address: Address, **arguments: Any) -> Record:
    """Perform a migrate and listen to the end."""
    with start(address, **arguments) as session:
        return listen(session)


def start(address: Address, *, grace_s: float = 5.0, **arguments: Any) -> Session:
    complete = {"operation": "migrate", "alias": "default", "guard": {"label": "opsdash job 1"}, **arguments}
    return door.open_session(address, "perform", complete, grace_s=grace_s)


def listen(session: Session, until: Callable[[Record], bool] | None = None) -> Record:
    """Frames up to the end, or until enough has been seen."""
    record, deadline = Record(), time.monotonic() + LONG_S
    while time.monotonic() < deadline:
        frame = session.receive(1.0)
        if frame is not None:
            record.frames.append(frame)
        if isinstance(frame, End) or (until is not None and until(record)):
            return record
    raise AssertionError(f"no end within {LONG_S} s: {record.story[-20:]}")


def has_said(text: bytes) -> Callable[[Record], bool]:
    return lambda record: text in record.output


def inspect(address: Address, **arguments: Any) -> Any:
    answer = door.call(address, "inspect", {"aliases": None, **arguments}, timeout_s=LONG_S)
    # As opsdash insists on it, whatever the project is.
    assert shape.inspection(answer) == ""
    return answer


def inspect_default(address: Address, **arguments: Any) -> Any:
    """The report on the alias `default`."""
    return next(found for found in inspect(address, **arguments)["databases"] if found["alias"] == "default")
