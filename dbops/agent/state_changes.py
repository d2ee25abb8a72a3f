"""Which models with a table an operation changes, and what becomes of their tables and columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .change import has_table, key_of
from .tables import FOREIGN_KEY

if TYPE_CHECKING:
    from typing import Any


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
