"""Appending: bytes in; numbered lines into the rows, then to the live tail."""

import logging
import time
from collections.abc import Callable

from django.db import Error, IntegrityError, connection, transaction

from dbops import conf
from dbops.models import Job, TranscriptChunk
from dbops.models.away import is_away
from dbops.models.clock import now
from dbops.models.job import FINAL, FenceLostError
from dbops.redaction import Redactor
from dbops.transcript import live
from dbops.transcript.lines import LineSplitter
from dbops.transcript.reading import Lines

logger = logging.getLogger(__name__)

# After a failure our database is left alone for this long, so that the target does not wait for it.
PAUSE_S = 2.0
# What waits may take this much of a worker's memory; a line costs a little more than its text.
WAITING_MOST = 32_000_000
LINE_COST = 100


class Recorder:
    """The transcript of one job, written by the one worker that holds it.

    Lines are batched (BATCH_MS or BATCH_BYTES). When opsdash's own database does not answer, the lines wait
    in memory and the next flush tries again: the job in the target does not suffer for our trouble. Where
    even WAITING_MOST is used up, what is printed is counted, and the transcript says how much it lacks.
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
        self._missed = 0
        self._waiting: list[str] = []
        self._waiting_bytes = 0
        self._waiting_since = 0.0
        self._sent_tail = ""
        self._not_before = 0.0

    def feed(self, data: bytes) -> None:
        """Output of the target, cut anywhere."""
        self._add(self._splitter.feed(data))
        self.flush_when_due()

    def say(self, sentence: str) -> None:
        """A line of our own; it comes after all output so far, on a line of its own."""
        self._add(self._splitter.feed(b"", final=True))
        # A sentence may quote what no UTF-8 can hold.
        words = self.redactor.clean(sentence).encode("utf-8", "replace").decode().replace("\0", "\ufffd")
        limit = conf.knob("LINE_CHARS")
        self._tell_missed()
        for line in words.splitlines():
            self._keep(f"opsdash: {line if len(line) <= limit else line[:limit] + ' ...'}")
        self.flush_when_due()

    def finish(self) -> bool:
        """Everything that was said becomes lines; False when our database did not take it: call again."""
        self._add(self._splitter.feed(b"", final=True))
        self._tell_missed()
        if self._dropped:
            self._keep(f"opsdash: {self._dropped} lines of output were not kept.")
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
        while self._waiting:
            if self._clock() < self._not_before:
                return False
            try:
                written = self._write()
            except Error as error:
                if not is_away(error):
                    raise
                logger.warning("job %s: the transcript waits, our database fails: %s", self.job_id, error)
                connection.close()
                self._not_before = self._clock() + PAUSE_S
                return False
            live.publish_lines(self.job_id, written)
        self._publish_tail()
        return True

    def _add(self, lines: list[str]) -> None:
        if lines and not self._waiting:
            self._waiting_since = self._clock()
        for line in lines:
            if self._dropped or self._is_full(line):
                self._drop()
            elif self._has_no_room(line):
                self._miss()
            else:
                self._tell_missed()
                self._keep(line)

    def _is_full(self, line: str) -> bool:
        return self._bytes + self._waiting_bytes + size_of(line) > conf.knob("TRANSCRIPT_BYTES")

    def _drop(self) -> None:
        """From the first one on, so that the transcript has one gap and says where it begins."""
        if not self._dropped:
            self._keep("opsdash: the transcript is full; what is printed from here on is not kept.")
        self._dropped += 1

    def _has_no_room(self, line: str) -> bool:
        """Once it had none, only when all that waits is written: the gap is one, and is said where it is."""
        if self._missed:
            return bool(self._waiting)
        cost = self._waiting_bytes + LINE_COST * len(self._waiting)
        return cost + size_of(line) + LINE_COST > WAITING_MOST

    def _miss(self) -> None:
        if not self._missed:
            logger.warning(
                "job %s: so much of its transcript waits for our database that more is not kept", self.job_id
            )
        self._missed += 1

    def _tell_missed(self) -> None:
        if self._missed:
            self._keep(
                f"opsdash: {self._missed} lines that were printed here were not kept: opsdash's own database "
                "took none meanwhile, and there was no memory left for more."
            )
            self._missed = 0

    def _keep(self, line: str) -> None:
        self._waiting.append(line)
        self._waiting_bytes += size_of(line)

    def _write(self) -> Lines:
        """One chunk, of BATCH_BYTES at most; what had to wait may be many."""
        lines, size = self._next_chunk()
        first, last, at = self._last_line + 1, self._last_line + len(lines), now()
        try:
            self._insert(Lines(first, lines, at), self._bytes + size)
        except IntegrityError:
            # The commit of a try before this one succeeded, only its acknowledgement was lost.
            written = TranscriptChunk.objects.get(job_id=self.job_id, first=first)
            last, lines, at = written.last, written.lines, written.at
            size = sum(map(size_of, lines))
        self._waiting = self._waiting[len(lines) :]
        self._waiting_bytes -= size
        self._bytes += size
        self._last_line = last
        return Lines(first, lines, at)

    def _next_chunk(self) -> tuple[list[str], int]:
        size = count = 0
        while count < len(self._waiting) and (count == 0 or size < conf.knob("BATCH_BYTES")):
            size += size_of(self._waiting[count])
            count += 1
        return self._waiting[:count], size

    @transaction.atomic
    def _insert(self, lines: Lines, total: int) -> None:
        TranscriptChunk.objects.create(
            job_id=self.job_id, first=lines.first, last=lines.last, text="\n".join(lines.lines), at=lines.at
        )
        held = Job.objects.filter(pk=self.job_id, fence=self.fence).exclude(state__in=FINAL)
        if held.update(last_line=lines.last, transcript_bytes=total) != 1:
            raise FenceLostError

    def _publish_tail(self) -> None:
        tail = self._splitter.tail
        if tail != self._sent_tail:
            live.publish_tail(self.job_id, tail)
            self._sent_tail = tail


def size_of(line: str) -> int:
    """Bytes in the row, with the line feed."""
    return len(line.encode()) + 1
