"""What the pages say about a probe, and when it is too old to be believed."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from dbops.models import Probe, Target, TargetDatabase
from dbops.models.status import Status
from dbops.probes.knowledge import Readiness, readiness_of

CHECKED = Status("checked", "Nothing to apply.")


@pytest.fixture(autouse=True)
def knobs(settings: Settings) -> None:
    settings.DBOPS = {"PROBE_INTERVAL_S": 10, "PROBE_STALE_S": 30, "STALE_AFTER_S": 600}


def ago(seconds: float) -> datetime:
    return timezone.now() - timedelta(seconds=seconds)


def database(inspected: float = 5, status: Status = CHECKED) -> TargetDatabase:
    made = TargetDatabase(
        target=Target(name="shop"), alias="default", vendor="postgresql", inspected_at=ago(inspected)
    )
    made.judge([status])
    return made


def probed(
    made: TargetDatabase, age: float = 2, since: float = 100, pause: float = 10, **fields: Any
) -> Readiness:
    answer = {"state": "answers", "latency_ms": 3, "in_recovery": False}
    Probe(
        database=made,
        probed_at=ago(age),
        since=ago(since),
        next_at=ago(age - pause),
        **(fields or answer),
    )
    found = readiness_of(made)
    assert found
    return found


REFUSED: dict[str, Any] = {"state": "unreachable", "reason": "refused", "detail": "Connection refused"}


def test_an_answer_is_green_and_says_how_quick_it_was() -> None:
    found = probed(database())
    assert (found.look, found.word, found.detail) == ("ready", "answers", "in 3 ms")


def test_the_server_of_a_target_that_another_worker_serves_is_not_judged_from_here() -> None:
    """A refusal here says nothing: who can reach it is the worker of its queue."""
    made = database(inspected=300)
    made.target.queue = "warehouse"
    found = probed(made, since=100, **REFUSED)
    assert (found.look, found.word) == ("unknown", "does not answer from here")


def test_a_standby_says_that_it_is_one() -> None:
    found = probed(database(), state="answers", latency_ms=3, in_recovery=True)
    assert found.detail == "in 3 ms, in recovery: a standby, read-only"


@pytest.mark.parametrize("age", [31, 3600])
def test_an_old_answer_is_unknown_and_never_green(age: float) -> None:
    found = probed(database(), age=age)
    assert (found.look, found.word, found.detail) == ("unknown", "unknown", "Then: it answered.")
    assert found.since_at and found.probed_at is None


def test_an_answer_counts_until_it_is_stale() -> None:
    assert probed(database(), age=29).look == "ready"


def test_one_that_is_asked_less_often_is_believed_until_its_next_probe_is_overdue() -> None:
    assert probed(database(inspected=9999), age=70, pause=60, **REFUSED).word == "does not answer"
    assert probed(database(inspected=9999), age=81, pause=60, **REFUSED).word == "unknown"


def test_no_answer_is_red_and_says_why() -> None:
    found = probed(database(inspected=9999), **REFUSED)
    assert (found.look, found.word) == ("unreachable", "does not answer")
    assert found.detail == "refused: Connection refused" and found.reached_at is None


def test_an_outage_after_the_last_inspection_is_red_and_says_when_the_target_reached_it() -> None:
    found = probed(database(inspected=40), since=20, **REFUSED)
    assert (found.look, found.word) == ("unreachable", "does not answer")
    assert found.reached_at


def test_one_that_the_target_reached_meanwhile_fails_only_from_here() -> None:
    found = probed(database(inspected=5), since=100, **REFUSED)
    assert (found.look, found.word) == ("unknown", "does not answer from here")
    assert found.reached_at


def test_an_inspection_that_did_not_reach_it_proves_nothing() -> None:
    gone = database(inspected=5, status=Status("unreachable", "It is away.", reason="refused"))
    found = probed(gone, since=100, **REFUSED)
    assert (found.look, found.reached_at) == ("unreachable", None)


def test_another_database_is_neither_green_nor_red() -> None:
    found = probed(database(), state="not_reachable_from_here", reason="another_database", detail="Another.")
    assert (found.look, found.word, found.detail) == ("unknown", "not reachable from here", "Another.")


def test_a_server_never_probed_says_so() -> None:
    found = readiness_of(database())
    assert found and (found.look, found.word) == ("unknown", "not probed")


def test_what_is_no_server_has_no_readiness() -> None:
    assert readiness_of(TargetDatabase(target=Target(name="blog"), alias="default", vendor="sqlite")) is None
