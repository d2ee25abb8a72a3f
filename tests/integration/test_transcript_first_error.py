"""The first line that looks like an error is kept with the job."""

from collections.abc import Callable
from typing import Any

import pytest

from dbops.models import Job
from dbops.transcript import live
from tests.integration.transcripts import OwnDatabase, record

MakeJob = Callable[..., Job]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    told: list[int] = []
    monkeypatch.setattr(live, "publish_change", told.append)
    return told


def test_it_is_kept_once_and_told_to_the_pages(make_job: MakeJob, changes: list[int]) -> None:
    job = make_job()
    version = job.version
    record(job, "one\ntwo\n")
    job.refresh_from_db()
    assert (job.first_error_line, job.version, changes) == (None, version, [])
    record(job, "three\nERROR: four\nERROR: five\n", "ERROR: six\n")
    job.refresh_from_db()
    assert (job.first_error_line, job.version, changes) == (4, version + 1, [job.pk])


def test_our_own_last_words_of_a_job_that_failed_are_one(make_job: MakeJob) -> None:
    job = make_job()
    record(job, "one\n", f"opsdash: job {job.pk} failed. It did not work.\n")
    job.refresh_from_db()
    assert job.first_error_line == 2


def test_one_whose_acknowledgement_was_lost_is_told_all_the_same(
    make_job: MakeJob, changes: list[int], monkeypatch: Any
) -> None:
    own_database, job = OwnDatabase(monkeypatch), make_job()
    target = own_database.recorder(job)
    own_database.loses_the_answer = True
    target.feed(b"ERROR: one\n")
    target.flush()
    own_database.loses_the_answer, own_database.now = False, 5
    target.feed(b"ERROR: two\n")
    assert target.finish()
    job.refresh_from_db()
    assert (job.first_error_line, changes) == (1, [job.pk])
