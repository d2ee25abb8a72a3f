"""1,000 viewers of one running job on one web process; and 200 of them whose lines are cut again and again.

    .venv/bin/python -m embedded.testing -- python -m benchmarks.viewers [VIEWERS]

The web process is as `make run` starts it; a worker's recorder writes 1,000 lines a second in ten batches,
and the job changes once a second; every viewer has a session of its own. All of it, the viewers included, is
on this machine. Measured are the time from the moment at which a line is handed to the recorder until a
viewer has it, the memory that a viewer costs the web process, connections to Postgres that idle streams hold,
and how long the process takes to end with open streams. Beside it: what the same viewers cost a server of a
few lines, without Django, database and Redis, that sends as much (benchmarks.bare).
"""

import asyncio
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from django.conf import settings
from django.core.management import call_command

from benchmarks.load import Stream, Tally, percentile
from benchmarks.site import REPOSITORY, Site, cookie_of, person, running_job, site

Measure = Callable[[Site, int, list[str]], Awaitable[bool]]

VIEWERS, RATE, SECONDS = 1000, 1000, 20
LIMIT_MS, LIMIT_KB = 250, 120
CUT_VIEWERS, CUTS = 200, 20
# A buffer of 64 KB, what did not fit into it, and what is about to be sent.
STALLED_VIEWERS, STALLED_RATE, STALLED_SECONDS, LINE_BYTES, LIMIT_STALLED_KB = 100, 20_000, 20, 56, 300
IDLE_VIEWERS, ENDING_VIEWERS, LIMIT_EXIT_S = 200, 100, 5.0
COMING_AT_ONCE = 20
WARM_UP = 20


def main(viewers: int) -> int:
    call_command("migrate", verbosity=0)
    who = person()
    cookies = [cookie_of(who) for _ in range(viewers + WARM_UP)]
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="opsdash-benchmark-") as folder:
        kept = [
            measure(Path(folder), one, cookies)
            for one in (many_viewers, forced_reconnects, stalled_viewers, idle_streams, ending)
        ]
    return 0 if all(kept) else 1


def measure(folder: Path, one: Measure, cookies: list[str]) -> bool:
    job = running_job()
    with site(folder / f"{one.__name__}.log") as web:
        return asyncio.run(one(web, job.pk, cookies))


async def many_viewers(web: Site, job: int, cookies: list[str]) -> bool:
    async def write_all(streams: list[Stream]) -> int:
        last = await write(job, SECONDS)
        await until(lambda: all(stream.last >= last for stream in streams), 30)
        return last

    with tempfile.NamedTemporaryFile() as log, site(Path(log.name), "benchmarks.bare:application") as other:
        bare = await crowd(other, job, cookies, wait_for_seconds, may_begin_anywhere=True)
    ours = await crowd(web, job, cookies, write_all)
    tally, count = ours.tally, len(cookies) - WARM_UP
    print(
        f"{count} viewers, {RATE} lines/s for {SECONDS} s: {tally.lines} lines received, {tally.lost} lost, "
        f"{tally.doubled} doubled, {tally.refused} refused\n"
        f"  from write to receipt: {ours.delays}; limit {LIMIT_MS} ms; the bare server {bare.delays}; "
        f"ratio of p99 {ours.p99 / bare.p99:.1f}\n"
        f"  a viewer: {ours.each:.0f} KB, limit {LIMIT_KB}; the bare server {bare.each:.0f} KB; "
        f"ratio {ours.each / bare.each:.1f}\n"
        f"  {ours.core:.0f} % of a core, {ours.threads} threads; the bare server {bare.core:.0f} %"
    )
    whole = tally.lines == count * ours.last and not (tally.lost or tally.doubled or tally.refused)
    return verdict(whole and ours.p99 <= LIMIT_MS and ours.each <= LIMIT_KB)


@dataclass(frozen=True)
class Crowd:
    """What many viewers had: `each` in KB, `core` in percent."""

    tally: Tally
    last: int
    each: float
    core: float
    threads: int

    @property
    def p99(self) -> float:
        return 1000 * percentile(self.tally.delays, 0.99)

    @property
    def delays(self) -> str:
        median, longest = 1000 * percentile(self.tally.delays, 0.5), 1000 * max(self.tally.delays)
        return f"{median:.0f} ms (median), {self.p99:.0f} ms (p99), {longest:.0f} ms (longest)"


async def crowd(
    web: Site,
    job: int,
    cookies: list[str],
    work: Callable[[list[Stream]], Awaitable[int]],
    *,
    may_begin_anywhere: bool = False,
) -> Crowd:
    async with watching(web, job, cookies[-WARM_UP:], Tally()):
        await asyncio.sleep(1)
    before, tally, count = web.memory(), Tally(), len(cookies) - WARM_UP
    async with watching(web, job, cookies[:count], tally, may_begin_anywhere=may_begin_anywhere) as streams:
        tally.is_measuring, cpu = True, web.cpu_s()
        last = await work(streams)
        core = 100 * (web.cpu_s() - cpu) / SECONDS
        return Crowd(tally, last, (web.memory() - before) / count / 1024, core, web.threads())


async def wait_for_seconds(streams: list[Stream]) -> int:
    await asyncio.sleep(SECONDS)
    return 0


async def forced_reconnects(web: Site, job: int, cookies: list[str]) -> bool:
    """Every other round all are cut at one moment, else each at a moment of its own."""
    tally, dice = Tally(), random.Random(1)
    async with watching(web, job, cookies[:CUT_VIEWERS], tally) as streams:
        writing = asyncio.create_task(write(job, CUTS * 2))
        for number in range(CUTS):
            await asyncio.gather(*(cut(stream, 0 if number % 2 else dice.random()) for stream in streams))
        last = await writing
        await until(lambda: all(stream.last >= last for stream in streams), 30)
    print(
        f"{CUT_VIEWERS} viewers, each cut {CUTS} times while {RATE} lines/s are written: {tally.lines} lines "
        f"received, {tally.lost} lost, {tally.doubled} doubled, {tally.refused} refused"
    )
    return verdict(tally.lines == CUT_VIEWERS * last and not (tally.lost or tally.doubled or tally.refused))


async def cut(stream: Stream, wait_s: float) -> None:
    await asyncio.sleep(wait_s)
    stream.cut()
    await stream.closed.wait()
    await stream.open()
    await asyncio.wait_for(stream.is_heard.wait(), 60)


async def stalled_viewers(web: Site, job: int, cookies: list[str]) -> bool:
    """Some that do not read at all, while a job prints as much as it can."""
    async with watching(web, job, cookies[-WARM_UP:], Tally()):
        await asyncio.sleep(1)
    before, tally = web.memory(), Tally()
    async with watching(web, job, cookies[:STALLED_VIEWERS], tally) as streams:
        for stream in streams:
            stream.stall()
        last = await write(job, STALLED_SECONDS, rate=STALLED_RATE)
        held = (web.memory() - before) / STALLED_VIEWERS / 1024
        for stream in streams:
            stream.go_on()
        await until(lambda: all(stream.last >= last for stream in streams), 120)
    printed = STALLED_RATE * STALLED_SECONDS * LINE_BYTES / 1e6
    print(
        f"{STALLED_VIEWERS} viewers that read nothing while {printed:.0f} MB are printed cost {held:.0f} KB "
        f"each, limit {LIMIT_STALLED_KB}; going on they had {tally.lost} lines lost, {tally.doubled} doubled"
    )
    whole = tally.lines == STALLED_VIEWERS * last and not (tally.lost or tally.doubled or tally.refused)
    return verdict(whole and held <= LIMIT_STALLED_KB)


async def idle_streams(web: Site, job: int, cookies: list[str]) -> bool:
    tally = Tally()
    async with watching(web, job, cookies[:IDLE_VIEWERS], tally):
        await asyncio.sleep(5)
        cpu, looks = web.cpu_s(), [connections() for _ in range(200) if not time.sleep(0.02)]
        cpu = web.cpu_s() - cpu
    # The pool keeps some open for the next request; what is in use is what a stream would hold.
    at_work = sorted(used for used, _ in looks)
    held = at_work[len(looks) // 2]
    print(
        f"{IDLE_VIEWERS} idle streams hold {held} connections (the pool has {looks[-1][1]}; in {len(looks)} "
        f"looks {at_work[-1]} at most were at work); {100 * cpu / 4:.1f} % of a core"
    )
    return verdict(held == 0)


def connections() -> tuple[int, int]:
    """Of the web process: those in use (also in a transaction that rests), and all."""
    own = settings.DATABASES["default"]
    dsn = {"host": own["HOST"], "port": own["PORT"], "user": own["USER"], "password": own["PASSWORD"]}
    with psycopg.connect(**dsn, dbname="postgres") as other:
        row = other.execute(
            "SELECT count(*) FILTER (WHERE state <> 'idle'), count(*) FROM pg_stat_activity "
            "WHERE datname = %s AND pid <> pg_backend_pid()",
            [own["NAME"]],
        ).fetchone()
    assert row
    return int(row[0]), int(row[1])


async def ending(web: Site, job: int, cookies: list[str]) -> bool:
    tally, goodbyes = Tally(), list[str]()
    async with watching(web, job, cookies[:ENDING_VIEWERS], tally, goodbyes):
        began = time.monotonic()
        web.process.terminate()
        await asyncio.to_thread(web.process.wait, 60)
        took = time.monotonic() - began
    print(
        f"SIGTERM with {ENDING_VIEWERS} open streams: ended after {took:.1f} s, limit {LIMIT_EXIT_S} s; "
        f"{goodbyes.count('bye')} were told goodbye"
    )
    return verdict(took <= LIMIT_EXIT_S and goodbyes.count("bye") == ENDING_VIEWERS)


@asynccontextmanager
async def watching(
    web: Site,
    job: int,
    cookies: list[str],
    tally: Tally,
    ends: list[str] | None = None,
    *,
    may_begin_anywhere: bool = False,
) -> AsyncIterator[list[Stream]]:
    """A stream for each cookie; each has heard something."""
    told = ends if ends is not None else []
    path = f"/jobs/{job}/stream/"
    streams = [Stream(web.port, path, cookie, tally, told.append) for cookie in cookies]
    for stream in streams:
        stream.may_begin_anywhere = may_begin_anywhere
    for start in range(0, len(streams), COMING_AT_ONCE):
        some = streams[start : start + COMING_AT_ONCE]
        await asyncio.gather(*(stream.open() for stream in some))
        await asyncio.wait_for(asyncio.gather(*(stream.is_heard.wait() for stream in some)), 60)
    try:
        yield streams
    finally:
        for stream in streams:
            stream.cut()
        await asyncio.sleep(1)


async def write(job: int, seconds: int, *, rate: int = RATE) -> int:
    argv = [sys.executable, "-m", "benchmarks.writer", str(job), str(rate), str(seconds)]
    writer = await asyncio.create_subprocess_exec(*argv, cwd=REPOSITORY, stdout=subprocess.PIPE)
    told, _ = await writer.communicate()
    return int(told)


async def until(is_so: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        await asyncio.sleep(0.1)


def verdict(is_kept: bool) -> bool:
    print("  kept" if is_kept else "  EXCEEDED", flush=True)
    return is_kept


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else VIEWERS))
