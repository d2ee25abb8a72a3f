"""The parts of a Postgres table, real or temporary, as its catalog tells them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from .change import CannotTell
from .parts import COLUMN, INDEX, TABLE, Part

if TYPE_CHECKING:
    from typing import Any, Iterator

# https://www.postgresql.org/docs/current/catalogs.html; attidentity is there since 10, attgenerated since 12.
COLUMNS_SQL = """
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
       a.attidentity::text, a.attgenerated::text,
       CASE WHEN a.attcollation <> t.typcollation
            THEN (SELECT c.collname::text FROM pg_collation c WHERE c.oid = a.attcollation) END,
       pg_get_expr(d.adbin, d.adrelid) = format(
           'nextval(%%L::regclass)', pg_get_serial_sequence(a.attrelid::regclass::text, a.attname)::regclass
       )
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
"""
CONSTRAINTS_SQL = """
SELECT conname::text, contype::text, pg_get_constraintdef(oid)
  FROM pg_constraint
 WHERE conrelid = %s AND contype IN ('p', 'u', 'c', 'x')
"""
FOREIGN_KEYS_SQL = """
SELECT k.conname::text,
       -- With its schema where the name alone leads to another table.
       CASE WHEN t.oid = to_regclass(quote_ident(t.relname)) THEN t.relname::text
            ELSE t.oid::regclass::text END,
       (SELECT array_agg(a.attname::text ORDER BY n.place)
          FROM unnest(k.conkey) WITH ORDINALITY AS n(number, place)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = n.number),
       (SELECT array_agg(a.attname::text ORDER BY n.place)
          FROM unnest(k.confkey) WITH ORDINALITY AS n(number, place)
          JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = n.number),
       k.confdeltype::text, k.confupdtype::text, k.confmatchtype::text,
       k.condeferrable AND k.condeferred, k.convalidated
  FROM pg_constraint k JOIN pg_class t ON t.oid = k.confrelid
 WHERE k.conrelid = %s AND k.contype = 'f'
"""
INDEXES_SQL = """
SELECT c.relname::text, pg_get_indexdef(i.indexrelid), i.indisunique, i.indisvalid
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid = %s
   AND NOT EXISTS (SELECT 1 FROM pg_constraint k
                    WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid
                      AND k.contype IN ('p', 'u', 'x'))
"""
FIND_SQL = "SELECT oid, relkind::text FROM pg_class WHERE oid = to_regclass(quote_ident(%s))"
FIND_TEMPORARY_SQL = "SELECT to_regclass('pg_temp.' || quote_ident(%s))::oid"
# What cannot be told of a name is not looked for beyond the temporary schema.
PATH_SQL = """
SELECT set_config('search_path', concat_ws(', ', 'pg_temp', nullif(current_setting('search_path'), '')), true)
"""
CONSTRAINT_KINDS = {"p": "primary key", "u": "unique constraint", "c": "check", "x": "exclusion constraint"}
ACTIONS = {"a": "", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


@contextlib.contextmanager
def thrown_away(place: Any, tables: list[str]) -> Iterator[dict[str, int]]:
    """A transaction that is rolled back whatever happens, in which a table is made in pg_temp. Gives {table:
    oid} of the real ones."""
    place.ensure_connection()
    place.set_autocommit(False)
    try:
        with place.cursor() as cursor:
            # Sessions that only read are read-only, where not even a temporary table can be made.
            cursor.execute("SET TRANSACTION READ WRITE")
            real = {table: oid for table in tables for oid in found(cursor, table)}
            cursor.execute(PATH_SQL)
        yield real
    finally:
        place.rollback()
        place.set_autocommit(True)


def found(cursor: Any, table: str) -> list[int]:
    cursor.execute(FIND_SQL, [table])
    rows = cursor.fetchall()
    if rows and rows[0][1] not in ("r", "p"):
        raise CannotTell(f"{table} is there, but it is no table")
    return [row[0] for row in rows]


def temporary_parts(place: Any, table: str) -> list[Part]:
    with place.cursor() as cursor:
        cursor.execute(FIND_TEMPORARY_SQL, [table])
        oid = cursor.fetchone()[0]
    if oid is None:
        raise CannotTell(f"the table {table} could not be made to compare with")
    return parts(place, oid)


def parts(place: Any, oid: int) -> list[Part]:
    with place.cursor() as cursor:
        return [
            Part(TABLE, ""),
            *(column(*row) for row in asked(cursor, COLUMNS_SQL, oid)),
            *(constraint(*row) for row in asked(cursor, CONSTRAINTS_SQL, oid)),
            *(real_foreign_key(*row) for row in asked(cursor, FOREIGN_KEYS_SQL, oid)),
            *(index(*row) for row in asked(cursor, INDEXES_SQL, oid)),
        ]


def asked(cursor: Any, query: str, oid: int) -> list[Any]:
    cursor.execute(query, [oid])
    rows: list[Any] = cursor.fetchall()
    return rows


def column(
    name: str,
    kind: str,
    is_required: bool,
    default: str | None,
    identity: str,
    generated: str,
    collation: str | None,
    owns_its_sequence: bool | None,
) -> Part:
    words = [kind, f'COLLATE "{collation}"' if collation else "", "NOT NULL" if is_required else "NULL"]
    if identity == "a":
        words.append("numbered by the database, always")
    elif identity or owns_its_sequence:
        # Django made serial columns up to 4.0 and identity columns since; it treats them alike.
        words.append("numbered by the database")
    elif default is not None:
        words.append(f"GENERATED AS ({default}) {generated}" if generated.strip() else f"DEFAULT {default}")
    return Part(COLUMN, name, " ".join(filter(None, words)))


def constraint(name: str, kind: str, definition: str) -> Part:
    return Part(CONSTRAINT_KINDS[kind], name, definition)


def real_foreign_key(
    name: str,
    table: str,
    columns: list[str],
    to: list[str],
    on_delete: str,
    on_update: str,
    match: str,
    deferred: bool,
    validated: bool,
) -> Part:
    rule = [
        "" if match == "s" else f"MATCH {'FULL' if match == 'f' else match}",
        f"ON DELETE {ACTIONS[on_delete]}" if ACTIONS[on_delete] else "",
        f"ON UPDATE {ACTIONS[on_update]}" if ACTIONS[on_update] else "",
        "" if deferred else "not deferred",
        "" if validated else "NOT VALID",
    ]
    return foreign_key(name, columns, table, to, " ".join(filter(None, rule)))


def foreign_key(name: str, columns: list[str], table: str, to: list[str], rule: str) -> Part:
    definition = f"({', '.join(columns)}) REFERENCES {table} ({', '.join(to)}) {rule}".strip()
    return Part("foreign key", name, definition)


def index(name: str, definition: str, is_unique: bool, is_valid: bool) -> Part:
    """Without its name and its table's: it is told by what it is on."""
    on = definition.partition(" USING ")[2]
    return Part(INDEX, name, f"{'UNIQUE ' if is_unique else ''}{on}", invalid=not is_valid)
