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
    """In their order, as many together as wait. `tell` is written behind each such batch, in its transaction,
    with its number; `stands` says whether the batch of a number is in the rows: the acknowledgement of its
    commit may have been lost."""

    def __init__(
        self,
        job_id: int,
        *,
        say: Callable[[str], None],
        tell: Callable[[int], None],
        stands: Callable[[int], bool],
    ) -> None:
        self._job_id = job_id
        self._say, self._tell, self._stands = say, tell, stands
        self._writes: list[Write] = []
        self._due_at = self._not_before = 0.0
        self._batch = 1
        # How many of the first writes the batch had that nobody acknowledged, or of which one failed.
        self._unacknowledged = self._one_by_one = 0

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
        """Write all; False when our database still does not answer. Raises FenceLostError."""
        while self._writes:
            if time.monotonic() < self._not_before:
                return False
            try:
                self._write_some()
            except FenceLostError:
                raise
            except Exception as error:
                if is_away(error):
                    self.wait(error)
                    return False
                self._leave_one_out(error)
        return True

    def wait(self, error: Exception) -> None:
        logger.warning("job %s: its steps wait, our database fails: %s", self._job_id, error)
        connection.close()
        self._not_before = time.monotonic() + PAUSE_S

    def _write_some(self) -> None:
        if self._unacknowledged and self._stands(self._batch):
            self._forget(self._unacknowledged)
            return
        some = self._writes[:1] if self._one_by_one else list(self._writes)
        self._unacknowledged = len(some)
        with transaction.atomic():
            for write in some:
                write()
            self._tell(self._batch)
        self._forget(len(some))

    def _forget(self, written: int) -> None:
        del self._writes[:written]
        self._one_by_one = max(0, self._one_by_one - written)
        self._unacknowledged = 0
        self._batch += 1

    def _leave_one_out(self, error: Exception) -> None:
        """Which of them cannot be kept shows when each is tried by itself. It must not stop the target in the
        middle of its work."""
        if self._unacknowledged > 1:
            self._one_by_one = self._unacknowledged
        else:
            logger.exception("job %s: a step is not kept", self._job_id)
            self._say(f"a step could not be kept ({type(error).__name__}); the job goes on")
            self._forget(1)
        self._unacknowledged = 0
