"""Writes of a job that wait: a moment, so that many are one, or for our database to be there again."""

import logging
import time
from collections.abc import Callable

from django.db import connection, transaction

from dbops import conf
from dbops.models.away import is_away
from dbops.models.job import FenceLostError

logger = logging.getLogger(__name__)

Write = Callable[[], None]
# After a failure our database is left alone for this long, so that the target does not wait for it.
PAUSE_S = 2.0


class LateWrites:
    """In their order. Each can be made twice: the acknowledgement of a commit may have been lost."""

    def __init__(self, job_id: int, say: Callable[[str], None]) -> None:
        self._job_id = job_id
        self._say = say
        self._writes: list[Write] = []
        self._due_at = self._not_before = 0.0

    def __contains__(self, write: Write) -> bool:
        return write in self._writes

    def add(self, write: Write, *, may_wait: bool = False) -> None:
        """One that may wait is written within BATCH_MS by `catch_up_when_due`, together with what comes
        meanwhile."""
        if may_wait and not self._writes:
            self._due_at = time.monotonic() + conf.knob("BATCH_MS") / 1000
        elif not may_wait:
            self._due_at = 0.0
        self._writes.append(write)

    def catch_up_when_due(self) -> bool:
        """True when something was written and nothing waits any more."""
        return bool(self._writes) and time.monotonic() >= self._due_at and self.catch_up()

    def catch_up(self) -> bool:
        """Write all; False when our database still does not answer."""
        if self._writes and time.monotonic() < self._not_before:
            return False
        try:
            self._write_at_once()
            while self._writes:
                self._write_first()
        except FenceLostError:
            raise
        except Exception as error:
            if not is_away(error):
                raise
            self.wait(error)
            return False
        return True

    def wait(self, error: Exception) -> None:
        logger.warning("job %s: its steps wait, our database fails: %s", self._job_id, error)
        connection.close()
        self._not_before = time.monotonic() + PAUSE_S

    def _write_at_once(self) -> None:
        """In one transaction; where one of them cannot be written, each is tried by itself afterwards."""
        try:
            with transaction.atomic():
                for write in self._writes:
                    write()
        except FenceLostError:
            raise
        except Exception as error:
            if is_away(error):
                raise
            return
        self._writes.clear()

    def _write_first(self) -> None:
        """One that cannot be kept must not stop the target in the middle of its work."""
        try:
            self._writes[0]()
        except FenceLostError:
            raise
        except Exception as error:
            if is_away(error):
                raise
            logger.exception("job %s: a step is not kept", self._job_id)
            self._say(f"a step could not be kept ({type(error).__name__}); the job goes on")
        self._writes.pop(0)
