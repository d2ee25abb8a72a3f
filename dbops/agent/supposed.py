"""The schema as it is supposed to be between two operations of a plan, of the tables that the plan touches.

Django's schema editor looks constraints up by their columns in the live database, moments before it drops
them. In a plan those may not be there yet. So its look is answered from here for tables that the plan has
touched, and by the database for all others.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from django.db.utils import Error as DatabaseError

from .state_changes import moved
from .statements import Again
from .tables import CHECK, FOREIGN_KEY, PRIMARY_KEY, UNIQUE, Describer, Description, Item

if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator

    from .state_changes import Changed
    from .statements import Statements


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


class Supposed:
    """A version is {table: Shape or None (not there)} of what was touched so far. `first`: how each was when
    it was touched first. `backwards`: what the plan's migrations made is in the database now."""

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

    def again(
        self,
        before: dict[str, Shape | None],
        after: dict[str, Shape | None],
        change: Changed,
        statements: Statements,
    ) -> Again:
        """What the way back from `after` to `before`, by these statements, makes under another name."""
        names = {}
        for old, new in change.pairs:
            shape = self.of(before, old)
            stays = self.of(after, new)
            if shape is None:
                continue
            kept = {item.name for item in stays.items.values()} - statements.dropped if stays else set()
            for key, item in self.describer.of(old).items.items():
                name = shape.items[key].name if key in shape.items else ""
                if name and name not in kept:
                    found = self.made_by(statements, item, old, stays is None)
                    if found and found != name:
                        names[name] = found
        return Again(names, statements.made)

    def of(self, version: dict[str, Shape | None], model: Any) -> Shape | None:
        if model is None:
            return None
        table = model._meta.db_table
        return version.get(table, self.first.get(table))

    def made_by(self, statements: Statements, item: Item, model: Any, with_its_table: bool) -> str:
        names = [self.describer.altered_name(model, item), item.name]
        if item.kind == FOREIGN_KEY:
            names.append(self.describer.again_name(model, item))
        made = next((name for name in names if name in statements.made), "")
        return made or (item.name if with_its_table else "")

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
