"""opsdash's own database goes away while a job works: the target works on, and nothing of it is lost."""

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User

from dbops import launch
from dbops.inspection import inspect_now
from dbops.models import Job
from dbops.transcript.reading import read_all
from tests.integration.conftest import ALICE, MakeTarget, default_of, make_shop
from tests.integration.holding import own_database_away, own_database_read_only
from tests.integration.web import web
from tests.integration.worker import until, worker

Away = Callable[[], AbstractContextManager[None]]
pytestmark = pytest.mark.django_db(transaction=True)
AWAY_S = 3


def recorded(url: str) -> int:
    with psycopg.connect(url) as target:
        row = target.execute("SELECT count(*) FROM django_migrations WHERE app = 'catalog'").fetchone()
    assert row
    return int(row[0])


@pytest.mark.parametrize("away", [own_database_away, own_database_read_only])
def test_a_job_goes_on_and_its_steps_and_lines_are_written_afterwards(
    make_target: MakeTarget,
    postgres_url: str,
    tmp_path: Path,
    away: Callable[[], AbstractContextManager[None]],
) -> None:
    target = make_shop(make_target, postgres_url)
    target.variables.filter(name="SHOP_BATCH_PAUSE").update(plain="0.3")
    inspect_now(target)
    with worker(tmp_path / "jobs.log"):
        job = launch.start(default_of(target), "migrate", {"app": "catalog"}, ALICE, key=uuid.uuid4()).job
        until(lambda: "50 / 300 products" in "".join(read_all(job.pk)), "the import works")
        with away():
            # The target does all its work meanwhile.
            until(lambda: recorded(postgres_url) == 7, "the target is done")
            time.sleep(AWAY_S)
        until(lambda: Job.objects.get().state == "succeeded", "the end is written")
    lines = list(read_all(job.pk))
    batches = [line.strip() for line in lines if "/ 300 products" in line]
    assert batches == [f"{n} / 300 products" for n in range(50, 301, 50)]
    assert [step.state for step in job.steps.filter(kind="migration")] == ["succeeded"] * 7
    job.refresh_from_db()
    assert (job.done_count, job.total_count) == (7, 7)
    assert job.outcome.startswith("Applied and recorded 7 migrations: ")


def test_while_it_is_away_the_web_says_so_calmly_and_afterwards_all_goes_on(
    make_target: MakeTarget, people: dict[str, User], postgres_url: str, tmp_path: Path
) -> None:
    """Away for longer than a worker may be silent: its job is not taken for lost, or is taken back."""
    target = make_shop(make_target, postgres_url)
    target.variables.filter(name="SHOP_BATCH_PAUSE").update(plain="4")
    inspect_now(target)
    env: Any = {"OPSDASH_HEARTBEAT_S": "1", "OPSDASH_LOST_AFTER_S": "3"}
    with (
        worker(tmp_path / "jobs.log", beat=True, **env),
        web(tmp_path / "web.log", people["operator"]) as site,
    ):
        job = launch.start(default_of(target), "migrate", {"app": "catalog"}, ALICE, key=uuid.uuid4()).job
        page = job.get_absolute_url()
        until(lambda: "50 / 300 products" in "".join(read_all(job.pk)), "the import works")
        with site.stream(f"{page}stream/") as heard:
            assert next(heard)[0] == "lines"
            with own_database_away(), ThreadPoolExecutor() as several:
                shown = several.submit(site.get, page)
                acted = several.submit(site.post, f"{page}cancellation/")
                streamed = several.submit(site.get, f"{page}stream/", Accept="text/event-stream")
                *_, last = heard
                answers = [shown.result(), acted.result(), streamed.result()]
        assert last == ("bye", {"why": "opsdash's own database does not answer"})
        assert [(answer.status, answer.headers["retry-after"]) for answer in answers] == [(503, "5")] * 3
        assert "Running jobs go on" in answers[0].text and "What you sent" not in answers[0].text
        assert "What you sent was probably not done" in answers[1].text
        assert answers[2].text == "opsdash's own database does not answer"
        until(lambda: Job.objects.get().state == "running", "it is running, and known to be")
        assert site.get(page).status == 200
        assert site.post(f"{page}cancellation/").status == 302
        until(lambda: Job.objects.get().state == "cancelled", "it is cancelled")
    job.refresh_from_db()
    assert job.outcome.startswith("Cancelled by operator: ")
    assert "by now: catalog.0001_initial, catalog.0002_product_is_active" in job.outcome
    chunks = list(job.chunks.order_by("first").values_list("first", "last"))
    assert chunks[0][0] == 1 and all(after[0] == before[1] + 1 for before, after in pairwise(chunks))
    said = [line.strip() for line in read_all(job.pk) if "/ 300 products" in line]
    assert said == [f"{50 * number} / 300 products" for number in range(1, len(said) + 1)]
    assert len(said) >= 2, "what was printed while it was away is there"
