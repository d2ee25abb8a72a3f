"""opsdash's own database goes away while a job works: the target works on, and nothing of it is lost."""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection

from dbops import launch
from dbops.inspection import inspect_now
from dbops.models import Job
from dbops.transcript.reading import read_all
from tests.integration.conftest import ALICE, MakeTarget, default_of, make_shop
from tests.integration.worker import until, worker

pytestmark = pytest.mark.django_db(transaction=True)
AWAY_S = 4


@contextmanager
def own_database_away() -> Iterator[None]:
    """Nobody can connect to it, and who was connected is cut off."""
    name = connection.settings_dict["NAME"]
    connection.close()
    server = urlsplit(os.environ["DATABASE_URL"])._replace(path="/postgres").geturl()
    with psycopg.connect(server, autocommit=True) as elsewhere:
        elsewhere.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
        elsewhere.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            yield
        finally:
            elsewhere.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')


def recorded(url: str) -> int:
    with psycopg.connect(url) as target:
        row = target.execute("SELECT count(*) FROM django_migrations WHERE app = 'catalog'").fetchone()
    assert row
    return int(row[0])


def test_a_job_goes_on_and_its_steps_and_lines_are_written_afterwards(
    make_target: MakeTarget, postgres_url: str, tmp_path: Path
) -> None:
    target = make_shop(make_target, postgres_url)
    target.variables.filter(name="SHOP_BATCH_PAUSE").update(plain="0.3")
    inspect_now(target)
    with worker(tmp_path / "jobs.log"):
        job = launch.start(default_of(target), "migrate", {"app": "catalog"}, ALICE, key=uuid.uuid4()).job
        until(lambda: "50 / 300 products" in "".join(read_all(job.pk)), "the import works")
        with own_database_away():
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
