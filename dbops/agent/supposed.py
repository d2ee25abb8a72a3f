"""The schema as it is supposed to be between two operations of a plan, of the tables that the plan touches.

Django's schema editor looks constraints up by their columns in the live database, moments before it drops
them. In a plan those may not be there yet. So its look is answered from here for tables that the plan has
touched, and by the database for all others.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, NamedTuple

from django.db.utils import Error as DatabaseError

from .change import has_table, key_of
from .tables import CHECK, FOREIGN_KEY, PRIMARY_KEY, UNIQUE, Describer, Description, Item

if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator

    Pair = "tuple[Any, Any]"


MADE = re.compile(r'(?:CONSTRAINT|INDEX(?: CONCURRENTLY)?(?: IF NOT EXISTS)?) "([^"]+)" (?!RENAME)')
DROPPED = re.compile(r'DROP (?:CONSTRAINT|INDEX)(?: CONCURRENTLY)?(?: IF EXISTS)? "([^"]+)"')
RENAMED = re.compile(r'(?:INDEX|RENAME CONSTRAINT) "([^"]+)" (?:RENAME )?TO "')


class Shape(NamedTuple):
    """One table. `live`: what the database told of its constraints that no model has, as Django's
    introspection tells it."""

    columns: dict[str, dict[str, Any]]
    items: dict[tuple[Any, ...], Item]
    comment: str
    live: dict[str, dict[str, Any]]

    def as_table(self) -> dict[str, Any]:
        """TABLE of a plan."""
        told = {item.name: item for item in self.items.values()}
        return {
            "columns": self.columns,
            "indexes": {name: item.definition for name, item in told.items() if item.is_index},
            "constraints": {name: item.definition for name, item in told.items() if not item.is_index},
            "comment": self.comment,
        }

    def constraints(self) -> dict[str, dict[str, Any]]:
        return {**self.live, **{item.name: as_introspected(item) for item in self.items.values()}}


Version = "dict[str, Shape | None]"


class Supposed:
    """A version is {table: Shape or None (not there)} of what was touched so far. `first`: how each was when it
    was touched first. `backwards`: what the plan's migrations made is in the database now."""

    def __init__(self, connection: Any, backwards: bool = False) -> None:
        self.connection = connection
        self.describer = Describer(connection)
        self.backwards = backwards
        self.first: dict[str, Shape | None] = {}
        self.live: dict[str, dict[str, Any]] = {}
        self.is_made_up = False

    # How an operation changes it

    def after(
        self, version: dict[str, Shape | None], change: Changed, statements: Statements | None = None
    ) -> dict[str, Shape | None]:
        """The version behind an operation. `statements`: those that it sends, where they are known."""
        gone: dict[str, Shape | None] = {}
        there: dict[str, Shape | None] = {}
        for old, new in change.pairs:
            shape = self.shape(version, old) if old is not None else None
            if new is None:
                gone[old._meta.db_table] = None
                continue
            table = new._meta.db_table
            if shape is None:
                self.first.setdefault(table, None)
                there[table] = self.made(new)
                continue
            if old._meta.db_table != table:
                gone[old._meta.db_table] = None
                self.first.setdefault(table, None)
            if statements is not None and statements.remake(old._meta.db_table, table):
                there[table] = self.made(new)
            else:
                there[table] = self.carried(shape, old, new, change, statements)
        return {**version, **gone, **there}

    def shape(self, version: dict[str, Shape | None], model: Any) -> Shape:
        table = model._meta.db_table
        found = version.get(table, self.first.get(table))
        if found is None:
            found = self.made(model, is_there=True)
            if self.first.get(table) is None:
                self.first[table] = found
        return found

    def made(self, model: Any, is_there: bool = False) -> Shape:
        """As its model says. What the database has already goes by the name that it has there."""
        description = self.describer.of(model)
        live = dict(self.live_of(description.table)) if is_there or self.backwards else {}
        items = {key: self.as_live(item, live) for key, item in description.items.items()}
        return Shape(description.columns, items, description.comment, live if is_there else {})

    def live_of(self, table: str) -> dict[str, Any]:
        if table not in self.live:
            self.live[table] = introspected(self.connection, table)
        return self.live[table]

    def as_live(self, item: Item, live: dict[str, Any]) -> Item:
        if item.name in live:
            del live[item.name]
            return item
        if item.key[0] == "named":
            return item
        names = [name for name, facts in live.items() if is_alike(item, name, facts)]
        if len(names) != 1:
            return item
        del live[names[0]]
        # What SQLite's introspection makes up is no name.
        return item._replace(name=names[0]) if self.describer.names_by_server or item.is_index else item

    def carried(
        self, shape: Shape, old: Any, new: Any, change: Changed, statements: Statements | None
    ) -> Shape:
        """What stays keeps its name, whatever Django would call it now; the statements have the last word."""
        was, will = self.describer.of(old), self.describer.of(new)
        columns = change.columns(old, new)
        kept = {moved(key, columns, change): key for key in was.items}
        items = {}
        for key, item in will.items.items():
            # An operation before this one may have taken it away, whatever the states say.
            is_gone = key in kept and kept[key] not in shape.items
            name = shape.items[kept[key]].name if key in kept and not is_gone else ""
            name = self.name_of(item, name, new, set(columns.values()), statements)
            if name and not (is_gone and statements is not None and name not in statements.made):
                items[key] = item._replace(name=name)
        if statements is not None:
            items.update(self.left(shape, items, will, columns, statements))
        live = {name: with_columns(facts, columns) for name, facts in shape.live.items()}
        return Shape(will.columns, items, will.comment, live)

    def name_of(
        self, item: Item, kept: str, model: Any, columns: set[str], statements: Statements | None
    ) -> str:
        """ "" where it is not there: the states say so, the statements do not."""
        if kept and (statements is None or kept not in statements.dropped):
            return kept
        is_altered = set(item.columns) <= columns
        names = [item.name]
        if is_altered:
            names = [self.describer.altered_name(model, item), *names]
        if is_altered and item.kind == FOREIGN_KEY:
            names.append(self.describer.again_name(model, item))
        if statements is not None:
            made = next((name for name in names if name in statements.made), "")
            if made or kept or (is_altered and item.is_index):
                return made
        return self.live_name(item._replace(name=names[0]), model) if self.backwards else names[0]

    def live_name(self, item: Item, model: Any) -> str:
        return self.as_live(item, dict(self.live_of(model._meta.db_table))).name

    def left(
        self,
        shape: Shape,
        items: dict[tuple[Any, ...], Item],
        will: Description,
        columns: dict[str, str],
        statements: Statements,
    ) -> dict[tuple[Any, ...], Item]:
        """What no model has any more, and no statement drops."""
        names = {item.name for item in items.values()} | statements.dropped | statements.renamed
        found = {}
        for item in shape.items.values():
            now = tuple(columns.get(column, "") for column in item.columns)
            if item.name not in names and now and set(now) <= set(will.columns):
                found["left", item.name] = item._replace(key=("left", item.name), columns=now)
        return found

    # What the schema editor is told

    @contextlib.contextmanager
    def answering(self, version: dict[str, Shape | None], renamed: dict[str, str]) -> Iterator[None]:
        """While it lasts, this connection's introspection tells the constraints of this version. `renamed`:
        {new table: old table} of the operation itself, which may look at a table after it renamed it.
        `is_made_up` says whether something was told that is not in the database yet."""
        introspection, self.is_made_up = self.connection.introspection, False
        constraints, sequences = introspection.get_constraints, getattr(introspection, "get_sequences", None)

        def get_constraints(cursor: Any, table: str) -> Any:
            known, table = self.known_as(version, table, renamed)
            if not known:
                return constraints(cursor, table)
            self.is_made_up = True
            shape = version.get(table, self.first.get(table))
            return shape.constraints() if shape is not None else {}

        def get_sequences(cursor: Any, table: str, table_fields: Any = ()) -> Any:
            known, table = self.known_as(version, table, renamed)
            if not known:
                return sequences(cursor, table, table_fields)  # type: ignore[misc]
            self.is_made_up = True
            shape = version.get(table, self.first.get(table))
            numbered = [name for name, facts in shape.columns.items() if facts["identity"]] if shape else []
            return [{"name": f"{table}_{name}_seq", "table": table, "column": name} for name in numbered]

        introspection.get_constraints, introspection.get_sequences = get_constraints, get_sequences
        try:
            yield
        finally:
            del introspection.get_constraints, introspection.get_sequences

    def known_as(
        self, version: dict[str, Shape | None], table: str, renamed: dict[str, str]
    ) -> tuple[bool, str]:
        """(it is not as it is in the database, the name that it has there)."""
        if table in renamed and version.get(table, self.first.get(table)) is None:
            table = renamed[table]
        if self.backwards:
            return table in self.first, table
        return table in version or (table in self.first and self.first[table] is None), table


class Statements:
    """Which indexes and constraints they make, drop and rename, by name."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.text = "\n".join(texts)
        self.made = set(MADE.findall(self.text))
        self.dropped = set(DROPPED.findall(self.text))
        self.renamed = set(RENAMED.findall(self.text))

    def remake(self, *tables: str) -> bool:
        """SQLite copies a table into another one."""
        return any(f'CREATE TABLE "{way}{table}" ' in self.text for table in tables for way in ("new__", ""))


class Changed:
    """Which models with a table an operation changed. `moves`: {old label: new label} of renamed models,
    `fields`: {(old label, old field): new field}; all in lower case."""

    def __init__(
        self, alias: str, before: Any, after: Any, moves: dict[str, str], fields: dict[tuple[str, str], str]
    ) -> None:
        self.fields = fields
        self.pairs: list[tuple[Any, Any]] = []
        self.tables: dict[str, str] = {}
        # {(old table, old column): new column}
        self.targets: dict[tuple[str, str], str] = {}
        self._find(alias, before, after, moves)

    def _find(self, alias: str, before: Any, after: Any, moves: dict[str, str]) -> None:
        old, new = differing(before.apps, after.apps)
        moves = {**moves, **self._through(old, new, moves)}
        for label in sorted({*old, *new}, key=lambda label: label not in old):
            if label in moves.values() and label not in old:
                continue
            one, other = old.get(label), new.get(moves.get(label, label))
            if one is not None and other is not None and is_same(one, other, before, after):
                continue
            if one is not None and other is not None and one._meta.managed != other._meta.managed:
                # Django only begins or ceases to manage it.
                continue
            self._pair(one if has(alias, one) else None, other if has(alias, other) else None)
        for one, other in self.pairs:
            for column, name in self.columns(one, other).items() if one and other else ():
                self.targets[one._meta.db_table, column] = name

    def _through(self, old: dict[str, Any], new: dict[str, Any], moves: dict[str, str]) -> dict[str, str]:
        """Of tables of many to many fields that go by another name since their model or field does."""
        back = {through_key(model): label for label, model in new.items() if model._meta.auto_created}
        found = {}
        for label, model in old.items():
            if model._meta.auto_created and label not in new:
                owner, name = through_key(model)
                key = (moves.get(owner, owner), self.fields.get((owner, name), name))
                if key in back and back[key] not in old:
                    found[label] = back[key]
        return found

    def _pair(self, one: Any, other: Any) -> None:
        if one is None and other is None:
            return
        self.pairs.append((one, other))
        if one is not None and other is not None and one._meta.db_table != other._meta.db_table:
            self.tables[one._meta.db_table] = other._meta.db_table

    def columns(self, old: Any, new: Any) -> dict[str, str]:
        """{old column: new column} of those that stay."""
        was, will = old._meta.local_concrete_fields, new._meta.local_concrete_fields
        if old._meta.auto_created and new._meta.auto_created:
            return {one.column: other.column for one, other in zip(was, will)}
        by_name, label = {field.name.lower(): field.column for field in will}, old._meta.label_lower
        pairs = (
            (field.column, self.fields.get((label, field.name.lower()), field.name.lower())) for field in was
        )
        return {column: by_name[name] for column, name in pairs if name in by_name}


def differing(before: Any, after: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """{label: model} of each side, of models that are not one and the same object."""
    old, new = {}, {}
    for app in sorted({*before.all_models, *after.all_models}):
        was, will = before.all_models.get(app) or {}, after.all_models.get(app) or {}
        if was == will:
            continue
        old.update({f"{app}.{name}": one for name, one in was.items() if will.get(name) is not one})
        new.update({f"{app}.{name}": one for name, one in will.items() if was.get(name) is not one})
    return old, new


def has(alias: str, model: Any) -> bool:
    return model is not None and has_table(alias, model)


def is_same(one: Any, other: Any, before: Any, after: Any) -> bool:
    """It was only built anew: nothing that it has a table from changed."""
    label = one._meta.label_lower
    if one._meta.auto_created or label != other._meta.label_lower:
        return False
    was, will = before.models.get(key_of(label)), after.models.get(key_of(label))
    if was is None or will is None or was.options != will.options or was.bases != will.bases:
        return False
    mine, theirs = dict(was.fields), dict(will.fields)
    same = list(mine) == list(theirs) and all(mine[name] is theirs[name] for name in mine)
    return same and points_to(one) == points_to(other)


def points_to(model: Any) -> list[Any]:
    """What it has from other models: tables, columns and the fields whose types its keys take."""
    return [
        (
            field.column,
            field.target_field.model._meta.db_table,
            field.target_field.column,
            kind_of(field.target_field),
        )
        for field in model._meta.local_concrete_fields
        if field.remote_field
    ]


def kind_of(field: Any) -> Any:
    seen = set()
    while field.remote_field and id(field) not in seen:
        seen.add(id(field))
        field = field.target_field
    return field.get_internal_type(), field.max_length, type(field), getattr(field, "db_collation", None)


def through_key(model: Any) -> tuple[str, str]:
    owner = model._meta.auto_created._meta
    names = [field.name for field in owner.local_many_to_many if field.remote_field.through is model]
    return owner.label_lower, names[0].lower() if names else ""


def moved(key: tuple[Any, ...], columns: dict[str, str], change: Changed) -> tuple[Any, ...]:
    """The key of an item as it is once these were renamed."""
    if key[0] == "named":
        return key
    if key[0] == FOREIGN_KEY:
        _, (column,), (table, to), *rest = key
        to = change.targets.get((table, to), to)
        return (FOREIGN_KEY, (columns.get(column, column),), (change.tables.get(table, table), to), *rest)
    return tuple(
        tuple(columns.get(column, column) for column in part) if isinstance(part, tuple) else part
        for part in key
    )


def introspected(connection: Any, table: str) -> dict[str, Any]:
    """{} where the table is not there, or cannot be looked at."""
    try:
        with connection.cursor() as cursor:
            found: dict[str, Any] = connection.introspection.get_constraints(cursor, table)
            return found
    except (DatabaseError, TypeError, ValueError, IndexError):
        # SQLite's takes it for granted that the table is there.
        return {}


def is_alike(item: Item, name: str, facts: dict[str, Any]) -> bool:
    if tuple(facts.get("columns") or ()) != item.columns:
        return False
    if item.kind == PRIMARY_KEY:
        return bool(facts["primary_key"])
    if item.kind == FOREIGN_KEY:
        return bool(facts["foreign_key"])
    if item.kind == CHECK:
        return bool(facts["check"])
    plain = not (facts["primary_key"] or facts["foreign_key"] or facts["check"])
    if item.kind == UNIQUE:
        return plain and bool(facts["unique"])
    like = name.endswith("_like")
    return plain and bool(facts["index"]) and not facts["unique"] and like == (item.key[1] == "like")


def as_introspected(item: Item) -> dict[str, Any]:
    """As Django's introspection would tell it once it is there."""
    facts = {
        "columns": list(item.columns),
        "primary_key": item.kind == PRIMARY_KEY,
        "unique": item.is_unique,
        "foreign_key": item.to,
        "check": item.kind == CHECK,
        "index": item.is_index,
        "definition": None,
        "options": None,
    }
    return dict(facts, orders=["ASC"] * len(item.columns), type=item.suffix) if item.is_index else facts


def with_columns(facts: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    return dict(facts, columns=[columns.get(one, one) for one in facts.get("columns") or []])


def tables_of(version: dict[str, Shape | None], names: Iterable[str]) -> dict[str, Any]:
    """{table: TABLE} of those that are there."""
    shapes = {name: version.get(name) for name in names}
    return {name: shape.as_table() for name, shape in sorted(shapes.items()) if shape is not None}
