"""What is read or made once for many viewers of one process."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError

from dbops.access import Role
from dbops.models import Job
from dbops.redaction import Redactor
from dbops.transcript import replaying
from dbops.transcript.following import follow
from dbops.transcript.pieces import Piece
from dbops.transcript.recorder import Recorder
from dbops.transcript.replaying import Replays
from dbops.views import fragments as making
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
    monkeypatch.setattr(replaying, "_read", reads := Counted(replaying._read))
    replays = Replays()
    found = await asyncio.gather(*(replays.behind(job.pk, 1, None) for _ in range(100)))
    assert {tuple(texts(pieces)) for pieces in found} == {("two", "three")}
    assert reads.calls == 1
    assert len({id(pieces[0].event) for pieces in found}) == 1, "one event is sent to all of them"


async def test_whoever_asked_first_may_leave(make_job: MakeJob) -> None:
    job = await sync_to_async(make_job)()
    await sync_to_async(write)(job, "one")
    replays = Replays()
    first = asyncio.create_task(replays.behind(job.pk, 0, None))
    second = asyncio.create_task(replays.behind(job.pk, 0, None))
    await asyncio.sleep(0)
    first.cancel()
    assert texts(await second) == ["one"]


async def test_nothing_yet_is_not_remembered(make_job: MakeJob) -> None:
    job, replays = await sync_to_async(make_job)(), Replays()
    assert await replays.behind(job.pk, 0, None) == []
    await sync_to_async(write)(job, "now")
    assert texts(await replays.behind(job.pk, 0, None)) == ["now"]


async def test_a_read_that_failed_is_tried_again(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    job, replays = await sync_to_async(make_job)(), Replays()
    await sync_to_async(write)(job, "one")

    async def fail(*args: Any) -> Any:
        raise OperationalError("gone")

    with monkeypatch.context() as away:
        away.setattr(replaying, "_read", fail)
        with pytest.raises(OperationalError):
            await replays.behind(job.pk, 0, None)
    assert texts(await replays.behind(job.pk, 0, None)) == ["one"]


async def test_of_what_was_read_only_the_latest_is_kept(make_job: MakeJob) -> None:
    job, replays = await sync_to_async(make_job)(), Replays()
    await sync_to_async(write)(job, *(f"line {number}" for number in range(50)))
    for after in range(40):
        assert texts(await replays.behind(job.pk, after, None))[0] == f"line {after}"
    assert len(replays._answers) <= replaying.KEPT


async def test_fragments_are_made_once_for_a_role_and_a_version(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await sync_to_async(make_job)(state="running", fence=1)
    monkeypatch.setattr(making, "_make", made := Counted(making._make))
    kept = Made()
    found = await asyncio.gather(*(kept.of(job.pk, Role.OPERATOR, 0) for _ in range(50)))
    assert made.calls == 1 and len({id(one) for one in found}) == 1
    assert f'value="{TOKEN}"' in found[0].html["job_state"]
    viewers = await kept.of(job.pk, Role.VIEWER, 0)
    assert made.calls == 2 and "Cancel" not in viewers.html["job_state"]


async def test_a_newer_version_is_made_anew_and_an_older_one_is_never_told(
    make_job: MakeJob,
) -> None:
    job, kept = await sync_to_async(make_job)(state="running", fence=1), Made()
    assert (await kept.of(job.pk, Role.OPERATOR, 0)).version == 0
    await sync_to_async(Job.objects.touch)(job.pk, 1, done_count=1, total_count=2)
    newer = await kept.of(job.pk, Role.OPERATOR, 1)
    assert newer.version == 1 and "1 of 2" in newer.html["job_progress"]
    assert await kept.of(job.pk, Role.OPERATOR, 0) is newer


async def test_what_is_told_once_is_a_snapshot(make_job: MakeJob) -> None:
    job = await sync_to_async(make_job)(state="running", fence=1)
    await sync_to_async(write)(job, "one", "two")
    told = [news async for some in follow(job.pk, 1, once=True) for news in some]
    assert texts([news for news in told if isinstance(news, Piece)]) == ["two"]
    assert [type(news).__name__ for news in told] == ["Piece", "Tail", "Changed"]


async def test_a_trouble_of_our_database_reaches_every_viewer(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbops.transcript import broadcast

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
    told = [news async for some in follow(job.pk, 0, once=True) for news in some]
    assert told, "whoever comes then begins anew"
