"""inspect: the full report on the target's migrations and databases, read-only.

Arguments: aliases (a list, or null for all), session, forbidden_identity, announced (see job_sessions),
known_sources: [sha256 hex of the files whose text the caller has], details: {alias: fingerprint of the plan
that the caller has, or ""} or null for no plans, detail_budget_s.
Answer: protocol, python, django, settings_module, databases: one a database alias, see `report`; disk, apps,
packages, sources (see disk_facts), project (see there), unmade, merges (see there), previews: {"unmade",
"merges"}: fingerprints of these (see previews).

The files are read once, whatever the number of aliases. A database that does not answer hides nothing that
the files tell.
"""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING

import django
from django.db.utils import Error as DatabaseError

from . import (
    databases,
    disk_facts,
    guard,
    merges,
    previews,
    project,
    records,
    redaction,
    rights,
    schemas,
    sqlite,
    unmade,
    unreachable,
)
from .disk import Disk
from .failures import Failure, clean, describe, render
from .frames import PROTOCOL
from .history import History
from .job_sessions import job_sessions
from .session import is_read_only

if TYPE_CHECKING:
    from typing import Any

DETAIL_BUDGET_S = 60.0
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
    "inconsistencies": [],
    "squashes": [],
    "not_routed": [],
    # None: django_migrations can be read, or was not asked for. Else see records.problem; the database then
    # counts as unreachable, since nothing is known of what is applied.
    "records_problem": None,
    # See schemas.
    "schema": "",
    "schemas": [],
    "can_create": None,
    # Other aliases that lead to the same database.
    "same_as": [],
    # None: not asked for, or the caller has it. Else see planning; why it cannot be had is in plan_problem.
    "plan_detail": None,
    "plan_problem": "",
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
    disk = Disk()
    with disk.shared():
        reading = Reading(arguments, disk)
        reports = [reading.report(alias) for alias in aliases]
        made = models(utility, reports)
    made["previews"] = previews.fingerprints(made)
    for one in reports:
        one["same_as"] = [other["alias"] for other in reports if other is not one and is_same(one, other)]
    return {
        "protocol": PROTOCOL,
        "python": sys.version.split()[0],
        "django": django.get_version(),
        "settings_module": os.environ.get("DJANGO_SETTINGS_MODULE", ""),
        "databases": reports,
        "project": project.facts(),
        **disk_facts.of(disk, arguments.get("known_sources") or []),
        **made,
    }


def models(utility: Any, reports: list[dict[str, Any]]) -> dict[str, Any]:
    """unmade and merges: through the makemigrations of the project's own command line."""
    if all(report["own_database"] for report in reports):
        return {"unmade": unmade.NOT_ASKED, "merges": {}}
    conflicts = {app: names for report in reports for app, names in report["conflicts"].items()}
    try:
        command = utility.fetch_command("makemigrations")
    except (Exception, SystemExit) as problem:
        failed = {**unmade.NOT_ASKED, "state": "failed", "words": clean(describe(problem))}
        return {"unmade": {**failed, "traceback": clean(render(problem))}, "merges": {}}
    return {"unmade": unmade.judged(command), "merges": merges.previewed(command, conflicts)}


def is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """By their identity; where a server does not tell it, by the settings."""
    if one["identity"] and other["identity"]:
        return bool(one["identity"] == other["identity"])
    where = [tuple(report[name] for name in ("engine", "host", "port", "name")) for report in (one, other)]
    return bool(where[0] == where[1] and one["name"] and one["name"] != sqlite.MEMORY)


class Reading:
    """Of one database after the other."""

    def __init__(self, arguments: dict[str, Any], disk: Disk) -> None:
        self.disk = disk
        self.forbidden = arguments.get("forbidden_identity") or ""
        self.announced = arguments.get("announced")
        self.details = arguments.get("details")
        self.until = time.monotonic() + float(arguments.get("detail_budget_s") or DETAIL_BUDGET_S)

    def report(self, alias: str) -> dict[str, Any]:
        """All that BLANK names: who it is, whether it answers, its history."""
        connection, reason, detail = databases.reach(alias)
        blank = {**BLANK, **names(alias), "vendor": connection.vendor if connection is not None else ""}
        facts = dict(blank)
        try:
            if not reason:
                facts.update(self.about(connection))
                if not facts["own_database"]:
                    facts.update(self.migrations(connection))
                return facts
        except records.Unreadable as problem:
            # Who it is was read and stays true.
            error = problem.__cause__ or problem
            reason, detail = unreachable.reason(connection, error), clean(error)
            told = {"records_problem": records.problem(error), "rights": rights.denied(connection, error)}
            facts.update(told, reachable=False)
        except DatabaseError as problem:
            # It answered and then did not: half a reading does not count as one.
            reason, detail = unreachable.reason(connection, problem), clean(problem)
            facts = {**blank, "rights": rights.denied(connection, problem)}
        return {**facts, "reason": reason, "detail": detail, **History(None, [], self.disk).facts()}

    def about(self, connection: Any) -> dict[str, Any]:
        """Who it is and who is at work there. Of opsdash's own database no more than that it is."""
        identity = databases.identity(connection)
        if self.forbidden and identity == self.forbidden:
            return {"reachable": True, "identity": identity, "own_database": True}
        return {
            "reachable": True,
            "identity": identity,
            "missing": is_missing(connection),
            "read_only_confirmed": is_read_only(connection),
            "guard": guard.holder(connection),
            "job_sessions": job_sessions(connection, self.announced),
            "rights": rights.lacking(connection),
            **databases.server(connection),
            **schemas.facts(connection, self.disk),
        }

    def migrations(self, connection: Any) -> dict[str, Any]:
        try:
            rows = databases.recorded(connection)
        except DatabaseError as problem:
            raise records.Unreadable from problem
        with records.known(connection.alias, rows):
            history = History(connection, rows, self.disk)
            return {**history.facts(), **self.detail(connection, history)}

    def detail(self, connection: Any, history: History) -> dict[str, Any]:
        """The plan to the newest with all that it does, within what is left of the budget for all aliases."""
        if self.details is None or history.executor is None:
            return {}
        left_s = max(self.until - time.monotonic(), 0.0)
        known = self.details.get(connection.alias) or ""
        try:
            planning: Any = import_module(".planning", __package__)
            return {"plan_detail": planning.detail(connection, history.executor, "", "", left_s, known)}
        except DatabaseError:
            raise
        except Exception as problem:
            # One of this project's own operations, probably; what was read stays true.
            return {"plan_problem": clean(render(problem))}


def names(alias: str) -> dict[str, Any]:
    settings = databases.settings_of(alias)
    shown = {name: settings[name] for name in ("engine", "name", "host", "port", "user")}
    return dict(shown, alias=alias, connection=settings)


def is_missing(connection: Any) -> bool:
    """A SQLite file that is not there yet: how every new project begins. It reads as an empty database."""
    real = sqlite.path(connection.settings_dict["NAME"]) if connection.vendor == "sqlite" else ""
    return bool(real) and not os.path.exists(real)
