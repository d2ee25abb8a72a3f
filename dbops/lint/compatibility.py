"""Renames, and other changes that code of the old release does not survive while it still runs."""

from collections.abc import Iterator

from . import recipes
from .act import Act
from .change import Change
from .finding import WARNING, Finding, Recipe
from .scene import ACCESS_EXCLUSIVE, Scene, lock_words

TITLE = "Breaks running code"


def of_act(act: Act, change: Change | None, scene: Scene) -> Iterator[Finding]:
    if act.kind == "rename table" and not scene.is_new(act.table):
        yield table(act.table, act.other, change, scene)
    elif act.kind == "rename column" and not scene.is_new(act.table, act.name):
        yield column(act.table, act.name, act.other, change, scene)


def of_change(change: Change, scene: Scene) -> Iterator[Finding]:
    """Where the database's own SQL is not judged."""
    if change.does_nothing:
        return
    old, new = renamed_column(change)
    if old != new and not scene.is_new(change.table, old):
        yield column(change.table, old, new, change, scene)
    options = change.facts.get("options") or {}
    names = [str(options.get(side) or "") for side in ("old_table", "new_table")]
    old_table, new_table = reversed(names) if change.backwards else names
    if old_table and new_table and old_table != new_table and not scene.is_new(old_table):
        yield table(old_table, new_table, change, scene)


def renamed_column(change: Change) -> tuple[str, str]:
    old, new = str((change.before or {}).get("column") or ""), str((change.after or {}).get("column") or "")
    return (old, new) if old and new else ("", "")


def lost_default(change: Change, scene: Scene) -> Iterator[Finding]:
    """The database's own default of a column that is NOT NULL goes."""
    before, after = change.before or {}, change.after or {}
    if not (before.get("db_default") and after and not after.get("db_default")):
        return
    if change.does_nothing or after.get("null") or scene.is_new(change.table, change.column):
        return
    reason = (
        "The column is NOT NULL and loses its default. Code that inserts rows without it fails from then on."
    )
    recipe = Recipe("Drop the default only when all code that still runs writes the column.")
    yield Finding("lost-default", WARNING, TITLE, change.subject, reason, "", recipe, change.position)


def column(at: str, old: str, new: str, change: Change | None, scene: Scene) -> Finding:
    recipe = recipes.keep_column(change, old) if change and change.after else OWN
    reason = f"The column is called {new} from then on. Code of the old release that still says {old} fails."
    return Finding(
        "rename-column", WARNING, TITLE, f"{at}.{old}", reason, lock(at, scene), recipe, position(change)
    )


def table(old: str, new: str, change: Change | None, scene: Scene) -> Finding:
    reason = f"The table is called {new} from then on. Code of the old release that still says {old} fails."
    recipe = recipes.keep_table(change, old)
    return Finding("rename-table", WARNING, TITLE, old, reason, lock(old, scene), recipe, position(change))


OWN = Recipe(
    "Add the new column beside the old one, write both, fill it, and drop the old one in a later release."
)


def lock(name: str, scene: Scene) -> str:
    return lock_words(ACCESS_EXCLUSIVE, name, "for a moment") if scene.vendor == "postgresql" else ""


def position(change: Change | None) -> int | None:
    return change.position if change else None
