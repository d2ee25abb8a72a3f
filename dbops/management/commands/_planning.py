"""Ask for a plan and wait for it: made here, or by the worker that can reach the target."""

import time

from dbops import conf, launch
from dbops.exits import Exit
from dbops.inspection import make_plan
from dbops.management.commands._shell import PersonCommand
from dbops.models import Plan, TargetDatabase

POLL_S = 0.3
# For the way to the worker and back.
MARGIN_S = 15
BY_ERROR = {
    "BadArgument": Exit.USAGE,
    "TargetUnreachable": Exit.UNREACHABLE,
    "DriverMissing": Exit.UNREACHABLE,
    "CannotUnsealError": Exit.ERROR,
}


def asked_plan(command: PersonCommand, database: TargetDatabase, app: str, migration: str) -> Plan:
    """Ends the command with a sentence where it cannot be read."""
    elsewhere = database.target.is_served_elsewhere
    plan = launch.plan(database, app, migration, command.actor, publish=elsewhere)
    if not elsewhere:
        make_plan(plan.pk)
    _await(plan)
    plan.database = database
    if plan.is_open:
        command.refuse(
            Exit.TIMED_OUT,
            f"The plan {plan.pk} was not read in time: it waits for a worker of the queue "
            f"{database.target.inspect_queue}, and is read when one takes it. Nothing was changed.",
        )
    if plan.state == "failed":
        said = [plan.error_sentence, plan.error_traceback]
        command.refuse(BY_ERROR.get(plan.error_type, Exit.BROKEN), "\n".join(filter(None, said)))
    return plan


def _await(plan: Plan) -> None:
    deadline = time.monotonic() + conf.knob("INSPECTION_TIMEOUT_S") + MARGIN_S
    plan.refresh_from_db()
    while plan.is_open and time.monotonic() < deadline:
        time.sleep(POLL_S)
        plan.refresh_from_db()
