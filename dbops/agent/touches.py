"""Which names each operation of a migration touches, and how: told from it and from the state before it.

The end does not show what operations did one after another: a column that was dropped and added again looks
as it did before, and is empty. `told_twice` names what is touched so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from django.db.migrations import operations as kinds
from django.db.models import NOT_PROVIDED

if TYPE_CHECKING:
    from typing import Any, Iterable

MAKES, CHANGES, RENAMES, REMOVES, FLIPS = "makes", "changes", "renames", "removes", "flips"


class Touch(NamedTuple):
    """`owners`: names of the model and of its tables, `parts`: of its fields, columns, indexes and
    constraints (None: all of it), in lower case. `fills`: it gives every row that is there a value.
    `is_direct`: it does not stand inside another operation."""

    operation: Any
    how: str
    owners: frozenset[str]
    parts: frozenset[str] | None = None
    fills: bool = False
    is_direct: bool = True

    @property
    def words(self) -> frozenset[str]:
        return self.owners if self.parts is None else self.parts

    def meets(self, other: Touch) -> bool:
        if not self.owners & other.owners:
            return False
        return self.parts is None or other.parts is None or bool(self.parts & other.parts)

    def shared(self, other: Touch) -> set[str]:
        parts = [touch.parts for touch in (self, other) if touch.parts is not None]
        return set(frozenset.intersection(*(parts or (self.owners, other.owners))))


def touches(migration: Any, state: Any) -> list[Touch]:
    """`state`: as it is before the migration; it is worn out by this."""
    found: list[Touch] = []
    for operation in migration.operations:
        found += of_one(operation, migration.app_label, state)
        operation.state_forwards(migration.app_label, state)
    return found


def told_twice(found: list[Touch]) -> set[str]:
    """What one operation does to something that another one touches too, where the end hides it."""
    return {
        name
        for number, one in enumerate(found)
        for other in found[:number]
        if one.operation is not other.operation and one.meets(other) and is_hidden({one.how, other.how})
        for name in one.shared(other)
    }


def is_hidden(both: set[str]) -> bool:
    """What is only taken away is gone at the end; what is changed twice may be as it was."""
    return both == {CHANGES} or (both != {REMOVES} and bool(both & {RENAMES, REMOVES, FLIPS}))


def of_one(operation: Any, app: str, state: Any) -> list[Touch]:
    # What stands inside another one tells what that is for.
    for inner in ("database_operations", "state_operations"):
        within = [touch for one in getattr(operation, inner, None) or [] for touch in of_one(one, app, state)]
        if within:
            return [touch._replace(is_direct=False) for touch in within]
    for kind, told in TOLD:
        if isinstance(operation, kind):
            return list(told(operation, app, state))
    return []


def whole(operation: Any, app: str, state: Any) -> Iterable[Touch]:
    name = getattr(operation, "old_name", None) or operation.name
    how = MAKES
    if isinstance(operation, (kinds.DeleteModel, kinds.RenameModel, kinds.AlterModelTable)):
        how = REMOVES if isinstance(operation, kinds.DeleteModel) else RENAMES
    after = state.clone()
    try:
        operation.state_forwards(app, after)
    except Exception:
        # Inside another operation the state may have it already.
        after = state
    owners = {*owners_of(state, app, name), *owners_of(after, app, getattr(operation, "new_name", name))}
    yield Touch(operation, how, frozenset(owners))


def owners_of(state: Any, app: str, name: str) -> set[str]:
    """With the tables of its own many to many fields."""
    model = state.models.get((app, name.lower()))
    table = table_of(state, app, name)
    through = {through_table(field, key, table) for key, field in fields_of(model) if field.many_to_many}
    return {name.lower(), table, *through}


def table_of(state: Any, app: str, name: str) -> str:
    model = state.models.get((app, name.lower()))
    options = model.options if model is not None else {}
    return str(options.get("db_table") or f"{app}_{name}").lower()


def through_table(field: Any, name: str, table: str) -> str:
    return str(getattr(field, "db_table", None) or f"{table}_{name}").lower()


def fields_of(model: Any) -> list[tuple[str, Any]]:
    if model is None:
        return []
    # A list of pairs before Django 3.1.
    return list(dict(model.fields).items())


def added(operation: Any, app: str, state: Any) -> Iterable[Touch]:
    yield from of_field(operation, app, state, MAKES, {operation.name: operation.field})


def removed(operation: Any, app: str, state: Any) -> Iterable[Touch]:
    yield from of_field(operation, app, state, REMOVES, {operation.name: old_field(operation, app, state)})


def renamed(operation: Any, app: str, state: Any) -> Iterable[Touch]:
    field = old_field(operation, app, state, operation.old_name)
    both = {operation.old_name: field, operation.new_name: field}
    yield from of_field(operation, app, state, RENAMES, both)


def altered(operation: Any, app: str, state: Any) -> Iterable[Touch]:
    name, new = operation.name, operation.field
    old = old_field(operation, app, state)
    how = RENAMES if old is None or column_of(name, old) != column_of(name, new) else CHANGES
    for touch in of_field(operation, app, state, how, {name: new}):
        more = {name.lower(), column_of(name, old)} if old is not None else set()
        fills = bool(old is not None and old.null and not new.null)
        yield touch._replace(parts=touch.parts and touch.parts | more, fills=fills)


def old_field(operation: Any, app: str, state: Any, name: str = "") -> Any:
    model = state.models.get((app, operation.model_name.lower()))
    return dict(fields_of(model)).get(name or operation.name)


def of_field(operation: Any, app: str, state: Any, how: str, fields: dict[str, Any]) -> Iterable[Touch]:
    table = table_of(state, app, operation.model_name)
    names = {part for name, field in fields.items() for part in (name.lower(), column_of(name, field))}
    fills = how == MAKES and any(map(is_filled, fields.values()))
    yield Touch(
        operation, how, frozenset({operation.model_name.lower(), table}), frozenset(names), fills=fills
    )
    through = {through_table(field, name, table) for name, field in fields.items() if is_many(field)}
    if through:
        yield Touch(operation, how, frozenset(through))


def is_many(field: Any) -> bool:
    return field is not None and bool(field.many_to_many)


def column_of(name: str, field: Any) -> str:
    """As far as a field tells it that belongs to no model yet."""
    key = "_id" if getattr(field, "many_to_one", False) or getattr(field, "one_to_one", False) else ""
    return str(getattr(field, "db_column", None) or f"{name}{key}").lower()


def is_filled(field: Any) -> bool:
    """Adding it gives every row that is there a value, which its column does not show."""
    if field.many_to_many or getattr(field, "generated", False):
        return False
    by_database = getattr(field, "db_default", None)
    has_own = field.has_default() or not (by_database is None or by_database is NOT_PROVIDED)
    moment = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
    return bool(has_own or moment or not field.null)


def of_part(operation: Any, app: str, state: Any) -> Iterable[Touch]:
    """An index or a constraint."""
    given = getattr(operation, "index", None) or getattr(operation, "constraint", None)
    names = {getattr(operation, name, None) for name in ("name", "old_name", "new_name")}
    names.add(getattr(given, "name", None))
    kind = type(operation).__name__
    how = REMOVES if "Remove" in kind else RENAMES if "Rename" in kind else MAKES
    if how == MAKES and given is None:
        how = CHANGES
    owners = {operation.model_name.lower(), table_of(state, app, operation.model_name)}
    yield Touch(operation, how, frozenset(owners), frozenset(name.lower() for name in names if name))


def of_option(operation: Any, app: str, state: Any) -> Iterable[Touch]:
    owners = {operation.name.lower(), table_of(state, app, operation.name)}
    if isinstance(operation, kinds.AlterOrderWithRespectTo):
        how = MAKES if operation.order_with_respect_to else REMOVES
        yield Touch(operation, how, frozenset(owners), frozenset({"_order"}))
        return
    how = CHANGES if operation.option_value else REMOVES
    yield Touch(operation, how, frozenset(owners), frozenset({operation.option_name}))


def of_options(operation: Any, app: str, state: Any) -> Iterable[Touch]:
    model = state.models.get((app, operation.name.lower()))
    was = model.options.get("managed", True) if model is not None else True
    if was != operation.options.get("managed", True):
        yield Touch(operation, FLIPS, frozenset(owners_of(state, app, operation.name)))


PARTS = ("AddIndex", "RemoveIndex", "RenameIndex", "AddConstraint", "RemoveConstraint", "AlterConstraint")
TOLD = (
    ((kinds.CreateModel, kinds.DeleteModel, kinds.RenameModel, kinds.AlterModelTable), whole),
    (kinds.AddField, added),
    (kinds.RemoveField, removed),
    (kinds.RenameField, renamed),
    (kinds.AlterField, altered),
    (tuple(getattr(kinds, name) for name in PARTS if hasattr(kinds, name)), of_part),
    ((kinds.AlterUniqueTogether, kinds.AlterIndexTogether, kinds.AlterOrderWithRespectTo), of_option),
    (kinds.AlterModelOptions, of_options),
)
