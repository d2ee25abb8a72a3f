"""The schemas of a Postgres database that have a django_migrations of their own: multi-tenant projects keep
one each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import databases, squashes

if TYPE_CHECKING:
    from typing import Any

    from .disk import Disk

HERE_SQL = """
SELECT current_schema()::text, has_schema_privilege(current_schema()::text, 'CREATE')
"""
# Only those that can be read: a refused SELECT would end the transaction.
TABLES_SQL = """
SELECT n.nspname::text, quote_ident(n.nspname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relname = 'django_migrations' AND c.relkind IN ('r', 'p', 'v')
   AND n.nspname !~ '^pg_(temp|toast)'
   AND has_schema_privilege(n.oid, 'USAGE')
   -- Both columns are there and may be read.
   AND 2 = (SELECT count(*) FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attname IN ('app', 'name') AND NOT a.attisdropped
               AND has_column_privilege(c.oid, a.attnum, 'SELECT'))
 ORDER BY 1
"""
ROWS_SQL = "SELECT {place}, app::text, name::text FROM {schema}.django_migrations"
# Tables asked for in one statement.
AT_ONCE = 50


def facts(connection: Any, disk: Disk) -> dict[str, Any]:
    """schema, can_create and schemas; "", None and [] where there is no such thing or it is not told."""
    if connection.vendor != "postgresql":
        return {"schema": "", "can_create": None, "schemas": []}
    rows = databases.allowed_rows(connection, HERE_SQL) or [(None, None)]
    current, can_create = rows[0]
    return {"schema": current or "", "can_create": can_create, "schemas": others(connection, disk, current)}


def others(connection: Any, disk: Disk, current: str | None) -> list[dict[str, Any]]:
    """[] where the current schema's is the only one."""
    tables = databases.allowed_rows(connection, TABLES_SQL) or []
    if [name for name, _ in tables] in ([], [current]):
        return []
    found: list[dict[str, Any]] = []
    for start in range(0, len(tables), AT_ONCE):
        some = tables[start : start + AT_ONCE]
        for (name, _), rows in zip(some, recorded(connection, [quoted for _, quoted in some])):
            found.append({"schema": name, **counted(disk, rows), "current": name == current})
    return found


def recorded(connection: Any, schemas: list[str]) -> list[set[tuple[str, str]]]:
    """Of each of these quoted names, in this order."""
    parts = [ROWS_SQL.format(place=place, schema=schema) for place, schema in enumerate(schemas)]
    found: list[set[tuple[str, str]]] = [set() for _ in schemas]
    for place, app, name in databases.allowed_rows(connection, " UNION ALL ".join(parts)) or []:
        found[place].add((app, name))
    return found


def counted(disk: Disk, rows: set[tuple[str, str]]) -> dict[str, int]:
    replaced = {tuple(key) for migration in disk.migrations.values() for key in migration.replaces}
    unknown = sum(1 for key in rows if key not in disk.files and key not in replaced)
    return {"recorded": len(rows), "pending": squashes.pending(disk, rows), "unknown": unknown}
