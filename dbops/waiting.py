"""Waiting until a database is ready: with a limit, with growing pauses, and a sentence a try."""

import math
import time
from collections.abc import Callable

from django.db import connections
from django.db.utils import Error

from dbops.exits import Exit
from dbops.inspection.trouble import trouble
from dbops.models import Target
from dbops.postgres.identity import own_identity
from dbops.postgres.readiness import Unreachable, classify
from dbops.redaction import Redactor
from dbops.target import door
from dbops.target.address_of import address_of, secrets_of
from dbops.target.errors import BadArgument, TargetError

# One try, which may take at most so many seconds: None when the database answers.
Connector = Callable[[float], Unreachable | None]

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0
# A try of opsdash's own database never takes longer.
OWN_TRY_S = 5


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
    while found := connect(limit_s - (clock() - began)):
        if not found.heals:
            say(f"{name} will not become ready by waiting ({found.reason}): {closed(found.detail)}")
            return Exit.WILL_NOT_HEAL
        if clock() - began + pause >= limit_s:
            say(f"{name} was not ready within {limit_s:g} s ({found.reason}): {closed(found.detail)}")
            return Exit.TIMED_OUT
        say(f"{name} is not ready yet ({found.reason}): {closed(found.detail)} Trying again in {pause:g} s.")
        sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_S)
    say(f"{name} is ready after {clock() - began:.1f} s.")
    return Exit.DONE


def closed(words: str) -> str:
    """The server's own words, as a sentence."""
    return words if words.endswith((".", "!", "?")) else f"{words}."


def own_database(left_s: float) -> Unreachable | None:
    """One try to reach opsdash's own database, over a connection that is not from the pool."""
    connection = connections["default"].copy()
    options = connection.settings_dict["OPTIONS"]
    options.pop("pool", None)
    options["connect_timeout"] = max(1, min(OWN_TRY_S, math.ceil(left_s)))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        return classify(str(error))
    finally:
        connection.close()
    return None


def database_of(target: Target, alias: str, longest_s: float) -> Connector:
    """Tries through the target's own interpreter: it sees what the target sees.

    What leads to the interpreter may come up as well; what is wrong with the target itself is a TargetError.
    """

    def connect(left_s: float) -> Unreachable | None:
        try:
            return _look(target, alias, min(left_s, longest_s))
        except BadArgument as error:
            return Unreachable("no_such_database", str(error))
        except TargetError as error:
            status = trouble(error, Redactor(secrets_of(target)).clean(str(error)), "")
            if status.state != "unreachable":
                raise type(error)(status.detail) from None
            return Unreachable(status.reason, status.detail)

    return connect


def _look(target: Target, alias: str, timeout_s: float) -> Unreachable | None:
    arguments = {"aliases": [alias], "forbidden_identity": own_identity(), "session": {}}
    answer = door.call(address_of(target), "inspect", arguments, timeout_s=timeout_s)
    report = next(report for report in answer["databases"] if report["alias"] == alias)
    if report.get("own_database"):
        return Unreachable("own_database", "This is opsdash's own database.")
    if report["reachable"]:
        return None
    return Unreachable(str(report["reason"]), str(report.get("detail") or ""))
