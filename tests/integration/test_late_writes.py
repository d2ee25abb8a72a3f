"""Steps that come quickly are written together; what cannot be written stands in nobody's way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from dbops import late
from dbops.late import LateWrites
from dbops.models import Job, Step
from dbops.models.job import FenceLostError
from dbops.steps import Steps
from tests.integration.worker import until

pytestmark = pytest.mark.django_db(transaction=True)

MakeJob = Callable[..., Job]
NAMES = [f"shop.{number:04}" for number in range(20)]


class Hand:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.steps = Steps(job.pk, job.fence)
        self.said: list[str] = []
        kept: dict[str, Any] = {"tell": self.steps.tell, "stands": self.steps.stands}
        self.late = LateWrites(job.pk, say=self.said.append, **kept)
        self.steps.plan("migration", NAMES)

    def perform(self, name: str) -> None:
        self.late.add(lambda: self.steps.begin("migration", name), may_wait=True)
        self.late.add(lambda: self.steps.end(name, "succeeded", duration_ms=1), may_wait=True)


@pytest.fixture
def hand(make_job: MakeJob) -> Hand:
    return Hand(make_job(state="running", fence=1))


def done(hand: Hand) -> list[str]:
    return list(hand.job.steps.filter(state="succeeded").values_list("name", flat=True))


def test_what_comes_together_is_one_transaction_and_is_told_once(hand: Hand) -> None:
    for name in NAMES:
        hand.perform(name)
    assert done(hand) == [], "it may wait a moment"
    version = Job.objects.get(pk=hand.job.pk).version
    with CaptureQueriesContext(connection) as asked:
        until(hand.late.catch_up_when_due, "the moment is over")
    assert done(hand) == NAMES
    job = Job.objects.get(pk=hand.job.pk)
    assert (job.done_count, job.version) == (len(NAMES), version + 1)
    # One a change, the news, BEGIN and COMMIT.
    assert len(asked) <= 2 * len(NAMES) + 3


def test_what_must_not_wait_takes_along_what_waits_and_keeps_the_order(hand: Hand) -> None:
    hand.perform(NAMES[0])
    hand.late.add(lambda: hand.steps.begin("post_migrate", "post_migrate"))
    assert hand.late.catch_up_when_due()
    last = Step.objects.filter(job=hand.job).order_by("-position").first()
    assert done(hand) == NAMES[:1]
    assert last and (last.name, last.state) == ("post_migrate", "running")


def test_one_that_cannot_be_kept_is_said_and_the_others_are_kept(hand: Hand) -> None:
    hand.perform(NAMES[0])
    hand.late.add(fails)
    hand.perform(NAMES[1])
    assert hand.late.catch_up()
    assert done(hand) == NAMES[:2]
    assert hand.said == ["a step could not be kept (ZeroDivisionError); the job goes on"]
    assert Job.objects.get(pk=hand.job.pk).done_count == 2


def test_who_has_lost_the_job_writes_none_of_them(hand: Hand) -> None:
    hand.perform(NAMES[0])
    Job.objects.filter(pk=hand.job.pk).update(fence=2)
    with pytest.raises(FenceLostError):
        hand.late.catch_up()
    assert done(hand) == []


def test_nothing_to_write_asks_nothing(hand: Hand, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert hand.late.catch_up() and not hand.late.catch_up_when_due()


@pytest.mark.parametrize("committed", [False, True])
def test_a_batch_whose_acknowledgement_was_lost_counts_once(
    hand: Hand, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    """And what came meanwhile is written behind it."""
    monkeypatch.setattr(late, "PAUSE_S", 0)
    hand.perform(NAMES[0])
    hand.late.add(lambda: hand.steps.begin("post_migrate", "post_migrate"))
    hand.late.add(lambda: hand.steps.end("post_migrate", "succeeded", duration_ms=1))
    with monkeypatch.context() as patch:
        patch.setattr(transaction, "atomic", cut_off(committed))
        assert not hand.late.catch_up()
    assert len(done(hand)) == (2 if committed else 0)
    hand.perform(NAMES[1])
    assert hand.late.catch_up()
    assert done(hand) == [*NAMES[:2], "post_migrate"]
    assert hand.job.steps.count() == len(NAMES) + 1
    assert Job.objects.get(pk=hand.job.pk).done_count == 2


def cut_off(committed: bool) -> Callable[[], Any]:
    """The connection is gone as the transaction ends: before or after the commit."""
    atomic = transaction.atomic

    @contextmanager
    def ends_badly() -> Iterator[None]:
        with suppress(Interrupted), atomic():
            yield
            if not committed:
                raise Interrupted
        raise OperationalError("server closed the connection unexpectedly")

    return ends_badly


class Interrupted(Exception):
    pass


def fails() -> None:
    raise ZeroDivisionError
