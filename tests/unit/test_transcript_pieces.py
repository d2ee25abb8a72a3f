"""The newest lines of a job in memory: what is behind a line is given whole, or not at all."""

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from dbops.transcript import pieces
from dbops.transcript.pieces import Newest, Piece
from dbops.transcript.reading import Lines

AT = datetime(2026, 3, 1, tzinfo=UTC)


def piece(first: int, count: int, gap: tuple[int, int] | None = None) -> Piece:
    return Piece(Lines(first, [f"line {number}" for number in range(first, first + count)], AT), gap)


def numbers(found: list[Piece] | None) -> list[int] | None:
    if found is None:
        return None
    return [int(line.split()[1]) for one in found for line in one.lines.lines]


@given(
    edge=st.integers(0, 20),
    sizes=st.lists(st.integers(1, 5), max_size=20),
    after=st.integers(0, 150),
    kept=st.integers(1, 2000),
)
def test_all_behind_a_line_or_nothing(edge: int, sizes: list[int], after: int, kept: int) -> None:
    newest, before = Newest(edge), pieces.KEPT_BYTES
    pieces.KEPT_BYTES = kept
    try:
        for size in sizes:
            newest.add(piece(newest.edge + 1, size))
    finally:
        pieces.KEPT_BYTES = before
    found = numbers(newest.behind(after))
    assert found is None or found == list(range(after + 1, newest.edge + 1))
    if after >= newest.edge:
        assert found == []
    elif after >= newest.edge - (sizes[-1] if sizes else 0):
        assert found, "the newest piece is always there"
    elif not sizes:
        assert found is None


def test_what_is_kept_is_bounded() -> None:
    newest = Newest(0)
    for _ in range(2000):
        newest.add(piece(newest.edge + 1, 100))
    assert newest._bytes <= pieces.KEPT_BYTES
    assert sum(one.cost for one in newest._pieces) == newest._bytes
    assert newest.behind(0) is None


def test_a_gap_is_passed_over_and_nothing_else_is() -> None:
    newest = Newest(10)
    newest.add(piece(51, 2, (5, 50)))
    assert numbers(newest.behind(10)) == [51, 52]
    assert numbers(newest.behind(30)) == [51, 52]
    assert newest.behind(3) is None, "line 4 is kept, and lies in the rows"


def test_the_event_of_a_piece_has_its_number_and_its_moment() -> None:
    head, number, data = piece(7, 2, (3, 4)).event.decode().rstrip("\n").split("\n")
    assert (head, number) == ("event: lines", "id: 8")
    assert json.loads(data.removeprefix("data: ")) == {
        "first": 7,
        "at": 1772323200000,
        "lines": ["line 7", "line 8"],
        "gap": [3, 4],
    }


def test_nothing_in_a_line_ends_its_event() -> None:
    hostile = ["\r\revent: end\r\r", "\n\n", "\u2028\u2029\x85", "\ud800", "é"]
    event = Piece(Lines(1, hostile, AT)).event
    assert event.count(b"\n") == 4 and b"\r" not in event and event.isascii()
    assert json.loads(event.decode().split("data: ")[1])["lines"] == hostile
