"""What one database has and another lacks, told from their reports."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbops.inspection.compare import Comparison, History, compare, history_of
from tests.reports import database, migration

ONE, TWO, THREE = ("shop", "0001_initial"), ("shop", "0002_more"), ("shop", "0003_last")
FILES = [migration(*ONE), migration(*TWO, ONE), migration(*THREE, TWO)]


def side(applied: list[Any], disk: list[Any] = FILES, **more: Any) -> History:
    return history_of(disk, database(disk, applied, **more))


def told(found: Comparison) -> list[tuple[str, str, str]]:
    return [(each.name, each.one, each.other) for each in found.differences]


def test_the_same_on_both_sides_is_no_difference() -> None:
    found = compare(side([ONE, TWO]), side([ONE, TWO]))
    assert found.differences == [] and found.total == 3


def test_what_is_applied_on_one_side_only_is_told_with_what_the_other_has() -> None:
    found = compare(side([ONE, TWO, THREE]), side([ONE], FILES[:2]))
    assert told(found) == [
        ("0002_more", "applied", "not applied"), ("0003_last", "applied", "nothing"),
    ]  # fmt: skip
    assert [each.name for each in found.recorded_on("one")] == ["0002_more", "0003_last"]
    assert [each.name for each in found.file_on("one")] == ["0003_last"]
    assert found.recorded_on("other") == found.file_on("other") == found.edited == []


def test_a_ghost_on_one_side_is_no_missing_file_of_the_other() -> None:
    found = compare(side([ONE, TWO, THREE], FILES[:2]), side([ONE, TWO, THREE]))
    assert told(found) == [("0003_last", "applied, no file", "applied")]


def test_the_same_name_with_another_source_is_told() -> None:
    other = [FILES[0], {**FILES[1], "hash": "another"}, FILES[2]]
    (found,) = compare(side([ONE, TWO]), side([ONE, TWO], other)).differences
    assert found.is_edited and not found.recorded_on and not found.file_on


@pytest.mark.parametrize("unread", ["one", "other", "both"])
def test_a_source_that_could_not_be_read_is_not_called_another(unread: str) -> None:
    blank = [{**entry, "hash": ""} for entry in FILES]
    one, other = (blank if unread in (name, "both") else FILES for name in ("one", "other"))
    assert compare(side([ONE], one), side([ONE], other)).differences == []


def test_of_a_database_that_did_not_answer_nothing_is_called_unapplied() -> None:
    found = compare(side([ONE, TWO]), side([], FILES[:1], reachable=False))
    assert told(found) == [("0002_more", "applied", "no file"), ("0003_last", "not applied", "no file")]
    assert found.recorded_on("one") == found.recorded_on("other") == []


def test_an_inspection_that_did_not_tell_of_files_is_compared_by_their_names() -> None:
    report = database(FILES, [ONE], migrations={"shop": [{"name": name} for _, name in (ONE, TWO, THREE)]})
    assert compare(history_of(None, report), side([ONE])).differences == []


KEYS = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["0001", "0002", "0003"]))
HISTORIES = st.builds(
    History, st.frozensets(KEYS), st.dictionaries(KEYS, st.sampled_from(["", "x", "y"])), st.booleans()
)


@given(HISTORIES)
def test_nothing_differs_from_itself(one: History) -> None:
    assert compare(one, one).differences == []


@given(HISTORIES, HISTORIES)
def test_the_other_way_round_says_the_same_with_the_sides_exchanged(one: History, other: History) -> None:
    turned = {"one": "other", "other": "one", "": ""}
    exchanged = [
        replace(
            each, one=each.other, other=each.one,
            recorded_on=turned[each.recorded_on], file_on=turned[each.file_on],
        )
        for each in compare(one, other).differences
    ]  # fmt: skip
    assert exchanged == compare(other, one).differences
