"""Losing data: what is dropped, emptied, deleted, cut off."""

from collections.abc import Iterator

from . import column_type, recipes
from .act import Act
from .change import Change
from .finding import DANGER, NO_RECIPE, WARNING, Finding, Recipe
from .scene import ACCESS_EXCLUSIVE, Scene, lock_words

TITLE = "Data loss"


def of_act(act: Act, change: Change | None, scene: Scene) -> Iterator[Finding]:
    if act.kind == "drop table" and not scene.is_new(act.table):
        yield drop_table(act.table, change, scene)
    elif act.kind == "drop column" and not scene.is_new(act.table, act.name):
        yield drop_column(act.table, act.name, change, scene)
    elif act.kind == "truncate" and not scene.is_new(act.table):
        yield truncate(act)
    elif act.kind == "delete" and not scene.is_new(act.table):
        yield delete(act)
    elif act.kind == "type" and not scene.is_new(act.table, act.name):
        yield from lossy(act, change, scene)
    elif act.kind in ("drop schema", "drop type"):
        yield from drop_others(act)


def of_change(change: Change, scene: Scene) -> Iterator[Finding]:
    """Where the database's own SQL is not judged: by Django's word for it."""
    if change.does_nothing:
        return
    through = str((change.before or {}).get("through_table") or "")
    if change.kind == "RemoveField" and change.before is not None:
        if (change.before or {}).get("many_to_many"):
            if through and not scene.is_new(through):
                yield drop_table(through, change, scene)
        elif change.column and not scene.is_new(change.table, change.column):
            yield drop_column(change.table, change.column, change, scene)
    elif change.kind == "DeleteModel" and change.table and not scene.is_new(change.table):
        yield drop_table(change.table, change, scene)


def drop_column(table: str, column: str, change: Change | None, scene: Scene) -> Finding:
    return Finding(
        "drop-column",
        DANGER,
        TITLE,
        f"{table}.{column}",
        f"Drops the column and every value in it{back(scene)}. Code that still knows the column fails "
        f"from then on.",
        lock(table, scene),
        NO_RECIPE if scene.backwards else recipes.state_first(change) if is_of_model(change) else BACKUP,
        position(change),
    )


def drop_table(table: str, change: Change | None, scene: Scene) -> Finding:
    return Finding(
        "drop-table",
        DANGER,
        TITLE,
        table,
        f"Drops the table and every row in it{back(scene)}. Code that still knows the table fails from "
        f"then on.",
        lock(table, scene),
        NO_RECIPE
        if scene.backwards
        else recipes.state_first(change, "model")
        if is_of_model(change)
        else BACKUP,
        position(change),
    )


def back(scene: Scene) -> str:
    return "" if scene.backwards else "; unapplying brings it back empty"


def is_of_model(change: Change | None) -> bool:
    return change is not None and change.kind in ("RemoveField", "DeleteModel")


def lock(table: str, scene: Scene) -> str:
    return lock_words(ACCESS_EXCLUSIVE, table, "for a moment") if scene.vendor == "postgresql" else ""


def position(change: Change | None) -> int | None:
    return change.position if change else None


BACKUP = Recipe("Make a backup first, and make sure that no code of any release that still runs uses it.")


def truncate(act: Act) -> Finding:
    others = " and every table that refers to it" if act.has("cascade") else ""
    return Finding(
        "truncate", DANGER, TITLE, act.table, f"Empties the table{others}.",
        lock_words(ACCESS_EXCLUSIVE, act.table), BACKUP, act.operation,
    )  # fmt: skip


def delete(act: Act) -> Finding:
    if act.has("where"):
        reason = (
            "Deletes the rows that match its condition; how many cannot be told from here. They stay "
            "locked to COMMIT."
        )
        return Finding(
            "delete", WARNING, "Deletes rows", act.table, reason, "", recipes.BATCHES, act.operation
        )
    reason = "Deletes every row of the table; they stay locked to COMMIT."
    return Finding("delete", DANGER, TITLE, act.table, reason, "", BACKUP, act.operation)


def lossy(act: Act, change: Change | None, scene: Scene) -> Iterator[Finding]:
    old = scene.type_before(act, change)
    words = column_type.loss(old, act.type, act.expression) if old else ""
    if words:
        reason = f"The type changes from {old} to {act.type}: {words}. Unapplying does not bring them back."
        yield Finding("lossy-type", DANGER, TITLE, act.subject, reason, "", look_first(act), act.operation)


def look_first(act: Act) -> Recipe:
    table, column = recipes.quoted(act.table), recipes.quoted(act.name)
    size = column_type.parsed(act.type).size
    if column_type.parsed(act.type).name in ("varchar", "char") and size:
        code = f"SELECT count(*) FROM {table} WHERE length({column}) > {size[0]};"  # noqa: S608
    else:
        code = f"SELECT {column}, {column}::{act.type} FROM {table} LIMIT 100;"  # noqa: S608
    return Recipe(
        "Count what would be changed before you apply it; keep the old values in a column of their own.",
        code,
        "sql",
    )


def drop_others(act: Act) -> Iterator[Finding]:
    if act.kind == "drop schema":
        reason = (
            "Drops it with every table in it."
            if act.has("cascade")
            else "Drops it; it fails where tables are in it."
        )
        yield Finding("drop-schema", DANGER, TITLE, act.name, reason, "", BACKUP, act.operation)
    elif act.has("cascade"):
        reason = (
            "CASCADE drops every column that uses it, with its values; which those are cannot be "
            "told from here."
        )
        yield Finding("drop-cascade", DANGER, TITLE, act.name, reason, "", BACKUP, act.operation)
