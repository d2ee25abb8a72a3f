"""What statements do to indexes and constraints, by name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Iterable


MADE = re.compile(r'(?:CONSTRAINT|INDEX(?: CONCURRENTLY)?(?: IF NOT EXISTS)?) "([^"]+)" (?!RENAME)')
DROPPED = re.compile(r'DROP (?:CONSTRAINT|INDEX)(?: CONCURRENTLY)?(?: IF EXISTS)? "([^"]+)"')
TAKEN = re.compile(
    r'((?:DROP (?:CONSTRAINT|INDEX)(?: CONCURRENTLY)?(?: IF EXISTS)?|SET CONSTRAINTS) )"([^"]+)"'
)
RENAMED = re.compile(r'(?:INDEX|RENAME CONSTRAINT) "([^"]+)" (?:RENAME )?TO "')


class Statements:
    """Which indexes and constraints they make, drop and rename, by name."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.text = "\n".join(texts)
        self.made = set(MADE.findall(self.text))
        self.dropped = set(DROPPED.findall(self.text))
        self.renamed = set(RENAMED.findall(self.text))

    def remake(self, *tables: str) -> bool:
        """SQLite copies a table into another one."""
        return any(f'CREATE TABLE "{way}{table}" ' in self.text for table in tables for way in ("new__", ""))


class Again(NamedTuple):
    """`names`: {what it was called: what it is called now}; `made`: all that is made."""

    names: dict[str, str]
    made: set[str]


def again_named(text: str, names: dict[str, str]) -> str:
    """A statement that takes something away, by the name that this has by then."""
    return TAKEN.sub(lambda found: f'{found[1]}"{names.get(found[2], found[2])}"', text)
