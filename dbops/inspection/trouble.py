"""A target that could not be inspected at all -> the typed status of its databases."""

from dbops.models.status import Status
from dbops.target.errors import (
    ConnectionLost,
    TargetError,
    TargetUnreachable,
    TimedOut,
    TransportFailed,
)

# What leads to the interpreter, not the target itself, is in trouble.
AWAY = (ConnectionLost, TimedOut, TransportFailed, TargetUnreachable)


def trouble(error: TargetError, sentence: str, traceback: str) -> Status:
    """`sentence` and `traceback` are the error's own without the target's secrets."""
    if isinstance(error, AWAY):
        reason = error.reason if isinstance(error, TargetUnreachable) else "interpreter"
        return Status("unreachable", sentence, reason=reason, evidence=traceback)
    return Status("broken", sentence, reason=type(error).__name__, evidence=traceback)
