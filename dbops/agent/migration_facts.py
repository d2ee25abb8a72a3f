"""What a migration says of itself, without any state: an entry of a plan before anything is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import failures, operation_facts, sources

if TYPE_CHECKING:
    from typing import Any


LONGEST_DOCSTRING = 20_000


def plain(migration: Any, backwards: bool) -> dict[str, Any]:
    """What needs no state."""
    irreversible = operation_facts.stopping(migration.operations)
    return {
        "app": migration.app_label,
        "name": migration.name,
        "backwards": backwards,
        "file": failures.clean(sources.file_of(migration)),
        "docstring": failures.clean(sources.docstring(migration), LONGEST_DOCSTRING),
        "hash": "",
        "atomic": bool(migration.atomic),
        "initial": migration.initial,
        "elidable": bool(migration.operations) and all(one.elidable for one in migration.operations),
        "reversible": not irreversible,
        "irreversible": irreversible,
        "dependencies": pairs(migration.dependencies),
        "run_before": pairs(migration.run_before),
        "replaces": pairs(migration.replaces),
        "operations": [operation_facts.plain(one) for one in migration.operations],
        "deferred": [],
        "reverse_deferred": [],
        "sql_problem": "",
        "reverse_sql_problem": "",
        "before": {},
        "after": {},
        "renames": [],
        "problem": "",
    }


def pairs(keys: Any) -> list[list[str]]:
    return [[failures.words(part) for part in key] for key in keys]


def key_of(migration: Any) -> tuple[str, str]:
    return migration.app_label, migration.name
