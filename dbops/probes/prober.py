"""The prober: one asyncio process that asks every target's Postgres again and again whether it answers."""

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import Error

from dbops import conf
from dbops.postgres.readiness import first_line
from dbops.presence import Presence
from dbops.probes import rows
from dbops.probes.probe import Known, Result, probe_within
from dbops.probes.schedule import FIRST_PAUSE_S, away_pause, jittered, pause_after

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

AT_ONCE = 20
# dbops.postgres.answering keeps to less by itself; this holds whatever happens.
BUDGET_S = 5.0
# A look-up of a host's name cannot be stopped; those that hang must not keep others waiting.
RESOLVERS = 2 * AT_ONCE
# Whatever still waits for a silent server then is left to the kernel.
END_S = 1.0


async def serve() -> None:
    """Probe until SIGTERM or SIGINT, and end within two seconds of it."""
    work = asyncio.create_task(Prober().run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _end, work)
    logger.info("probing every %d s", conf.knob("PROBE_INTERVAL_S"))
    with contextlib.suppress(asyncio.CancelledError), Presence("prober", f"prober@{socket.gethostname()}"):
        await work


def _end(work: "asyncio.Task[None]") -> None:
    alarm = threading.Timer(END_S, os._exit, [0])
    alarm.daemon = True
    alarm.start()
    work.cancel()


@dataclass
class Watch:
    """One database under watch by one task, so it is never asked twice at a time."""

    known: Known
    failures: int = 0
    told: tuple[str, str] = ("", "")
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Prober:
    def __init__(self) -> None:
        self._watches: dict[int, Watch] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        # How often our own database failed in a row.
        self._away = 0

    async def run(self) -> None:
        """Until cancelled: look which databases there are, and give each a task that watches it."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(RESOLVERS, "resolver"))
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    found = await self._ours(rows.load)
                    if found is not None:
                        self._watch(found, tasks)
                    await asyncio.sleep(away_pause(self._away, conf.knob("PROBE_INTERVAL_S")))
        finally:
            await sync_to_async(rows.close)()

    def _watch(self, found: list[Known], tasks: asyncio.TaskGroup) -> None:
        there = {known.database_id: known for known in found}
        for gone in self._watches.keys() - there.keys():
            self._watches.pop(gone).changed.set()
        for database_id, known in there.items():
            watch = self._watches.get(database_id)
            if watch is None:
                watch = self._watches[database_id] = Watch(known)
                tasks.create_task(self._keep_watching(watch))
            elif watch.known != known:
                watch.known, watch.failures = known, 0
                watch.changed.set()

    async def _keep_watching(self, watch: Watch) -> None:
        await asyncio.sleep(random.uniform(0, FIRST_PAUSE_S))  # noqa: S311
        while self._watches.get(watch.known.database_id) is watch:
            watch.changed.clear()
            pause = await self._look(watch)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(jittered(pause)):
                    await watch.changed.wait()

    async def _look(self, watch: Watch) -> float:
        """Probe once and keep the result. Seconds until the next time."""
        known = watch.known
        try:
            async with self._slots:
                result = await probe_within(BUDGET_S, known)
        except Exception:
            # A defect of ours with one database must not end the watch over the others.
            logger.exception("%s could not be probed; it is tried again", known.name)
            watch.failures += 1
            return pause_after(watch.failures, conf.knob("PROBE_INTERVAL_S"))
        if watch.known != known or self._watches.get(known.database_id) is not watch:
            return 0
        watch.failures = 0 if result.answers else watch.failures + 1
        pause = pause_after(watch.failures, conf.knob("PROBE_INTERVAL_S"))
        _tell(watch, result)
        if not self._away:
            await self._ours(rows.keep, known.database_id, result, pause)
        return pause

    async def _ours(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Read or write our own rows; None when our own database fails, which is said once."""
        try:
            answer = await sync_to_async(call)(*args, **kwargs)
        except Error as error:
            if not self._away:
                logger.warning(
                    "opsdash's own database fails: %s Probes go on, no result is kept until it answers.",
                    first_line(str(error)),
                )
            self._away += 1
            await sync_to_async(rows.close)()
            return None
        if self._away:
            logger.info("opsdash's own database answers again")
        self._away = 0
        return answer


def _tell(watch: Watch, result: Result) -> None:
    """A line in the log for each change, none for each probe."""
    now = (result.state, result.reason)
    if now == watch.told:
        return
    watch.told = now
    if result.answers:
        logger.info("%s answers in %d ms", watch.known.name, result.latency_ms)
    else:
        logger.warning("%s: %s (%s): %s", watch.known.name, *now, result.detail)
