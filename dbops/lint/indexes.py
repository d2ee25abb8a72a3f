"""Indexes: what is built while others wait, and what cannot be built in a transaction."""

from collections.abc import Iterator

from . import recipes
from .act import Act
from .change import Change
from .finding import DANGER, WARNING, Finding, Recipe
from .scene import ACCESS_EXCLUSIVE, SHARE, Scene, lock_words, long

BUILD = "the index is built"


def of_act(act: Act, change: Change | None, scene: Scene) -> Iterator[Finding]:
    if act.kind in ("create index", "drop index", "reindex", "detach partition") and act.has("concurrently"):
        yield from concurrent(act, scene)
    elif act.kind == "create index" and not scene.is_new(act.table):
        yield blocking(act, change, scene)
    elif act.kind == "reindex" and not scene.is_new(act.table):
        yield reindex(act, scene)
    elif act.kind in ("vacuum full", "vacuum") and scene.atomic:
        yield not_in_transaction(act, "VACUUM")


def concurrent(act: Act, scene: Scene) -> Iterator[Finding]:
    """Of a table that the plan makes as well: it is an error there too."""
    if scene.atomic:
        yield not_in_transaction(act, "CONCURRENTLY")


def not_in_transaction(act: Act, what: str) -> Finding:
    reason = f"{what} is refused in a transaction, and this migration is atomic: it fails here."
    title = "Fails in a transaction"
    return Finding(
        "concurrently-in-transaction",
        DANGER,
        title,
        act.name or act.table,
        reason,
        "",
        recipes.OWN_MIGRATION,
        act.operation,
    )


def blocking(act: Act, change: Change | None, scene: Scene) -> Finding:
    lock = scene.lock_of(act, SHARE)
    unique = " It fails where two rows have the same value." if act.has("unique") else ""
    because = ""
    if lock == ACCESS_EXCLUSIVE:
        because = (
            " The transaction has altered the table before and keeps that lock, so nobody can read it either."
        )
    return Finding(
        "blocking-index",
        DANGER if lock == ACCESS_EXCLUSIVE or unique else WARNING,
        "Blocking index build",
        f"{act.table}.{act.name}" if act.name else act.table,
        f"The index is built from every row of {act.table}, while nobody can write.{because}{unique}",
        lock_words(lock, act.table, long(scene, BUILD)),
        recipes.concurrent_index(change, act),
        act.operation,
    )


def reindex(act: Act, scene: Scene) -> Finding:
    subject = act.table or act.name
    lock = f"{SHARE} on the table, {ACCESS_EXCLUSIVE} on the index: blocks writes, and reads that use it"
    recipe = Recipe(
        "Postgres 12 and newer do it while others work, outside of a transaction.",
        "REINDEX INDEX CONCURRENTLY ...;",
        "sql",
    )
    reason = "Indexes are built anew from every row."
    return Finding(
        "blocking-index", DANGER, "Blocking index build", subject, reason, lock, recipe, act.operation
    )
