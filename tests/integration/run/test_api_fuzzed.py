"""A program that means no good: schemathesis against a real web process, by the API's own document.

It sends what the document allows and what it does not, other methods, no token, missing headers, and follows
one answer to the next request. Every answer must be one that the document tells: its status, type and shape.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from dbops.models import AuditEvent, Job
from dbops.models.status import Status
from tests.integration.calling import Caller, caller
from tests.integration.conftest import MakeDatabase
from tests.integration.test_doors import plan_of
from tests.integration.web import Web, web_process
from tests.integration.worker import REPOSITORY

pytestmark = pytest.mark.django_db(transaction=True)

CONFIG = REPOSITORY / "tests" / "schemathesis.toml"


@pytest.fixture
def what_there_is(make_database: MakeDatabase, make_job: Callable[..., Job]) -> Job:
    """Something behind each address that the document gives as an example: target shop, job 1, plan 1."""
    database = make_database()
    database.judge([Status("pending", "1 to apply.")])
    database.pending_count = 1
    database.save()
    job = make_job(database)
    plan_of(job)
    return job


@pytest.fixture
def site(tmp_path: Path, what_there_is: Job) -> Iterator[Web]:
    with web_process(
        tmp_path / "web.log", OPSDASH_API_REQUESTS_A_MINUTE="1000000", OPSDASH_API_WAIT_S="1"
    ) as site:
        yield site


def fuzz(site: Web, who: Caller, *more: str) -> None:
    url = f"http://127.0.0.1:{site.port}/api/v1/openapi.json"
    words = [sys.executable, "-m", "schemathesis.cli", f"--config-file={CONFIG}", "run", url, "--no-color"]
    words += ["--header", f"Authorization: Bearer {who.text}", "--seed", "1", *more]
    told = subprocess.run(words, cwd=site.log.parent, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "10 selected / 10 total" in told.stdout
    log = site.log.read_text()
    assert "Traceback" not in log and who.text not in log


def test_the_api_answers_whatever_comes_as_its_document_says(
    site: Web, people: dict[str, User], what_there_is: Job
) -> None:
    fuzz(site, caller(people["operator"]), "--max-examples", "8")
    # It was let in, and found what there is.
    assert AuditEvent.objects.filter(act="job.cancel", job_id=what_there_is.pk).exists()
    assert AuditEvent.objects.filter(act__startswith="job.migrate").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_api_answers_very_much_of_whatever_comes_as_its_document_says(
    site: Web, people: dict[str, User], what_there_is: Job
) -> None:
    fuzz(site, caller(people["operator"]), "--max-examples", "100")
