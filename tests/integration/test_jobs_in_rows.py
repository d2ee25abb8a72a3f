"""The row of a job: its constraints, its edges, its claim."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.utils import timezone

from dbops.models import Job
from dbops.models.job import ACTIVE, FINAL, TRANSITIONS, IllegalTransitionError
from tests.integration.conftest import MakeDatabase

MakeJob = Callable[..., Job]


def test_a_second_active_changing_job_on_one_database_is_refused_by_the_database(make_job: MakeJob) -> None:
    first = make_job()
    with pytest.raises(IntegrityError, match="one_active_changing_job_per_database"), transaction.atomic():
        make_job(first.database)


@pytest.mark.parametrize("state", ACTIVE)
def test_every_active_state_keeps_others_away(make_job: MakeJob, state: str) -> None:
    first = make_job(state=state)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_job(first.database)


@pytest.mark.parametrize("state", FINAL)
def test_a_final_state_keeps_nobody_away(make_job: MakeJob, state: str) -> None:
    first = make_job(state=state, finished_at=timezone.now())
    assert make_job(first.database).state == "queued"


def test_two_aliases_of_one_real_database_have_one_active_job(
    make_job: MakeJob, make_database: MakeDatabase
) -> None:
    here, there = make_database("shop"), make_database("shop-copy")
    make_job(here, identity="postgres:1:2")
    with pytest.raises(IntegrityError, match="one_active_changing_job_per_identity"), transaction.atomic():
        make_job(there, identity="postgres:1:2")


def test_databases_of_unknown_identity_do_not_block_each_other(
    make_job: MakeJob, make_database: MakeDatabase
) -> None:
    make_job(make_database("shop"), identity="")
    assert make_job(make_database("blog"), identity="").pk


def test_a_form_sent_twice_makes_one_job(make_job: MakeJob, make_database: MakeDatabase) -> None:
    key = uuid.uuid4()
    make_job(make_database("shop"), idempotency_key=key)
    with pytest.raises(IntegrityError, match="idempotency_key"), transaction.atomic():
        make_job(make_database("blog"), idempotency_key=key)


def test_a_state_that_is_none_is_refused_by_the_database(make_job: MakeJob) -> None:
    with pytest.raises(IntegrityError, match="job_finished_when_final"), transaction.atomic():
        make_job(state="sleeping")


def test_a_final_job_without_an_end_is_refused_by_the_database(make_job: MakeJob) -> None:
    with pytest.raises(IntegrityError, match="job_finished_when_final"), transaction.atomic():
        make_job(state="failed")


def test_an_edge_that_does_not_exist_is_our_error(make_job: MakeJob) -> None:
    job = make_job()
    with pytest.raises(IllegalTransitionError, match="queued -> running"):
        Job.objects.move(job.pk, ["queued"], "running")


def test_an_ended_job_moves_nowhere() -> None:
    assert not [edge for edge in TRANSITIONS if edge[0] in FINAL]


def test_every_active_state_has_a_way_to_an_end() -> None:
    ends = set(FINAL)
    while more := {origin for origin, to in TRANSITIONS if to in ends} - ends:
        ends |= more
    assert ends == {*ACTIVE, *FINAL}


def test_every_edge_says_why_it_exists() -> None:
    assert all(len(reason) > 10 for reason in TRANSITIONS.values())


def test_a_move_from_another_state_changes_nothing(make_job: MakeJob) -> None:
    job = make_job()
    assert not Job.objects.move(job.pk, ["starting"], "running")
    job.refresh_from_db()
    assert (job.state, job.version) == ("queued", 0)


def test_an_outdated_fence_moves_nothing(make_job: MakeJob) -> None:
    job = make_job()
    claimed = Job.objects.claim(job.pk, "worker-1")
    assert claimed and claimed.fence == 1
    assert not Job.objects.move(job.pk, ["starting"], "running", held_fence=0)
    assert Job.objects.move(job.pk, ["starting"], "running", held_fence=1)


def test_a_claim_says_who_and_when(make_job: MakeJob) -> None:
    job = Job.objects.claim(make_job().pk, "worker-1")
    assert (
        job and job.worker == "worker-1" and job.started_at and job.heartbeat_at and job.state == "starting"
    )


def test_a_job_is_claimed_once_however_often_it_is_delivered(make_job: MakeJob) -> None:
    job = make_job()
    claims = [Job.objects.claim(job.pk, f"worker-{n}") for n in range(5)]
    assert [claim is not None for claim in claims] == [True, False, False, False, False]


def test_a_cancelled_job_cannot_be_claimed(make_job: MakeJob) -> None:
    job = make_job()
    Job.objects.move(job.pk, ["queued"], "cancelled")
    assert Job.objects.claim(job.pk, "worker") is None


@pytest.mark.django_db(transaction=True)
def test_of_twenty_workers_at_once_one_wins_the_claim(make_job: MakeJob) -> None:
    job, barrier = make_job(), threading.Barrier(20)

    def claim(number: int) -> bool:
        barrier.wait()
        try:
            return Job.objects.claim(job.pk, f"worker-{number}") is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(claim, range(20))) == 1
    job.refresh_from_db()
    assert job.fence == 1


@pytest.mark.django_db(transaction=True)
def test_of_twenty_requests_at_once_one_makes_the_job(make_job: MakeJob, make_database: MakeDatabase) -> None:
    database, barrier = make_database(), threading.Barrier(20)

    def ask(number: int) -> bool:
        barrier.wait()
        try:
            make_job(database)
        except IntegrityError:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(ask, range(20))) == 1


def test_a_heartbeat_with_an_outdated_fence_is_none(make_job: MakeJob) -> None:
    job = Job.objects.claim(make_job().pk, "worker")
    assert job
    assert Job.objects.beat(job.pk, job.fence)
    assert not Job.objects.beat(job.pk, job.fence - 1)


def test_a_job_without_heartbeat_is_silent_and_one_with_is_not(
    make_job: MakeJob, make_database: MakeDatabase
) -> None:
    long_ago = timezone.now() - timedelta(seconds=60)
    silent = make_job(state="running", heartbeat_at=long_ago)
    make_job(make_database("blog"), state="running", heartbeat_at=timezone.now())
    assert list(Job.objects.silent(20)) == [silent]


def test_a_job_whose_message_may_be_lost_is_waiting(make_job: MakeJob, make_database: MakeDatabase) -> None:
    waiting = make_job(published_at=timezone.now() - timedelta(seconds=60))
    make_job(make_database("blog"))
    assert list(Job.objects.waiting(30)) == [waiting]
