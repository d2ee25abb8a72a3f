"""Recording and following a transcript: real rows, real Redis, cuts and losses."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import psycopg
import pytest
import redis
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.db import OperationalError, connection, connections
from django.utils import timezone

from dbops.models import Job, TranscriptChunk
from dbops.models.job import FenceLostError
from dbops.redaction import Redactor
from dbops.transcript import broadcast, live
from dbops.transcript import hub as hubs
from dbops.transcript import recorder as recording
from dbops.transcript.following import Changed, Ended, Tail, follow
from dbops.transcript.pieces import Piece
from dbops.transcript.reading import Lines, read_after, read_all, read_last
from dbops.transcript.recorder import Recorder

MakeJob = Callable[..., Job]
pytestmark = pytest.mark.django_db(transaction=True)


def recorder(job: Job) -> Recorder:
    return Recorder(job, Redactor(()))


def record(job: Job, *texts: str) -> None:
    job.refresh_from_db()
    target = recorder(job)
    for text in texts:
        target.feed(text.encode())
        target.flush()


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


def numbered(some: list[Lines]) -> list[tuple[int, list[str]]]:
    return [(piece.first, piece.lines) for piece in some]


def test_our_own_words_come_after_an_unfinished_line(make_job: MakeJob) -> None:
    job = make_job()
    target = recorder(job)
    target.feed(b"Applying x...")
    target.say("the job was cancelled")
    target.finish()
    assert list(read_all(job.pk)) == ["Applying x...\n", "opsdash: the job was cancelled\n"]


def test_a_full_transcript_says_how_much_it_does_not_keep(make_job: MakeJob, settings: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "TRANSCRIPT_BYTES": 100}
    job = make_job()
    target = recorder(job)
    target.feed(b"0123456789\n" * 20)
    target.finish()
    lines = list(read_all(job.pk))
    assert lines[:9] == ["0123456789\n"] * 9
    assert lines[9:] == [
        "opsdash: the transcript is full; what is printed from here on is not kept.\n",
        "opsdash: 11 lines of output were not kept.\n",
    ]


def test_a_full_transcript_has_one_gap_and_keeps_our_own_words(make_job: MakeJob, settings: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "TRANSCRIPT_BYTES": 30}
    job = make_job()
    target = recorder(job)
    target.feed(b"short\n" + b"x" * 100 + b"\nalso short\n")
    target.say("the end")
    target.finish()
    assert [line.strip() for line in read_all(job.pk)] == [
        "short",
        "opsdash: the transcript is full; what is printed from here on is not kept.",
        "opsdash: the end",
        "opsdash: 2 lines of output were not kept.",
    ]


def test_lines_wait_in_memory_while_our_database_fails(make_job: MakeJob, monkeypatch: Any) -> None:
    job, now = make_job(), [0.0]
    target = Recorder(job, Redactor(()), clock=lambda: now[0])
    target.feed(b"before\n")
    target.flush()
    real = TranscriptChunk.objects.create
    monkeypatch.setattr(
        TranscriptChunk.objects, "create", lambda **_: (_ for _ in ()).throw(OperationalError("gone"))
    )
    target.feed(b"meanwhile\n")
    assert target.flush() is False
    monkeypatch.setattr(TranscriptChunk.objects, "create", real)
    target.feed(b"after\n")
    assert target.flush() is False, "it is left alone for a moment"
    now[0] += 5
    assert target.finish()
    assert list(read_all(job.pk)) == ["before\n", "meanwhile\n", "after\n"]


def test_what_waits_for_our_database_is_bounded_and_what_is_lacking_is_said(
    make_job: MakeJob, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recording, "WAITING_MOST", 10 * (recording.LINE_COST + 5))
    job, now = make_job(), [0.0]
    target = Recorder(job, Redactor(()), clock=lambda: now[0])
    with monkeypatch.context() as full:
        full.setattr(
            TranscriptChunk.objects,
            "create",
            lambda **_: (_ for _ in ()).throw(OperationalError("disk full")),
        )
        target.feed(b"".join(b"%4d\n" % number for number in range(1000)))
        assert target.flush() is False
        for number in range(1000, 2000):
            target.feed(b"%4d\n" % number)
        assert len(target._waiting) == 10
    now[0] += 5
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


# Following


async def collect(job_id: int, after: int = 0, until: Callable[[Any], bool] = lambda _: False) -> list[Any]:
    heard = []
    async with aclosing(cast_iterator(follow(job_id, after))) as stream:
        async for news in stream:
            heard.extend(news)
            if any(map(until, news)):
                break
    return heard


def cast_iterator(stream: AsyncIterator[Any]) -> Any:
    return stream


def lines_of(heard: list[Any]) -> list[str]:
    return [line for news in heard if isinstance(news, Piece) for line in news.lines.lines]


async def end(job: Job) -> None:
    def change() -> None:
        Job.objects.filter(pk=job.pk).update(state="succeeded", finished_at=timezone.now(), version=9)
        live.publish_change(job.pk)

    await sync_to_async(change)()


async def test_an_ended_job_is_replayed_and_the_stream_ends(make_job: MakeJob) -> None:
    job = await sync_to_async(make_job)()
    await sync_to_async(record)(job, "a\nb\n")
    await end(job)
    heard = await asyncio.wait_for(collect(job.pk), 10)
    assert lines_of(heard) == ["a", "b"]
    assert isinstance(heard[-2], Changed) and heard[-1] == Ended("succeeded")


async def test_lines_written_while_following_come_once_each_and_in_order(make_job: MakeJob) -> None:
    job = await sync_to_async(make_job)()
    await sync_to_async(record)(job, "old\n")
    following_it = asyncio.create_task(collect(job.pk))
    for number in range(200):
        await sync_to_async(record)(job, f"line {number}\n")
    await end(job)
    heard = await asyncio.wait_for(following_it, 20)
    assert lines_of(heard) == ["old", *(f"line {number}" for number in range(200))]


async def test_resuming_behind_a_line_gives_only_what_follows(make_job: MakeJob) -> None:
    job = await sync_to_async(make_job)()
    await sync_to_async(record)(job, "1\n2\n3\n")
    await end(job)
    heard = await asyncio.wait_for(collect(job.pk, after=2), 10)
    assert numbered([news.lines for news in heard if isinstance(news, Piece)]) == [(3, ["3"])]


async def test_the_unfinished_line_is_heard_before_it_is_complete(make_job: MakeJob) -> None:
    job = await sync_to_async(make_job)()
    following_it = asyncio.create_task(collect(job.pk, until=lambda news: news == Tail("Applying x...")))
    while not following_it.done():
        await sync_to_async(live.publish_tail)(job.pk, "Applying x...")
        await asyncio.sleep(0.05)
    assert Tail("Applying x...") in following_it.result()


async def test_who_comes_while_a_line_is_unfinished_hears_it_at_once(make_job: MakeJob) -> None:
    job = await sync_to_async(make_job)()

    def write_half_a_line() -> None:
        target = recorder(job)
        target.feed(b"done\nApplying x...")
        target.flush()

    await sync_to_async(write_half_a_line)()
    heard = await asyncio.wait_for(collect(job.pk, until=lambda news: isinstance(news, Tail)), 10)
    assert numbered([heard[0].lines]) == [(1, ["done"])] and heard[1] == Tail("Applying x...")


async def test_a_message_that_was_lost_is_read_from_the_rows(make_job: MakeJob, monkeypatch: Any) -> None:
    """Lines that no message told of come with the next one, or with the poll."""
    monkeypatch.setattr(broadcast, "POLL_S", 0.2)
    job = await sync_to_async(make_job)()
    following_it = asyncio.create_task(collect(job.pk, until=lambda news: isinstance(news, Piece)))
    await asyncio.sleep(0.1)
    with monkeypatch.context() as patch:
        patch.setattr(live, "_publish", lambda *_: None)
        await sync_to_async(record)(job, "silent\n")
    assert lines_of(await asyncio.wait_for(following_it, 10)) == ["silent"]


async def test_redis_dropping_every_connection_costs_no_line(make_job: MakeJob, monkeypatch: Any) -> None:
    monkeypatch.setattr(broadcast, "POLL_S", 0.2)
    job = await sync_to_async(make_job)()
    following_it = asyncio.create_task(collect(job.pk))
    server = redis.Redis.from_url(settings.REDIS_URL)
    for number in range(30):
        await sync_to_async(record)(job, f"{number}\n")
        if number % 10 == 5:
            await sync_to_async(server.client_kill_filter)(_type="pubsub")
    await end(job)
    heard = await asyncio.wait_for(following_it, 20)
    assert lines_of(heard) == [str(number) for number in range(30)]


async def test_who_comes_at_the_moment_when_the_last_one_leaves_hears_all(monkeypatch: Any) -> None:
    monkeypatch.setattr(hubs, "CONFIRMATION_S", 60)
    for _ in range(3):
        hub = hubs.Hub()
        first, second, third = hub.mailbox(900001), hub.mailbox(900002), hub.mailbox(900003)
        await first.__aenter__()
        leaving = asyncio.create_task(first.__aexit__(None, None, None))
        await asyncio.wait_for(second.__aenter__(), 10)
        await leaving
        heard = await asyncio.wait_for(third.__aenter__(), 10)
        await sync_to_async(live.publish_change)(900003)
        await asyncio.wait_for(heard.get(), 10)
        await third.__aexit__(None, None, None)
        await second.__aexit__(None, None, None)


async def test_open_followers_hold_no_database_connection(make_job: MakeJob) -> None:
    """Each in a context of its own, as each request has: otherwise they would share a thread, and with it one
    connection, whatever they hold."""
    job = await sync_to_async(make_job)()

    async def one() -> list[Any]:
        async with ThreadSensitiveContext():
            return await collect(job.pk)

    before = await sync_to_async(open_connections)()
    followers = [asyncio.create_task(one()) for _ in range(20)]
    await asyncio.sleep(1)
    during = await sync_to_async(open_connections)()
    await end(job)
    heard = await asyncio.wait_for(asyncio.gather(*followers), 20)
    # No follower shares the thread of this test, so nobody else closes its connection.
    await sync_to_async(connections.close_all)()
    assert all(news[-1] == Ended("succeeded") for news in heard)
    assert during <= before


def open_connections() -> int:
    """To the database of the tests, those in use for a moment left out; seen from outside."""
    own = connection.settings_dict
    dsn = {"host": own["HOST"], "port": own["PORT"], "user": own["USER"], "password": own["PASSWORD"]}
    with psycopg.connect(**dsn, dbname="postgres") as other:
        row = other.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state = 'idle'", [own["NAME"]]
        ).fetchone()
    assert row
    return int(row[0])


# What only a trouble of our own database shows


def test_a_chunk_whose_commit_was_not_acknowledged_is_not_written_twice(
    make_job: MakeJob, monkeypatch: Any
) -> None:
    job, now = make_job(), [0.0]
    target = Recorder(job, Redactor(()), clock=lambda: now[0])
    real = Recorder._insert

    def lose_the_answer(self: Recorder, *arguments: Any) -> None:
        real(self, *arguments)
        raise OperationalError("the connection was lost after COMMIT")

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "_insert", lose_the_answer)
        target.feed(b"one\ntwo\n")
        assert target.flush() is False
    now[0] += 5
    target.feed(b"three\n")
    assert target.finish()
    assert list(read_all(job.pk)) == ["one\n", "two\n", "three\n"]


def test_many_lines_that_had_to_wait_are_written_in_chunks_of_bounded_size(
    make_job: MakeJob, settings: Any
) -> None:
    settings.DBOPS = {**settings.DBOPS, "BATCH_BYTES": 1024}
    job = make_job()
    target = Recorder(job, Redactor(()), clock=lambda: 0.0)
    target._waiting = [f"{number:099}" for number in range(100)]
    target._waiting_bytes = 10_000
    assert target.flush()
    assert [chunk.last - chunk.first + 1 for chunk in TranscriptChunk.objects.filter(job=job)] == [11] * 9 + [
        1
    ]
    assert target._waiting_bytes == 0


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
