"""What a table consists of, told alike for a real one and for one that was made to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

TABLE, COLUMN, INDEX = "table", "column", "index"


class Part(NamedTuple):
    """`kind`: table, column, index, or a kind of constraint. `name`: as the database has it."""

    kind: str
    name: str
    definition: str = ""
    invalid: bool = False


class Table:
    """`parts` by what they are known by: {(kind, name or definition): definition}. `invalid` the same of
    indexes that are there and not valid. `names`: what a part is called in the database."""

    def __init__(self, parts: list[Part], own_names: set[str]) -> None:
        self.parts: dict[tuple[str, str], str] = {}
        self.invalid: dict[tuple[str, str], str] = {}
        self.names: dict[tuple[str, str], str] = {}
        for part in parts:
            self._add(part, key_of(part, own_names))

    def _add(self, part: Part, key: tuple[str, str]) -> None:
        kept = self.invalid if part.invalid else self.parts
        # Of indexes that are alike but for the names that Django gave them, the number counts.
        kept[key] = part.definition if key not in kept else f"{kept[key]}, and another one"
        if not part.invalid:
            self.names[key] = part.name


def key_of(part: Part, own_names: set[str]) -> tuple[str, str]:
    """Names that Django makes up differ by its version and by what the table was called before."""
    has_own = part.kind in (TABLE, COLUMN) or part.name in own_names
    return part.kind, part.name if has_own else part.definition


def own_names(*models: Any) -> set[str]:
    """Of the indexes and constraints that the project names itself."""
    return {
        one.name
        for model in models
        if model is not None
        for one in [*model._meta.indexes, *model._meta.constraints]
    }
