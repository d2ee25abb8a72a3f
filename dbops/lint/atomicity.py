"""What a transaction keeps locked, and what is left where there is none."""

from collections.abc import Iterator, Sequence

from . import recipes
from .act import Act
from .change import Change
from .finding import DANGER, NO_RECIPE, NOTICE, WARNING, Finding
from .scene import ACCESS_EXCLUSIVE, Scene, lock_words

# They take as long as the table is large.
SCANS = frozenset({"create index", "set not null", "validate constraint", "update", "delete", "reindex"})
DDL_OF_ITS_OWN = ("mysql", "oracle")


def of_act(act: Act, change: Change | None, scene: Scene) -> Iterator[Finding]:
    """A scan behind an ALTER of an earlier operation, which keeps the lock."""
    holder = scene.holder(act)
    if holder is None or scene.is_new(act.table) or not scans(act):
        return
    earlier = f"operation {holder.operation + 1}" if holder.operation is not None else "an earlier statement"
    yield Finding(
        "long-lock",
        DANGER,
        "Lock held to COMMIT",
        act.table,
        f"{earlier.capitalize()} ({holder.kind}) has locked the table, and keeps it locked in this "
        f"transaction while this "
        "one works through its rows.",
        lock_words(ACCESS_EXCLUSIVE, act.table, "until COMMIT"),
        recipes.SPLIT,
        act.operation,
    )


def scans(act: Act) -> bool:
    if act.kind == "add constraint":
        return not (act.has("not valid") or act.has("using index"))
    return act.kind in SCANS and not act.has("concurrently")


def of_python(change: Change, scene: Scene) -> Iterator[Finding]:
    tables = sorted(table for table in scene.locked if not scene.is_new(table))
    if change.kind != "RunPython" or not tables or not scene.atomic:
        return
    yield Finding(
        "long-lock",
        WARNING,
        "Lock held to COMMIT",
        ", ".join(tables),
        "Earlier operations of this transaction have locked it, and keep it locked for as long as this "
        "Python code runs.",
        "; ".join(lock_words(ACCESS_EXCLUSIVE, table, "until COMMIT") for table in tables),
        recipes.SPLIT,
        change.position,
    )


def of_migration(scene: Scene, changes: Sequence[Change]) -> Iterator[Finding]:
    """It is not atomic, by its own word or since the database cannot."""
    working = [change for change in changes if not change.does_nothing]
    if not working:
        return
    if scene.vendor in DDL_OF_ITS_OWN and scene.atomic:
        if len(working) > 1:
            yield not_undone(scene, "This database commits every change of the schema by itself", WARNING)
    elif not scene.atomic:
        several = len(working) > 1 or sum(len(change.sql) for change in working) > 1
        yield not_undone(scene, "atomic = False", WARNING if several else NOTICE)


def not_undone(scene: Scene, why: str, severity: str) -> Finding:
    reason = f"{why}: what was done before an error stays, and the migration is not recorded as applied."
    if scene.backwards:
        reason = f"{why}: what was undone before an error stays undone, and the migration is still recorded."
    return Finding("not-atomic", severity, "Not atomic", "", reason, "", NO_RECIPE, None)
