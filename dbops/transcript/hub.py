"""One Redis subscription a process, fanned out to every follower in it."""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import redis.asyncio as aioredis
from redis.exceptions import RedisError

from dbops import conf
from dbops.transcript.live import channel

logger = logging.getLogger(__name__)

# A follower that does not keep up loses messages here, never lines: it reads the rows.
MAILBOX_SIZE = 50
# Redis says that a subscription holds; without it a message may be missed, which costs a poll, not a line.
CONFIRMATION_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
# Messages as they came.
Mailbox = asyncio.Queue[bytes]


class Hub:
    """Mailboxes by channel, and one task that reads Redis for all of them while there are any."""

    def __init__(self) -> None:
        self._mailboxes: dict[str, set[Mailbox]] = defaultdict(set)
        self._confirmed: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._pubsub: Any = None
        self._reader: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def mailbox(self, job_id: int) -> AsyncIterator[Mailbox]:
        """Messages of one job from now on. Subscribe first, read the rows then: no gap at the join."""
        name, box = channel(job_id), Mailbox(MAILBOX_SIZE)
        self._mailboxes[name].add(box)
        try:
            await self._subscribe(name)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._confirmed[name].wait(), CONFIRMATION_S)
            yield box
        finally:
            self._mailboxes[name].discard(box)
            if not self._mailboxes[name]:
                del self._mailboxes[name]
                self._confirmed.pop(name, None)
                await self._unsubscribe(name)

    async def _subscribe(self, name: str) -> None:
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())
        elif self._pubsub is not None:
            with suppress(RedisError, OSError):
                await self._pubsub.subscribe(name)

    async def _unsubscribe(self, name: str) -> None:
        if not self._mailboxes and self._reader is not None:
            reader, self._reader = self._reader, None
            reader.cancel()
            self._forget(self._pubsub)
        elif self._pubsub is not None:
            with suppress(RedisError, OSError):
                await self._pubsub.unsubscribe(name)

    async def _read(self) -> None:
        """Follow Redis for as long as somebody listens; come back by itself when it was gone."""
        pause = FIRST_PAUSE_S
        while True:
            client = aioredis.Redis.from_url(conf.redis_url(), socket_connect_timeout=2)
            pubsub = client.pubsub()
            try:
                async with pubsub:
                    self._pubsub = pubsub
                    await pubsub.subscribe(*self._mailboxes)
                    async for message in pubsub.listen():
                        pause = self._is_back(pause)
                        self._deliver(message)
            except (RedisError, OSError) as error:
                if pause == FIRST_PAUSE_S:
                    logger.warning("the live tail is away, followers read the rows: %s", error)
            finally:
                self._forget(pubsub)
                await client.aclose()
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 (jitter)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _forget(self, pubsub: Any) -> None:
        """Nothing of a reader that came since: one that is cancelled may end while the next already reads."""
        if self._pubsub is pubsub:
            self._pubsub = None
            self._confirmed.clear()

    def _is_back(self, pause: float) -> float:
        """It spoke: a connection alone proves nothing."""
        if pause > FIRST_PAUSE_S:
            logger.warning("the live tail is back")
        return FIRST_PAUSE_S

    def _deliver(self, message: dict[str, Any]) -> None:
        name = message["channel"].decode()
        if message["type"] == "subscribe":
            self._confirmed[name].set()
        if message["type"] != "message":
            return
        for box in self._mailboxes.get(name, ()):
            with suppress(asyncio.QueueFull):
                box.put_nowait(message["data"])


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub() -> Hub:
    """The hub of the running event loop; a web process has one loop."""
    loop = asyncio.get_running_loop()
    for other in [known for known in _hubs if known.is_closed()]:
        del _hubs[other]
    return _hubs.setdefault(loop, Hub())
