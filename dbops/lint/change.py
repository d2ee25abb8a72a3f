"""The operations of a migration as they work on the database, in the order and direction of the plan."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .act import Act
from .statement import acts_of

Facts = Mapping[str, Any]
# Where they are known well enough to be judged by their kind, beside their SQL.
OF_DJANGO = ("django.db.migrations.operations", "django.contrib.postgres.operations")
OPPOSITE = {
    "AddField": "RemoveField",
    "CreateModel": "DeleteModel",
    "AddIndex": "RemoveIndex",
    "AddIndexConcurrently": "RemoveIndexConcurrently",
    "AddConstraint": "RemoveConstraint",
    "AddConstraintNotValid": "RemoveConstraint",
    "CreateExtension": "DropExtension",
}
OPPOSITE |= {other: kind for kind, other in OPPOSITE.items() if kind != "AddConstraintNotValid"}


@dataclass(frozen=True)
class Change:
    """One operation; of a SeparateDatabaseAndState each that works on the database."""

    # Index of the operation in its migration, also of what is within another.
    position: int
    # What it does in the direction of the plan: unapplying AddField is "RemoveField".
    kind: str
    facts: Facts
    backwards: bool = False
    acts: tuple[Act, ...] = ()
    # Why its SQL cannot be had.
    unknown_sql: str = ""
    # FIELD in the direction of the plan.
    before: Facts | None = None
    after: Facts | None = None
    sql: tuple[str, ...] = field(default=(), repr=False)

    @property
    def table(self) -> str:
        return str(self.facts.get("table") or "")

    @property
    def words(self) -> str:
        return str(self.facts.get("words") or self.facts.get("kind") or "")

    @property
    def is_of_django(self) -> bool:
        return str(self.facts.get("module") or "").startswith(OF_DJANGO)

    @property
    def does_nothing(self) -> bool:
        """It is known to send nothing to this database."""
        return not self.sql and not self.unknown_sql and self.kind != "RunPython"

    @property
    def column(self) -> str:
        shown = self.after or self.before or {}
        return str(shown.get("column") or self.facts.get("column") or "")

    @property
    def subject(self) -> str:
        return f"{self.table}.{self.column}" if self.column else self.table


def changes(migration: Facts) -> list[Change]:
    backwards = bool(migration.get("backwards"))
    operations = list(enumerate(migration.get("operations") or []))
    if backwards:
        operations.reverse()
    return [change for position, operation in operations for change in within(operation, position, backwards)]


def within(operation: Facts, position: int, backwards: bool) -> Iterator[Change]:
    if operation.get("state_only") or operation.get("routed") is False:
        return
    inner = [one for one in operation.get("nested") or [] if not one.get("state_only")]
    if not operation.get("nested"):
        yield change_of(operation, position, backwards)
    for one in reversed(inner) if backwards else inner:
        yield from within(one, position, backwards)


def change_of(operation: Facts, position: int, backwards: bool) -> Change:
    side = "reverse_" if backwards else ""
    given = operation.get(f"{side}sql")
    statements = tuple(map(str, given or ()))
    problem = str(operation.get(f"{side}sql_problem") or "")
    kind = str(operation.get("kind") or "")
    before, after = operation.get("before"), operation.get("after")
    return Change(
        position=position,
        kind=OPPOSITE.get(kind, kind) if backwards else kind,
        facts=operation,
        backwards=backwards,
        acts=tuple(act for statement in statements for act in acts_of(statement, position)),
        unknown_sql="" if given is not None else problem or "the agent does not tell why.",
        before=after if backwards else before,
        after=before if backwards else after,
        sql=statements,
    )


def deferred(migration: Facts, of: list[Change]) -> list[Act]:
    """What comes at the migration's end, each act with the operation it belongs to, where that is seen."""
    side = "reverse_" if migration.get("backwards") else ""
    found = []
    for statement in migration.get(f"{side}deferred") or []:
        for act in acts_of(str(statement)):
            found.append(with_owner(act, of))
    return found


def with_owner(act: Act, of: list[Change]) -> Act:
    columns = {act.name, *act.columns}
    owner = next((one for one in of if one.table == act.table and one.column and one.column in columns), None)
    owner = owner or next((one for one in of if one.table == act.table and one.kind == "CreateModel"), None)
    return replace(act, operation=owner.position) if owner else act
