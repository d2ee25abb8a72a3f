"""inspect: the full report on the target's databases, read-only.

Arguments: aliases (a list, or null for all), session, forbidden_identity, announced (see
job_sessions).
Answer: protocol, python, django, settings_module, databases: one a database alias, see `report`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import django
from django.db.utils import Error as DatabaseError

from . import databases, guard, redaction, rights, sqlite, unreachable
from .failures import Failure, clean
from .frames import PROTOCOL
from .history import History
from .job_sessions import job_sessions
from .session import is_read_only

if TYPE_CHECKING:
    from typing import Any

BLANK = {
    "alias": "",
    "vendor": "",
    "engine": "",
    "name": "",
    "host": "",
    "port": "",
    "user": "",
    # Complete, with the password: the reader seals it.
    "connection": {},
    "server_version": "",
    "identity": "",
    "reachable": False,
    "missing": False,
    "reason": "",
    "detail": "",
    "own_database": False,
    "read_only_confirmed": False,
    "guard": guard.UNREAD,
    # None: not known. A list: see job_sessions.
    "job_sessions": None,
    # None: nothing is lacking, or not known. Else see rights.
    "rights": None,
    "applied": [],
    "migrations": {},
    "plan": [],
    "conflicts": {},
    "errors": [],
    "ghosts": [],
    "prunable": [],
}


def run(arguments: dict[str, Any], session: Any, channel: Any, utility: Any) -> dict[str, Any]:
    settings = databases.settings_by_alias()
    # Before any message can hold one.
    for alias in settings:
        redaction.learn(settings[alias].get("PASSWORD"))
    aliases = arguments.get("aliases") or list(settings)
    unknown = [alias for alias in aliases if alias not in settings]
    if unknown:
        raise Failure("bad_argument", f"There is no database alias {', '.join(unknown)}.", "person")
    forbidden = arguments.get("forbidden_identity") or ""
    announced = arguments.get("announced")
    return {
        "protocol": PROTOCOL,
        "python": sys.version.split()[0],
        "django": django.get_version(),
        "settings_module": os.environ.get("DJANGO_SETTINGS_MODULE", ""),
        "databases": [report(alias, forbidden, announced) for alias in aliases],
    }


def report(alias: str, forbidden: str, announced: Any) -> dict[str, Any]:
    """All that BLANK names: who it is, whether it answers, its history."""
    connection, reason, detail = databases.reach(alias)
    facts = {**BLANK, **names(alias), "vendor": connection.vendor if connection is not None else ""}
    try:
        if not reason:
            facts.update(read(connection, forbidden, announced))
            return facts
    except DatabaseError as problem:
        # It answered and then did not: half a reading does not count as one.
        reason, detail = unreachable.reason(connection, problem), clean(problem)
        facts["rights"] = rights.denied(connection, problem)
    return {**facts, "reason": reason, "detail": detail, **History(None, []).facts()}


def names(alias: str) -> dict[str, Any]:
    settings = databases.settings_of(alias)
    shown = {name: settings[name] for name in ("engine", "name", "host", "port", "user")}
    return dict(shown, alias=alias, connection=settings)


def read(connection: Any, forbidden: str, announced: Any) -> dict[str, Any]:
    identity = databases.identity(connection)
    if forbidden and identity == forbidden:
        return {"reachable": True, "identity": identity, "own_database": True}
    return {
        "reachable": True,
        "identity": identity,
        "missing": is_missing(connection),
        "read_only_confirmed": is_read_only(connection),
        "guard": guard.holder(connection),
        "job_sessions": job_sessions(connection, announced),
        "rights": rights.lacking(connection),
        **databases.server(connection),
        **History(connection, databases.recorded(connection)).facts(),
    }


def is_missing(connection: Any) -> bool:
    """A SQLite file that is not there yet: how every new project begins. It reads as an empty database."""
    real = sqlite.path(connection.settings_dict["NAME"]) if connection.vendor == "sqlite" else ""
    return bool(real) and not os.path.exists(real)
