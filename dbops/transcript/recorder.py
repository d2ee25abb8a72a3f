"""Appending: bytes in; numbered lines into the rows, then to the live tail."""

import logging
from collections.abc import Callable
from datetime import timedelta

from django.db import Error, IntegrityError, connection

from dbops import conf
from dbops.models import Job
from dbops.models.away import is_away
from dbops.models.clock import now, passed
from dbops.redaction import Redactor
from dbops.transcript import live
from dbops.transcript.appending import Kept, append, written
from dbops.transcript.backlog import Backlog, Batch
from dbops.transcript.lines import LineSplitter
from dbops.transcript.reading import Lines

logger = logging.getLogger(__name__)

# After a failure our database is left alone for this long, so that the target does not wait for it.
PAUSE_S = 2.0


class Recorder:
    """The transcript of one job, written by the one worker that holds it.

    Lines are batched (BATCH_MS or BATCH_BYTES). When opsdash's own database does not answer, the lines wait
    in memory, with the moment at which they came, and the next flush tries again: the job in the target does
    not suffer for our trouble. Where even the backlog is full, what is printed is counted, and the transcript
    says how much it lacks. Of a transcript that grows beyond TRANSCRIPT_BYTES the middle is taken away.
    """

    def __init__(self, job: Job, redactor: Redactor, clock: Callable[[], float] = passed) -> None:
        self.job_id = job.pk
        self.fence = job.fence
        self.redactor = redactor
        self._splitter = LineSplitter(redactor, conf.knob("LINE_CHARS"))
        self._clock = clock
        self._kept = Kept.of(job)
        self._missed = 0
        self._backlog = Backlog()
        self._waiting_since = 0.0
        self._sent_tail = ""
        self._not_before = 0.0
        self._last_printed = job.last_line

    @property
    def next_line(self) -> int:
        """The number that the next line gets, also where it is begun already."""
        return self._kept.last_line + self._backlog.count + 1

    @property
    def line_at_hand(self) -> int:
        """The number of the last line so far, also where it is not complete yet."""
        return self.next_line if self._splitter.tail else self.next_line - 1

    @property
    def last_printed(self) -> int:
        """As `line_at_hand`, but our own words behind all output do not count."""
        return self.next_line if self._splitter.tail else self._last_printed

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
        return self.flush()

    def flush_when_due(self) -> None:
        if not self._backlog and self._splitter.tail == self._sent_tail:
            return
        due = self._clock() - self._waiting_since >= conf.knob("BATCH_MS") / 1000
        if due or self._backlog.size >= conf.knob("BATCH_BYTES"):
            self.flush()

    def flush(self) -> bool:
        """Write what waits; False when our database did not take it (it waits on)."""
        self._waiting_since = self._clock()
        while self._backlog:
            if self._clock() < self._not_before:
                return False
            try:
                self._write(self._backlog.first())
            except Error as error:
                if not is_away(error):
                    raise
                logger.warning("job %s: the transcript waits, our database fails: %s", self.job_id, error)
                connection.close()
                self._not_before = self._clock() + PAUSE_S
                return False
        self._publish_tail()
        return True

    def _add(self, lines: list[str]) -> None:
        """Of the target."""
        if not lines:
            return
        if not self._missed and self._backlog.has_room_for(lines):
            self._keep(*lines)
        else:
            for line in lines:
                self._keep_or_miss(line)
        self._last_printed = self.next_line - 1

    def _keep_or_miss(self, line: str) -> None:
        """Once there was no room, only when all that waits is written: the gap is one, and is said where it
        is."""
        has_room = not self._backlog if self._missed else self._backlog.has_room_for([line])
        if has_room:
            self._tell_missed()
            self._keep(line)
            return
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

    def _keep(self, *lines: str) -> None:
        if not self._backlog:
            self._waiting_since = self._clock()
        self._backlog.add(lines, self._clock())

    def _write(self, batch: Batch) -> None:
        at = now() - timedelta(seconds=self._clock() - batch.came)
        lines, before = Lines(self._kept.last_line + 1, batch.lines, at), self._kept
        try:
            self._kept = append(self.job_id, self.fence, before, lines, batch.size)
        except IntegrityError:
            # The commit of a try before this one succeeded, only its acknowledgement was lost.
            self._kept = written(self.job_id, self.fence)
            if self._kept.last_line != lines.last:
                raise
        self._backlog.first_is_written()
        live.publish_lines(self.job_id, lines, self._kept.gap)
        # Whoever hears of lines shows no unfinished one any more.
        self._sent_tail = ""
        if self._kept.first_error_line != before.first_error_line:
            live.publish_change(self.job_id)

    def _publish_tail(self) -> None:
        tail = self._splitter.tail
        if tail != self._sent_tail and live.publish_tail(self.job_id, self._kept.last_line, tail):
            self._sent_tail = tail
