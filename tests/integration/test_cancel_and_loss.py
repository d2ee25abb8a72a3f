"""Cancelling running jobs, and workers that vanish in the middle: real workers, real kills."""

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbops import launch, tasks
from dbops.inspection import inspect_now
from dbops.models import Job, Target
from dbops.transcript.reading import read_all
from tests.integration.conftest import ALICE, MakeTarget, default_of, make_shop
from tests.integration.holding import held_table
from tests.integration.worker import children_of, descendants_of, runs, until, worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def slow_shop(make_target: MakeTarget, postgres_url: str) -> Iterator[Target]:
    """The shop whose data migration rests ten seconds after each batch."""
    target = make_shop(make_target, postgres_url)
    target.variables.filter(name="SHOP_BATCH_PAUSE").update(plain="10")
    inspect_now(target)
    yield target


def ask(target: Target, **arguments: str) -> Job:
    return launch.start(default_of(target), "migrate", arguments, ALICE, key=uuid.uuid4()).job


def state(job: Job) -> str:
    job.refresh_from_db()
    return job.state


def is_resting(job: Job) -> bool:
    """The data migration is in the middle: its first batch was printed."""
    return any("/ " in line and "product" in line for line in read_all(job.pk))


def sessions_of_jobs(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'opsdash job%'"
        ).fetchone()
    assert row
    return int(row[0])


def test_a_running_job_is_cancelled_and_says_what_is_recorded(
    slow_shop: Target, postgres_url: str, tmp_path: Path
) -> None:
    with worker(tmp_path / "jobs.log"):
        job = ask(slow_shop, app="catalog")
        until(lambda: state(job) == "running" and is_resting(job), "the data migration rests")
        launch.cancel(job, ALICE)
        until(lambda: state(job) == "cancelled", "the job is cancelled", seconds=30)
    assert job.outcome.startswith("Cancelled by alice: its query was cancelled and it ended by itself. ")
    assert (
        "Recorded in the database by now: catalog.0001_initial, catalog.0002_product_is_active; "
        in job.outcome
    )
    assert sessions_of_jobs(postgres_url) == 0
    steps = {step.name: step.state for step in job.steps.all()}
    assert steps["catalog.0003_import_supplier_catalogue"] == "cancelled"
    assert steps["catalog.0004_product_slug"] == "skipped"


def test_a_job_that_waits_on_a_lock_is_cancelled_in_the_middle_of_its_query(
    shop: Target, postgres_url: str, tmp_path: Path
) -> None:
    with worker(tmp_path / "jobs.log", OPSDASH_LOCK_TIMEOUT_MS="0"):
        first = ask(shop, app="catalog", migration="0001_initial")
        until(lambda: state(first) == "succeeded", "the table is there")
        with held_table(postgres_url, "catalog_product"):
            job = ask(shop, app="catalog")
            until(lambda: waits_on_a_lock(postgres_url), "the job waits on the lock")
            launch.cancel(job, ALICE)
            until(lambda: state(job) == "cancelled", "the job is cancelled")
    assert "No migration was recorded by this job" in job.outcome
    assert sessions_of_jobs(postgres_url) == 0


def waits_on_a_lock(url: str) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'opsdash job%%' "
            "AND wait_event_type = 'Lock'"
        ).fetchone()
    return row is not None


def test_a_lock_that_is_not_given_fails_the_job_after_lock_timeout(
    shop: Target, postgres_url: str, tmp_path: Path
) -> None:
    with worker(tmp_path / "jobs.log", OPSDASH_LOCK_TIMEOUT_MS="300", OPSDASH_LOCK_TRIES="1"):
        first = ask(shop, app="catalog", migration="0001_initial")
        until(lambda: state(first) == "succeeded", "the table is there")
        with held_table(postgres_url, "catalog_product"):
            job = ask(shop, app="catalog")
            until(lambda: state(job) == "failed", "the job failed")
    assert "lock timeout" in job.outcome


def test_two_workers_start_a_job_once_though_it_is_delivered_many_times(shop: Target, tmp_path: Path) -> None:
    with worker(tmp_path / "one.log"), worker(tmp_path / "two.log"):
        job = ask(shop, app="customers")
        for _ in range(20):
            tasks.publish_job(job)
        until(lambda: state(job) == "succeeded", "the job succeeded")
    assert [line for line in read_all(job.pk) if line.startswith(f"opsdash: job {job.pk}:")] == [
        f"opsdash: job {job.pk}: migrate customers on shop/default\n"
    ]


@pytest.mark.parametrize("victim", ["pool process", "whole worker"])
def test_a_job_whose_worker_is_killed_leaves_nothing_running_and_is_resolved_by_evidence(
    slow_shop: Target, postgres_url: str, tmp_path: Path, victim: str
) -> None:
    env: Any = {"OPSDASH_HEARTBEAT_S": "1", "OPSDASH_LOST_AFTER_S": "3"}
    with worker(tmp_path / "beat.log", "inspect", beat=True, **env):
        with worker(tmp_path / "jobs.log", "jobs", **env) as doomed:
            job = ask(slow_shop, app="catalog")
            until(lambda: state(job) == "running" and is_resting(job), "the data migration rests")
            pool = [pid for pid in children_of(doomed.pid) if children_of(pid)]
            agents = descendants_of(pool[0])
            if victim == "pool process":
                os.kill(pool[0], signal.SIGKILL)
            else:
                os.killpg(doomed.pid, signal.SIGKILL)
            until(lambda: not any(runs(pid) for pid in agents), "the agent is gone")
        until(lambda: state(job) == "failed", "the truth is established", seconds=40)
    assert job.error_type == "WorkerLost"
    assert "The guard is free" in job.outcome
    assert (
        "Recorded in the database by now: catalog.0001_initial, catalog.0002_product_is_active" in job.outcome
    )
    assert sessions_of_jobs(postgres_url) == 0
