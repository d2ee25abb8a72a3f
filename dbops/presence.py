"""A process of ours tells that it is there: a thread in its main process keeps its row current.

Each sign opens and closes its connection, so that a process that is forked meanwhile holds none of it. Our
database being away is logged, and nothing of this may keep the process from ending.
"""

import logging
import os
import platform
import queue
import socket
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from importlib.metadata import version
from types import TracebackType
from typing import Any

from django.db import connection
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from dbops import conf
from dbops.models import Worker, clock

logger = logging.getLogger(__name__)

# A goodbye that takes longer is left unsaid: the process is called silent then.
GOODBYE_S = 0.5
STOPPING, STOPPED = "stopping", "stopped"


class Presence:
    """From start() to stop() the row `name` is this process. `look` gives its changing columns at each sign
    (queues, slots, busy); it is called in the thread."""

    def __init__(self, kind: str, name: str, look: Callable[[], Mapping[str, Any]] = dict) -> None:
        self._kind, self._name, self._look = kind, name, look
        self._run = uuid.uuid4()
        self._began = clock.passed()
        # When a word of news was heard.
        self._said: dict[str, float] = {}
        self._told = False
        self._failed = ""
        # Unlike an event it may be used in a signal handler, whatever that interrupted.
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._tell_on, name="presence", daemon=True)

    def __enter__(self) -> "Presence":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        self._thread.start()

    def stopping(self) -> None:
        """It takes nothing more, and finishes what it does."""
        self._news.put(STOPPING)

    def stop(self) -> None:
        """Say goodbye, if that is possible at once."""
        self._news.put(STOPPED)
        self._thread.join(GOODBYE_S)

    def _tell_on(self) -> None:
        while STOPPED not in self._said:
            self._tell()
            self._hear()
        self._tell()

    def _hear(self) -> None:
        """Until the next sign is due."""
        with suppress(queue.Empty):
            self._said.setdefault(self._news.get(timeout=conf.knob("HEARTBEAT_S")), clock.passed())

    def _tell(self) -> None:
        try:
            Worker.objects.tell(self._name, self._run, first=not self._told, **self._facts())
            Worker.objects.thin()
            self._told, self._failed = True, ""
        except Exception as error:
            # The process goes on with its work, and it is called silent meanwhile.
            if str(error) != self._failed:
                logger.warning("%s cannot tell that it is there: %s", self._name, error)
            self._failed = str(error)
        finally:
            connection.close()

    def _facts(self) -> dict[str, Any]:
        return {
            "kind": self._kind,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "versions": versions(),
            "load": load(),
            "processors": os.cpu_count(),
            "started_at": ago(self._began),
            **{f"{word}_at": ago(at) for word, at in self._said.items()},
            **self._look(),
        }


def ago(passed: float) -> Combinable:
    """When clock.passed() was so much, by our database's clock."""
    return Now() - timedelta(seconds=clock.passed() - passed)


def versions() -> dict[str, str]:
    return {"opsdash": conf.VERSION, "python": platform.python_version(), "celery": version("celery")}


def load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None
