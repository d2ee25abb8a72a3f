"""Redis is killed, emptied, silent or read-only: it carries news and nothing else."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as client_of
from celery import Task

from dbops import tasks
from opsdash.celery import app
from tests.faults.assertions import PATIENCE_S, held_up
from tests.faults.conftest import MakeMarked
from tests.faults.marks import TALKS, UNTIL_TOLD, Marked
from tests.faults.room import is_told, jobs_worker, prints, room, the_next_one_is_performed, works
from tests.integration.at_work import ask, state
from tests.integration.private import Server, private_redis
from tests.integration.probing import stopped
from tests.integration.worker import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Of the test's own: it keeps nothing when it is killed. What is published here goes there."""
    with private_redis() as server:
        monkeypatch.setenv("CELERY_BROKER_WRITE_URL", server.url)
        monkeypatch.setattr(app.amqp, "_producer_pool", None)
        yield server


def env_of(redis: Server) -> dict[str, Any]:
    return {"REDIS_URL": redis.url, "OPSDASH_REPUBLISH_AFTER_S": "5"}


def works_on(marked: Marked, more: int = 20) -> None:
    """The target prints meanwhile."""
    printed = marked.printed()
    until(lambda: marked.printed() >= printed + more, "it prints on", PATIENCE_S)


@pytest.mark.fault("F8")
def test_a_queued_job_whose_message_died_with_redis_is_started_once_all_the_same(
    marked: MakeMarked, redis: Server, tmp_path: Path
) -> None:
    place = marked()
    job = ask(place.target)
    redis.kill()
    redis.start()
    with room(tmp_path, **env_of(redis)):
        held_up(place, job, "succeeded")


@pytest.mark.fault("F8")
def test_a_running_job_outlives_redis_and_its_worker_takes_the_next_one(
    marked: MakeMarked, redis: Server, tmp_path: Path
) -> None:
    place = marked(TALKS)
    with room(tmp_path, **env_of(redis)):
        job = ask(place.target)
        prints(job)
        redis.kill()
        works_on(place)
        redis.start()
        works_on(place)
        place.tell("go-on")
        held_up(place, job, "succeeded")
        the_next_one_is_performed(place)


@pytest.mark.slow
@pytest.mark.fault("F8")
def test_a_job_that_is_asked_for_while_redis_is_away_begins_when_it_is_back(
    marked: MakeMarked, redis: Server, tmp_path: Path
) -> None:
    """The sweeper, beat and the workers reconnect by themselves."""
    place = marked()
    with room(tmp_path, **env_of(redis)):
        redis.kill()
        job = ask(place.target)
        assert state(job) == "queued"
        until(lambda: "the broker is away" in (tmp_path / "inspect.log").read_text(), "beat finds it away")
        redis.start()
        held_up(place, job, "succeeded")


@pytest.mark.slow
@pytest.mark.fault("F8")
def test_a_job_is_asked_for_in_the_very_moment_in_which_redis_dies(
    marked: MakeMarked, redis: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Task.apply_async

    def first_it_dies(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(Task, "apply_async", real)
        redis.kill()
        return real(*args, **kwargs)

    place = marked()
    monkeypatch.setattr(Task, "apply_async", first_it_dies)
    job = ask(place.target)
    assert state(job) == "queued" and redis.running and redis.running.ended
    redis.start()
    with room(tmp_path, **env_of(redis)):
        held_up(place, job, "succeeded")


@pytest.mark.slow
@pytest.mark.fault("F9")
def test_redis_is_emptied_while_one_job_runs_and_another_waits(
    marked: MakeMarked, redis: Server, tmp_path: Path
) -> None:
    place = marked(TALKS)
    with room(tmp_path, **env_of(redis)):
        job = ask(place.target)
        prints(job)
        with client_of.Redis.from_url(redis.url) as client:
            for _ in range(5):
                client.flushall()
                works_on(place, 10)
        place.tell("go-on")
        held_up(place, job, "succeeded")
        the_next_one_is_performed(place)


@pytest.mark.slow
@pytest.mark.fault("F10")
def test_redis_is_silent_for_a_minute(marked: MakeMarked, redis: Server, tmp_path: Path) -> None:
    """It accepts connections and answers nothing."""
    place = marked(TALKS)
    with room(tmp_path, **env_of(redis)):
        job = ask(place.target)
        prints(job)
        with stopped(redis.pid):
            told = place.printed()
            until(lambda: place.printed() > told + 1000, "a minute has passed", seconds=170)
            until(lambda: is_told(job, f"line {told + 1000}\n"), "its lines are in the rows")
            place.tell("go-on")
            until(lambda: state(job) == "succeeded", "it ends meanwhile", PATIENCE_S)
        held_up(place, job, "succeeded")
        the_next_one_is_performed(place)


@pytest.mark.slow
@pytest.mark.fault("F11")
def test_redis_becomes_a_replica_that_takes_no_writes_and_a_primary_again(
    marked: MakeMarked, redis: Server, tmp_path: Path
) -> None:
    """As at a failover that leads a name to the wrong one for a while. Celery's workers take what Redis says
    then for fatal: they finish the job in hand and end, and whoever started them starts them again."""
    place = marked(TALKS)
    with room(tmp_path, **env_of(redis)) as worker:
        job = ask(place.target)
        prints(job)
        with client_of.Redis.from_url(redis.url) as client:
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
            works_on(place, 100)
            assert tasks.publish_job(job) is False, "it takes no message"
            client.execute_command("REPLICAOF", "NO", "ONE")
        place.tell("go-on")
        held_up(place, job, "succeeded")
        until(lambda: worker.poll() is not None, "it has ended by itself", PATIENCE_S)
    again = tmp_path / "again"
    again.mkdir()
    with room(again, **env_of(redis)):
        the_next_one_is_performed(place)
        assert len(place.starts()) == 1


@pytest.mark.slow
@pytest.mark.fault("F8")
def test_a_worker_that_dies_together_with_redis_leaves_a_job_that_is_not_begun_again(
    marked: MakeMarked, redis: Server, tmp_path: Path
) -> None:
    place = marked(UNTIL_TOLD)
    with room(tmp_path, **env_of(redis)) as worker:
        job = ask(place.target)
        works(place)
        os.killpg(worker.pid, signal.SIGKILL)
        redis.kill()
        redis.start()
        with jobs_worker(tmp_path / "again.log", **env_of(redis)):
            held_up(place, job, "failed", promised=0)
            the_next_one_is_performed(place)
            assert len(place.starts()) == 1
