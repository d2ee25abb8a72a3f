"""Statements that take away what a migration added: only where nothing that was there before it can be lost.

A rename looks like one thing gone and another one made, and what was made holds all that was in the other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.db.migrations import operations as kinds

from .parts import COLUMN, INDEX, TABLE
from .touches import MAKES, RENAMES

if TYPE_CHECKING:
    from typing import Any

    from .change import Change
    from .touches import Touch

    Key = tuple[str, str]
    # {(table, (kind, name or definition)): what it is called in the database}
    Added = dict[tuple[str, Key], str]

PLAIN = (kinds.CreateModel, kinds.AddField, kinds.AddIndex, kinds.AddConstraint)


def undoing(change: Change, added: Added, more: list[str], quote: Any) -> tuple[list[str], str]:
    """(statements, why there are none). `more`: what of it is there and was not added."""
    if not added and not more:
        return [], ""
    why = refused(change, more)
    if why:
        return [], why
    kept = dict(added)
    statements: list[str] = []
    for touch in reversed(change.touches):
        if is_plain(touch, change.touches):
            statements += [statement(quote, *one) for one in taken(touch, change, kept)]
    if kept:
        table, key = sorted(kept)[0]
        return [], f"the {key[0]} {key[1]} of {table} is not plainly one that it makes"
    return statements, ""


def refused(change: Change, more: list[str]) -> str:
    renamed = sorted({name for touch in change.touches if touch.how == RENAMES for name in touch.words})
    if renamed:
        return f"it renames ({', '.join(renamed)}), and what looks new may hold what was there before"
    if change.migration.atomic and change.connection.features.can_rollback_ddl:
        return "it is atomic, so what is there may have been there before it"
    return f"they would not bring back what it was before ({more[0]})" if more else ""


def is_plain(touch: Touch, every: list[Touch]) -> bool:
    module = type(touch.operation).__module__
    own = isinstance(touch.operation, PLAIN) and module.startswith("django.") and touch.is_direct
    return own and all(other.how == MAKES for other in every if other.meets(touch))


def taken(touch: Touch, change: Change, kept: Added) -> list[tuple[str, Key, str]]:
    """What one operation made, a through table before those it points to, taken out of `kept` with all that
    goes with it."""
    tables = change.tables_of(touch)
    found = [
        (table, key, called)
        for (table, key), called in reversed(list(kept.items()))
        if table in tables and is_made(touch, key, called)
    ]
    for table, key, _ in found:
        for other in [one for one in kept if one[0] == table and goes_with(one[1], key)]:
            del kept[other]
    return found


def is_made(touch: Touch, key: Key, called: str) -> bool:
    kind = key[0]
    if kind == TABLE or touch.parts is None:
        return kind == TABLE and touch.parts is None
    return (kind == COLUMN) == isinstance(touch.operation, kinds.AddField) and called.lower() in touch.parts


def goes_with(key: Key, dropped: Key) -> bool:
    """Postgres and SQLite drop an index or a constraint with any of its columns."""
    if key == dropped or dropped[0] == TABLE:
        return True
    kind, name = key
    return dropped[0] == COLUMN and kind != COLUMN and bool(re.search(rf"\b{re.escape(dropped[1])}\b", name))


def statement(quote: Any, table: str, key: Key, called: str) -> str:
    if key[0] == TABLE:
        return f"DROP TABLE {quote(table)};"
    if key[0] == INDEX:
        return f"DROP INDEX {quote(called)};"
    what = "COLUMN" if key[0] == COLUMN else "CONSTRAINT"
    return f"ALTER TABLE {quote(table)} DROP {what} {quote(called)};"
