"""Redis goes away while a job works: it carries news and nothing else, so that nothing is lost with it."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from dbops import launch, tasks
from dbops.inspection import inspect_now
from dbops.models import Job, Target
from dbops.transcript.reading import read_all
from opsdash.celery import app
from tests.integration.conftest import ALICE, MakeTarget, default_of, make_shop
from tests.integration.private import Server, private_redis
from tests.integration.probing import stopped
from tests.integration.web import Web, web
from tests.integration.worker import until, worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """What is published here goes there."""
    with private_redis() as server:
        monkeypatch.setenv("CELERY_BROKER_WRITE_URL", server.url)
        monkeypatch.setattr(app.amqp, "_producer_pool", None)
        yield server


def ask(target: Target, **arguments: str) -> Job:
    return launch.start(default_of(target), "migrate", arguments, ALICE, key=uuid.uuid4()).job


def state(job: Job) -> str:
    job.refresh_from_db()
    return job.state


def has_printed(job: Job, text: str) -> bool:
    return text in "".join(read_all(job.pk))


def hear_until(heard: Iterator[tuple[str, Any]], text: str) -> list[str]:
    """Lines of the stream, up to the one with this text."""
    lines: list[str] = []
    for name, data in heard:
        lines += data["lines"] if name == "lines" else []
        if any(text in line for line in lines):
            return lines
    raise AssertionError(f"the stream ended before it told {text}")


@pytest.mark.slow
def test_a_job_its_page_its_cancel_and_its_worker_outlive_redis(
    make_target: MakeTarget, people: dict[str, User], postgres_url: str, redis: Server, tmp_path: Path
) -> None:
    target = make_shop(make_target, postgres_url)
    target.variables.filter(name="SHOP_BATCH_PAUSE").update(plain="1")
    inspect_now(target)
    log = tmp_path / "jobs.log"
    env: Any = {"REDIS_URL": redis.url}
    with worker(log, **env), web(tmp_path / "web.log", people["operator"], **env) as site:
        first = ask(target, app="catalog", migration="0003_import_supplier_catalogue")
        until(lambda: has_printed(first, "50 / 300 products"), "the import works")
        with site.stream(f"{first.get_absolute_url()}stream/") as heard:
            with stopped(redis.pid):
                told = hear_until(heard, "150 / 300 products")
            redis.kill()
            told += hear_until(heard, "250 / 300 products")
            told += hear_until(heard, f"job {first.pk} succeeded.")
            assert state(first) == "succeeded"
        assert told == [line.rstrip("\n") for line in read_all(first.pk)], "once each, and in order"
        assert [line.strip() for line in told if "/ 300 products" in line] == [
            f"{n} / 300 products" for n in range(50, 301, 50)
        ]
        assert tasks.publish_job(first) is False
        redis.start()
        second = ask(target, app="catalog")
        until(lambda: state(second) == "running", f"the worker takes the next job; see {log}", seconds=60)
        until(lambda: has_printed(second, " / 300 "), "it works")
        with stopped(redis.pid):
            cancel(site, second)
            until(lambda: state(second) == "cancelled", "it is cancelled though Redis is silent")
        third = ask(target, app="customers")
        until(lambda: state(third) == "succeeded", f"the worker takes the next job; see {log}", seconds=60)
    assert second.outcome.startswith("Cancelled by operator: ")
    assert "followers read the rows" in log.read_text()
    said = [line for line in (tmp_path / "web.log").read_text().splitlines() if "the live tail is" in line]
    assert 0 < len(said) < 10, said


def cancel(site: Web, job: Job) -> None:
    answer = site.post(f"{job.get_absolute_url()}cancellation/")
    assert (answer.status, answer.headers["location"]) == (302, job.get_absolute_url())
