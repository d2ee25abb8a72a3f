"""One migration of a plan, and its operations, as the page of a plan shows them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dbops.inspection import schema_diff
from dbops.inspection.schema_diff import SchemaDiff
from dbops.lint import Finding, counts, worst

Entry = Mapping[str, Any]
# What Python or SQL of one's own does, nobody tells from the operation.
OWN_CODE = {"RunPython": "runs Python", "RunSQL": "runs SQL of its own"}


@dataclass(frozen=True)
class Operation:
    """`number` is its place in the file; what sits in another has a depth and no findings of its own."""

    number: int
    facts: Entry
    findings: list[Finding]
    depth: int = 0
    # That it sits in: of SeparateDatabaseAndState.
    within: str = ""

    @property
    def marks(self) -> list[str]:
        """What else is to be known of it, in words."""
        told = (
            ("in a transaction of its own, where the migration has none", self.facts.get("atomic") is True),
            ("does not touch the database", bool(self.facts.get("state_only"))),
            ("the migration states do not know of it", bool(self.facts.get("database_only"))),
            ("not for this database (its router)", self.facts.get("routed") is False),
            ("cannot be reversed", self.facts.get("reversible") is False),
            ("elidable", bool(self.facts.get("elidable"))),
        )
        return [words for words, holds in told if holds]

    @property
    def source(self) -> str:
        return str(self.facts.get("source") or "")

    @property
    def reverse_source(self) -> str:
        return str(self.facts.get("reverse_source") or "")


@dataclass(frozen=True)
class Migration:
    number: int
    facts: Entry
    findings: list[Finding]
    # Few enough that all of it can stand open.
    few: bool

    @property
    def key(self) -> str:
        return f"{self.facts['app']}.{self.facts['name']}"

    @property
    def anchor(self) -> str:
        return f"migration_{self.number}"

    @property
    def worst(self) -> str:
        return worst(self.findings)

    @property
    def counts(self) -> dict[str, int]:
        return counts(self.findings)

    @property
    def is_open(self) -> bool:
        return self.few

    @cached_property
    def operations(self) -> list[Operation]:
        by_operation: dict[int, list[Finding]] = {}
        for finding in self.findings:
            if finding.operation is not None:
                by_operation.setdefault(finding.operation, []).append(finding)
        return list(flattened(self.facts.get("operations") or [], by_operation))

    @property
    def of_the_whole(self) -> list[Finding]:
        """Findings that no single operation stands for."""
        return [finding for finding in self.findings if finding.operation is None]

    @cached_property
    def diff(self) -> SchemaDiff:
        return schema_diff.of_migration(self.facts)

    @property
    def words(self) -> str:
        """What it does, in a line: the change of the schema, and code whose effect nobody can tell."""
        own = own_code(self.facts)
        if own and not self.diff:
            return ", ".join(own)
        return ", ".join([self.diff.summary, *own])

    @property
    def sql(self) -> list[str]:
        """Of the direction of the plan, in the order in which it would be executed."""
        return statements(self.facts, backwards=bool(self.facts.get("backwards")))

    @property
    def reverse_sql(self) -> list[str]:
        return statements(self.facts, backwards=not self.facts.get("backwards"))

    @property
    def sql_problems(self) -> list[str]:
        return problems(self, "sql_problem", "reverse_sql_problem")

    @property
    def reverse_problems(self) -> list[str]:
        return problems(self, "reverse_sql_problem", "sql_problem")

    @property
    def irreversible(self) -> str:
        """What stops the way back, in words; "" where nothing does."""
        if self.facts.get("reversible", True):
            return ""
        return ", ".join(self.facts.get("irreversible") or []) or "an operation"


def flattened(
    operations: list[Entry], findings: Mapping[int, list[Finding]], depth: int = 0, within: str = ""
) -> Iterator[Operation]:
    for number, facts in enumerate(operations):
        yield Operation(number + 1, facts, [] if depth else findings.get(number, []), depth, within)
        yield from flattened(facts.get("nested") or [], {}, depth + 1, str(facts.get("words") or ""))


def own_code(facts: Entry) -> list[str]:
    kinds = {operation.facts.get("kind") for operation in flattened(facts.get("operations") or [], {})}
    return [words for kind, words in OWN_CODE.items() if kind in kinds]


def statements(facts: Entry, *, backwards: bool) -> list[str]:
    operations = facts.get("operations") or []
    if backwards:
        found = [sql for one in reversed(operations) for sql in one.get("reverse_sql") or []]
        return [*found, *(facts.get("reverse_deferred") or [])]
    return [*(sql for one in operations for sql in one.get("sql") or []), *(facts.get("deferred") or [])]


def problems(migration: Migration, name: str, other: str) -> list[str]:
    """Why some or all of its SQL is not there; each reason once, with the operation that it is about."""
    key = other if migration.facts.get("backwards") else name
    whole = [str(migration.facts[key])] if migration.facts.get(key) else []
    parts = [
        f"{one.number}. {one.facts.get('words')}: {one.facts[key]}"
        for one in migration.operations
        if one.facts.get(key) and one.facts[key] not in whole
    ]
    return [*whole, *parts]
