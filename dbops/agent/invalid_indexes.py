"""Indexes that Postgres holds invalid: what a CREATE INDEX CONCURRENTLY that failed leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import databases

if TYPE_CHECKING:
    from typing import Any

# Whoever builds an index, concurrently or not, holds such a lock on its table from beginning to end, and
# every role sees that; of pg_stat_progress_create_index a role sees its own builds alone.
# https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
INVALID_SQL = """
SELECT n.nspname::text, t.relname::text, c.relname::text, pg_get_indexdef(i.indexrelid),
       (SELECT k.conname::text FROM pg_constraint k
         WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x') LIMIT 1),
       EXISTS (SELECT 1 FROM pg_locks l
                WHERE l.locktype = 'relation' AND l.relation IN (i.indrelid, i.indexrelid)
                  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                  AND l.pid IS DISTINCT FROM pg_backend_pid()
                  AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')),
       c.relkind = 'I' OR EXISTS (SELECT 1 FROM pg_inherits h WHERE h.inhrelid = c.oid),
       format('DROP INDEX CONCURRENTLY %I.%I', n.nspname, c.relname)
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_class t ON t.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT i.indisvalid AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
 ORDER BY 1, 2, 3
 LIMIT 100
"""
NAMES = ("schema", "table", "name", "definition", "constraint", "building", "partitioned", "statement")


def invalid_indexes(connection: Any) -> list[dict[str, Any]] | None:
    """[{schema, table, name, definition, constraint (its name or None), building (somebody works on it, or on
    its table, in a way that may be that), partitioned, statement (that drops it), droppable}]. None: not
    known. Others than Postgres have none."""
    if connection.vendor != "postgresql":
        return []
    rows = databases.allowed_rows(connection, INVALID_SQL, None)
    return None if rows is None else [fact(dict(zip(NAMES, row))) for row in rows]


def fact(row: dict[str, Any]) -> dict[str, Any]:
    kept = bool(row["constraint"]) or row["building"] or row["partitioned"]
    return dict(row, droppable=not kept)
