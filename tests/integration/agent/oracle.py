"""What migrations do to tables with rows, as the server shows it: files, locks, scans, what is gone."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]

ROWS = 500
STRENGTH = (
    "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock",
    "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
)  # fmt: skip
BLOCKING = STRENGTH[4:]
WORDS = {
    "ShareLock": "SHARE", "ShareRowExclusiveLock": "SHARE ROW EXCLUSIVE", "AccessExclusiveLock": "ACCESS EXCLUSIVE",
}  # fmt: skip


@dataclass
class Seen:
    """Of one migration."""

    rewritten: set[str] = field(default_factory=set)
    # {table: the strongest lock on it, each time that all its rows had been read}
    scanned: dict[str, set[str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    error: str = ""


def apply(connection: Connection, migration: dict[str, Any], *, keep: bool = False) -> Seen:
    """Each statement of the migration, watched, in one transaction; nothing of it stays, unless it is kept."""
    seen = Seen()
    before = columns(connection)
    there = set(filenodes(connection))
    try:
        for statement in statements(migration):
            files, scans = filenodes(connection), rows_read(connection)
            connection.execute(statement.encode())
            now = filenodes(connection)
            seen.rewritten |= {table for table, node in now.items() if files.get(table, node) != node}
            held = locks(connection)
            for table, count in rows_read(connection).items():
                if count - scans.get(table, 0) >= ROWS and held.get(table) in BLOCKING:
                    seen.scanned.setdefault(table, set()).add(WORDS.get(held[table], held[table]))
        seen.gone = before - columns(connection)
        seen.rewritten &= there
    except psycopg.Error as problem:
        seen.error = str(problem)
    finally:
        connection.commit() if keep else connection.rollback()
    return seen


def statements(migration: dict[str, Any]) -> Iterator[str]:
    side = "reverse_" if migration["backwards"] else ""
    operations = migration["operations"]
    for operation in reversed(operations) if migration["backwards"] else operations:
        yield from sent(operation, side)
    yield from migration.get(f"{side}deferred") or []


def sent(operation: dict[str, Any], side: str) -> Iterator[str]:
    if operation["nested"]:
        for one in operation["nested"]:
            if not one["state_only"]:
                yield from sent(one, side)
    else:
        yield from operation[f"{side}sql"] or []


def filenodes(connection: Connection) -> dict[str, int]:
    query = "SELECT relname, relfilenode FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    return dict(connection.execute(query).fetchall())


def rows_read(connection: Connection) -> dict[str, int]:
    """In this transaction, by scans of the whole table."""
    return dict(connection.execute("SELECT relname, seq_tup_read FROM pg_stat_xact_user_tables").fetchall())


def locks(connection: Connection) -> dict[str, str]:
    query = (
        "SELECT relname, mode FROM pg_locks JOIN pg_class ON pg_class.oid = relation "
        "WHERE pid = pg_backend_pid() AND granted AND relkind = 'r'"
    )
    found: dict[str, str] = {}
    for table, mode in connection.execute(query).fetchall():
        if table not in found or STRENGTH.index(mode) > STRENGTH.index(found[table]):
            found[table] = mode
    return found


def columns(connection: Connection) -> set[str]:
    """The tables, and their columns as table.column."""
    query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    pairs = connection.execute(query).fetchall()
    return {table for table, _ in pairs} | {f"{table}.{column}" for table, column in pairs}
