"""What is read or made once for many viewers of one process."""

import asyncio
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import OperationalError

from dbops.models import Job, TranscriptChunk
from dbops.redaction import Redactor
from dbops.rights import NONE, Rights, Role
from dbops.transcript import broadcast, live, replaying
from dbops.transcript.broadcast import broadcasts
from dbops.transcript.following import AT_ONCE_BYTES, Tail, follow
from dbops.transcript.pieces import Piece
from dbops.transcript.recorder import Recorder
from dbops.transcript.replaying import Replays
from dbops.views import fragments as making
from dbops.views import viewers as viewing
from dbops.views.fragments import TOKEN, Made

pytestmark = pytest.mark.django_db(transaction=True)
MakeJob = Callable[..., Job]


def write(job: Job, *lines: str) -> None:
    job.refresh_from_db()
    recorder = Recorder(job, Redactor(()))
    for line in lines:
        recorder.feed(f"{line}\n".encode())
        assert recorder.flush()


class Counted:
    """The real thing, counted."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self.real, self.calls = real, 0

    async def __call__(self, *args: Any) -> Any:
        self.calls += 1
        return await self.real(*args)


def texts(pieces: list[Piece]) -> list[str]:
    return [line for piece in pieces for line in piece.lines.lines]


async def test_those_who_come_back_to_one_line_at_once_read_it_once(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await sync_to_async(make_job)()
    await sync_to_async(write)(job, "one", "two", "three")
    monkeypatch.setattr(replaying, "read_pieces", reads := Counted(replaying.read_pieces))
    replays = Replays()
    found = await asyncio.gather(*(replays.behind(job.pk, 1) for _ in range(100)))
    assert {tuple(texts(pieces)) for pieces in found} == {("two", "three")}
    assert reads.calls == 1
    assert len({id(pieces[0].event) for pieces in found}) == 1, "one event is sent to all of them"


async def test_whoever_asked_first_may_leave(make_job: MakeJob) -> None:
    job = await sync_to_async(make_job)()
    await sync_to_async(write)(job, "one")
    replays = Replays()
    first = asyncio.create_task(replays.behind(job.pk, 0))
    second = asyncio.create_task(replays.behind(job.pk, 0))
    await asyncio.sleep(0)
    first.cancel()
    assert texts(await second) == ["one"]


async def test_nothing_yet_is_not_remembered(make_job: MakeJob) -> None:
    job, replays = await sync_to_async(make_job)(), Replays()
    assert await replays.behind(job.pk, 0) == []
    await sync_to_async(write)(job, "now")
    assert texts(await replays.behind(job.pk, 0)) == ["now"]


async def test_a_read_that_failed_is_tried_again(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    job, replays = await sync_to_async(make_job)(), Replays()
    await sync_to_async(write)(job, "one")

    async def fail(*args: Any) -> Any:
        raise OperationalError("gone")

    with monkeypatch.context() as away:
        away.setattr(replaying, "read_pieces", fail)
        with pytest.raises(OperationalError):
            await replays.behind(job.pk, 0)
    assert texts(await replays.behind(job.pk, 0)) == ["one"]


async def test_of_what_was_read_only_the_latest_is_kept(make_job: MakeJob) -> None:
    job, replays = await sync_to_async(make_job)(), Replays()
    await sync_to_async(write)(job, *(f"line {number}" for number in range(50)))
    for after in range(40):
        assert texts(await replays.behind(job.pk, after))[0] == f"line {after}"
    assert len(replays._answers) <= replaying.KEPT


async def test_fragments_are_made_once_for_a_role_and_a_version(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await sync_to_async(make_job)(state="running", fence=1)
    monkeypatch.setattr(making, "_make", made := Counted(making._make))
    kept = Made()
    found = await asyncio.gather(*(kept.of(job.pk, Rights(Role.OPERATOR), 0) for _ in range(50)))
    assert made.calls == 1 and len({id(one) for one in found}) == 1
    assert f'value="{TOKEN}"' in found[0].html["job_state"]
    viewers = await kept.of(job.pk, Rights(Role.VIEWER), 0)
    assert made.calls == 2 and "Cancel" not in viewers.html["job_state"]


async def test_a_newer_version_is_made_anew_and_an_older_one_is_never_told(
    make_job: MakeJob,
) -> None:
    job, kept = await sync_to_async(make_job)(state="running", fence=1), Made()
    assert (await kept.of(job.pk, Rights(Role.OPERATOR), 0)).version == 0
    await sync_to_async(Job.objects.touch)(job.pk, 1, done_count=1, total_count=2)
    newer = await kept.of(job.pk, Rights(Role.OPERATOR), 1)
    assert newer.version == 1 and "1 of 2" in newer.html["job_progress"]
    assert await kept.of(job.pk, Rights(Role.OPERATOR), 0) is newer


async def test_what_is_told_once_is_a_snapshot(make_job: MakeJob) -> None:
    job = await sync_to_async(make_job)(state="running", fence=1)
    await sync_to_async(write)(job, "one", "two")
    told = [news async for some in follow(job.pk, 1, once=True) for news in some]
    assert texts([news for news in told if isinstance(news, Piece)]) == ["two"]
    assert [type(news).__name__ for news in told] == ["Piece", "Tail", "Changed"]


async def test_a_trouble_of_our_database_reaches_every_viewer(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await sync_to_async(make_job)(state="running", fence=1)
    monkeypatch.setattr(broadcast, "POLL_S", 0.1)

    async def listen() -> None:
        async for _ in follow(job.pk, 0):
            pass

    async def fail(job_id: int) -> Any:
        raise OperationalError("gone")

    followers = [asyncio.create_task(listen()) for _ in range(5)]
    await asyncio.sleep(0.3)
    with monkeypatch.context() as away:
        away.setattr(broadcast, "_standing", fail)
        ended = await asyncio.wait_for(asyncio.gather(*followers, return_exceptions=True), 20)
    assert [type(one) for one in ended] == [OperationalError] * 5
    depths = {len(traceback.extract_tb(one.__traceback__)) for one in ended if isinstance(one, Exception)}
    assert len(depths) == 1, "it does not grow with each viewer"
    told = [news async for some in follow(job.pk, 0, once=True) for news in some]
    assert told, "whoever comes then begins anew"


async def test_rows_that_were_taken_away_unannounced_are_passed_over_and_that_is_said(
    make_job: MakeJob,
) -> None:
    """Redis was away, or the message of it is still on its way."""
    job = await sync_to_async(make_job)(state="running", fence=1)
    await sync_to_async(write)(job, *(f"line {number}" for number in range(1, 31)))

    def take_away() -> None:
        TranscriptChunk.objects.filter(job=job, first__gte=10, last__lte=20).delete()
        Job.objects.filter(pk=job.pk).update(gap_first=10, gap_last=20)

    async def first_piece(after: int) -> Piece:
        async for some in follow(job.pk, after):
            pieces = [news for news in some if isinstance(news, Piece)]
            if pieces:
                return pieces[0]
        raise AssertionError("it ended")

    async with broadcasts().of(job.pk):
        await sync_to_async(take_away)()
        for after in (9, 14):
            piece = await asyncio.wait_for(first_piece(after), 10)
            assert (piece.lines.first, piece.gap) == (21, (10, 20))
            assert piece.leads_on_from(after)


async def first_lines(job: Job) -> list[str]:
    async for some in follow(job.pk, 0):
        if pieces := [news for news in some if isinstance(news, Piece)]:
            return texts(pieces)
    raise AssertionError("it ended")


async def test_what_no_message_told_is_read_while_others_keep_coming(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast, "POLL_S", 0.3)
    job = await sync_to_async(make_job)(state="running", fence=1)

    following = asyncio.create_task(first_lines(job))
    await asyncio.sleep(0.2)
    with monkeypatch.context() as silent:
        silent.setattr(live, "_publish", lambda *_, **__: False)
        await sync_to_async(write)(job, "untold")
    while not following.done():
        await sync_to_async(live.publish_tail)(job.pk, 0, "10 %")
        await asyncio.sleep(0.05)
    assert following.result() == ["untold"]


async def test_one_message_that_is_not_understood_costs_nothing(make_job: MakeJob) -> None:
    job = await sync_to_async(make_job)(state="running", fence=1)

    following = asyncio.create_task(first_lines(job))
    await asyncio.sleep(0.3)
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        for junk in (b"\xff", b"{", b"[]", b'{"kind": "lines", "first": 1}', b'{"kind": "tail"}'):
            server.publish(live.channel(job.pk), junk)
    await sync_to_async(write)(job, "one")
    assert await asyncio.wait_for(following, 10) == ["one"]


async def test_while_a_viewer_takes_what_it_was_handed_it_holds_no_more(make_job: MakeJob) -> None:
    job = await sync_to_async(make_job)(state="running", fence=1)
    await sync_to_async(write)(job, *("x" * 50_000 for _ in range(40)))
    stream: Any = follow(job.pk, 0)
    taken = 0
    async for some in stream:
        pieces = [news for news in some if isinstance(news, Piece)]
        taken += len(pieces)
        assert sum(len(piece.event) for piece in pieces) <= AT_ONCE_BYTES
        held = [value for value in stream.ag_frame.f_locals.values() if isinstance(value, list)]
        assert all(len(value) <= len(pieces) for value in held)
        if taken == 40:
            break
    await stream.aclose()


# The unfinished line


async def tail_for_a_newcomer(job: Job) -> str:
    told = [news async for some in follow(job.pk, job.last_line, once=True) for news in some]
    return next(news.text for news in told if isinstance(news, Tail))


async def test_an_unfinished_line_that_was_completed_while_redis_was_away_is_not_shown_again(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await sync_to_async(make_job)(state="running", fence=1)

    def write_in_two() -> None:
        recorder = Recorder(job, Redactor(()))
        recorder.feed(b"Applying shop.0001...")
        assert recorder.flush()
        with monkeypatch.context() as away:
            away.setattr(live, "_publish", lambda *_, **__: False)
            recorder.feed(b" OK\n")
            assert recorder.flush()

    await sync_to_async(write_in_two)()
    assert await tail_for_a_newcomer(job) == ""


async def test_an_unfinished_line_like_the_one_before_is_told_again(make_job: MakeJob) -> None:
    job = await sync_to_async(make_job)(state="running", fence=1)

    def write_twice() -> None:
        recorder = Recorder(job, Redactor(()))
        for data in (b"working...", b"\nworking..."):
            recorder.feed(data)
            assert recorder.flush()

    await sync_to_async(write_twice)()
    await sync_to_async(job.refresh_from_db)()
    assert await tail_for_a_newcomer(job) == "working..."


async def test_a_tail_that_could_not_be_told_is_told_later(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await sync_to_async(make_job)(state="running", fence=1)

    def write_late() -> None:
        recorder = Recorder(job, Redactor(()))
        with monkeypatch.context() as away:
            away.setattr(live, "_publish", lambda *_, **__: False)
            recorder.feed(b"working...")
            assert recorder.flush()
        assert recorder.flush()

    await sync_to_async(write_late)()
    assert await tail_for_a_newcomer(job) == "working..."


# Who may stay


async def test_a_viewer_that_may_not_stay_is_told_so_and_cut_where_it_does_not_take_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nobody(people: set[tuple[int, str]]) -> dict[tuple[int, str], Rights]:
        return dict.fromkeys(people, NONE)

    monkeypatch.setattr(viewing, "_rights_now", nobody)
    all_viewers, viewer = viewing.Viewers(), viewing.Viewer(1, "session", Rights(Role.VIEWER))

    async def watch() -> None:
        with all_viewers.enter(viewer):
            await asyncio.Event().wait()

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    await all_viewers.look()
    assert viewer.bye == "signed out" and not watching.cancelling()
    await all_viewers.look()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(watching, 10)
