"""Recording a transcript: what is printed becomes rows, whatever our own database and Redis do meanwhile."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from dbops.models import Job, TranscriptChunk, clock
from dbops.models.job import FenceLostError
from dbops.transcript import backlog, live
from dbops.transcript import recorder as recording
from dbops.transcript.reading import read_after, read_all, read_last
from tests.integration.transcripts import OwnDatabase, numbered, record, recorder

MakeJob = Callable[..., Job]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def own_database(monkeypatch: pytest.MonkeyPatch) -> OwnDatabase:
    return OwnDatabase(monkeypatch)


def test_lines_are_numbered_from_one_without_gaps(make_job: MakeJob) -> None:
    job = make_job()
    record(job, "a\nb\n", "c\n", "d")
    chunks = list(TranscriptChunk.objects.filter(job=job).values_list("first", "last", "text"))
    assert chunks == [(1, 2, "a\nb"), (3, 3, "c")]
    job.refresh_from_db()
    assert job.last_line == 3


def test_reading_behind_a_line_begins_at_the_next_one(make_job: MakeJob) -> None:
    job = make_job()
    record(job, "1\n2\n3\n", "4\n5\n")
    assert numbered(read_after(job.pk, 1)) == [(2, ["2", "3"]), (4, ["4", "5"])]
    assert read_after(job.pk, 5) == []
    assert list(read_all(job.pk)) == ["1\n", "2\n", "3\n", "4\n", "5\n"]


def test_the_last_lines_know_their_numbers(make_job: MakeJob) -> None:
    job = make_job()
    record(job, "1\n2\n", "3\n", "4\n")
    assert numbered(read_last(job.pk, 3, 1000)) == [(2, ["2"]), (3, ["3"]), (4, ["4"])]
    assert numbered(read_last(job.pk, 3, 1)) == [(4, ["4"])]
    ended = make_job(job.database, state="failed", finished_at=timezone.now())
    assert read_last(ended.pk, 2, 1000) == []


def test_our_own_words_come_after_an_unfinished_line(make_job: MakeJob) -> None:
    job = make_job()
    target = recorder(job)
    target.feed(b"Applying x...")
    target.say("the job was cancelled")
    target.finish()
    assert list(read_all(job.pk)) == ["Applying x...\n", "opsdash: the job was cancelled\n"]


def test_redis_being_away_costs_no_line(make_job: MakeJob, settings: Any, caplog: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    live._client.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            record(job := make_job(), "kept\n")
    finally:
        live._client.cache_clear()
    assert list(read_all(job.pk)) == ["kept\n"]
    assert "followers read the rows" in caplog.text


# Our own database is away


def test_lines_wait_in_memory_while_our_database_fails(make_job: MakeJob, own_database: OwnDatabase) -> None:
    job = make_job()
    target = own_database.recorder(job)
    target.feed(b"before\n")
    target.flush()
    own_database.is_away = True
    target.feed(b"meanwhile\n")
    assert target.flush() is False
    own_database.is_away = False
    target.feed(b"after\n")
    assert target.flush() is False, "it is left alone for a moment"
    own_database.now += 5
    assert target.finish()
    assert list(read_all(job.pk)) == ["before\n", "meanwhile\n", "after\n"]


def test_what_waits_for_our_database_is_bounded_and_what_is_lacking_is_said(
    make_job: MakeJob,
    own_database: OwnDatabase,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(backlog, "WAITING_MOST", 10 * (backlog.LINE_COST + 5))
    job = make_job()
    target = own_database.recorder(job)
    own_database.is_away = True
    target.feed(b"".join(b"%4d\n" % number for number in range(1000)))
    assert target.flush() is False
    for number in range(1000, 2000):
        target.feed(b"%4d\n" % number)
    assert target._backlog.count == 10
    own_database.is_away, own_database.now = False, 5
    target.feed(b"more\n")
    target.flush()
    target.feed(b"again\n")
    target.say("the end")
    assert target.finish()
    lines = [line.strip() for line in read_all(job.pk)]
    assert lines[:10] == [str(number) for number in range(10)]
    assert lines[10].startswith("opsdash: 1991 lines that were printed here were not kept: opsdash's own ")
    assert lines[11:] == ["again", "opsdash: the end"]
    assert caplog.text.count("more is not kept") == 1


def test_a_row_whose_commit_was_not_acknowledged_is_not_written_twice(
    make_job: MakeJob, own_database: OwnDatabase
) -> None:
    job = make_job()
    target = own_database.recorder(job)
    own_database.loses_the_answer = True
    target.feed(b"one\ntwo\n")
    assert target.flush() is False
    own_database.loses_the_answer = False
    target.feed(b"two and a half\n")
    own_database.now += 5
    target.feed(b"three\n")
    assert target.finish()
    assert list(read_all(job.pk)) == ["one\n", "two\n", "two and a half\n", "three\n"]
    job.refresh_from_db()
    assert (job.last_line, job.transcript_bytes) == (4, 29)


def test_many_lines_that_had_to_wait_are_written_in_rows_of_bounded_size(
    make_job: MakeJob, own_database: OwnDatabase, settings: Any
) -> None:
    settings.DBOPS = {**settings.DBOPS, "BATCH_BYTES": 1024}
    job = make_job()
    own_database.is_away = True
    target = own_database.recorder(job)
    target.feed(b"".join(b"%099d\n" % number for number in range(100)))
    own_database.is_away, own_database.now = False, 5
    assert target.flush()
    rows = TranscriptChunk.objects.filter(job=job)
    assert [row.last - row.first + 1 for row in rows] == [11] * 9 + [1]
    assert (target._backlog.size, target._backlog.count) == (0, 0)


# When a line came


def test_a_row_has_the_moment_at_which_its_first_line_came_not_that_of_writing(
    make_job: MakeJob, own_database: OwnDatabase
) -> None:
    job = make_job()
    target = own_database.recorder(job)
    own_database.is_away = True
    for second in range(5):
        own_database.now = second
        target.feed(b"%d\n" % second)
        own_database.now += 0.5
        target.feed(b"%d.5\n" % second)
    own_database.is_away, own_database.now = False, 60
    assert target.finish()
    rows = list(TranscriptChunk.objects.filter(job=job))
    assert [row.lines for row in rows] == [[f"{second}", f"{second}.5"] for second in range(5)]
    ages = [(clock.now() - row.at).total_seconds() for row in rows]
    assert ages == pytest.approx([60, 59, 58, 57, 56], abs=0.5)


def test_a_clock_that_cannot_be_asked_costs_no_line_and_stops_nobody(
    make_job: MakeJob, own_database: OwnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job()
    target = own_database.recorder(job)
    with monkeypatch.context() as away:
        away.setattr(recording, "now", lambda: (_ for _ in ()).throw(OperationalError("gone")))
        own_database.now = 1
        target.feed(b"printed\n")
        own_database.now = 2
        target.feed(b"on\n")
    own_database.now = 10
    assert target.finish()
    assert list(read_all(job.pk)) == ["printed\n", "on\n"]
    (first, second) = TranscriptChunk.objects.filter(job=job)
    assert second.at - first.at == pytest.approx(timedelta(seconds=1), abs=timedelta(seconds=0.5))


# Who may write


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_nothing_is_written_into_a_job_that_was_ended_by_somebody_else(make_job: MakeJob, state: str) -> None:
    job = make_job()
    target = recorder(job)
    Job.objects.filter(pk=job.pk).update(state=state, finished_at=timezone.now())
    target.feed(b"too late\n")
    with pytest.raises(FenceLostError):
        target.flush()
    assert list(read_all(job.pk)) == []


def test_a_worker_with_an_outdated_fence_writes_nothing(make_job: MakeJob) -> None:
    job = make_job(state="running")
    target = recorder(job)
    Job.objects.filter(pk=job.pk).update(fence=7)
    target.feed(b"too late\n")
    with pytest.raises(FenceLostError):
        target.flush()
    assert list(read_all(job.pk)) == []


def test_a_worker_with_an_outdated_fence_does_not_take_the_rows_of_another_for_its_own(
    make_job: MakeJob,
) -> None:
    job = make_job(state="running")
    target, other = recorder(job), recorder(job)
    other.feed(b"of the other\n")
    other.flush()
    Job.objects.filter(pk=job.pk).update(fence=7)
    target.feed(b"too late\n")
    with pytest.raises(FenceLostError):
        target.flush()
    assert list(read_all(job.pk)) == ["of the other\n"]
