"""The parts of a SQLite table, from the statements that made it: SQLite keeps nothing else of checks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .parts import COLUMN, INDEX, TABLE, Part

if TYPE_CHECKING:
    from typing import Any, Iterator

# https://www.sqlite.org/schematab.html
TABLE_SQL = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = %s"
INDEXES_SQL = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = %s AND sql IS NOT NULL"
# A quoted text or name, brackets, a comma, a word, or anything else that is no space.
TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|[(),]|[^\s(),'"`\[]+""")
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
CONSTRAINTS = ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN")


def allow_writing(place: Any) -> None:
    """Only reading is what every connection of a reading verb is told; this one is a database in memory."""
    with place.cursor() as cursor:
        cursor.execute("PRAGMA query_only = OFF")
        cursor.execute("PRAGMA foreign_keys = OFF")


def parts(connection: Any, table: str) -> list[Part]:
    with connection.cursor() as cursor:
        cursor.execute(TABLE_SQL, [table])
        rows = cursor.fetchall()
        if not rows:
            return []
        cursor.execute(INDEXES_SQL, [table])
        indexes = [index(*row) for row in cursor.fetchall()]
    return [Part(TABLE, ""), *map(item, items(rows[0][0])), *indexes]


def items(statement: str) -> Iterator[list[str]]:
    """The columns and constraints between the outermost brackets, as words."""
    depth, found = 0, []
    for word in TOKEN.findall(statement):
        if word == ")":
            depth -= 1
            if depth == 0:
                yield found
                found = [")"]
        if depth == 1 and word == ",":
            yield found
            found = []
        elif depth:
            found.append(word)
        depth += word == "("


def item(words: list[str]) -> Part:
    first = words[0].upper()
    if first not in CONSTRAINTS:
        return Part(COLUMN, bare(words[0]), joined(without_type_of_a_key(words[1:])))
    name = bare(words[1]) if first == "CONSTRAINT" else ""
    rest = words[2:] if name else words
    return Part({"CHECK": "check"}.get(rest[0].upper(), f"{rest[0].lower()} constraint"), name, joined(rest))


def without_type_of_a_key(words: list[str]) -> list[str]:
    """Django leaves it as it is in SQLite when the type of what it points to changes."""
    upper = [word.upper() for word in words]
    if "REFERENCES" not in upper:
        return words
    return words[min(upper.index(word) for word in ("NULL", "NOT", "REFERENCES") if word in upper) :]


def index(name: str, statement: str) -> Part:
    words = TOKEN.findall(statement)
    on = [word.upper() for word in words].index("ON")
    unique = "UNIQUE " if words[1].upper() == "UNIQUE" else ""
    return Part(INDEX, name, unique + joined(words[on + 2 :]))


def joined(words: list[str]) -> str:
    text = " ".join(map(bare, words))
    return text.replace("( ", "(").replace(" )", ")").replace(" ,", ",")


def bare(word: str) -> str:
    """A name without the quotes that it does not need; a text keeps its own."""
    inner = word[1:-1]
    return inner if word[0] in '"`[' and PLAIN.fullmatch(inner) else word
