"""Rows that are changed by SQL or by Python, and what cannot be told of either."""

import re
from collections.abc import Iterator

from . import recipes
from .act import Act
from .change import Change
from .finding import NO_RECIPE, NOTICE, WARNING, Finding, Recipe
from .scene import SHARE, Scene, lock_words

TITLE = "Cannot tell"
NOOP = re.compile(r"\breturn None\s*$|\bpass\s*$|\bnoop\b")
SQL_OF_ITS_OWN = ("RunSQL",)


def of_act(act: Act, change: Change | None, scene: Scene) -> Iterator[Finding]:
    if not of_the_project(change):
        return
    if act.kind == "update" and not scene.is_new(act.table):
        yield update(act)
    elif act.kind == "insert" and act.has("select"):
        yield cannot_tell(
            act.operation,
            act.table,
            "How many rows are inserted cannot be told from here; they are in one transaction.",
        )
    elif act.kind == "lock" and not scene.is_new(act.table):
        yield locked(act)
    elif (
        act.kind == "add enum value" and scene.atomic and scene.version is not None and scene.version < 120000
    ):
        reason = (
            "Before Postgres 12 this is refused in a transaction, and this migration is atomic: it "
            "fails here."
        )
        yield Finding(
            "fails-in-transaction",
            WARNING,
            "Fails in a transaction",
            act.name,
            reason,
            "",
            recipes.OWN_MIGRATION,
            act.operation,
        )
    elif act.kind == "unknown":
        words = (
            f"What this statement does cannot be told: {act.text}"
            if act.text
            else "What it does cannot be told."
        )
        yield cannot_tell(act.operation, act.table, words)


def of_the_project(change: Change | None) -> bool:
    """Statements that Django makes are known by what they are made from."""
    return change is not None and (change.kind == "RunSQL" or not change.is_of_django)


def update(act: Act) -> Finding:
    which = "the rows that match its condition; how many cannot be told" if act.has("where") else "every row"
    return Finding(
        "mass-update",
        NOTICE if act.has("where") else WARNING,
        "Updates rows",
        act.table,
        f"Writes {which}. Each stays locked to the end of its transaction, and leaves a dead copy behind.",
        "",
        recipes.BATCHES,
        act.operation,
    )


def locked(act: Act) -> Finding:
    lock = lock_words(act.expression or SHARE, act.table, "until COMMIT")
    return Finding(
        "explicit-lock",
        WARNING,
        "Locks a table",
        act.table,
        "The statement locks the table.",
        lock,
        recipes.SPLIT,
        act.operation,
    )


def of_change(change: Change, scene: Scene) -> Iterator[Finding]:
    if change.kind == "RunPython":
        yield from python(change)
    elif change.facts.get("sql_cut"):
        yield cannot_tell(
            change.position, "", "Its SQL is too long to be looked at as a whole; the rest may do anything."
        )
    elif change.unknown_sql and not (change.is_of_django and scene.is_new(change.table)):
        yield cannot_tell(
            change.position,
            change.subject,
            f"Its SQL cannot be had, so its locks cannot be told: {change.unknown_sql}",
        )
    elif not change.is_of_django and change.facts.get("reduces_to_sql") is False:
        yield cannot_tell(
            change.position,
            change.subject,
            "This operation is not one of Django's and need not say all that it does as SQL.",
        )


def python(change: Change) -> Iterator[Finding]:
    source = change.facts.get("reverse_source" if change.backwards else "source")
    if source is not None and is_noop(str(source)):
        return
    yield Finding(
        "python-code",
        NOTICE,
        TITLE,
        "",
        "It runs Python code: which rows it writes, and for how long, is known only when it runs. Read "
        "its source.",
        "",
        recipes.BATCHES,
        change.position,
    )


def is_noop(source: str) -> bool:
    """RunPython.noop, or a function without a body: nothing else stands behind its head."""
    body = [
        line.strip()
        for line in source.strip().splitlines()
        if line.strip() and not line.strip().startswith(("#", "@"))
    ]
    return (
        len(body) == 2 and body[0].startswith("def ") and body[1] in ("return None", "return", "pass", "...")
    )


def cannot_tell(position: int | None, subject: str, reason: str) -> Finding:
    recipe: Recipe = NO_RECIPE
    return Finding("cannot-tell", NOTICE, TITLE, subject, reason, "", recipe, position)
