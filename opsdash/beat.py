"""Celery beat's clock, without a clock: what is due goes by the time that passes, and nothing piles up."""

import logging
from time import monotonic
from typing import Any

from celery import beat
from kombu.exceptions import OperationalError

from dbops.broker import waiting
from opsdash.presence import leave

logger = logging.getLogger(__name__)


class Scheduler(beat.Scheduler):
    """Sends each entry of beat_schedule every so many seconds, whatever the host's clock is set to.

    It sends nothing while nobody takes what it sent. A message that expires would bound that too, but its age
    is told by the clocks of two hosts: a worker's that is ahead throws away everything.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._due: dict[str, float] = {}
        self._is_closed = False
        super().__init__(*args, **kwargs)

    def tick(self, *_: Any, **__: Any) -> float:
        if self._is_closed:
            raise SystemExit
        entries: dict[str, Any] = self.schedule
        for name, entry in entries.items():
            if monotonic() >= self._due.get(name, 0.0):
                self._due[name] = monotonic() + entry.schedule.seconds
                self._send(entry)
        return max(0.0, min(self._due.values()) - monotonic())

    def close(self) -> None:
        """Called by the handler of SIGTERM, which then raises SystemExit. Python drops that where the signal
        came in a callback of the garbage collector or of an import: the next tick raises it again."""
        self._is_closed = True
        leave()
        super().close()

    def _send(self, entry: Any) -> None:
        try:
            waits = waiting(entry.options["queue"], entry.options["priority"])
        except OperationalError as error:
            logger.warning("%s is not sent now, the broker is away: %s", entry.name, error)
            return
        if waits < len(self.schedule):
            self.apply_entry(entry, producer=self.producer)
