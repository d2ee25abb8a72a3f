"""The one pass over the states from which a plan is told.

The project's state with all that is applied is built once and rendered once; then each migration of the plan
is added operation by operation. For a plan that goes backwards the states before each migration are those
that Django's executor takes: of what is applied, in the order of the full plan.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.db.migrations.state import ProjectState

from . import collected, failures
from .migration_facts import key_of, plain
from .operation_facts import Teller
from .plan_step import Step, together
from .state_changes import Changed
from .statements import Again, again_named
from .supposed import Supposed, tables_of

if TYPE_CHECKING:
    from typing import Any, Iterable

    from .planning import Plan


NO_FILE = "It has no file."
UNTOLD = (
    "opsdash had {} s for the SQL and the tables of this plan, and they are used up: {} of its {} migrations "
    "are told without, or in part. They are {}."
)


class Walk:
    """The one pass. `untold`: migrations that it had no time for."""

    def __init__(
        self, connection: Any, plan: Plan, budget_s: float | None = None, wants_schema: bool = False
    ) -> None:
        self.connection = connection
        self.plan = plan
        self.budget_s = budget_s
        self.began = time.monotonic()
        self.wants_schema = wants_schema
        self.schema: dict[str, Any] = {}
        # What is recorded and not in that schema: [{app, name, problem}].
        self.not_in_schema: list[dict[str, str]] = []
        self.untold: list[Any] = []
        # {migration: why nothing that builds on it can be told}
        self.bad: dict[tuple[str, str], str] = {}
        self.confirmed = collected.confirmed(connection)
        self.supposed = Supposed(connection, plan.backwards)
        self.teller = Teller(connection.alias, self.supposed.describer)
        self.version: dict[str, Any] = {}
        self.created: dict[str, tuple[str, str]] = {}
        # {migration: what each of its operations makes again on the way back}, in that order
        self.made_again: dict[tuple[str, str], list[tuple[dict[str, Any], Again]]] = {}
        self.state: Any = ProjectState(real_apps=plan.loader.unmigrated_apps)

    def told(self) -> list[dict[str, Any]]:
        """The entries of the plan, in its order."""
        entries = {key_of(migration): plain(migration, backwards) for migration, backwards in self.plan.steps}
        for key, entry in entries.items():
            entry["hash"] = self.plan.hashes[key]
        if self.plan.backwards:
            self._along(self.plan.full, entries)
            self._tell_schema()
        else:
            self._along([one for one in self.plan.full if key_of(one) not in entries], entries)
            self._tell_schema()
            self._along([migration for migration, _ in self.plan.steps], entries)
        self._name_backwards(entries.values())
        return list(entries.values())

    def _name_backwards(self, entries: Iterable[dict[str, Any]]) -> None:
        """What an operation undoes comes back under a name that may be another one than it had."""
        names: dict[str, str] = {}
        for migration, backwards in self.plan.steps:
            if not backwards:
                names = {}
            for told, again in self.made_again.get(key_of(migration), []):
                if told["reverse_sql"]:
                    told["reverse_sql"] = [again_named(text, names) for text in told["reverse_sql"]]
                for name in again.made:
                    names.pop(name, None)
                names.update(again.names)
        for entry in entries:
            for told in entry["operations"]:
                gather_backwards(told)

    def _along(self, migrations: Iterable[Any], entries: dict[tuple[str, str], dict[str, Any]]) -> None:
        for migration in migrations:
            key = key_of(migration)
            if key in entries and not self.is_over:
                Step(self, migration, entries[key]).take()
                continue
            if key in entries:
                self.untold.append(migration)
                self.give_up(migration)
            elif key in self.plan.loader.applied_migrations:
                self._add(migration)

    def give_up(self, migration: Any) -> None:
        """It had no time for this one. Rendered models would only be kept up to date: nobody needs them."""
        self.state.__dict__.pop("apps", None)
        if key_of(migration) in self.plan.loader.applied_migrations:
            self._add(migration)

    def _add(self, migration: Any) -> None:
        """One that is applied, and not of this plan."""
        try:
            migration.mutate_state(self.state, preserve=False)
        except Exception as problem:
            failures.let_a_stop_through(problem)
            self.bad[key_of(migration)] = failures.clean(failures.describe(problem))

    def _tell_schema(self) -> None:
        if not self.wants_schema:
            return
        alias, describer = self.connection.alias, self.supposed.describer
        empty = ProjectState()
        change = Changed(alias, empty, self.state, {}, {})
        made = Supposed(self.connection)
        made.describer = describer
        version = made.after({}, change)
        self.schema = tables_of(version, version)
        self.not_in_schema = [
            {"app": app, "name": name, "problem": problem} for (app, name), problem in self._unseen().items()
        ]

    def _unseen(self) -> dict[tuple[str, str], str]:
        loader = self.plan.loader
        replaced = {tuple(key) for squash in loader.replacements.values() for key in squash.replaces}
        gone = [key for key in loader.applied_migrations if key not in loader.disk_migrations]
        return {**dict.fromkeys((key for key in gone if key not in replaced), NO_FILE), **self.bad}

    @property
    def is_over(self) -> bool:
        return self.budget_s is not None and time.monotonic() - self.began > self.budget_s

    @property
    def stopped(self) -> str:
        if not self.untold:
            return ""
        named = ", ".join(".".join(key_of(migration)) for migration in self.untold[:3])
        named += f" and {len(self.untold) - 3} more" if len(self.untold) > 3 else ""
        return failures.clean(
            UNTOLD.format(f"{self.budget_s:.1f}", len(self.untold), len(self.plan.steps), named)
        )

    def lacking(self, migration: Any) -> list[tuple[str, str]]:
        """Which of those that cannot be told it builds on."""
        if not self.bad:
            return []
        upon = set(self.plan.loader.graph.forwards_plan(key_of(migration)))
        return [key for key in self.bad if key in upon]


def gather_backwards(told: dict[str, Any]) -> None:
    """Of an operation that consists of others, the innermost first."""
    inner = [one for one in told["nested"] if one["database_only"]]
    for one in inner:
        gather_backwards(one)
    if inner:
        together(told, inner[::-1], "reverse_")
