"""A transcript that is larger than its limit: its first and last part are kept, and the numbers are true."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dbops.models import Job, TranscriptChunk
from dbops.transcript import live, reading
from dbops.transcript.reading import read_after, read_all, read_between
from tests.integration.transcripts import OwnDatabase, kept, record, recorder

MakeJob = Callable[..., Job]
pytestmark = pytest.mark.django_db(transaction=True)
# Of bytes; a line has ten.
LIMIT = 1000
GAP_WORDS = (
    "opsdash: lines {} to {} are not kept: the transcript is larger than its limit "
    "(OPSDASH_TRANSCRIPT_BYTES); its first and last part are.\n"
)


@pytest.fixture(autouse=True)
def limit(settings: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "TRANSCRIPT_BYTES": LIMIT, "BATCH_BYTES": 100}


def lines(first: int, last: int) -> str:
    return "".join(f"{number:9}\n" for number in range(first, last + 1))


def job_with(make_job: MakeJob, last: int) -> Job:
    job = make_job()
    record(job, *(lines(first, first + 9) for first in range(1, last, 10)))
    job.refresh_from_db()
    return job


def test_up_to_the_limit_every_line_is_kept(make_job: MakeJob) -> None:
    job = job_with(make_job, 100)
    assert (job.last_line, job.transcript_bytes, job.gap) == (100, LIMIT, None)
    assert kept(job) == list(range(1, 101))


@pytest.mark.parametrize("last", [110, 120, 200, 1990, 12_340])
def test_beyond_it_the_first_half_stays_and_of_the_rest_the_newest(make_job: MakeJob, last: int) -> None:
    job = job_with(make_job, last)
    assert job.gap and job.last_line == last
    first, gone = job.gap
    assert first == 51 and kept(job) == [*range(1, 51), *range(gone + 1, last + 1)]
    assert job.transcript_bytes == 10 * len(kept(job))
    assert LIMIT - 200 <= job.transcript_bytes <= LIMIT


def test_rows_are_taken_away_some_at_once_and_not_with_every_row(make_job: MakeJob, settings: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "TRANSCRIPT_BYTES": 20_000}
    job = make_job()
    with CaptureQueriesContext(connection) as asked:
        record(job, *(lines(first, first + 3) for first in range(1, 4000, 4)))
    deletes = [query for query in asked if query["sql"].startswith("DELETE")]
    assert 20_000 * 2 / len(deletes) >= 20_000 / 50, "some 400 bytes at once, of what is 40 bytes a row"


def test_the_newest_row_stays_however_large_it_is(make_job: MakeJob) -> None:
    job = job_with(make_job, 60)
    record(job, "x" * 5000 + "\n")
    assert kept(job) == [*range(1, 51), 61]
    record(job, "the end\n")
    job.refresh_from_db()
    assert kept(job) == [*range(1, 51), 62]
    assert job.gap == (51, 61)


def test_our_own_last_words_are_always_kept(make_job: MakeJob) -> None:
    job = make_job()
    target = recorder(job)
    target.feed(lines(1, 5000).encode())
    target.say("the end")
    assert target.finish()
    assert list(read_all(job.pk))[-2:] == [f"{5000:9}\n", "opsdash: the end\n"]


def test_who_reads_all_is_told_in_its_place_what_is_not_kept(make_job: MakeJob) -> None:
    job = job_with(make_job, 12_340)
    assert job.gap
    all_lines = list(read_all(job.pk))
    assert all_lines[:50] == lines(1, 50).splitlines(keepends=True)
    assert all_lines[50] == GAP_WORDS.format("51", f"{job.gap[1]:,}")
    assert all_lines[51:] == lines(job.gap[1] + 1, 12_340).splitlines(keepends=True)


def test_lines_around_the_gap_are_given_as_far_as_they_are_kept(make_job: MakeJob) -> None:
    job = job_with(make_job, 1000)
    assert job.gap
    end = job.gap[1]
    assert [(piece.first, piece.last) for piece in read_between(job.pk, 45, end + 5, 1000)] == [
        (45, 50),
        (end + 1, end + 5),
    ]
    assert read_between(job.pk, 60, 80, 1000) == []


def test_who_follows_is_told_of_the_gap(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(live, "publish_lines", lambda job_id, lines, gap: told.append((lines.last, gap)))
    job = job_with(make_job, 120)
    assert told[9] == (100, None)
    assert told[-1] == (120, job.gap) and job.gap


@pytest.mark.parametrize("lost", range(95, 131))
def test_an_acknowledgement_that_was_lost_while_rows_were_taken_away_changes_nothing(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    own_database, job = OwnDatabase(monkeypatch), make_job()
    target = own_database.recorder(job)
    for number in range(1, 201):
        own_database.loses_the_answer = number == lost
        target.feed(lines(number, number).encode())
        own_database.now += 5
        target.flush()
        own_database.loses_the_answer = False
    assert target.finish()
    job.refresh_from_db()
    assert job.gap and job.gap[0] == 51
    assert kept(job) == [*range(1, 51), *range(job.gap[1] + 1, 201)]
    assert job.transcript_bytes == 10 * len(kept(job)) and job.last_line == 200
    assert target._kept.size == job.transcript_bytes and target._kept.gap == job.gap


def test_who_reads_while_rows_are_taken_away_jumps_and_comes_to_the_end(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows that it wants go between the look at their sizes and the look at their text."""
    job = job_with(make_job, 100)
    real, goes = reading._first_ones, iter([(1, 70), (71, 90)])

    def and_then_they_go(*arguments: Any) -> list[int]:
        wanted = real(*arguments)
        for first, last in [next(goes, (0, 0))]:
            TranscriptChunk.objects.filter(job=job, first__gte=first, last__lte=last).delete()
        return wanted

    monkeypatch.setattr(reading, "_first_ones", and_then_they_go)
    assert [piece.first for piece in read_after(job.pk, 0, 50)] == [91]
    assert read_after(job.pk, 100) == []
    assert list(read_all(job.pk)) == [GAP_WORDS.format("1", "90"), *lines(91, 100).splitlines(keepends=True)]
