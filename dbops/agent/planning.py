"""A plan in full: what a migrate would do, told without doing it, by one loader and one pass over the states.

Nothing is executed and nothing is written. What is wrong with one migration is told with it, and ends only
what builds on it. `plan_walk` is the pass, `plan_step` one migration of it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from . import beyond_file, databases, targets
from .migration_facts import key_of
from .plan_step import net
from .plan_walk import Walk
from .session import is_read_only

if TYPE_CHECKING:
    from typing import Any


def detail(
    connection: Any, executor: Any, app: str, name: str, budget_s: float | None, known_fingerprint: str = ""
) -> dict[str, Any] | None:
    """PLAN towards a migration (its name, its beginning, "zero"), the newest of an app or of all apps. None
    where it is the one that is known.

    `budget_s`: of wall time; the migrations beyond it have facts and words, but no SQL and no tables. Raises
    Failure where there is no such app or migration.
    """
    plan = Plan(executor, app, name)
    if known_fingerprint and plan.fingerprint == known_fingerprint:
        return None
    return answer(connection, plan, Walk(connection, plan, budget_s))


def answer(connection: Any, plan: Plan, walk: Walk) -> dict[str, Any]:
    was_read_only = is_read_only(connection)
    told = walk.told()
    return {
        "alias": connection.alias,
        "identity": databases.identity(connection),
        "read_only_confirmed": was_read_only and is_read_only(connection),
        "app": plan.app,
        "migration": plan.name,
        "fingerprint": plan.fingerprint,
        "complete": not walk.untold,
        "stopped": walk.stopped,
        "renames": net([pair for entry in told for pair in entry["renames"]]),
        "migrations": told,
    }


class Plan:
    """Which migrations, in the order in which migrate performs them."""

    def __init__(self, executor: Any, app: str, name: str) -> None:
        nodes = targets.resolve(executor.loader, app, name)
        self.app, self.name = app, (nodes[0][1] or targets.ZERO) if name else ""
        found = executor.migration_plan(nodes)
        # Behind it: it may have built the graph anew.
        self.loader = executor.loader
        self.full = [
            migration
            for migration, _ in executor.migration_plan(self.loader.graph.leaf_nodes(), clean_start=True)
        ]
        place = {key_of(migration): number for number, migration in enumerate(self.full)}
        self.backwards = any(backwards for _, backwards in found)
        if not self.backwards:
            found.sort(key=lambda pair: place.get(key_of(pair[0]), len(place)))
        self.steps: list[tuple[Any, bool]] = found
        self.hashes = {key_of(migration): beyond_file.hash_of(migration) for migration, _ in found}

    def rows(self) -> list[list[Any]]:
        """[[app, name, backwards, hash of its source and of what it brings from elsewhere]]."""
        return [
            [migration.app_label, migration.name, backwards, self.hashes[key_of(migration)]]
            for migration, backwards in self.steps
        ]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(self.rows(), separators=(",", ":")).encode()).hexdigest()
