"""What goes wrong, typed by whose fault it is."""

from __future__ import annotations

import traceback as tracebacks
from typing import TYPE_CHECKING

from . import cancel, redaction

if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Callable, Iterator

OURS = "opsdash-agent/"
# What leads from us to the target: an import, runpy, the program behind -c.
MACHINERY = ("<frozen ", "<string>")
# Bytes of UTF-8 that leave in one text.
MESSAGE_LIMIT = 20_000
TRACEBACK_LIMIT = 60_000


class Failure(Exception):
    """Ends the verb with an error frame. `fault` is target, server, person, caller or agent."""

    def __init__(
        self, kind: str, message: str, fault: str, facts: dict[str, Any] | None = None, traceback: str = ""
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.fault = fault
        self.facts = facts or {}
        self.traceback = traceback

    def as_dict(self) -> dict[str, Any]:
        return {
            "type": self.kind,
            "message": clean(self.message),
            "traceback": clean(self.traceback, TRACEBACK_LIMIT),
            "fault": self.fault,
            "facts": self.facts,
        }


def of(problem: BaseException, kind: str, facts: dict[str, Any] | None = None) -> Failure:
    """Any exception as a Failure. One that was raised in our own code is the agent's, not the target's."""
    if isinstance(problem, Failure):
        return problem
    if cancel.requested:
        return Failure(*cancel.requested, facts)
    if raised_by_us(problem):
        return Failure("internal", describe(problem), "agent", facts, render(problem))
    return Failure(kind, describe(problem), "target", facts, render(problem))


def chain(problem: BaseException | None) -> Iterator[BaseException]:
    """It and what it was raised from or behind, the innermost last."""
    return follow(problem, lambda error: (error.__cause__, error.__context__))


def follow(problem: BaseException | None, behind: Callable[[BaseException], Any]) -> Iterator[BaseException]:
    """Each of them once: an exception may have been raised from itself."""
    seen: set[int] = set()
    while problem is not None:
        yield problem
        seen.add(id(problem))
        further = (error for error in behind(problem) if error is not None and id(error) not in seen)
        problem = next(further, None)


def describe(problem: BaseException) -> str:
    """Its type and its words; the type alone when its words cannot be had."""
    problem = telling(problem)
    name = type(problem).__name__
    if isinstance(problem, SystemExit):
        return f"its code ended the process itself, with sys.exit({exit_code(problem)})"
    try:
        text = str.strip(str(problem))
    except BaseException as another:
        let_a_stop_through(another)
        return name
    return f"{name}: {text}" if text else name


def telling(problem: BaseException) -> BaseException:
    """What broke a transaction, where the last word is only that it is broken: SQLite's schema editor asks
    once more while it closes."""
    behind = problem.__context__
    is_after = type(problem).__name__ == "TransactionManagementError" and isinstance(behind, Exception)
    return behind if is_after and behind is not None else problem


def let_a_stop_through(problem: BaseException) -> None:
    """Whatever else comes up while something is described must not get in the way of that."""
    if cancel.requested and isinstance(problem, (KeyboardInterrupt, SystemExit)):
        raise problem


def sqlstate(problem: BaseException | None) -> str | None:
    """Of the driver's error behind Django's, or None."""
    refusal = from_server(problem)
    return None if refusal is None else code_of(refusal)


def from_server(problem: BaseException | None) -> BaseException | None:
    """The driver's error behind Django's, in the server's own words."""
    return next(filter(code_of, follow(problem, raised_from)), None)


def code_of(problem: BaseException) -> str | None:
    found = getattr(problem, "sqlstate", None) or getattr(problem, "pgcode", None)
    return str(found) if found else None


def raised_from(problem: BaseException) -> tuple[BaseException | None, ...]:
    # Django raises this one without saying from what.
    behind = problem.__context__ if is_schema_missing(problem) else None
    return problem.__cause__, behind


def is_schema_missing(problem: BaseException) -> bool:
    return type(problem).__name__ == "MigrationSchemaMissing"


def exit_code(problem: SystemExit) -> str:
    if problem.code is None:
        return ""
    return str(problem.code) if isinstance(problem.code, int) else repr(words(problem.code))


def raised_by_us(problem: BaseException) -> bool:
    """True when the innermost frame is ours, not that of Django or of the target. We compile its launcher."""
    if isinstance(problem, SyntaxError):
        return False
    frame = innermost(problem)
    return frame is not None and frame.f_code.co_filename.startswith(OURS)


def innermost(problem: BaseException) -> FrameType | None:
    """The frame that raised it."""
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return None if trace is None else trace.tb_frame


def render(problem: BaseException) -> str:
    """The traceback as the target's own command line would show it: our frames only where it is ours."""
    try:
        told = tracebacks.TracebackException.from_exception(problem)
        if not raised_by_us(problem):
            leave_us_out(told)
        return "".join(told.format())
    except BaseException as another:
        let_a_stop_through(another)
        return "".join(tracebacks.format_tb(problem.__traceback__)) + type(problem).__name__ + "\n"


def leave_us_out(told: tracebacks.TracebackException | None) -> None:
    """Of this traceback and of those it was caused by."""
    while told is not None:
        told.stack[:] = [frame for frame in told.stack if not frame.filename.startswith(OURS)]
        while told.stack and told.stack[0].filename.startswith(MACHINERY):
            del told.stack[0]
        if told.__cause__ is not None:
            leave_us_out(told.__context__)
        told = told.__cause__ or told.__context__


def clean(value: object, limit: int = MESSAGE_LIMIT) -> str:
    """Storable text without secrets: UTF-8, no NUL, not much more than `limit` bytes."""
    text = words(value).encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
    # A secret that is cut in two would not be found.
    return cut(redaction.redact(text), limit)


def words(value: object) -> str:
    try:
        return str(value)
    except BaseException as another:
        let_a_stop_through(another)
        return type(value).__name__


def cut(text: str, limit: int) -> str:
    """The head and the tail; a line between them says how much is missing."""
    data = text.encode("utf-8")
    if len(data) <= limit:
        return text
    missing = f"\n[... {len(data) - limit} bytes are left out here ...]\n"
    return (
        data[: limit // 2].decode("utf-8", "ignore") + missing + data[-limit // 2 :].decode("utf-8", "ignore")
    )
