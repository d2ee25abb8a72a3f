"""Ages, durations, roles, titles and outcomes in words."""

import pytest

from dbops.operations import REGISTRY
from dbops.operations.migrate import guard_words, outcome, step_name
from dbops.templatetags.ages import age, age_words, duration, milliseconds
from dbops.truth import recorded_now


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (5460, "1 h 31 min"),
        (3601, "1 h"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: int, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("value", "words"), [(0, "0 ms"), (999, "999 ms"), (1000, "1.0 s"), (1749, "1.7 s")])
def test_a_step_is_timed_in_milliseconds_below_a_second(value: int, words: str) -> None:
    assert milliseconds(value) == words


def test_what_never_happened_has_no_age() -> None:
    assert age(None) == age_words(None) == "never"


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        ({}, "migrate"),
        ({"app": "catalog"}, "migrate catalog"),
        ({"app": "catalog", "migration": "0002_price"}, "migrate catalog to 0002_price"),
    ],
)
def test_a_job_is_called_by_what_it_does(arguments: dict[str, str], title: str) -> None:
    assert REGISTRY["migrate"].title(arguments) == title


def test_the_outcome_names_what_was_applied() -> None:
    assert outcome([]) == "There was nothing to apply; the database is as it was."
    assert outcome([["a", "0001"]]) == "Applied and recorded 1 migration: a.0001."
    assert outcome([["a", "0001"], ["b", "0001"]]) == "Applied and recorded 2 migrations: a.0001, b.0001."


def test_the_truth_names_what_is_recorded_and_what_is_left() -> None:
    before = [["a", "0001"], ["a", "0002"], ["a", "0003"]]
    assert recorded_now(before, before) == "No migration was recorded by this job; 3 still to apply."
    assert recorded_now(before, before[1:]) == "Recorded in the database by now: a.0001; 2 still to apply."
    assert (
        recorded_now(before[:1], []) == "Recorded in the database by now: a.0001; nothing is left to apply."
    )


def test_a_database_without_a_guard_is_called_so() -> None:
    assert guard_words({"taken": False, "kind": "none"}).startswith("This kind of database has no guard")
    assert "advisory lock" in guard_words({"taken": True, "kind": "advisory lock"})


def test_what_is_no_migration_is_called_by_its_kind() -> None:
    assert step_name({"kind": "post_migrate"}) == "post_migrate"
    assert step_name({"kind": "migration", "app": "a", "name": "0001"}) == "a.0001"
