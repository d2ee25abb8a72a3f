"""What can go wrong between opsdash and a target, typed by whose fault it is.

str() of each is a sentence for a person: what happened, what is still true, what to do next.
"""

import re
from collections.abc import Mapping
from typing import Any

from dbops.plain import plain
from dbops.target.frames import Failure
from dbops.target.rights import lack_of


class TargetError(Exception):
    """Something about a target went wrong.

    `traceback` is the target's own, `output` what it wrote last (20 KB at most), `detail` what the other side
    said, `facts` what the agent found out all the same. The texts are made plain: they are shown as they are.
    """

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
        self.sentence = plain(sentence)
        super().__init__(self.sentence)
        self.detail = plain(detail)
        self.traceback = plain(traceback)
        self.output = plain(output)
        self.facts: Mapping[str, Any] = facts or {}


class UnresolvedEnvironment(TargetError):
    """The target's declared environment cannot be completed: a reference without a value, a file that is
    missing."""

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


class VariableMissing(TargetBroken):
    """Its settings want an environment variable that the target does not declare."""

    fault = "person"


class TargetFailed(TargetError):
    """The target's own command failed; `facts` say what is recorded now."""


class TargetUnreachable(TargetError):
    """The target's database does not answer; `reason` says why."""

    fault = "server"

    @property
    def reason(self) -> str:
        return str(self.facts.get("reason", "other"))


class DriverMissing(TargetUnreachable):
    """The interpreter lacks the driver of a database, so that the target cannot even be set up."""


class WouldReverse(TargetError):
    """The plan goes backwards; only forward was asked for."""

    fault = "person"


class PlanChanged(TargetError):
    """The plan is another one by now; facts: plan [[app, name, backwards, hash]], fingerprint."""

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


class OtherDatabase(TargetError):
    """The target leads to another database than the one the job was asked for; `facts`: {identity,
    expected_identity}, where an identity of "" is one that the server does not tell."""

    fault = "person"


class NotProven(TargetError):
    """What was asked for rests on something that the schema does not show (any more)."""

    fault = "person"


class NoFileReach(TargetError):
    """Its tree is not seen from here, or not the same one."""

    fault = "person"


class TreeBusy(TargetError):
    """Another job writes to its tree."""

    fault = "person"


class PreviewChanged(TargetError):
    """makemigrations would write something else by now than what the person saw."""

    fault = "person"


class MakemigrationsRefused(TargetError):
    """The project's own makemigrations says no, with a reason."""


class TreeUnwritable(TargetError):
    """A file could not be made there, or has been there before."""

    fault = "person"


class BadArgument(TargetError):
    """An app, a migration or an alias that the target does not have."""

    fault = "person"


class Cancelled(TargetError):
    """Stopped on request."""

    fault = "person"


class EndedFromOutside(TargetError):
    """Somebody else than opsdash told its process to end."""

    fault = "server"


def from_failure(name: str, failure: Failure, output: str = "") -> TargetError:
    """The typed error of an error frame of the target called `name`."""
    kind, before, after = KINDS.get(failure.type, UNKNOWN)
    if kind is TargetFailed and any(words in failure.message for words in DISK_FULL):
        after = "Make room on the disk of the database, then start it again."
    message = in_a_sentence(failure.message)
    stop = "" if message.endswith((".", "!", "?")) else "."
    lack = lack_of(failure.facts.get("rights"))
    return kind(
        " ".join(filter(None, [f"{before.format(name=name)}{message}{stop}", str(lack or ""), after])),
        detail=failure.message,
        traceback=failure.traceback,
        output=output,
        facts=failure.facts,
    )


def in_a_sentence(text: str) -> str:
    """On one line, and not endless: the traceback has the rest."""
    line = " ".join(POINTER.sub("", text).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."


LONGEST = 1000
# A line of a statement that the server quotes, and the caret below it.
POINTER = re.compile(r"\n[^\n]*\n[ \t]*\^")
# As SQLite and as the system behind any other server say it.
DISK_FULL = ("database or disk is full", "No space left on device")
UNKNOWN = (
    AgentFailed,
    "The agent failed on {name} in a way it has no word for: ",
    "This is a defect of opsdash.",
)

# By the type of an error frame: the sentence before the agent's own words, and the one behind.
KINDS: dict[str, tuple[type[TargetError], str, str]] = {
    "broken": (
        TargetBroken,
        "{name} cannot be set up: ",
        "Nothing was changed. Make its own command line (manage.py check) work there, then inspect again.",
    ),
    "graph": (
        TargetBroken,
        "The migrations of {name} cannot be put in order: ",
        "Nothing was changed. Correct these files: the page of the target says which one is at fault.",
    ),
    "records": (
        TargetBroken,
        "What is applied on {name} cannot be read: ",
        "Nothing was changed. Correct what these words name, then inspect again.",
    ),
    "variable_missing": (
        VariableMissing,
        "{name} cannot be set up: ",
        "Nothing was changed. Declare it at the target: under env, in its env_file or, where it is a secret, "
        "under secret_env.",
    ),
    "module_missing": (
        TargetBroken,
        "{name} cannot be set up: ",
        "Nothing was changed. Name the Python of the target's virtual environment, install the module there, "
        "or correct its name.",
    ),
    "syntax": (
        TargetBroken,
        "{name} cannot be set up: ",
        "Nothing was changed. Correct the file, or name a newer Python where it is written for one.",
    ),
    "driver_missing": (
        DriverMissing,
        "{name} cannot be set up: ",
        "Nothing was changed. Inspect again when it is there.",
    ),
    "engine_missing": (
        TargetBroken,
        "{name} cannot be set up: ",
        "Nothing was changed. Correct ENGINE under DATABASES in its settings, or install what it comes in.",
    ),
    "launcher_missing": (
        TargetBroken,
        "{name} cannot be started: ",
        "Nothing was changed. Correct the launcher or the working directory of the target.",
    ),
    "launcher_never_reached": (
        TargetBroken,
        "{name} did not lead to Django: ",
        "Nothing of ours ran. Name the launcher that starts Django's commands, or a settings module.",
    ),
    "launcher_replaced": (
        TargetBroken,
        "{name} did not lead to Django: ",
        "Nothing was changed.",
    ),
    "django_missing": (
        DjangoMissing,
        "The interpreter of {name} has no Django: ",
        "Nothing was changed. Name the Python of the target's virtual environment, or install Django there.",
    ),
    "bad_directory": (
        DirectoryMissing,
        "{name} cannot be started: ",
        "Nothing was changed. Correct the working directory of the target, or let that user enter it.",
    ),
    "unreachable": (
        TargetUnreachable,
        "The database of {name} does not answer: ",
        "Nothing was changed. Try again when it does.",
    ),
    "would_reverse": (
        WouldReverse,
        "Refused for {name}: ",
        "Nothing was changed. This operation only goes forward: name a later migration.",
    ),
    "plan_changed": (
        PlanChanged,
        "Refused for {name}: ",
        "Nothing was changed. Look at the plan as it is now and start the job from it.",
    ),
    "guard_busy": (
        GuardBusy,
        "{name} is busy: ",
        "Nothing was changed. Wait for that job to end, then start this one again.",
    ),
    "guard_unavailable": (
        GuardUnavailable,
        "{name} cannot be guarded: ",
        "Nothing was changed. Without a guard no job is started: let the target write beside its database.",
    ),
    "guard_lost": (
        GuardLost,
        "{name} lost its guard and the job was stopped: ",
        "Make sure that nobody else works on the database, then inspect again.",
    ),
    "own_database": (
        OwnDatabase,
        "Refused for {name}: ",
        "Nothing was changed. Give the target a database of its own.",
    ),
    "other_database": (
        OtherDatabase,
        "Refused for {name}: ",
        "Its environment or settings have changed since the inspection. Nothing was changed. "
        "Inspect the target again and start the job anew.",
    ),
    "bad_argument": (
        BadArgument,
        "Refused for {name}: ",
        "Nothing was changed. Inspect the target again and choose from its list.",
    ),
    "bad_request": (
        ProtocolBroken,
        "The agent refused the request for {name}: ",
        "Nothing was changed. This is a defect of opsdash.",
    ),
    "failed": (
        TargetFailed,
        "The migrate of {name} failed: ",
        "Correct the cause, then start it again.",
    ),
    "spoiled": (
        TargetFailed,
        "{name} was stopped: ",
        "What it changed until then is not known: inspect the target. Let its code write only to files that "
        "it opened itself.",
    ),
    "not_proven": (
        NotProven,
        "Refused for {name}: ",
        "Nothing was changed. Inspect the target and look at its database again.",
    ),
    "tree_busy": (
        TreeBusy,
        "Refused for {name}: ",
        "Nothing was written. Wait for that job to end, then start this one again.",
    ),
    "tree_unavailable": (
        NoFileReach,
        "Refused for {name}: ",
        "Nothing was written. Without a lock on its directory no job writes there.",
    ),
    "tree_differs": (
        NoFileReach,
        "Refused for {name}: ",
        "Nothing was written. Its worker must see the tree that its Python works in.",
    ),
    "preview_changed": (
        PreviewChanged,
        "Refused for {name}: ",
        "Nothing was written. Inspect the target again and look at the new preview.",
    ),
    "makemigrations_refused": (
        MakemigrationsRefused,
        "The makemigrations of {name} refused: ",
        "Nothing was written. Do what it asks for in the project, then inspect again.",
    ),
    "outside_tree": (
        MakemigrationsRefused,
        "Refused for {name}: ",
        "Nothing was written. Take the change to where that app is developed, or name its package in "
        "MIGRATION_MODULES.",
    ),
    "file_exists": (
        TreeUnwritable,
        "Stopped for {name}: ",
        "No file was overwritten. Inspect the target again and look at the new preview.",
    ),
    "tree_unwritable": (
        TreeUnwritable,
        "The tree of {name} could not be written: ",
        "Let the user that its Python runs as write there, then start it again.",
    ),
    "act_failed": (
        TargetFailed,
        "It failed on {name}: ",
        "Correct the cause, then start it again.",
    ),
    "cancelled": (
        Cancelled,
        "The job on {name} was stopped: ",
        "Start it again to go on.",
    ),
    "ended_from_outside": (
        EndedFromOutside,
        "The job on {name} was stopped: ",
        "See what ended it (a container or a machine that was shut down, say), then start it again to go on.",
    ),
    "internal": (
        AgentFailed,
        "The agent itself failed on {name}: ",
        "Inspect the target before anything else. This is a defect of opsdash.",
    ),
}
