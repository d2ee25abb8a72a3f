"""What the agent says at its end of what it could not end."""

from types import SimpleNamespace
from typing import Any

import pytest

from dbops.heartbeat import Heartbeat
from dbops.models import Job
from dbops.performance import OUTPUT_OPEN, STUCK, Performance, how_it_ended
from dbops.redaction import Redactor
from dbops.target.address import Address
from dbops.target.frames import End
from dbops.transcript.recorder import Recorder


def performed(end: End | None, may_work_on: bool = False) -> Performance:
    job = Job(pk=1)
    hand = Performance(job, Address(name="shop", argv=("none",)), Recorder(job, Redactor(())), Heartbeat(job))
    session: Any = SimpleNamespace(may_work_on=may_work_on, end=end)
    hand._session = session
    return hand


def ended(**facts: Any) -> End:
    return End(**{"status": None, "signal": None, "rung": "kill", "why": "cancelled", **facts})


def test_what_could_not_be_ended_may_work_on_also_where_no_server_could_tell() -> None:
    stuck = performed(ended(stuck=True, output_open=True))
    assert (stuck.may_work_on, stuck.left_behind) == (True, STUCK)


def test_a_daemon_is_told_of_and_is_no_work_of_the_job() -> None:
    hand = performed(ended(output_open=True))
    assert (hand.may_work_on, hand.left_behind) == (False, OUTPUT_OPEN)


@pytest.mark.parametrize("end", [None, ended(signal=9)])
def test_where_nothing_is_left_nothing_is_said(end: End | None) -> None:
    assert performed(end).left_behind == ""


def test_a_connection_that_was_lost_says_nothing_of_an_end() -> None:
    hand = performed(None, may_work_on=True)
    assert (hand.may_work_on, hand.left_behind) == (True, "")


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (ended(rung="polite", status=1), "its query was cancelled and it ended by itself"),
        (ended(rung="polite", signal=9), "and its process ended with signal 9 (SIGKILL)"),
        (ended(rung="terminate", signal=15), "was terminated"),
        (ended(rung="kill", signal=9), "was killed"),
        (ended(rung="kill", stuck=True), "was killed in vain"),
        (ended(rung="at once", signal=9), "before it began to work"),
    ],
)
def test_how_a_cancelled_job_ended_is_said_as_it_was(end: End, words: str) -> None:
    assert how_it_ended(end).endswith(words)
