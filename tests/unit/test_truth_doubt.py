"""May something of a job that has ended still work? Unknown is never taken for no."""

from dataclasses import replace
from typing import Any

import pytest

from dbops.finding import Finding, may_be_its
from dbops.models import Job, Target, TargetDatabase
from dbops.truth import Result, at_rest, in_doubt

ENDED = Result("failed", "It failed.", "TargetFailed", facts={"recorded_known": True})
QUIET = Finding(1, [], [], False, [])
# It tells neither sessions nor a guard.
MYSQL = Finding(1, [], [], None, None)
FILE = Finding(1, [], [], False, None, has_server=False)
AWAY = Finding(1, None, None, None, None, problem="refused.")


def doubted(finding: Finding, pid: int | None = 4711, **how: Any) -> bool:
    return in_doubt(Job(pk=12, backend_pid=pid), replace(ENDED, **how), finding)


def test_one_whose_server_has_no_session_of_it_any_more_has_ended() -> None:
    assert not doubted(QUIET)


@pytest.mark.parametrize("finding", [AWAY, replace(QUIET, sessions=None), replace(QUIET, sessions=[{}])])
def test_one_of_which_the_server_has_a_session_or_does_not_tell_is_in_doubt(finding: Finding) -> None:
    assert doubted(finding)
    assert not at_rest(finding)


def test_where_neither_guard_nor_sessions_are_told_the_word_of_the_agent_is_enough() -> None:
    assert not doubted(MYSQL, pid=None) and not doubted(AWAY, pid=None)
    assert doubted(MYSQL, pid=None, may_work_on=True), "it did not give it"


def test_a_file_has_no_session_to_wait_for() -> None:
    assert not doubted(FILE, pid=None) and not doubted(FILE, pid=None, may_work_on=True)


@pytest.mark.parametrize("finding", [QUIET, FILE])
def test_a_held_guard_that_may_be_its_own_is_doubt_and_another_s_is_not(finding: Finding) -> None:
    held = replace(finding, guard_held=True)
    assert doubted(replace(held, guard_may_be_its=True), pid=None)
    assert not doubted(held)


@pytest.mark.parametrize(
    ("by", "its"),
    [
        ("opsdash job 12 on shop/default", True),
        ("opsdash job 12 on shop/another", True),
        ("opsdash job 12 on shop-2/default", False),
        ("", True),
        (None, True),
        ("opsdash job 123", False),
        ("psql", False),
    ],
)
def test_a_guard_is_its_own_where_nobody_else_is_named(by: str | None, its: bool) -> None:
    job = Job(pk=12, database=TargetDatabase(target=Target(name="shop")))
    assert may_be_its(job, {"held": True, "by": by}) is its
    assert not may_be_its(job, {"held": False, "by": None})


def test_what_the_agent_refused_to_begin_is_not_in_doubt_wherever_its_target_leads() -> None:
    assert not doubted(AWAY, refused=True)
    assert doubted(AWAY, refused=True, may_work_on=True)
