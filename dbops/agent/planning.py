"""A plan in full: what a migrate would do, told without doing it; one loader, one pass over the states.

The project's state with all that is applied is built once and rendered once; then each migration of the plan is
added operation by operation, its SQL collected in both directions, and the tables that it touches described
before and after it. For a plan that goes backwards the states before each migration are those that Django's
executor takes: of what is applied, in the order of the full plan.

Nothing is executed and nothing is written. What is wrong with one migration is told with it, and ends only
what builds on it.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING

from django.db.migrations.state import ProjectState

from . import collected, databases, failures, operation_facts, sources, targets
from .collected import Collector, Sql
from .operation_facts import Teller
from .session import is_read_only
from .supposed import Changed, Statements, Supposed, tables_of

if TYPE_CHECKING:
    from typing import Any, Iterable

    Key = "tuple[str, str]"

UNTOLD = (
    "opsdash had {} s for the SQL and the tables of this plan, and they are used up: {} of its {} migrations "
    "are told without, or in part. They are {}."
)
TIME_IS_UP = "The time for this plan was used up before its SQL was asked for."
BUILDS_ON = "Its SQL cannot be had, since it builds on {}, of which something cannot be told."
NO_STATE = "What the models are behind it cannot be told: {}"
NO_MODELS = "The project's models cannot be built as they are before it: {}"
NOT_REVERSED = "It cannot be reversed: {}"
LONGEST_DOCSTRING = 20_000


def detail(
    connection: Any, executor: Any, app: str, name: str, budget_s: float | None, known_fingerprint: str = ""
) -> dict[str, Any] | None:
    """PLAN towards a migration (its name, its beginning, "zero"), the newest of an app or of all of them. None
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
            migration for migration, _ in executor.migration_plan(leaves(self.loader), clean_start=True)
        ]
        place = {key_of(migration): number for number, migration in enumerate(self.full)}
        self.backwards = any(backwards for _, backwards in found)
        if not self.backwards:
            found.sort(key=lambda pair: place.get(key_of(pair[0]), len(place)))
        self.steps: list[tuple[Any, bool]] = found
        self.hashes = {key_of(migration): sources.hash_of(migration) for migration, _ in found}

    def rows(self) -> list[list[Any]]:
        """[[app, name, backwards, hash of its source]]."""
        return [
            [migration.app_label, migration.name, backwards, self.hashes[key_of(migration)]]
            for migration, backwards in self.steps
        ]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(self.rows(), separators=(",", ":")).encode()).hexdigest()


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
        self.untold: list[Any] = []
        # {migration: why nothing that builds on it can be told}
        self.bad: dict[Key, str] = {}
        self.confirmed = collected.confirmed(connection)
        self.supposed = Supposed(connection, plan.backwards)
        self.teller = Teller(connection.alias, self.supposed.describer)
        self.version: dict[str, Any] = {}
        self.created: dict[str, Key] = {}
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
        return list(entries.values())

    def _along(self, migrations: Iterable[Any], entries: dict[Key, dict[str, Any]]) -> None:
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

    @property
    def is_over(self) -> bool:
        return self.budget_s is not None and time.monotonic() - self.began > self.budget_s

    @property
    def stopped(self) -> str:
        if not self.untold:
            return ""
        named = ", ".join(".".join(key_of(migration)) for migration in self.untold[:3])
        named += f" and {len(self.untold) - 3} more" if len(self.untold) > 3 else ""
        return failures.clean(UNTOLD.format(self.budget_s, len(self.untold), len(self.plan.steps), named))

    def lacking(self, migration: Any) -> list[Key]:
        """Which of those that cannot be told it builds on."""
        if not self.bad:
            return []
        upon = set(self.plan.loader.graph.forwards_plan(key_of(migration)))
        return [key for key in self.bad if key in upon]


class Leaf:
    """An operation that works on the database, with the states and versions around it."""

    def __init__(self, operation: Any, told: dict[str, Any], before: Any, after: Any, version: Any) -> None:
        self.operation = operation
        self.told = told
        self.before = before
        self.after = after
        self.version_before = self.version_after = version
        self.change: Changed | None = None

    def renamed(self, backwards: bool) -> dict[str, str]:
        """{what it calls a table: what it was called}."""
        tables = self.change.tables if self.change is not None else {}
        return dict(tables) if backwards else {new: old for old, new in tables.items()}


class Step:
    """One migration of the plan."""

    def __init__(self, walk: Walk, migration: Any, entry: dict[str, Any]) -> None:
        self.walk = walk
        self.migration = migration
        self.app = migration.app_label
        self.entry = entry
        self.leaves: list[Leaf] = []
        self.renames: list[list[str]] = []
        self.version = walk.version
        self.is_untold = False

    def take(self) -> None:
        """Fill the entry, and leave the walk's state and version behind this migration."""
        lacking = self.walk.lacking(self.migration)
        if lacking:
            self._is_bad(BUILDS_ON.format(", ".join(map(".".join, lacking[:3]))))
            return
        try:
            self.walk.state.apps  # noqa: B018
        except Exception as problem:
            failures.let_a_stop_through(problem)
            self._is_bad(NO_MODELS.format(failures.describe(problem)))
            return
        state = self._forwards()
        self._backwards()
        self._tables()
        if self.is_untold:
            self.walk.untold.append(self.migration)
            self.walk.give_up(self.migration)
        elif state is not None:
            self.walk.state, self.walk.version = state, self.version

    def _is_untold(self, told: dict[str, Any]) -> None:
        self.is_untold = True
        told["sql_problem"] = told["sql_problem"] or (TIME_IS_UP if told["sql"] is None else "")
        told["reverse_sql_problem"] = TIME_IS_UP

    def _is_bad(self, words: str) -> None:
        words = failures.clean(words)
        self.walk.bad[key_of(self.migration)] = words
        self.entry["sql_problem"] = self.entry["reverse_sql_problem"] = self.entry["problem"] = words

    # Forwards

    def _forwards(self) -> Any:
        """The state behind it, or None where it cannot be told."""
        state: Any = self.walk.state
        with Collector(self.walk.connection, self.migration.atomic) as collector:
            for operation, told in zip(self.migration.operations, self.entry["operations"]):
                if state is None:
                    told["sql_problem"] = told["reverse_sql_problem"] = self.entry["sql_problem"]
                    continue
                if self.walk.is_over:
                    self._is_untold(told)
                    continue
                state = self._operation(operation, told, state, collector)
            rest = collector.left_for_the_end()
        self.entry["deferred"] = rest.statements or []
        if rest.problem and not self.entry["sql_problem"]:
            self.entry["sql_problem"] = rest.problem
        return state

    def _operation(self, operation: Any, told: dict[str, Any], before: Any, collector: Collector) -> Any:
        after = before.clone()
        try:
            operation.state_forwards(self.app, after)
            after.apps  # noqa: B018
        except Exception as problem:
            failures.let_a_stop_through(problem)
            self._is_bad(NO_STATE.format(failures.describe(problem)))
            told["sql_problem"] = told["reverse_sql_problem"] = self.entry["sql_problem"]
            return None
        self._facts(operation, told, before, after)
        if collected.is_taken_apart(operation):
            self._within(operation, told, before, collector)
        else:
            self._leaf(operation, told, before, after, collector)
            self._state_only(getattr(operation, "state_operations", None) or [], told, before)
        return after

    def _facts(self, operation: Any, told: dict[str, Any], before: Any, after: Any) -> None:
        try:
            told.update(self.walk.teller.facts(operation, self.app, before, after))
        except Exception as problem:
            self._is_partly_told(problem)
        made_in = self.walk.created.get(told["table"])
        if made_in is not None:
            told["table_created_in"] = "migration" if made_in == key_of(self.migration) else "plan"

    def _within(self, operation: Any, told: dict[str, Any], before: Any, collector: Collector) -> None:
        """Of SeparateDatabaseAndState: what works on the database has states of its own, as Django gives them."""
        told["nested"] = [operation_facts.plain(one) for one in operation.database_operations]
        state: Any = before
        for inner, facts in zip(operation.database_operations, told["nested"]):
            facts["database_only"] = True
            if state is not None:
                state = self._operation(inner, facts, state, collector)
        together(told, told["nested"], "")
        self._state_only(operation.state_operations, told, before)

    def _state_only(self, operations: Any, told: dict[str, Any], before: Any) -> None:
        state = before.clone() if operations else before
        for operation in operations:
            facts = dict(operation_facts.plain(operation), state_only=True, sql=[], reverse_sql=[])
            told["nested"].append(facts)
            after = state.clone()
            operation.state_forwards(self.app, after)
            self._facts(operation, facts, state, after)
            state = after

    def _leaf(
        self, operation: Any, told: dict[str, Any], before: Any, after: Any, collector: Collector
    ) -> None:
        leaf = Leaf(operation, told, before, after, self.version)
        self.leaves.append(leaf)
        try:
            leaf.change = Changed(self.walk.connection.alias, before, after, *moved_by(operation, self.app))
        except Exception as problem:
            self._is_partly_told(problem)
        sql = self._sql(leaf, collector, backwards=False)
        told.update(sql=sql.statements, sql_problem=sql.problem, sql_cut=sql.cut)
        try:
            self._follow(leaf, self._statements(operation, sql, collector))
        except Exception as problem:
            self._is_partly_told(problem)

    def _is_partly_told(self, problem: Exception) -> None:
        """A field, an index or a router of the project's own takes part."""
        failures.let_a_stop_through(problem)
        self.entry["problem"] = self.entry["problem"] or failures.clean(failures.describe(problem))

    def _sql(self, leaf: Leaf, collector: Collector, backwards: bool) -> Sql:
        operation = leaf.operation
        if backwards and not operation.reversible:
            return Sql(None, "It cannot be reversed.")
        refusal = collected.is_refused(operation, self.walk.confirmed)
        if refusal:
            return Sql(None, refusal)
        long = collected.script(operation, backwards)
        if long is not None:
            return long if self._is_routed(leaf) else Sql([])
        states = (leaf.after, leaf.before) if backwards else (leaf.before, leaf.after)
        act = operation.database_backwards if backwards else operation.database_forwards
        kept = dict(operation.__dict__)
        version = leaf.version_after if backwards else leaf.version_before
        with self.walk.supposed.answering(version, leaf.renamed(backwards)):
            sql = collector.collect(lambda editor: act(self.app, editor, *states))
        if sql.statements is None:
            # Some change their own names while they work backwards.
            operation.__dict__.update(kept)
        elif self.walk.supposed.is_made_up and sql.statements and not sql.problem:
            sql.problem = collected.LOOKED_UP
        return sql

    def _is_routed(self, leaf: Leaf) -> bool:
        return bool(leaf.told["routed"])

    def _statements(self, operation: Any, sql: Sql, collector: Collector) -> Statements | None:
        """Where they tell all that it does to indexes and constraints."""
        if sql.statements is None or sql.cut or not type(operation).__module__.startswith("django."):
            return None
        if operation_facts.is_a(operation, "RunSQL"):
            return None
        return Statements([*sql.statements, *map(str, collector.editor.deferred_sql)])

    def _follow(self, leaf: Leaf, statements: Statements | None) -> None:
        """The supposed schema behind it."""
        change = leaf.change
        if change is None or not change.pairs:
            return
        self.version = leaf.version_after = self.walk.supposed.after(self.version, change, statements)
        for old, new in change.pairs:
            self._note(old and old._meta.db_table, new and new._meta.db_table)

    def _note(self, old: str | None, new: str | None) -> None:
        created = self.walk.created
        if old is None and new is not None and not self.walk.plan.backwards:
            created[new] = key_of(self.migration)
        if old is not None and old != new:
            made_in = created.pop(old, None)
            if made_in is not None and new is not None:
                created[new] = made_in
            if new is not None:
                self.renames.append([old, new])

    # Backwards

    def _backwards(self) -> None:
        with Collector(self.walk.connection, self.migration.atomic) as collector:
            for leaf in reversed(self.leaves):
                if self.walk.is_over:
                    self._is_untold(leaf.told)
                    continue
                sql = self._sql(leaf, collector, backwards=True)
                leaf.told.update(reverse_sql=sql.statements, reverse_sql_problem=sql.problem)
                leaf.told["sql_cut"] = leaf.told["sql_cut"] or sql.cut
            rest = collector.left_for_the_end()
        self.entry["reverse_deferred"] = rest.statements or []
        for operation, told in zip(self.migration.operations, self.entry["operations"]):
            if collected.is_taken_apart(operation):
                together(told, [one for one in reversed(told["nested"]) if not one["state_only"]], "reverse_")
        if self.entry["irreversible"] and not self.entry["reverse_sql_problem"]:
            self.entry["reverse_sql_problem"] = NOT_REVERSED.format(", ".join(self.entry["irreversible"]))

    def _tables(self) -> None:
        """What it touches, in the direction of the plan."""
        first, start, end = self.walk.supposed.first, self.walk.version, self.version
        was = {table: start.get(table, first.get(table)) for table in end}
        touched = [table for table, shape in end.items() if was[table] is not shape and was[table] != shape]
        both = [tables_of(was, touched), tables_of(end, touched)]
        renames = net(self.renames)
        if self.entry["backwards"]:
            both.reverse()
            renames = [[new, old] for old, new in reversed(renames)]
        self.entry.update(before=both[0], after=both[1], renames=renames)


def together(told: dict[str, Any], inner: list[dict[str, Any]], way: str) -> None:
    """The SQL of an operation that consists of others."""
    statements = [one[way + "sql"] for one in inner]
    known = all(found is not None for found in statements)
    told[way + "sql"] = [text for found in statements for text in found] if known else None
    told[way + "sql_problem"] = " ".join(
        dict.fromkeys(filter(None, (one[way + "sql_problem"] for one in inner)))
    )
    told["sql_cut"] = told["sql_cut"] or any(one["sql_cut"] for one in inner)


def moved_by(operation: Any, app: str) -> tuple[dict[str, str], dict[tuple[str, str], str]]:
    """({old label: new label}, {(label, old field): new field}) of what it renames."""
    moves: dict[str, str] = {}
    fields: dict[tuple[str, str], str] = {}
    for one in [operation, *(getattr(operation, "state_operations", None) or [])]:
        if operation_facts.is_a(one, "RenameModel"):
            moves[f"{app}.{one.old_name.lower()}"] = f"{app}.{one.new_name.lower()}"
        elif operation_facts.is_a(one, "RenameField"):
            fields[f"{app}.{one.model_name.lower()}", one.old_name.lower()] = one.new_name.lower()
    return moves, fields


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


def key_of(migration: Any) -> Key:
    return migration.app_label, migration.name


def leaves(loader: Any) -> Any:
    return loader.graph.leaf_nodes()


def net(renames: list[list[str]]) -> list[list[str]]:
    """One after another, as one: a to b and b to c is a to c; a to b and b to a is nothing."""
    found: dict[str, str] = {}
    for old, new in renames:
        first = next((one for one, other in found.items() if other == old), old)
        found[first] = new
    return [[old, new] for old, new in found.items() if old != new]
