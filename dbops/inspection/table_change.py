"""One table before and after: the rows of a diff, unified and side by side."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .table_lines import COLUMN, Key, Line, Table, lines

CONTEXT, REMOVED, ADDED = "context", "removed", "added"
CREATED, DROPPED, CHANGED = "created", "dropped", "changed"
SIGNS = {CONTEXT: " ", REMOVED: "-", ADDED: "+"}
AROUND = 3


@dataclass(frozen=True)
class Piece:
    text: str
    # Within a line of which only a part was changed.
    changed: bool = False


@dataclass(frozen=True)
class Row:
    """A line of the unified view. `hidden` > 0: no line, but so many unchanged ones that are not shown."""

    kind: str
    part: str = ""
    name: str = ""
    pieces: tuple[Piece, ...] = ()
    hidden: int = 0

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def sign(self) -> str:
        return SIGNS[self.kind]


@dataclass(frozen=True)
class Pair:
    """A line of the side by side view; None: there is nothing on that side."""

    before: Row | None
    after: Row | None
    hidden: int = 0


@dataclass(frozen=True)
class TableChange:
    table: str
    # The table's name before, where that is another; else "".
    renamed_from: str
    kind: str
    # Every line, also the unchanged ones.
    pairs: tuple[Pair, ...]
    # {(part, "added" | "dropped" | "changed" | "renamed"): names}
    counted: Mapping[tuple[str, str], tuple[str, ...]]

    @property
    def rows(self) -> list[Row]:
        """All lines, in the order of a unified diff."""
        return [row for pair in self.pairs for row in one_below_another(pair)]

    @property
    def unified(self) -> list[Row]:
        """For the page: long runs of unchanged lines are one row with `hidden`."""
        return [row for pair in self.side_by_side for row in one_below_another(pair)]

    @property
    def side_by_side(self) -> list[Pair]:
        return folded(self.pairs)

    @property
    def words(self) -> list[str]:
        """["2 columns added", "1 index dropped"]"""
        return [f"{number(len(names), part)} {verb}" for (part, verb), names in self.counted.items()]


def table_change(
    table: str,
    before: Table | None,
    after: Table | None,
    *,
    renamed_from: str = "",
    renamed_columns: Mapping[str, str] | None = None,
) -> TableChange | None:
    """None where nothing changed. `renamed_columns`: {old: new} of what would else look dropped and added."""
    pairs = compared(lines(before), lines(after), renamed_columns or {})
    counted = count(pairs)
    existence = CREATED if before is None else DROPPED if after is None else CHANGED
    if existence == CHANGED and not counted and not renamed_from:
        return None
    if before is None and after is None:
        return None
    return TableChange(table, renamed_from, existence, tuple(pairs), counted if existence == CHANGED else {})


def compared(before: Sequence[Line], after: Sequence[Line], renamed: Mapping[str, str]) -> list[Pair]:
    """The order says nothing: a line stands where it stood before, a new one behind its neighbour."""
    there = {line.key: line for line in after}
    old = {now_called(line.key, renamed, there): line for line in before}
    return [pair_of(old.get(key), there.get(key)) for key in merged(list(old), [line.key for line in after])]


def now_called(key: Key, renamed: Mapping[str, str], there: Mapping[Key, Line]) -> Key:
    part, name = key
    new = (part, renamed.get(name, name))
    return new if part == COLUMN and key not in there and new in there else key


def merged(old: list[Key], new: list[Key]) -> list[Key]:
    known = set(old)
    behind: dict[Key | None, list[Key]] = {}
    anchor: Key | None = None
    for key in new:
        if key in known:
            anchor = key
        else:
            behind.setdefault(anchor, []).append(key)
    return [*behind.get(None, []), *(each for key in old for each in (key, *behind.get(key, [])))]


def pair_of(before: Line | None, after: Line | None) -> Pair:
    if before and after and before.text == after.text:
        row = Row(CONTEXT, before.part, before.name, (Piece(before.text),))
        return Pair(row, row)
    old, new = marked(before.text if before else "", after.text if after else "")
    return Pair(
        Row(REMOVED, before.part, before.name, old) if before else None,
        Row(ADDED, after.part, after.name, new) if after else None,
    )


def marked(before: str, after: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """What both begin and end with stays plain; a line without its other half is plain altogether."""
    if not before or not after:
        return (Piece(before),), (Piece(after),)
    old, new = re.findall(r"\w+|\W", before), re.findall(r"\w+|\W", after)
    start = alike(old, new)
    end = alike(old[start:][::-1], new[start:][::-1])
    return cut(old, start, end), cut(new, start, end)


def alike(one: Sequence[str], other: Sequence[str]) -> int:
    position = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        position += 1
    return position


def cut(words: list[str], start: int, end: int) -> tuple[Piece, ...]:
    stop = len(words) - end
    parts = (
        ("".join(words[:start]), False),
        ("".join(words[start:stop]), True),
        ("".join(words[stop:]), False),
    )
    return tuple(Piece(text, changed) for text, changed in parts if text)


def count(pairs: Sequence[Pair]) -> dict[tuple[str, str], tuple[str, ...]]:
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for pair in pairs:
        row = pair.after or pair.before
        if row and row.kind != CONTEXT:
            key = (row.part, verb(pair))
            found[key] = (*found.get(key, ()), row.name)
    return found


def verb(pair: Pair) -> str:
    if pair.before is None:
        return "added"
    if pair.after is None:
        return "dropped"
    return "renamed" if pair.before.name != pair.after.name else "changed"


def one_below_another(pair: Pair) -> list[Row]:
    if pair.hidden:
        return [Row(CONTEXT, hidden=pair.hidden)]
    if pair.before is pair.after:
        return [pair.before] if pair.before else []
    return [row for row in (pair.before, pair.after) if row]


def folded(pairs: Sequence[Pair]) -> list[Pair]:
    """What is unchanged and more than three lines from any change becomes one row; never a single line."""
    changed = [place for place, pair in enumerate(pairs) if pair.before is not pair.after]
    near = {place + step for place in changed for step in range(-AROUND, AROUND + 1)}
    shown = sorted(place for place in near if 0 <= place < len(pairs))
    found: list[Pair] = []
    for last, place in pairwise([-1, *shown, len(pairs)]):
        between = place - last - 1
        if between == 1:
            found.append(pairs[last + 1])
        elif between > 1:
            found.append(Pair(None, None, hidden=between))
        if place < len(pairs):
            found.append(pairs[place])
    return found


def number(count: int, word: str) -> str:
    plural = {"index": "indexes"}.get(word, f"{word}s")
    return f"{count} {word if count == 1 else plural}"
