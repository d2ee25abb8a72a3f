"""Tables as they are before a migration, after it, and now -> what of it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .parts import COLUMN, TABLE, Table, own_names
from .undoing import undoing

if TYPE_CHECKING:
    from typing import Any

    from .blueprint import Tables
    from .change import Change
    from .undoing import Added

    Key = tuple[str, str]

# Nothing of it can be seen, all is there, nothing is there, some is there, or its changes are there wholly or
# not at all and something else differs.
UNSEEN, APPLIED, UNTOUCHED, PARTLY, DIFFERS = "unseen", "applied", "untouched", "partly", "differs"


class Differences:
    """`there`, `lacking`: changes of the migration, in words. `otherwise`: what is neither as it was before
    nor as it is to be after. `invalid`: indexes of its own that are there and not valid. `undo`,
    `no_undo`: see undoing."""

    def __init__(self, change: Change, before: Tables, after: Tables, real: Tables, quote: Any) -> None:
        self.added: Added = {}
        self.more: list[str] = []
        self.there: list[str] = []
        self.lacking: list[str] = []
        self.otherwise: list[str] = []
        self.invalid: list[str] = []
        self.changes = self.neither = self.of_others = False
        for name in sorted({*change.before, *change.after}):
            own = own_names(change.before.get(name), change.after.get(name))
            tellings = (Table(parts.get(name, []), own) for parts in (before, after, real))
            self._compare(name, *tellings)
        self.undo, self.no_undo = undoing(change, self.added, self.more, quote)

    def _compare(self, name: str, before: Table, after: Table, real: Table) -> None:
        self.changes = self.changes or before.parts != after.parts
        was, will, now = (bool(table.parts) for table in (before, after, real))
        if was and will and not now:
            self._other(f"the table {name} is not there")
            return
        if was != will:
            self._whole(name, made=will, there=now == will)
        if now or was == will:
            self._parts(name, before, after, real)

    def _whole(self, name: str, *, made: bool, there: bool) -> None:
        done = f"the table {name}" if made else f"the table {name} is dropped"
        self._say(there, done if there or made else f"the table {name} is still there")
        if there and made:
            self.added[name, (TABLE, "")] = name
        elif there:
            self.more.append(done)

    def _parts(self, name: str, before: Table, after: Table, real: Table) -> None:
        is_whole = bool(before.parts) != bool(after.parts)
        for key in sorted({*before.parts, *after.parts, *real.parts}):
            old, new, now = (table.parts.get(key) for table in (before, after, real))
            if old == new:
                if now != old:
                    self._other(unlike(name, key, now, old))
            elif now not in (old, new):
                self.neither = True
                self.otherwise.append(half_way(name, key, now, old, new))
                self.more.append(in_words(name, key, None))
            # With the table that is made, or still there, its parts are said.
            elif key[0] != TABLE and not (is_whole and now is not None):
                self._change(name, key, old, new, real, there=now == new)
        self._invalid(name, before, after, real)

    def _change(
        self, name: str, key: Key, old: str | None, new: str | None, real: Table, *, there: bool
    ) -> None:
        if old is None:
            words = in_words(name, key, new)
        elif new is None:
            words = f"{in_words(name, key, old)} is {'gone' if there else 'still there'}"
        else:
            is_now = f"is {new}" if there else f"is still {old}, to be {new}"
            words = f"{in_words(name, key, None)} {is_now}"
        self._say(there, words)
        if there and old is None:
            self.added[name, key] = real.names[key]
        elif there:
            self.more.append(words)

    def _say(self, there: bool, words: str) -> None:
        (self.there if there else self.lacking).append(words)

    def _other(self, words: str) -> None:
        self.of_others = True
        self.otherwise.append(words)

    def _invalid(self, name: str, before: Table, after: Table, real: Table) -> None:
        for key, definition in sorted(real.invalid.items()):
            words = in_words(name, key, definition)
            if key in after.parts and key not in before.parts and key not in real.parts:
                self.invalid.append(words)
            else:
                self._other(f"{words} is there and INVALID")

    @property
    def verdict(self) -> str:
        if not self.changes:
            return UNSEEN
        if self.neither or self.invalid or (self.there and self.lacking):
            return PARTLY
        if self.of_others:
            return DIFFERS
        return APPLIED if self.there else UNTOUCHED


def in_words(table: str, key: Key, definition: str | None) -> str:
    kind, name = key
    # What goes by its definition has no name that says anything.
    shown = f"on {name}" if name == definition else name
    more = f" ({definition})" if definition and name != definition and kind != COLUMN else ""
    return f"the {kind} {shown}{more} of {table}"


def unlike(table: str, key: Key, now: str | None, expected: str | None) -> str:
    if expected is None:
        return f"{in_words(table, key, now)} is there, and no recorded migration makes it"
    if now is None:
        return f"{in_words(table, key, expected)} is not there, and by what is recorded it should be"
    return f"{in_words(table, key, None)} is {now}; by what is recorded it should be {expected}"


def half_way(table: str, key: Key, now: str | None, old: str | None, new: str | None) -> str:
    def told(definition: str | None) -> str:
        return "not there" if definition is None else definition

    return (
        f"{in_words(table, key, None)} is {told(now)}; before the migration it is {told(old)}, after it "
        f"{told(new)}"
    )
