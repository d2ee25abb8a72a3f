"""A lock that somebody else holds: a job waits for it as long as lock_timeout allows."""

from pathlib import Path

import pytest

from dbops.models import Target
from tests.integration.at_work import ask, state
from tests.integration.holding import held_table
from tests.integration.worker import until, worker

pytestmark = pytest.mark.django_db(transaction=True)


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
