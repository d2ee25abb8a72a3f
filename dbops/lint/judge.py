"""A plan -> the findings of each of its migrations."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from . import (
    atomicity,
    compatibility,
    constraints,
    data,
    indexes,
    losing,
    nullability,
    other_vendors,
    reversing,
    rewriting,
    same_value,
    sqlite,
)
from .act import Act
from .change import Change, changes, deferred
from .finding import Finding, in_order
from .scene import Made, Scene
from .supposed import supposed

# Each asks one act: (act, the change it belongs to or None, scene) -> findings. Of a Postgres.
OF_ACTS = (
    losing.of_act,
    rewriting.of_act,
    nullability.of_act,
    constraints.of_act,
    indexes.of_act,
    compatibility.of_act,
    atomicity.of_act,
    data.of_act,
)
# What is known of a statement whatever database it is for.
ANYWHERE = (losing.of_act, data.of_act)


def findings(plan: Mapping[str, Any], vendor: str, server_version: int | None) -> dict[str, list[Finding]]:
    """{"app.name": findings, the worst first} of every migration of the plan, also of those without any.

    vendor: Django's word ("postgresql", "sqlite", "mysql" ...). server_version: Postgres' number (150004), or
    None where it is not known: then what holds for 12 and newer is said.
    """
    made = Made()
    found = {}
    for migration in plan.get("migrations") or []:
        scene = Scene(migration, vendor, server_version, made)
        found[f"{migration['app']}.{migration['name']}"] = in_order(judged(scene))
    return found


def judged(scene: Scene) -> Iterator[Finding]:
    of = (
        [supposed(change) for change in changes(scene.migration)]
        if scene.vendor == "postgresql"
        else changes(scene.migration)
    )
    yield from reversing.of_migration(scene)
    yield from atomicity.of_migration(scene, of)
    if scene.vendor not in ("postgresql", "sqlite"):
        yield from other_vendors.of_migration(scene, of)
    for change in of:
        yield from of_one(change, scene)
    by_position = {change.position: change for change in of}
    for act in deferred(scene.migration, of):
        owner = by_position.get(act.operation) if act.operation is not None else None
        yield from of_act(act, owner, scene)


def of_one(change: Change, scene: Scene) -> Iterator[Finding]:
    """Of one operation; what it does is remembered behind it."""
    if change.facts.get("table_created_in") and not change.backwards:
        scene.made.tables.add(change.table)
    yield from same_value.of_change(change, scene)
    yield from nullability.of_change(change, scene)
    yield from compatibility.lost_default(change, scene)
    yield from data.of_change(change, scene)
    if scene.vendor == "postgresql":
        yield from atomicity.of_python(change, scene)
    else:
        yield from elsewhere(change, scene)
    for act in change.acts:
        yield from of_act(act, change, scene)
    if scene.vendor != "postgresql":
        remember(change, scene)


def of_act(act: Act, change: Change | None, scene: Scene) -> Iterator[Finding]:
    if scene.vendor == "postgresql":
        for rule in OF_ACTS:
            yield from rule(act, change, scene)
        scene.remember(act)
    elif data.of_the_project(change):
        for rule in ANYWHERE:
            yield from without_locks(rule(act, change, scene))
        scene.made.remember(act)


def without_locks(found: Iterator[Finding]) -> Iterator[Finding]:
    """Lock names are Postgres'."""
    for finding in found:
        yield replace(finding, lock="")


def elsewhere(change: Change, scene: Scene) -> Iterator[Finding]:
    if change.is_of_django and change.kind != "RunSQL":
        yield from losing.of_change(change, scene)
        yield from compatibility.of_change(change, scene)
    if scene.vendor == "sqlite":
        yield from sqlite.of_change(change, scene)


def remember(change: Change, scene: Scene) -> None:
    """Of a change that is not judged by its SQL."""
    if change.kind == "CreateModel" and not change.does_nothing:
        scene.made.tables |= {
            change.table,
            *map(str, (change.facts.get("options") or {}).get("through_tables") or ()),
        }
    elif change.kind == "AddField" and (change.after or {}).get("many_to_many"):
        if not change.does_nothing:
            scene.made.tables.add(str((change.after or {}).get("through_table") or ""))
    elif change.kind == "AddField" and change.column:
        scene.made.columns.add((change.table, change.column))
    elif change.is_of_django and change.kind != "RunSQL":
        remember_moved(change, scene)


def remember_moved(change: Change, scene: Scene) -> None:
    """A table of many to many goes along with its model: by a new one, the rows of the old one, and its end.
    SQLite's own copy of a table takes the name back."""
    made = [act.table for act in change.acts if act.kind == "create table"]
    copies = {table for table in made if table.startswith("new__")}
    gone = {
        act.table for act in change.acts if act.kind == "drop table" and f"new__{act.table}" not in copies
    }
    for act in change.acts:
        if act.kind == "rename table" and act.table not in copies:
            scene.made.remember(act)
    if gone <= scene.made.tables:
        scene.made.tables |= set(made) - copies
    scene.made.tables -= gone
