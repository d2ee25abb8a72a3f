"""The target's databases: which they are, whether they answer, who they are."""

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import Error as DatabaseError

from . import sqlite, unreachable
from .failures import Failure, clean

# Source: https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-CONTROLDATA
IDENTITY_SQL = """
SELECT (SELECT system_identifier FROM pg_control_system())::text,
       (SELECT oid FROM pg_database WHERE datname = current_database())::text
"""
SERVER_SQL = (
    "SELECT current_setting('server_version'), pg_postmaster_start_time(), pg_is_in_recovery(), current_user"
)


def open_or_refuse(alias, forbidden_identity):
    """The alias's open connection, for a verb that needs it; a Failure when it cannot be had or is opsdash's own database."""
    if alias not in connections.settings:
        known = ", ".join(sorted(connections.settings))
        raise Failure(
            "bad_argument", "There is no database alias %r; there are: %s." % (alias, known), "person"
        )
    connection, why, detail = reach(alias)
    if why:
        raise Failure("unreachable", detail, "server", {"reason": why, "alias": alias})
    if forbidden_identity and identity(connection) == forbidden_identity:
        raise Failure("own_database", OWN_DATABASE % alias, "person", {"alias": alias})
    return connection


OWN_DATABASE = "The alias %r is opsdash's own database."


def reach(alias):
    """(connection or None, reason, detail): connected when the reason is ""."""
    try:
        connection = connections[alias]
    except (ImproperlyConfigured, ImportError) as problem:
        return None, "driver_missing", clean(problem)
    if connection.vendor == "unknown":
        return connection, "other", "The settings name no database engine for this alias."
    try:
        connection.ensure_connection()
    except (ImproperlyConfigured, ImportError) as problem:
        return connection, "other", clean(problem)
    except DatabaseError as problem:
        return connection, unreachable.reason(connection, problem), clean(problem)
    return connection, "", ""


def renewed(alias):
    """A new connection under this alias, whatever state the old one is in. Everything of Django's uses it from now on."""
    connections[alias].close()
    connections[alias] = connections.create_connection(alias)
    return connections[alias]


def identity(connection):
    """What two targets on one database have in common, or "" where the server does not tell."""
    if connection.vendor == "sqlite":
        real = sqlite.path(connection.settings_dict["NAME"])
        return "sqlite:" + real if real else ""
    if connection.vendor != "postgresql":
        return ""
    try:
        with connection.cursor() as cursor:
            cursor.execute(IDENTITY_SQL)
            return "postgres:%s:%s" % cursor.fetchone()
    except DatabaseError:
        return ""


def server(connection):
    """Facts about the server, to compare the target's view of it with another's."""
    if connection.vendor == "sqlite":
        return {"server_version": connection.Database.sqlite_version}
    if connection.vendor != "postgresql":
        return {"server_version": ""}
    with connection.cursor() as cursor:
        cursor.execute(SERVER_SQL)
        version, started, in_recovery, user = cursor.fetchone()
    return {
        "server_version": version,
        "postmaster_start": started.isoformat(),
        "in_recovery": in_recovery,
        "current_user": user,
    }


def settings_of(alias):
    """How the target connects, password included: the reader seals it."""
    settings = connections.settings[alias]
    return {
        "engine": str(settings.get("ENGINE") or ""),
        "name": str(settings.get("NAME") or ""),
        "user": str(settings.get("USER") or ""),
        "password": str(settings.get("PASSWORD") or ""),
        "host": str(settings.get("HOST") or ""),
        "port": str(settings.get("PORT") or ""),
        "options": plain(settings.get("OPTIONS") or {}),
    }


def plain(value):
    """JSON of whatever an option holds."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def recorded(connection):
    """The rows of django_migrations in the order in which they were made, as [app, name, ISO time]; a row may be there twice."""
    recorder = MigrationRecorder(connection)
    if not recorder.has_table():
        return []
    rows = recorder.migration_qs.order_by("id").values_list("app", "name", "applied")
    return [[app, name, applied.isoformat()] for app, name, applied in rows]
