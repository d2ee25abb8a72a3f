"""The target's databases: which they are, whether they answer, who they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import Error as DatabaseError

from . import drivers, sqlite, unreachable
from .failures import Failure, clean, describe

if TYPE_CHECKING:
    from typing import Any

# https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-CONTROLDATA
IDENTITY_SQL = """
SELECT (SELECT system_identifier FROM pg_control_system())::text,
       (SELECT oid FROM pg_database WHERE datname = current_database())::text
"""
SERVER_SQL = """
SELECT current_setting('server_version'), pg_postmaster_start_time(), pg_is_in_recovery(), current_user::text
"""

NO_ENGINE = (
    "Its settings name no database engine for this alias: DATABASES is empty there, or what it is read from "
    "is."
)


def settings_by_alias() -> dict[str, dict[str, Any]]:
    settings: dict[str, dict[str, Any]] = connections.settings
    return settings


def open_or_refuse(alias: str, forbidden_identity: str, expected_identity: str = "") -> Any:
    """The alias's open connection. A Failure when it cannot be had, leads to opsdash's own database or, when
    one is expected, to another than that."""
    if alias not in settings_by_alias():
        known = ", ".join(sorted(settings_by_alias()))
        raise Failure("bad_argument", f"There is no database alias {alias}; there are: {known}.", "person")
    connection, why, detail = made(alias)
    if not why and connection.vendor == "sqlite":
        # Its path says who it is. Opened first, a wrong file that is missing would be made.
        refuse_wrong(connection, forbidden_identity, expected_identity)
    if not why:
        why, detail = connected(connection)
    if why:
        raise Failure(
            "unreachable", detail, "server", {"reason": why, "alias": alias, "rights": lacks(connection)}
        )
    refuse_wrong(connection, forbidden_identity, expected_identity)
    return connection


def lacks(connection: Any) -> dict[str, str] | None:
    """What is known of it without a connection."""
    is_file = getattr(connection, "vendor", "") == "sqlite"
    return sqlite.lacking(connection.settings_dict["NAME"]) if is_file else None


def refuse_wrong(connection: Any, forbidden: str, expected: str) -> None:
    found = identity(connection) if forbidden or expected else ""
    if forbidden and found == forbidden:
        message = f"The alias {connection.alias} leads to opsdash's own database."
        raise Failure("own_database", message, "person")
    if expected and found != expected:
        facts = {"identity": found, "expected_identity": expected}
        raise Failure("other_database", another(connection.alias, found, expected), "person", facts)


def another(alias: str, found: str, expected: str) -> str:
    if found:
        known = "leads to another database than the one the job was asked for"
        return f"The alias {alias} {known}: to {found}, not to {expected}."
    unknown = "leads to a database that does not tell its identity"
    return f"The alias {alias} {unknown}; the job was asked for {expected}."


def reach(alias: str) -> tuple[Any, str, str]:
    """(connection or None, reason, detail): it is connected when the reason is ""."""
    connection, why, detail = made(alias)
    if not why:
        why, detail = connected(connection)
    return connection, why, detail


def made(alias: str) -> tuple[Any, str, str]:
    """As reach, without connecting."""
    try:
        connection = connections[alias]
    except (ImproperlyConfigured, ImportError) as problem:
        return (None, *not_made(problem))
    if connection.vendor == "unknown":
        return connection, "engine", NO_ENGINE
    return connection, "", ""


def not_made(problem: Exception) -> tuple[str, str]:
    driver = drivers.missing(problem)
    return (
        ("driver_missing", clean(driver))
        if driver
        else ("engine", clean(drivers.no_engine(problem) or problem))
    )


def connected(connection: Any) -> tuple[str, str]:
    """(reason, detail), both "" when it is."""
    try:
        connection.ensure_connection()
    except (ImproperlyConfigured, ImportError) as problem:
        return "other", clean(problem)
    except DatabaseError as problem:
        return unreachable.reason(connection, problem), clean(problem)
    except Exception as problem:
        # A host or an option that makes no sense, a backend of the project's own: the other aliases are well.
        return "other", clean(describe(problem))
    return "", ""


def renewed(alias: str) -> Any:
    """A new connection under this alias, whatever state the old one is in. Django uses it from now on."""
    connections[alias].close()
    connections[alias] = connections.create_connection(alias)
    return connections[alias]


def identity(connection: Any) -> str:
    """What two targets on one database have in common, or "" where the server does not tell."""
    if connection.vendor == "sqlite":
        real = sqlite.path(connection.settings_dict["NAME"])
        return "sqlite:" + real if real else ""
    if connection.vendor != "postgresql":
        return ""
    rows = allowed_rows(connection, IDENTITY_SQL)
    return "postgres:{}:{}".format(*rows[0]) if rows else ""


def allowed_rows(connection: Any, query: str, parameters: Any = ()) -> list[Any] | None:
    """None where the server does not let us ask. With AUTOCOMMIT off the next question can still be asked."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(query, parameters)
            rows: list[Any] = cursor.fetchall()
            return rows
    except DatabaseError:
        if not connection.get_autocommit():
            connection.rollback()
        return None


def server(connection: Any) -> dict[str, Any]:
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


def settings_of(alias: str) -> dict[str, Any]:
    """How the target connects, password included."""
    settings = settings_by_alias()[alias]
    names = ("engine", "name", "user", "password", "host", "port")
    texts = {name: str(settings.get(name.upper()) or "") for name in names}
    return dict(texts, options=plain(settings.get("OPTIONS") or {}))


def plain(value: Any) -> Any:
    """JSON of whatever an option holds."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def recorded(connection: Any) -> list[list[Any]]:
    """The rows of django_migrations as they were made: [app, name, ISO time]. One may be there twice.

    The time is None where what SQLite holds there is none."""
    recorder = MigrationRecorder(connection)
    if not recorder.has_table():
        return []
    rows = recorder.migration_qs.order_by("id").values_list("app", "name", "applied")
    return [[app, name, applied and applied.isoformat()] for app, name, applied in rows]
