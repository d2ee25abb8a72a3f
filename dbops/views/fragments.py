"""The live fragments of a job's page, made once for all its viewers with the same rights."""

import asyncio
import json
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from django.template.loader import render_to_string

from dbops.models import Job
from dbops.pages.job import FRAGMENTS, job_page
from dbops.plain import plain_page
from dbops.rights import Rights
from dbops.transcript.threads import beside_the_loop

# What nothing announces (an age, a worker that came) is this old at most for those who come.
FRESH_S = 1.0
# Jobs and rights whose fragments are kept.
KEPT = 32
# Stands for the token of whoever is sent them; another one in each process, so that no target can print it.
TOKEN = f"token-of-the-viewer-{secrets.token_hex(16)}"


@dataclass(frozen=True)
class Fragments:
    """HTML by id, of one version of the job's row."""

    version: int
    made_at: float
    html: dict[str, str]
    _told: dict[frozenset[str], bytes] = field(default_factory=dict)

    def data(self, names: frozenset[str]) -> bytes:
        """The JSON document that tells these; of a few sets of names, since most viewers lack the same."""
        if names not in self._told:
            document = {"html": {name: html for name, html in self.html.items() if name in names}}
            self._told[names] = json.dumps(document).encode("ascii")
        return self._told[names]

    def unlike(self, told: dict[str, str]) -> frozenset[str]:
        """Those that differ from what somebody was told."""
        return frozenset(name for name, html in self.html.items() if told.get(name) != html)


class Made:
    """The newest fragments of each job and rights, for those who come at about the same time."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[int, Rights], asyncio.Task[Fragments]] = OrderedDict()

    async def of(self, job_id: int, rights: Rights, version: int) -> Fragments:
        """As of this version of its row, or a later one."""
        key = job_id, rights
        task = self._made.get(key)
        if task is None or (task.done() and not _serves(task, version)):
            task = self._start(key)
        # Whoever asked first may leave; the others still wait for it.
        found = await asyncio.shield(task)
        return found if found.version >= version else await self.of(job_id, rights, version)

    def _start(self, key: tuple[int, Rights]) -> asyncio.Task[Fragments]:
        self._made[key] = task = asyncio.create_task(_make(*key, asyncio.get_running_loop().time()))
        self._made.move_to_end(key)
        while len(self._made) > KEPT:
            self._made.popitem(last=False)
        return task


def _serves(task: asyncio.Task[Fragments], version: int) -> bool:
    if task.cancelled() or task.exception():
        return False
    found = task.result()
    return found.version >= version and asyncio.get_running_loop().time() - found.made_at < FRESH_S


@beside_the_loop
def _make(job_id: int, rights: Rights, now: float) -> Fragments:
    job = Job.objects.select_related("database__target").get(pk=job_id)
    context = {"page": job_page(rights, job), "csrf_token": TOKEN}
    html = {name: _rendered(name, context) for name in FRAGMENTS}
    return Fragments(job.version, now, html)


def _rendered(name: str, context: dict[str, Any]) -> str:
    """No middleware sees it (dbops.middleware.plain_pages)."""
    html = render_to_string(f"_fragments/{name}.html", context)
    return plain_page(html.encode()).decode()


_made: WeakKeyDictionary[asyncio.AbstractEventLoop, Made] = WeakKeyDictionary()


def fragments() -> Made:
    """Of the running event loop."""
    return _made.setdefault(asyncio.get_running_loop(), Made())
