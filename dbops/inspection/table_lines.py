"""A TABLE of a plan as lines: one a column, an index, a constraint, the comment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

COLUMN, INDEX, CONSTRAINT, COMMENT = "column", "index", "constraint", "comment"
PARTS = (COLUMN, INDEX, CONSTRAINT, COMMENT)

Table = Mapping[str, Any]
# What a line is about: ("column", its name).
Key = tuple[str, str]


@dataclass(frozen=True)
class Line:
    part: str
    name: str
    text: str

    @property
    def key(self) -> Key:
        return self.part, self.name


def lines(table: Table | None) -> list[Line]:
    """Columns as the table has them, the others by name. None: the table is not there, so has none."""
    if table is None:
        return []
    columns = [
        Line(COLUMN, name, column(name, facts)) for name, facts in (table.get("columns") or {}).items()
    ]
    indexes = [Line(INDEX, name, f"INDEX {name}: {words}") for name, words in _sorted(table.get("indexes"))]
    constraints = [
        Line(CONSTRAINT, name, f"CONSTRAINT {name}: {words}")
        for name, words in _sorted(table.get("constraints"))
    ]
    comment = [Line(COMMENT, "", f"COMMENT {table['comment']}")] if table.get("comment") else []
    return [*columns, *indexes, *constraints, *comment]


def column(name: str, facts: Mapping[str, Any]) -> str:
    words = [
        name,
        str(facts.get("type") or "?"),
        f"COLLATE {facts['collation']}" if facts.get("collation") else "",
        "NULL" if facts.get("null") else "NOT NULL",
        f"DEFAULT {facts['default']}" if facts.get("default") else "",
        f"GENERATED ALWAYS AS ({facts['generated']})" if facts.get("generated") else "",
        "IDENTITY" if facts.get("identity") else "",
        "PRIMARY KEY" if facts.get("primary_key") else "",
        f"COMMENT {facts['comment']}" if facts.get("comment") else "",
    ]
    return " ".join(filter(None, words))


def _sorted(parts: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    return sorted((parts or {}).items())
