"""Appending: bytes in; numbered lines into the rows, then to the live tail."""

import logging
import time
from collections.abc import Callable

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from dbops import conf
from dbops.models import Job, TranscriptChunk
from dbops.redaction import Redactor
from dbops.transcript import live
from dbops.transcript.lines import LineSplitter

logger = logging.getLogger(__name__)


class Recorder:
    """The transcript of one job, written by the one worker that holds it.

    Lines are batched (BATCH_MS or BATCH_BYTES). When opsdash's own database does not answer, the lines wait
    in memory and the next flush tries again: the job in the target does not suffer for our trouble.
    """

    def __init__(self, job: Job, redactor: Redactor, clock: Callable[[], float] = time.monotonic) -> None:
        self.job_id = job.pk
        self.fence = job.fence
        self.redactor = redactor
        self._splitter = LineSplitter(redactor, conf.knob("LINE_CHARS"))
        self._clock = clock
        self._last_line = job.last_line
        self._bytes = job.transcript_bytes
        self._dropped = 0
        self._waiting: list[str] = []
        self._waiting_bytes = 0
        self._waiting_since = 0.0
        self._sent_tail = ""

    def feed(self, data: bytes) -> None:
        """Output of the target, cut anywhere."""
        self._add(self._splitter.feed(data))
        self.flush_when_due()

    def say(self, sentence: str) -> None:
        """A line of our own; it comes after all output so far, on a line of its own."""
        self._add(self._splitter.feed(b"", final=True))
        self._add([f"opsdash: {line}" for line in self.redactor.clean(sentence).splitlines()])
        self.flush_when_due()

    def finish(self) -> bool:
        """Everything that was said becomes lines; False when our database did not take it: call again."""
        self._add(self._splitter.feed(b"", final=True))
        if self._dropped:
            self._waiting.append(
                f"opsdash: the transcript is full; {self._dropped} more lines were printed and are not kept."
            )
            self._dropped = 0
        return self.flush()

    def flush_when_due(self) -> None:
        if not self._waiting and self._splitter.tail == self._sent_tail:
            return
        due = self._clock() - self._waiting_since >= conf.knob("BATCH_MS") / 1000
        if due or self._waiting_bytes >= conf.knob("BATCH_BYTES"):
            self.flush()

    def flush(self) -> bool:
        """Write what waits; False when our database did not take it (it waits on)."""
        self._waiting_since = self._clock()
        if self._waiting:
            try:
                first, lines = self._write()
            except DatabaseError as error:
                logger.warning("job %s: the transcript waits, our database fails: %s", self.job_id, error)
                connection.close()
                return False
            live.publish_lines(self.job_id, first, lines)
        self._publish_tail()
        return True

    def _add(self, lines: list[str]) -> None:
        if lines and not self._waiting:
            self._waiting_since = self._clock()
        for line in lines:
            size = len(line.encode("utf-8", "replace")) + 1
            if self._bytes + self._waiting_bytes + size > conf.knob("TRANSCRIPT_BYTES"):
                self._dropped += 1
                continue
            self._waiting.append(line.encode("utf-8", "replace").decode())
            self._waiting_bytes += size

    def _write(self) -> tuple[int, list[str]]:
        lines, first = self._waiting, self._last_line + 1
        last = self._last_line + len(lines)
        with transaction.atomic():
            TranscriptChunk.objects.create(
                job_id=self.job_id, first=first, last=last, text="\n".join(lines), at=timezone.now()
            )
            Job.objects.filter(pk=self.job_id, fence=self.fence).update(
                last_line=last, transcript_bytes=self._bytes + self._waiting_bytes
            )
        self._bytes += self._waiting_bytes
        self._last_line, self._waiting, self._waiting_bytes = last, [], 0
        return first, lines

    def _publish_tail(self) -> None:
        tail = self._splitter.tail
        if tail != self._sent_tail:
            live.publish_tail(self.job_id, tail)
            self._sent_tail = tail
