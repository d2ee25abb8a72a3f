"""Who has a stream open in this process, and whether they still may."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from django.db import Error

from dbops import conf, goodbye
from dbops.models.away import is_away
from dbops.rights import Rights, rights_now
from dbops.transcript.broadcast import broadcasts
from dbops.transcript.threads import beside_the_loop

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Viewer:
    """One open stream. `bye`: why it has to end; "" while it may stay."""

    user_id: int
    session_key: str
    rights: Rights
    bye: str = ""
    # What ends one that does not take what it is sent, a goodbye either.
    cut: Callable[[], object] = lambda: None

    @property
    def who(self) -> tuple[int, str]:
        return self.user_id, self.session_key


class Viewers:
    """Those of one event loop. While there are any, their rights are read anew every STREAM_RECHECK_S, of all
    of them together."""

    def __init__(self) -> None:
        self._open: set[Viewer] = set()
        self._watch: asyncio.Task[None] | None = None
        self._goodbye = ""

    @contextmanager
    def enter(self, viewer: Viewer) -> Iterator[None]:
        viewer.bye, task = self._goodbye, asyncio.current_task()
        assert task is not None
        viewer.cut = task.cancel
        self._open.add(viewer)
        if self._watch is None:
            self._watch = asyncio.create_task(self._look_now_and_then())
        try:
            yield
        finally:
            self._open.discard(viewer)
            if not self._open and self._watch is not None:
                self._watch.cancel()
                self._watch = None

    def is_one_too_many(self, viewer: Viewer) -> bool:
        """A browser opens six connections to a host by HTTP/1.1: where streams have them all, no page loads.
        The tabs of a browser share their session."""
        same = sum(other.session_key == viewer.session_key for other in self._open)
        return same > conf.knob("STREAMS_PER_SESSION")

    def say_goodbye(self, why: str) -> None:
        """Every stream ends, and so does each that begins from now on: this process is about to end."""
        self._goodbye = why
        self._send_off(dict.fromkeys(self._open, why))

    async def look(self) -> None:
        """Of those who may not stay, or may more or less than when they came, the streams end; one that was
        to end when they were looked at last is cut."""
        viewers = list(self._open)
        for viewer in viewers:
            if viewer.bye:
                viewer.cut()
        rights = await _rights_now({viewer.who for viewer in viewers})
        changed = (viewer for viewer in viewers if rights[viewer.who] != viewer.rights)
        self._send_off({viewer: _why(rights[viewer.who]) for viewer in changed})

    async def _look_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(conf.knob("STREAM_RECHECK_S"))
            try:
                await self.look()
            except Exception as error:
                # Nobody else would look again. Where our database is away, the streams themselves end.
                if isinstance(error, Error) and is_away(error):
                    logger.warning("who may see a stream cannot be read, our database fails: %s", error)
                else:
                    logger.exception("who may see a stream could not be read; it is tried again")

    def _send_off(self, leaving: dict[Viewer, str]) -> None:
        for viewer, why in leaving.items():
            viewer.bye = why
        if leaving:
            broadcasts().beat()


def _why(rights: Rights) -> str:
    return "what you may do is something else now" if rights.highest else "signed out"


@goodbye.when_told
def _say_goodbye() -> None:
    viewers().say_goodbye("opsdash is being restarted")


_rights_now = beside_the_loop(rights_now)
_viewers: WeakKeyDictionary[asyncio.AbstractEventLoop, Viewers] = WeakKeyDictionary()


def viewers() -> Viewers:
    """Of the running event loop; a web process has one."""
    return _viewers.setdefault(asyncio.get_running_loop(), Viewers())
