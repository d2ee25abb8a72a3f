"""What a test asks of a plan, and how a database looks that a plan was carried out on."""

import re
import sqlite3
import sys
from pathlib import Path
from typing import Any

from dbops.inspection import shape
from dbops.target import door
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import LONG_S
from tests.targets.builder import Project

TABLES = (
    "SELECT relname::text, oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
    "AND relname NOT LIKE 'django_%'"
)
COLUMNS = (
    "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text, "
    "pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid "
    "AND d.adnum = a.attnum WHERE a.attrelid = {} AND a.attnum > 0 AND NOT a.attisdropped"
)
CONSTRAINTS = (
    "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE conrelid = {} AND contype <> 'n'"
)
INDEXES = (
    "SELECT c.relname::text, pg_get_indexdef(c.oid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "WHERE i.indrelid = {} AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = c.oid)"
)


def plan(project: Project, python: str = sys.executable, **arguments: Any) -> Any:
    address = project.address(argv=(python,))
    answer = door.call(address, "plan", {"alias": "default", **arguments}, timeout_s=LONG_S)
    assert (shape.snapshot if arguments.get("schema") else shape.plan)(answer) == ""
    return answer


def entry(answer: Any, name: str) -> Any:
    return next(one for one in answer["migrations"] if one["name"] == name)


def only(answer: Any, name: str) -> Any:
    """The one operation of this migration."""
    (operation,) = entry(answer, name)["operations"]
    return operation


def statements(found: Any, way: str = "") -> list[str]:
    """Of one migration, in the order in which they are sent."""
    operations = reversed(found["operations"]) if way else found["operations"]
    return [*(text for one in operations for text in one[way + "sql"] or []), *found[way + "deferred"]]


class Real:
    """A database as it is: {table: {column: facts}}, {table: {constraint: definition}}, indexes likewise."""

    def __init__(self) -> None:
        self.columns: dict[str, Any] = {}
        self.constraints: dict[str, dict[str, str]] = {}
        self.indexes: dict[str, dict[str, str]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Real) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return repr(vars(self))


def on_postgres(database: Database) -> Real:
    real = Real()
    for table, oid in database.rows(TABLES):
        rows = database.rows(COLUMNS.format(oid))
        real.columns[table] = {name: (kind, not required, *more) for name, kind, required, *more in rows}
        real.constraints[table] = dict(database.rows(CONSTRAINTS.format(oid)))
        real.indexes[table] = dict(database.rows(INDEXES.format(oid)))
    return real


def on_sqlite(path: Path) -> Real:
    real = Real()
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT name, type, sql, tbl_name FROM sqlite_master").fetchall()
        for name, kind, text, table in found:
            if kind == "table" and not name.startswith(("django_", "sqlite_")):
                rows = connection.execute(f'PRAGMA table_xinfo("{name}")').fetchall()
                real.columns[name] = {row[1]: (row[2].lower(), not row[3]) for row in rows}
                real.constraints[name] = dict.fromkeys(re.findall(r'CONSTRAINT "(\w+)"', text), "")
            elif kind == "index" and text and not table.startswith("django_"):
                real.indexes.setdefault(table, {})[name] = text
    return real


def supposed(so_far: dict[str, Any], found: Any) -> None:
    """The tables behind a migration of a plan, by those before it."""
    for table in [*found["before"], *(old for old, _ in found["renames"])]:
        so_far.pop(table, None)
    so_far.update(found["after"])


def kind_on_postgres(database: Database, words: str) -> str:
    """As the database calls a type, without its length."""
    name = re.sub(r"\(.*\)", "", words).replace("bigserial", "bigint").replace("serial", "integer")
    return str(database.rows(f"SELECT '{name}'::regtype::text")[0][0])
