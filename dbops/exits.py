"""Exit codes of opsdash's commands; docs/shell.md describes them."""

from enum import IntEnum

from dbops.models.status import Status


class Exit(IntEnum):
    DONE = 0  # asked for and true: nothing to apply, job succeeded, database ready
    ERROR = 1  # opsdash's own trouble, or a name that does not exist (Django's CommandError)
    USAGE = 2  # the command line is wrong (argparse)
    PENDING = 3  # migrations wait to be applied
    JOB_FAILED = 4
    BROKEN = 5  # the target cannot be imported, or its migrations cannot be applied as they are
    UNREACHABLE = 6
    REFUSED = 7  # not started: another job works there, or it is not allowed
    CANCELLED = 8
    TIMED_OUT = 9
    WILL_NOT_HEAL = 10  # waiting does not help: wrong password, no such database
    UNKNOWN = 11  # never inspected, or too long ago
    UNSERVED = 12  # no worker serves a queue that a target needs
    DIFFERENT = 13  # compare: the two are not the same


# Which state of a database decides the exit code of `status`, the worst first.
BY_STATE: tuple[tuple[str, Exit], ...] = (
    ("broken", Exit.BROKEN),
    ("unreachable", Exit.UNREACHABLE),
    ("inconsistent", Exit.BROKEN),
    ("conflict", Exit.BROKEN),
    ("unknown", Exit.UNKNOWN),
    ("ghosts", Exit.BROKEN),
    ("pending", Exit.PENDING),
)
BY_JOB_STATE = {
    "succeeded": Exit.DONE,
    "failed": Exit.JOB_FAILED,
    "lost": Exit.JOB_FAILED,
    "cancelled": Exit.CANCELLED,
}


def exit_for(statuses: list[Status]) -> Exit:
    states = {status.state for status in statuses}
    return next((code for state, code in BY_STATE if state in states), Exit.DONE)
