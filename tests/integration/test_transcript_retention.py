"""A transcript is removed some time after the end of its job; the job, its steps and its outcome stay."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client

from dbops import tasks
from dbops.documents import job_entry
from dbops.models import Job, Step, TranscriptChunk, clock
from dbops.transcript import reading, retention
from dbops.transcript.reading import read_all
from tests.integration.conftest import MakeDatabase
from tests.integration.reading import words_of
from tests.integration.transcripts import kept, record

MakeJob = Callable[..., Job]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def old(make_job: MakeJob, make_database: MakeDatabase) -> Callable[..., Job]:
    """A job that ended so many days ago and printed ten lines, each in a row of its own."""

    database = make_database()

    def make(days: float = 181, state: str = "succeeded") -> Job:
        job = make_job(database, changing=False)
        record(job, *(f"line {number}\n" for number in range(1, 11)))
        Step.objects.create(job=job, position=1, kind="migration", name="a.1", first_line=2, last_line=3)
        ended = clock.now() - timedelta(days=days)
        Job.objects.filter(pk=job.pk).update(state=state, finished_at=ended, outcome="It is done.")
        return Job.objects.get(pk=job.pk)

    return make


@pytest.fixture
def viewer(people: dict[str, User]) -> Client:
    client = Client()
    client.force_login(people["viewer"])
    return client


def words(job: Job) -> str:
    return (
        f"The transcript was removed on {clock.now():%Y-%m-%d}: those of jobs that ended more than 180 days "
        "ago are (OPSDASH_TRANSCRIPT_DAYS). The job, its steps and its outcome are kept."
    )


def test_the_lines_go_and_everything_else_stays(old: Callable[..., Job]) -> None:
    job = old()
    assert retention.sweep() is False
    job.refresh_from_db()
    assert kept(job) == []
    assert job.transcript_removed_at and abs(clock.now() - job.transcript_removed_at) < timedelta(minutes=1)
    assert (job.state, job.outcome, job.last_line, job.transcript_bytes) == (
        "succeeded",
        "It is done.",
        10,
        0,
    )
    assert [(step.first_line, step.last_line) for step in job.steps.all()] == [(2, 3)]
    assert job_entry(job)["transcript_removed_at"] == job.transcript_removed_at.isoformat()


def test_what_ended_a_month_ago_or_has_not_ended_is_left_alone(
    old: Callable[..., Job], make_job: MakeJob, settings: Any
) -> None:
    young = old(179)
    open_one = make_job(young.database, state="lost", changing=False)
    record(open_one, "line\n")
    Job.objects.filter(pk=open_one.pk).update(created_at=clock.now() - timedelta(days=999))
    retention.sweep()
    assert len(kept(young)) == 10 and kept(open_one) == [1]
    settings.DBOPS = {**settings.DBOPS, "TRANSCRIPT_DAYS": 178}
    retention.sweep()
    assert kept(young) == [] and kept(open_one) == [1]


def test_a_sweep_takes_away_some_and_says_that_more_is_left(
    old: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(retention, "PIECES_AT_ONCE", 2)
    first, second = old(300), old(200)
    assert retention.sweep() is True
    assert (kept(first), len(kept(second))) == ([1, 2], 10)
    assert retention.sweep() is True
    assert (kept(first), kept(second)) == ([], [1, 2, 3, 4, 5, 6])
    assert retention.sweep() is True and retention.sweep() is False
    assert (kept(first), kept(second)) == ([], [])


def test_what_is_left_is_swept_soon(old: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PIECES_AT_ONCE", 1)
    told: list[Any] = []
    monkeypatch.setattr(tasks.sweep_transcripts, "apply_async", lambda *_, **how: told.append(how["queue"]))
    job = old()
    tasks.sweep_transcripts()
    tasks.sweep_transcripts()
    assert kept(job) == [] and told == ["inspect"]


def test_two_sweeps_do_not_wait_for_each_other(old: Callable[..., Job]) -> None:
    first, second = old(300), old(200)
    held, done = Event(), Event()

    def hold() -> None:
        with transaction.atomic():
            Job.objects.select_for_update().get(pk=first.pk)
            held.set()
            done.wait(30)
        connection.close()

    holder = Thread(target=hold)
    holder.start()
    try:
        assert held.wait(30)
        retention.sweep()
        assert len(kept(first)) == 10 and kept(second) == []
    finally:
        done.set()
        holder.join()
    retention.sweep()
    assert kept(first) == []


def test_the_page_the_download_and_the_shell_say_why_there_is_none(
    old: Callable[..., Job], viewer: Client
) -> None:
    job = old()
    retention.sweep()
    page = viewer.get(job.get_absolute_url()).content.decode()
    plain = page[page.index("<noscript>") : page.index("</noscript>")]
    assert words(job) in words_of(plain) and "line 10" not in page
    assert f'"removed": "{words(job)}"' in page
    assert viewer.get(f"{job.get_absolute_url()}lines/?from=1&to=9").json()["removed"] == words(job)
    assert list(read_all(job.pk)) == [f"opsdash: {words(job)}\n"]
    assert downloaded(viewer, job) == f"opsdash: {words(job)}\n"


def downloaded(viewer: Client, job: Job) -> str:
    response: Any = viewer.get(f"{job.get_absolute_url()}transcript.txt")
    return async_to_sync(joined)(response.streaming_content)


async def joined(pieces: AsyncIterator[bytes]) -> str:
    return b"".join([piece async for piece in pieces]).decode()


def test_the_page_of_a_job_whose_transcript_is_being_removed_shows_nothing_of_it(
    old: Callable[..., Job], viewer: Client
) -> None:
    job = old()
    Job.objects.filter(pk=job.pk).update(transcript_removed_at=clock.now())
    page = viewer.get(job.get_absolute_url()).content.decode()
    assert "line 10" not in page and "The transcript was removed on" in page


def test_who_reads_while_it_is_removed_comes_to_an_end_that_says_why(
    old: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(reading, "ROWS_AT_ONCE", 1)
    job = old()
    lines = read_all(job.pk)
    heard = [next(lines) for _ in range(4)]
    assert retention.remove_some()
    heard += [next(lines) for _ in range(2)]
    retention.sweep()
    heard += list(lines)
    assert heard == [*(f"line {number}\n" for number in range(1, 7)), f"opsdash: {words(job)}\n"]


def test_of_a_month_old_job_all_is_there(old: Callable[..., Job], viewer: Client) -> None:
    job = old(30)
    retention.sweep()
    assert downloaded(viewer, job) == "".join(f"line {number}\n" for number in range(1, 11))
    assert '"removed": ""' in viewer.get(job.get_absolute_url()).content.decode()


def test_those_that_are_due_are_found_by_an_index() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        assert "job_with_old_transcript" in retention.due().explain()
        assert TranscriptChunk.objects.count() == 0
