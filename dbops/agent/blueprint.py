"""How tables would look: made by Django's own schema editor in a scratch place, described, thrown away.

Postgres: temporary tables in a transaction of a connection of its own that is always rolled back. SQLite: a
database in memory. Real tables are described there by the same code, so that both are told alike. Nothing of
the real database is written.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from django.db import connections
from django.db.utils import Error as DatabaseError

from . import failures, schema_postgres, schema_sqlite
from .change import CannotTell, target

if TYPE_CHECKING:
    from typing import Any, Iterator

    from .change import Change, Models
    from .parts import Part

    Tables = dict[str, list[Part]]

# insufficient_privilege, lock_not_available: https://www.postgresql.org/docs/current/errcodes-appendix.html
WHY = {
    "42501": "its role may not make temporary tables, by which opsdash compares "
    "(GRANT TEMPORARY ON DATABASE lets it): {}",
    "55P03": "somebody holds a lock on one of its tables: {}",
}


def compared(connection: Any, change: Change) -> tuple[Tables, Tables, Tables]:
    """(before, after, real), each {table: parts}; a table that is not there has none. Raises CannotTell."""
    if connection.vendor not in ("postgresql", "sqlite"):
        raise CannotTell(f"opsdash does not compare schemas of {connection.vendor}")
    tables = sorted({*change.before, *change.after})
    read = on_postgres if connection.vendor == "postgresql" else on_sqlite
    try:
        return read(connection, change, tables)
    except CannotTell:
        raise
    except DatabaseError as problem:
        words = WHY.get(failures.sqlstate(problem) or "", "{}")
        raise CannotTell(words.format(failures.describe(problem))) from problem
    except Exception as problem:
        # A field or an index of the project's own takes part in making its table.
        failures.let_a_stop_through(problem)
        raise CannotTell(failures.describe(problem)) from problem


def on_postgres(connection: Any, change: Change, tables: list[str]) -> tuple[Tables, Tables, Tables]:
    with scratch(connection.alias) as place:
        with schema_postgres.thrown_away(place, tables) as real:
            actual = {table: schema_postgres.parts(place, oid) for table, oid in real.items()}
            before = made_on_postgres(place, change.before)
        with schema_postgres.thrown_away(place, tables):
            return before, made_on_postgres(place, change.after), actual


def made_on_postgres(place: Any, models: Models) -> Tables:
    make(place, models)
    return {
        table: [*schema_postgres.temporary_parts(place, table), *foreign_keys(place, model)]
        for table, model in models.items()
    }


def on_sqlite(connection: Any, change: Change, tables: list[str]) -> tuple[Tables, Tables, Tables]:
    real = {table: schema_sqlite.parts(connection, table) for table in tables}
    return made_on_sqlite(connection, change.before), made_on_sqlite(connection, change.after), real


def made_on_sqlite(connection: Any, models: Models) -> Tables:
    with scratch(connection.alias, NAME=":memory:") as place:
        schema_sqlite.allow_writing(place)
        make(place, models)
        return {table: schema_sqlite.parts(place, table) for table in models}


@contextlib.contextmanager
def scratch(alias: str, **settings: Any) -> Iterator[Any]:
    """A connection of its own."""
    place: Any = connections.create_connection(alias)
    place.settings_dict = {**place.settings_dict, **settings}
    try:
        yield place
    finally:
        place.close()


def make(place: Any, models: Models) -> None:
    """Without a transaction of the editor's: it would be one of the alias's own connection."""
    editor = place.schema_editor(atomic=False)
    if not type(editor).__module__.startswith("django."):
        raise CannotTell(f"{type(editor).__module__} makes its tables in a way of its own")
    made: set[str] = set()
    # A model makes its own through tables; those that are left are made by themselves.
    for model in sorted(models.values(), key=lambda model: bool(model._meta.auto_created)):
        if model._meta.db_table not in made:
            editor.deferred_sql = getattr(editor, "deferred_sql", [])
            editor.create_model(model)
            made.add(model._meta.db_table)
            made.update(through_tables(model))
    for statement in editor.deferred_sql if made else []:
        if getattr(statement, "template", None) != editor.sql_create_fk:
            editor.execute(statement, None)


def through_tables(model: Any) -> list[str]:
    through = [field.remote_field.through for field in model._meta.local_many_to_many]
    return [one._meta.db_table for one in through if one._meta.auto_created]


def foreign_keys(place: Any, model: Any) -> list[Part]:
    """As the model has them: a temporary table cannot point to one that stays."""
    found = []
    for field in model._meta.local_concrete_fields:
        points_to = target(field)
        if points_to:
            on_delete = getattr(field.remote_field.on_delete, "on_delete_sql", None)
            rule = str(on_delete(place.schema_editor())).strip() if on_delete else ""
            found.append(schema_postgres.foreign_key("", [field.column], points_to[0], [points_to[1]], rule))
    return found
