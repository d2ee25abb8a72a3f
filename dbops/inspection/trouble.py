"""A target that could not be inspected at all -> the typed status of its databases."""

from dbops.models.status import Status
from dbops.target.errors import (
    ConnectionLost,
    TargetError,
    TargetUnreachable,
    TimedOut,
    TransportFailed,
)

# What leads to the interpreter or from it to the database, not the target itself, is in trouble.
AWAY = (ConnectionLost, TimedOut, TransportFailed, TargetUnreachable)


def trouble(error: TargetError, sentence: str, traceback: str) -> Status:
    """`sentence` and `traceback` are the error's own without the target's secrets."""
    if isinstance(error, AWAY):
        unknown = "other" if isinstance(error, TargetUnreachable) else "interpreter"
        reason = str(error.facts.get("reason") or unknown)
        return Status("unreachable", sentence, reason=reason, evidence=traceback)
    return Status("broken", sentence, reason=type(error).__name__, evidence=traceback)
