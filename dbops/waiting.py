"""Waiting until a database is ready: with a limit, with growing pauses, and a sentence a try."""

import time
from collections.abc import Callable

from django.db import connections
from django.db.utils import Error

from dbops.exits import Exit
from dbops.models import Target
from dbops.postgres.identity import own_identity
from dbops.postgres.readiness import Unreachable, classify
from dbops.target import door
from dbops.target.address_of import address_of
from dbops.target.errors import BadArgument

# One try: None when the database answers.
Connector = Callable[[], Unreachable | None]

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0


def wait(
    connect: Connector,
    *,
    name: str,
    limit_s: float,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Exit:
    """Try until it answers, the limit is reached, or waiting cannot help."""
    began, pause = clock(), FIRST_PAUSE_S
    while trouble := connect():
        waited = clock() - began
        if not trouble.heals:
            say(f"{name} will not become ready by waiting ({trouble.reason}): {trouble.detail}")
            return Exit.WILL_NOT_HEAL
        if waited + pause > limit_s:
            say(f"{name} was not ready within {limit_s:g} s ({trouble.reason}): {trouble.detail}")
            return Exit.TIMED_OUT
        say(f"{name} is not ready yet ({trouble.reason}): {trouble.detail} Trying again in {pause:g} s.")
        sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_S)
    say(f"{name} is ready after {clock() - began:.1f} s.")
    return Exit.DONE


def own_database() -> Unreachable | None:
    """One try to reach opsdash's own database."""
    connection = connections["default"]
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        return classify(str(error))
    finally:
        connection.close()
    return None


def database_of(target: Target, alias: str, timeout_s: float) -> Connector:
    """Tries through the target's own interpreter: it sees what the target sees."""

    def connect() -> Unreachable | None:
        arguments = {"aliases": [alias], "forbidden_identity": own_identity(), "session": {}}
        try:
            answer = door.call(address_of(target), "inspect", arguments, timeout_s=timeout_s)
        except BadArgument as error:
            return Unreachable("no_such_database", str(error))
        report = next(report for report in answer["databases"] if report["alias"] == alias)
        if report.get("own_database"):
            return Unreachable("own_database", "This is opsdash's own database.")
        if report["reachable"]:
            return None
        return Unreachable(str(report["reason"]), str(report.get("detail") or ""))

    return connect
