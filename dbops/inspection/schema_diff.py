"""What a plan changes in the schema, computed from the states of its migrations: tables before and after.

Pure: PLAN (or its schemas) in, frozen rows out. Nothing is asked of a database.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .table_change import (
    CREATED,
    DROPPED,
    Pair,
    Piece,
    Row,
    TableChange,
    number,
    table_change,
)
from .table_lines import Table

__all__ = [
    "Pair",
    "Piece",
    "Row",
    "SchemaDiff",
    "TableChange",
    "as_text",
    "between",
    "of_migration",
    "of_plan",
]

NAMED = 3
Schema = Mapping[str, Table]
Renames = Iterable[Sequence[str]]


@dataclass(frozen=True)
class SchemaDiff:
    # By name; those that are created, changed and dropped together.
    tables: tuple[TableChange, ...]
    # Why the states cannot tell, for the migrations where they cannot: "orders.0003: ...".
    problems: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """ "2 tables created, 1 column dropped from ordersorder", or "no change of the schema"."""
        return summary(self.tables)

    def __bool__(self) -> bool:
        return bool(self.tables)


def of_migration(migration: Mapping[str, Any]) -> SchemaDiff:
    """What this one migration changes, in the direction of its plan."""
    return of_migrations([migration])


def of_plan(plan: Mapping[str, Any]) -> SchemaDiff:
    """From before the first migration to after the last; renamed tables are followed."""
    return of_migrations(plan.get("migrations") or [])


def between(one: Schema, other: Schema) -> SchemaDiff:
    """Two schemas ({table: TABLE}): what the second has otherwise than the first."""
    tables = [table_change(name, one.get(name), other.get(name)) for name in sorted({*one, *other})]
    return SchemaDiff(tuple(table for table in tables if table))


@dataclass
class Course:
    """A table on its way through the migrations; None: it is not there."""

    first: Table | None
    first_name: str
    last: Table | None
    # {name at first: name now}
    columns: dict[str, str]


def of_migrations(migrations: Iterable[Mapping[str, Any]]) -> SchemaDiff:
    courses: dict[str, Course] = {}
    problems = []
    for migration in migrations:
        if migration.get("problem"):
            problems.append(f"{migration['app']}.{migration['name']}: {migration['problem']}")
        follow(courses, migration)
    changes = [change(name, course) for name, course in sorted(courses.items())]
    return SchemaDiff(tuple(one for one in changes if one), tuple(problems))


def follow(courses: dict[str, Course], migration: Mapping[str, Any]) -> None:
    before, after = migration.get("before") or {}, migration.get("after") or {}
    for name, table in before.items():
        courses.setdefault(name, Course(table, name, table, {}))
    for old, new in migration.get("renames") or []:
        if old in courses and new not in before:
            courses[new] = courses.pop(old)
    for old, new, table_name in renamed_columns(migration):
        if table_name in courses:
            rename(courses[table_name], old, new)
    for name in [name for name in before if name in courses and name not in after]:
        courses[name].last = None
    for name, table in after.items():
        courses.setdefault(name, Course(None, name, None, {})).last = table


def change(name: str, course: Course) -> TableChange | None:
    stayed = course.first is not None and course.last is not None
    return table_change(
        name,
        course.first,
        course.last,
        renamed_from=course.first_name if stayed and name != course.first_name else "",
        renamed_columns={old: new for old, new in course.columns.items() if old != new},
    )


def rename(course: Course, old: str, new: str) -> None:
    first = next((first for first, now in course.columns.items() if now == old), old)
    course.columns[first] = new


def renamed_columns(migration: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(old column, new column, table as it is called after), as they follow upon each other in the plan."""
    tables = dict(migration.get("renames") or [])
    found = []
    for operation in every(migration.get("operations") or []):
        columns = [(operation.get(side) or {}).get("column") for side in ("before", "after")]
        if (
            operation.get("kind") in ("RenameField", "AlterField")
            and all(columns)
            and columns[0] != columns[1]
        ):
            table = str(operation.get("table"))
            found.append((str(columns[0]), str(columns[1]), tables.get(table, table)))
    if not migration.get("backwards"):
        return found
    return [(new, old, table) for old, new, table in reversed(found)]


def every(operations: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    for operation in operations:
        yield operation
        yield from every(operation.get("nested") or [])


def summary(tables: Sequence[TableChange]) -> str:
    words = [*existence(tables, CREATED), *existence(tables, DROPPED), *renamed(tables), *parts(tables)]
    return ", ".join(words) or "no change of the schema"


def existence(tables: Sequence[TableChange], kind: str) -> list[str]:
    names = [table.table for table in tables if table.kind == kind]
    return [f"{number(len(names), 'table')} {kind}{named(names)}"] if names else []


def named(names: Sequence[str]) -> str:
    return f" ({', '.join(names)})" if len(names) <= NAMED else ""


def renamed(tables: Sequence[TableChange]) -> list[str]:
    renamed = [table for table in tables if table.renamed_from]
    if len(renamed) == 1:
        return [f"{renamed[0].renamed_from} renamed to {renamed[0].table}"]
    return [f"{len(renamed)} tables renamed"] if renamed else []


def parts(tables: Sequence[TableChange]) -> list[str]:
    found: dict[tuple[str, str], dict[str, int]] = {}
    for table in tables:
        for key, names in table.counted.items():
            found.setdefault(key, {})[table.table] = len(names)
    return [phrase(part, verb, found[part, verb]) for part, verb in sorted(found, key=order)]


VERBS = {"dropped": "from", "changed": "of", "renamed": "of", "added": "to"}
ORDER = ("column", "index", "constraint", "comment")


def order(key: tuple[str, str]) -> tuple[int, int]:
    part, verb = key
    return ORDER.index(part), list(VERBS).index(verb)


def phrase(part: str, verb: str, counted: Mapping[str, int]) -> str:
    where = ", ".join(counted) if len(counted) <= NAMED else number(len(counted), "table")
    return f"{number(sum(counted.values()), part)} {verb} {VERBS[verb]} {where}"


def as_text(diff: SchemaDiff) -> str:
    """For the shell, like a unified diff; "" where nothing changes."""
    return "\n".join(line for table in diff.tables for line in table_text(table))


def table_text(table: TableChange) -> list[str]:
    old = "/dev/null" if table.kind == CREATED else table.renamed_from or table.table
    new = "/dev/null" if table.kind == DROPPED else table.table
    rows = [
        f" … {number(row.hidden, 'line')} unchanged" if row.hidden else f"{row.sign}{row.text}"
        for row in table.unified
    ]
    return [f"--- {old}", f"+++ {new}", *rows, ""]
