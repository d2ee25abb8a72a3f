"""What can go wrong between opsdash and a target, by whose fault it is. str() is a sentence for a person: what happened, what is
still true, what to do next."""

from collections.abc import Mapping
from typing import Any

from dbops.target.frames import Failure

UNTOUCHED = "Nothing was changed."


class TargetError(Exception):
    """Something about a target went wrong. `traceback` is the target's own; `output` what it wrote last, at most 20 KB; `facts` what
    the agent found out all the same."""

    fault = "target"

    def __init__(
        self,
        sentence: str,
        *,
        detail: str = "",
        traceback: str = "",
        output: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.detail = detail
        self.traceback = traceback
        self.output = output
        self.facts: Mapping[str, Any] = facts or {}


class UnresolvedEnvironment(TargetError):
    """The target's declared environment cannot be completed: a reference without a value, a file that is missing."""

    fault = "person"


class InterpreterMissing(TargetError):
    """The program that should start the target's Python is not there."""

    fault = "person"


class NotPython(TargetError):
    """The program started, and is not a Python interpreter."""

    fault = "person"


class PythonTooOld(TargetError):
    """The target's Python is older than 3.8."""


class TransportFailed(TargetError):
    """ssh, docker or whatever leads to the interpreter failed before the agent spoke."""

    fault = "server"


class ConnectionLost(TargetError):
    """The agent spoke and then its streams ended without a last word."""

    fault = "server"


class ProtocolBroken(TargetError):
    """What came was not the protocol, or the agent did not accept what we sent."""

    fault = "agent"


class AgentFailed(TargetError):
    """An error of our own in the target's interpreter."""

    fault = "agent"


class TimedOut(TargetError):
    """The target did not answer in time; it has been stopped."""


class DirectoryMissing(TargetError):
    """The target's working directory cannot be entered."""

    fault = "person"


class DjangoMissing(TargetError):
    """The interpreter has no Django."""


class TargetBroken(TargetError):
    """The target cannot be set up; `traceback` says why."""


class TargetFailed(TargetError):
    """The target's own command failed; `facts` say what is recorded now."""


class TargetUnreachable(TargetError):
    """The target's database does not answer; `reason` says why."""

    fault = "server"

    @property
    def reason(self) -> str:
        return str(self.facts.get("reason", "other"))


class WouldReverse(TargetError):
    """The plan goes backwards; only forward was asked for."""

    fault = "person"


class GuardBusy(TargetError):
    """Another job works on the same database; `holder` says who: {by, pid, since}."""

    fault = "person"

    @property
    def holder(self) -> Mapping[str, Any]:
        return self.facts


class GuardLost(TargetError):
    """The guard was lost in mid-job; the job was stopped."""

    fault = "server"


class GuardUnavailable(TargetError):
    """The guard could not be tried at all."""

    fault = "server"


class OwnDatabase(TargetError):
    """The target's database is opsdash's own."""

    fault = "person"


class BadArgument(TargetError):
    """An app, a migration or an alias that the target does not have."""

    fault = "person"


class Cancelled(TargetError):
    """Stopped on request."""

    fault = "person"


def from_failure(name: str, failure: Failure, output: str = "") -> TargetError:
    """The typed error of an error frame of the target called `name`."""
    kind, sentence = KINDS.get(
        failure.type, (AgentFailed, "The agent failed on {name} in a way that it has no word for: {message}")
    )
    message = failure.message.rstrip()
    return kind(
        sentence.format(name=name, message=message if message.endswith((".", "!", "?")) else message + "."),
        detail=failure.message,
        traceback=failure.traceback,
        output=output,
        facts=failure.facts,
    )


KINDS: dict[str, tuple[type[TargetError], str]] = {
    "broken": (
        TargetBroken,
        "{name} cannot be set up: {message} Nothing was changed. Make its own command line start there, then inspect again.",
    ),
    "launcher_missing": (
        TargetBroken,
        "{name} has no such launcher: {message} Nothing was changed. Correct the launcher or the working directory of the target.",
    ),
    "launcher_never_reached": (
        TargetBroken,
        "{name} never reached Django: {message} Nothing of ours ran. Name the launcher that starts Django's commands, or a settings module.",
    ),
    "launcher_replaced": (
        TargetBroken,
        "{name} was left before Django started. {message} Nothing was changed.",
    ),
    "django_missing": (
        DjangoMissing,
        "The interpreter of {name} has no Django: {message} Nothing was changed. Name the Python of the target's virtual environment.",
    ),
    "bad_directory": (
        DirectoryMissing,
        "{message} Nothing of {name} was started. Correct the working directory of the target.",
    ),
    "unreachable": (
        TargetUnreachable,
        "The database of {name} does not answer: {message} Nothing was changed. Try again when it does.",
    ),
    "would_reverse": (
        WouldReverse,
        "{message} Nothing of {name} was changed. Name a later migration: this operation only goes forward.",
    ),
    "guard_busy": (
        GuardBusy,
        "{message} {name} was not touched. Wait for that job to end, then start this one again.",
    ),
    "guard_unavailable": (
        GuardUnavailable,
        "{name} cannot be guarded: {message} Nothing was changed. Without a guard no job is started.",
    ),
    "guard_lost": (
        GuardLost,
        "The guard of {name} was lost and the job was stopped: {message} What is recorded now is listed with the job. "
        "Make sure that nobody else works on the database, then inspect again.",
    ),
    "own_database": (
        OwnDatabase,
        "{message} opsdash does not work on itself: nothing of {name} was changed. Give the target a database of its own.",
    ),
    "bad_argument": (
        BadArgument,
        "{message} Nothing of {name} was changed. Inspect the target again and choose from its list.",
    ),
    "bad_request": (
        ProtocolBroken,
        "The agent refused the request for {name}: {message} Nothing was changed.",
    ),
    "failed": (
        TargetFailed,
        "The migrate of {name} failed: {message} What is recorded now is listed with the job. Correct the cause, then start it again.",
    ),
    "cancelled": (
        Cancelled,
        "{message} What is recorded now of {name} is listed with the job. Start it again to go on.",
    ),
    "internal": (AgentFailed, "The agent itself failed on {name}: {message} This is a defect of opsdash."),
}
