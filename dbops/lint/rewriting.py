"""Rewriting a table: each row is written anew, and every index, while nobody may read."""

from collections.abc import Iterator

from . import column_type, recipes, volatile
from .act import Act
from .change import Change
from .finding import DANGER, NOTICE, WARNING, Finding, Recipe
from .scene import ACCESS_EXCLUSIVE, Scene, lock_words, long

TITLE = "Table rewrite"


def of_act(act: Act, change: Change | None, scene: Scene) -> Iterator[Finding]:
    if scene.is_new(act.table):
        return
    if act.kind == "add column":
        yield from added(act, change, scene)
    elif act.kind == "type":
        yield from retyped(act, change, scene)
    elif act.kind in ("vacuum full", "cluster", "rewrite table"):
        words = "the table" if act.table else "every table"
        yield rewrite(
            act, scene, f"{act.text.split(' ', 1)[0]} writes {words} anew, and all indexes.", recipes.REPACK
        )
    elif act.kind == "refresh" and not act.has("concurrently"):
        yield refresh(act, scene)


def rewrite(act: Act, scene: Scene, reason: str, recipe: Recipe, severity: str = DANGER) -> Finding:
    lock = lock_words(ACCESS_EXCLUSIVE, act.table, long(scene, "every row is written anew"))
    return Finding("table-rewrite", severity, TITLE, act.subject, reason, lock, recipe, act.operation)


def added(act: Act, change: Change | None, scene: Scene) -> Iterator[Finding]:
    if act.has("stored"):
        yield rewrite(
            act, scene, "A stored generated column is computed for every row, and written.", generated(scene)
        )
    elif act.has("identity"):
        yield rewrite(
            act,
            scene,
            "Every row is given a number of its own, and written.",
            recipes.new_column(change, act),
        )
    elif act.has("default"):
        yield from with_default(act, scene)


def with_default(act: Act, scene: Scene) -> Iterator[Finding]:
    if scene.version is not None and scene.version < 110000:
        yield rewrite(act, scene, "Before Postgres 11 a default is written into every row.", by_steps(act))
        return
    answer = volatile.is_volatile(act.expression)
    if answer == volatile.YES:
        reason = f"The default {act.expression} is computed for every row, and written."
        yield rewrite(act, scene, reason, by_steps(act))
    elif answer == volatile.UNKNOWN:
        reason = (
            f"Whether the default {act.expression} is the same for every row cannot be told; if not, "
            f"each is written."
        )
        yield rewrite(act, scene, reason, by_steps(act), WARNING)


def by_steps(act: Act) -> Recipe:
    table, column = recipes.quoted(act.table), recipes.quoted(act.name)
    return Recipe(
        "Add the column without the default, set the default for new rows, and fill the old rows in batches.",
        f"ALTER TABLE {table} ADD COLUMN {column} {act.type};\n"
        f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {act.expression};",
        "sql",
    )


def generated(scene: Scene) -> Recipe:
    if scene.version is not None and scene.version >= 180000:
        return Recipe(
            "Make it virtual, which writes nothing.", "models.GeneratedField(..., db_persist=False)"
        )
    return Recipe("Add a plain column, let a trigger fill it for new rows, and fill the old rows in batches.")


def retyped(act: Act, change: Change | None, scene: Scene) -> Iterator[Finding]:
    old = scene.type_before(act, change)
    outcome = column_type.outcome(old, act.type, act.expression, act.name) if old else column_type.UNKNOWN
    words = f"The type changes from {old or 'one that is not known here'} to {act.type}"
    misfit = column_type.misfit(old, act.type, act.expression) if old else ""
    end = f"; {misfit}" if misfit else ""
    recipe = recipes.new_column(change, act)
    if outcome == column_type.REWRITE:
        yield rewrite(act, scene, f"{words}: each row is written anew, and all indexes{end}.", recipe)
    elif outcome == column_type.UNKNOWN:
        reason = f"{words}: whether that writes each row anew cannot be told{end}."
        yield rewrite(act, scene, reason, recipe, WARNING)
    elif outcome == column_type.BY_TIME_ZONE:
        reason = f"{words}: nothing is written in a session whose TimeZone is UTC, each row in any other."
        yield rewrite(act, scene, reason, recipe, WARNING)
    elif column_type.parsed(old) != column_type.parsed(act.type):
        yield statistics(act, words)


def statistics(act: Act, words: str) -> Finding:
    table, column = recipes.quoted(act.table), recipes.quoted(act.name)
    reason = f"{words}: nothing is written anew, but the planner forgets what it knew of the column's values."
    recipe = Recipe("Have it look again right after the migration.", f"ANALYZE {table} ({column});", "sql")
    return Finding(
        "lost-statistics", NOTICE, "Statistics lost", act.subject, reason, "", recipe, act.operation
    )


def refresh(act: Act, scene: Scene) -> Finding:
    lock = lock_words(ACCESS_EXCLUSIVE, act.table, long(scene, "its query runs"))
    recipe = Recipe(
        "With a unique index on it, it can be refreshed while others read.",
        f"REFRESH MATERIALIZED VIEW CONCURRENTLY {recipes.quoted(act.table)};",
        "sql",
    )
    reason = "The materialized view is computed anew; nobody can read it meanwhile."
    return Finding(
        "refresh-view", WARNING, "Blocking refresh", act.table, reason, lock, recipe, act.operation
    )
