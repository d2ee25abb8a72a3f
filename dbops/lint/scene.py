"""What is known while a plan is judged, statement by statement: what the plan made itself, what is locked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .act import Act
from .change import Change

ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"
SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
SHARE = "SHARE"
SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
BLOCKS = {
    ACCESS_EXCLUSIVE: "reads and writes",
    "EXCLUSIVE": "writes",
    SHARE_ROW_EXCLUSIVE: "writes",
    SHARE: "writes",
    SHARE_UPDATE_EXCLUSIVE: "neither reads nor writes",
}
# They take ACCESS EXCLUSIVE on their table, most for a moment.
HARD = frozenset(
    {"add column", "drop column", "alter table", "set not null", "type", "set default", "drop default"}
    | {
        "drop constraint",
        "rename column",
        "rename table",
        "rewrite table",
        "truncate",
        "vacuum full",
        "cluster",
    }
)


@dataclass
class Made:
    """By the plan itself, before the act that is judged: nobody else works on these."""

    tables: set[str] = field(default_factory=set)
    columns: set[tuple[str, str]] = field(default_factory=set)
    # {(table, column): type in words of SQL}, of columns that the plan has made or changed.
    types: dict[tuple[str, str], str] = field(default_factory=dict)

    def has(self, table: str, column: str = "") -> bool:
        return table in self.tables or (table, column) in self.columns

    def remember(self, act: Act) -> None:
        if act.has("if not exists"):
            # It may be there already, with its rows.
            return
        if act.kind == "create table":
            self.tables.add(act.table)
        elif act.kind == "drop table":
            self.tables.discard(act.table)
        elif act.kind == "rename table":
            self._rename_table(act)
        elif act.kind == "add column":
            self.columns.add((act.table, act.name))
            self.types[act.table, act.name] = act.type
        elif act.kind == "drop column":
            self.columns.discard((act.table, act.name))
        elif act.kind == "rename column":
            self._rename_column(act)
        elif act.kind == "type":
            self.types[act.table, act.name] = act.type

    def _rename_table(self, act: Act) -> None:
        if act.table in self.tables:
            self.tables.discard(act.table)
            self.tables.add(act.other)
        self.columns |= {(act.other, column) for table, column in self.columns if table == act.table}
        self.types |= {(act.other, at[1]): kind for at, kind in self.types.items() if at[0] == act.table}

    def _rename_column(self, act: Act) -> None:
        old, new = (act.table, act.name), (act.table, act.other)
        if old in self.columns:
            self.columns.discard(old)
            self.columns.add(new)
        if old in self.types:
            self.types[new] = self.types.pop(old)


@dataclass
class Scene:
    """One migration while it is judged."""

    migration: Mapping[str, Any]
    vendor: str
    version: int | None
    made: Made
    # {table: the act that took ACCESS EXCLUSIVE on it first, in this transaction}
    locked: dict[str, Act] = field(default_factory=dict)

    @property
    def atomic(self) -> bool:
        return bool(self.migration.get("atomic", True))

    @property
    def backwards(self) -> bool:
        return bool(self.migration.get("backwards"))

    @property
    def transactional(self) -> bool:
        """Its changes of the schema are undone together when one of them fails."""
        return self.atomic and self.vendor in ("postgresql", "sqlite")

    def is_new(self, table: str, column: str = "") -> bool:
        return self.made.has(table, column)

    def holder(self, act: Act) -> Act | None:
        """The earlier operation whose ACCESS EXCLUSIVE is still held when this act comes."""
        held = self.locked.get(act.table)
        return held if self.atomic and held is not None and held.operation != act.operation else None

    def lock_of(self, act: Act, own: str) -> str:
        """Its own lock, or that which the transaction has already."""
        return ACCESS_EXCLUSIVE if self.atomic and act.table in self.locked else own

    def type_before(self, act: Act, change: Change | None) -> str:
        """Of the column that a TYPE act changes; "" where that is not known."""
        known = self.made.types.get((act.table, act.name))
        if known:
            return known
        if change and change.before and change.before.get("db_type"):
            # What points to it is changed likewise.
            return str(change.before["db_type"])
        table = (self.migration.get("before") or {}).get(act.table) or {}
        return str(((table.get("columns") or {}).get(act.name) or {}).get("type") or "")

    def constraints(self, table: str) -> dict[str, str]:
        """{name: definition} before the migration, as its states have them."""
        return dict(((self.migration.get("before") or {}).get(table) or {}).get("constraints") or {})

    def is_indexed(self, table: str, column: str) -> bool:
        """By the states before the migration; also by a constraint that has an index."""
        facts = (self.migration.get("before") or {}).get(table) or {}
        unique = [words for words in (facts.get("constraints") or {}).values() if is_index(words)]
        return any(f'"{column}"' in words for words in [*(facts.get("indexes") or {}).values(), *unique])

    def remember(self, act: Act) -> None:
        self.made.remember(act)
        if act.kind in HARD or (act.kind == "add constraint" and act.type != "foreign key"):
            self.locked.setdefault(act.table, act)
        if act.kind == "rename table" and act.table in self.locked:
            self.locked[act.other] = self.locked[act.table]


def is_index(constraint: str) -> bool:
    return constraint.startswith(("UNIQUE", "PRIMARY KEY", "EXCLUDE"))


def lock_words(lock: str, table: str, until: str = "") -> str:
    return f"{lock} on {table}: blocks {BLOCKS.get(lock, 'others')}{' ' + until if until else ''}"


def long(scene: Scene, what: str) -> str:
    return f"while {what}, and on to COMMIT" if scene.atomic else f"while {what}"
