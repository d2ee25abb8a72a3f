"""NOT NULL on a table that exists."""

from collections.abc import Iterator

from . import recipes
from .act import Act
from .change import Change, Facts
from .finding import DANGER, NO_RECIPE, NOTICE, WARNING, Finding, Recipe
from .scene import ACCESS_EXCLUSIVE, Scene, lock_words, long

TITLE = "Not null on an existing table"


def of_act(act: Act, change: Change | None, scene: Scene) -> Iterator[Finding]:
    if scene.is_new(act.table):
        return
    if act.kind == "set not null" or (
        act.kind == "add constraint" and act.type == "not null" and not act.has("not valid")
    ):
        yield set_not_null(act, scene)
    elif act.kind == "add column" and act.has("not null") and cannot_be_filled(act):
        yield required(act, change)


def cannot_be_filled(act: Act) -> bool:
    return not (act.has("default") or act.has("generated") or act.has("identity"))


def set_not_null(act: Act, scene: Scene) -> Finding:
    column = act.name if act.kind == "set not null" else act.columns[0]
    subject = f"{act.table}.{column}"
    check = (
        check_that_holds(column, scene.constraints(act.table)) if (scene.version or 120000) >= 120000 else ""
    )
    if check:
        reason = (
            f"Where the check {check} has been validated, no row is looked at; else every row is, "
            f"while nobody can read."
        )
        return Finding("set-not-null", NOTICE, TITLE, subject, reason, "", NO_RECIPE, act.operation)
    return Finding(
        "set-not-null",
        DANGER,
        TITLE,
        subject,
        "Every row is looked at, while nobody can read or write. It fails where one is NULL, and code "
        "that does not "
        "write the column fails from then on.",
        lock_words(ACCESS_EXCLUSIVE, act.table, long(scene, "every row is looked at")),
        recipes.not_null(Act("set not null", act.table, column), scene.version),
        act.operation,
    )


def check_that_holds(column: str, constraints: dict[str, str]) -> str:
    """Of the states: whether it was validated they do not tell."""
    wanted = f'check("{column}"isnotnull)'.lower()
    plain = {name: "".join(words.split()).lower() for name, words in constraints.items()}
    return next((name for name, words in plain.items() if words in (wanted, wanted.replace('"', ""))), "")


def required(act: Act, change: Change | None) -> Finding:
    recipe = (
        recipes.db_default(change)
        if change and change.after
        else Recipe("Add it with a DEFAULT, or as NULL first.")
    )
    reason = (
        "The column has no default, so no row that is there could have a value: it fails unless the "
        "table is empty."
    )
    return Finding("required-column", DANGER, TITLE, act.subject, reason, "", recipe, act.operation)


def of_change(change: Change, scene: Scene) -> Iterator[Finding]:
    """What running code meets, on every database."""
    if change.kind == "AlterOrderWithRespectTo" and not scene.is_new(change.table):
        yield from order_column(change)
    field = change.after or {}
    if (
        change.does_nothing
        or scene.is_new(change.table)
        or change.before is not None
        or not field.get("column")
    ):
        return
    if change.kind == "AddField":
        yield from python_default(change, field)


def order_column(change: Change) -> Iterator[Finding]:
    """A column that no field names."""
    dropped = {act.name for act in change.acts if act.kind == "drop default"}
    for act in change.acts:
        if act.kind == "add column" and act.name in dropped:
            table, column = recipes.quoted(act.table), recipes.quoted(act.name)
            recipe = Recipe(
                "Let the database keep the default until all code that still runs writes the column.",
                f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT 0;",
                "sql",
            )
            yield Finding("dropped-default", WARNING, TITLE, act.subject, FILLED, "", recipe, act.operation)


FILLED = (
    "Django fills the rows that are there and then drops the default. Code that does not know the column "
    "fails from then on when it inserts rows."
)


def python_default(change: Change, field: Facts) -> Iterator[Finding]:
    if field.get("null") or field.get("db_default") or field.get("generated") or field.get("primary_key"):
        return
    if not is_filled(change):
        return
    yield Finding(
        "dropped-default",
        WARNING,
        TITLE,
        change.subject,
        FILLED,
        "",
        recipes.db_default(change),
        change.position,
    )


def is_filled(change: Change) -> bool:
    """The rows that are there get a value of Python's: its SQL says so, or else its field."""
    added = [act for act in change.acts if act.kind == "add column" and act.name == change.column]
    if added and change.sql:
        return added[0].has("default")
    field = change.after or {}
    return bool(field.get("has_default")) and field.get("default") != "None"
