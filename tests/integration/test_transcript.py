"""Following a transcript: real rows, real Redis, cuts and losses."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import psycopg
import pytest
import redis
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.db import connection, connections
from django.utils import timezone

from dbops.models import Job
from dbops.transcript import broadcast, live
from dbops.transcript import hub as hubs
from dbops.transcript.following import Changed, Ended, Tail, follow
from dbops.transcript.pieces import Piece
from tests.integration.transcripts import numbered, record, recorder

MakeJob = Callable[..., Job]
pytestmark = pytest.mark.django_db(transaction=True)


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
        await sync_to_async(live.publish_tail)(job.pk, 0, "Applying x...")
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
