"""Ages, durations, roles, titles and outcomes in words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dbops.finding import Finding, sessions_of
from dbops.models import Job, Target, TargetDatabase
from dbops.operations import REGISTRY
from dbops.operations.migrate import guard_words, outcome, step_name
from dbops.templatetags.ages import age, age_words, duration, milliseconds, took
from dbops.truth import Result, at_rest, recorded_by, recorded_words, unapplied


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


def test_a_short_job_is_timed_in_tenths_of_a_second() -> None:
    began = datetime(2026, 3, 1, tzinfo=UTC)
    assert took(Job(started_at=began, finished_at=began + timedelta(milliseconds=640))) == "0.6 s"
    assert took(Job(started_at=began, finished_at=began + timedelta(seconds=75))) == "1 min 15 s"
    assert took(Job()) == "not begun"


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
    two = {"recorded_known": True, "recorded_after": [["a", "0001"], ["b", "0001"]]}
    assert outcome(two) == "Applied and recorded 2 migrations: a.0001, b.0001."
    one = {"recorded_known": True, "recorded_after": [["a", "0001"]]}
    assert outcome(one) == "Applied and recorded 1 migration: a.0001."


def test_nothing_to_do_nothing_recorded_and_not_known_are_three_things() -> None:
    assert outcome({"recorded_known": True, "nothing_to_do": True}) == "There was nothing to apply."
    assert outcome({"recorded_known": True}) == "migrate ended without an error and recorded no migration."
    assert outcome({"recorded_known": False}) == "migrate ended without an error."


def finding(**known: Any) -> Finding:
    return Finding(
        **{"inspection_id": 1, "applied": [], "left": [], "guard_held": False, "sessions": [], **known}
    )


def test_the_truth_names_what_is_recorded_and_what_is_left() -> None:
    left = finding(left=[["a", "0002"]])
    assert recorded_words([], left) == "No migration was recorded by this job; 1 still to apply."
    assert recorded_words([["a", "0001"]], left) == (
        "Recorded in the database by now: a.0001; 1 still to apply."
    )
    assert recorded_words([["a", "0001"]], finding()).endswith("; nothing is left to apply.")


def test_a_tree_that_cannot_be_read_is_never_nothing_left() -> None:
    assert "nothing is left" not in recorded_words([], finding(left=None))
    assert "cannot be told while the project's migrations cannot be read" in recorded_words(
        [], finding(left=None)
    )


def test_a_database_that_cannot_be_read_says_so() -> None:
    assert recorded_words(None, finding(applied=None, problem="refused.")) == (
        "What is recorded in the database could not be read afterwards: refused."
    )


A1, A2, OLD = ["a", "0001"], ["a", "0002"], ["old", "0001"]


def test_recorded_by_a_job_is_what_is_its_own_and_found_once_each() -> None:
    """Whatever somebody else recorded meanwhile, or recorded twice; and whatever was taken back since."""
    applied = finding(applied=[A1, OLD, A1])
    known = {"recorded_known": True, "recorded_after": [A1, A1, A2, OLD]}
    assert recorded_by(known, applied, [A1, A2]) == [A1]
    assert recorded_by(known, finding(applied=None), [A1, A2]) == [A1, A2]
    assert recorded_by({}, applied, [A1, A2]) == [A1]
    assert recorded_by({}, applied, []) == []
    assert recorded_by({}, finding(applied=None), [A1]) is None


def test_a_squashed_migration_is_recorded_with_all_that_it_stands_for() -> None:
    """Django records these first, and it itself last."""
    squashed = finding(applied=[A1, A2], stands_for={("a", "0001_0002"): [A1, A2]})
    half = finding(applied=[A1], stands_for={("a", "0001_0002"): [A1, A2]})
    assert recorded_by({}, squashed, [["a", "0001_0002"]]) == [["a", "0001_0002"]]
    assert recorded_by({}, half, [["a", "0001_0002"]]) == []


def test_what_is_found_counts_and_not_what_the_agent_saw_before_it() -> None:
    """An exit handler took it back."""
    told = {"plan": ["a.0001"], "recorded_known": True, "recorded_after": [A1]}
    succeeded = Result("succeeded", "Applied.", facts=told)
    assert unapplied(succeeded, finding(applied=[])) == [A1]
    assert unapplied(succeeded, finding(applied=[A1])) == []
    assert unapplied(succeeded, finding(applied=None)) == []


@pytest.mark.parametrize(
    ("known", "rests"),
    [
        ({}, True),
        ({"guard_held": True}, False),
        ({"guard_held": None}, False),
        ({"applied": None}, False),
        ({"sessions": [{"pid": 7}]}, False),
        ({"sessions": None}, False),
        ({"sessions": None, "has_server": False}, True),
    ],
)
def test_a_lost_job_is_at_rest_only_when_that_is_proven(known: dict[str, Any], rests: bool) -> None:
    assert at_rest(finding(**known)) is rests


def test_sessions_of_another_job_are_not_those_of_this_one() -> None:
    rows = [
        {"application_name": name, "pid": pid, "started": 5}
        for pid, name in enumerate(
            ["opsdash job 12 on x/y", "opsdash job 1 on x/y", "opsdash job 1 on z/y", "q"]
        )
    ]
    job = Job(pk=1, database=TargetDatabase(target=Target(name="x")))
    assert [row["pid"] for row in sessions_of(job, rows) or []] == [1]
    assert sessions_of(job, None) is None
    job.backend_pid, job.backend_started = 3, 5
    assert [row["pid"] for row in sessions_of(job, rows) or []] == [1, 3], "it calls itself something else"
    job.backend_started = 6
    assert [row["pid"] for row in sessions_of(job, rows) or []] == [1], "its number was used again"


def test_a_long_target_s_name_is_cut_by_the_server_and_recognised() -> None:
    target = Target(name="a" * 63)
    job = Job(pk=1, database=TargetDatabase(target=target))
    rows = [{"application_name": f"opsdash job 1 on {target}/default"[:63], "pid": 7, "started": None}]
    assert sessions_of(job, rows) == rows


def test_a_database_without_a_guard_is_called_so() -> None:
    assert guard_words({"taken": False, "kind": "none"}).startswith("This kind of database has no guard")
    assert "advisory lock" in guard_words({"taken": True, "kind": "advisory lock"})


def test_what_is_no_migration_is_called_by_its_kind() -> None:
    assert step_name({"kind": "post_migrate"}) == "post_migrate"
    assert step_name({"kind": "migration", "app": "a", "name": "0001"}) == "a.0001"


def test_of_very_many_migrations_a_sentence_names_the_first() -> None:
    many = [["shop", f"{number:04}_m"] for number in range(1, 186)]
    words = outcome({"recorded_after": many})
    assert words.startswith("Applied and recorded 185 migrations: shop.0001_m, ")
    assert words.endswith("shop.0020_m and 165 more.")
    words = recorded_words(many, Finding(1, [], [], False, []))
    assert words.endswith("shop.0020_m and 165 more; nothing is left to apply.")
