"""inspect: the full report on every database alias.

Arguments: aliases (null for all, or a list), session, forbidden_identity.
Answer: python, django, settings_module, databases: one per alias, see `report`.
"""

import os
import sys

import django
from django.db import connections
from django.db.utils import Error as DatabaseError

from . import databases, guard, redaction, sqlite, unreachable
from .failures import Failure, clean, describe
from .frames import PROTOCOL
from .history import History


def run(arguments, session, channel, utility):
    aliases = arguments.get("aliases")
    unknown = [alias for alias in aliases or () if alias not in connections.settings]
    if unknown:
        raise Failure("bad_argument", "There is no database alias %s." % ", ".join(unknown), "person")
    learn_passwords()
    forbidden = arguments.get("forbidden_identity") or ""
    return {
        "protocol": PROTOCOL,
        "python": sys.version.split()[0],
        "django": django.get_version(),
        "settings_module": os.environ.get("DJANGO_SETTINGS_MODULE", ""),
        "databases": [report(alias, session, forbidden) for alias in aliases or connections.settings],
    }


def learn_passwords():
    """Before any message can hold one."""
    for alias in connections.settings:
        redaction.learn(str(connections.settings[alias].get("PASSWORD") or ""))


def report(alias, session, forbidden):
    """What is known of one alias; `reachable` False leaves what is on disk, `own_database` leaves nothing more than that."""
    connection, reason, detail = databases.reach(alias)
    facts = blank(alias, connection)
    if reason:
        return dict(facts, reason=reason, detail=detail, **migrations_of(History(None, [])))
    try:
        facts.update(identity=databases.identity(connection), reachable=True)
        if forbidden and facts["identity"] == forbidden:
            return dict(facts, own_database=True)
        facts.update(databases.server(connection), guard=guard.holder(connection))
        facts.update(missing=is_missing(connection), read_only_confirmed=session.is_read_only(alias))
        facts.update(migrations_of(read(connection)))
    except DatabaseError as problem:
        # It answered and then did not: the reading is incomplete, so it does not count as one.
        reason = unreachable.reason(connection, problem)
        facts.update(
            reachable=False,
            reason=reason,
            detail=clean(describe(problem)),
            **migrations_of(History(None, [])),
        )
    return facts


def read(connection):
    rows = databases.recorded(connection)
    return History(connection, rows)


def blank(alias, connection):
    settings = databases.settings_of(alias)
    return {
        "alias": alias,
        "vendor": connection.vendor if connection is not None else "",
        "engine": settings["engine"],
        "name": settings["name"],
        "host": settings["host"],
        "port": settings["port"],
        "user": settings["user"],
        "connection": settings,
        "server_version": "",
        "identity": "",
        "reachable": False,
        "missing": False,
        "reason": "",
        "detail": "",
        "own_database": False,
        "read_only_confirmed": False,
        "guard": guard.nobody(),
        "applied": [],
        "migrations": {},
        "plan": [],
        "conflicts": {},
        "errors": [],
        "ghosts": [],
        "prunable": [],
    }


def is_missing(connection):
    """A SQLite file that is not there yet: how every new project begins. It reads as an empty database."""
    real = sqlite.path(connection.settings_dict["NAME"]) if connection.vendor == "sqlite" else ""
    return bool(real) and not os.path.exists(real)


def migrations_of(history):
    ghosts, prunable = history.unknown_rows()
    return {
        "applied": history.rows,
        "migrations": history.migrations(),
        "plan": [{"app": migration.app_label, "name": migration.name} for migration, _ in history.plan()],
        "conflicts": history.conflicts(),
        "errors": history.errors,
        "ghosts": ghosts,
        "prunable": prunable,
    }
