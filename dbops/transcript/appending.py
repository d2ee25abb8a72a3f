"""One row more of a transcript, and what the job says of it: in one transaction, by who holds the job."""

from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction
from django.db.models import F

from dbops import conf
from dbops.models import Job, TranscriptChunk
from dbops.models.job import FINAL, FenceLostError
from dbops.transcript.errors import first_error
from dbops.transcript.reading import Gap, Lines, OctetLength

# More is taken away at once than must be, so that it does not happen with every row: this part of the limit.
AT_ONCE = 50


@dataclass(frozen=True)
class Kept:
    """What the job's row says: the last line, bytes that are kept, lines that are not, the first error."""

    last_line: int
    size: int
    gap: Gap | None
    first_error_line: int | None

    @classmethod
    def of(cls, job: Job) -> "Kept":
        return cls(job.last_line, job.transcript_bytes, job.gap, job.first_error_line)


@transaction.atomic
def append(job_id: int, fence: int, before: Kept, lines: Lines, size: int) -> Kept:
    """Raises FenceLostError; IntegrityError where the first of these lines stands in a row already."""
    TranscriptChunk.objects.create(
        job_id=job_id, first=lines.first, last=lines.last, text="\n".join(lines.lines), at=lines.at
    )
    told = replace(before, last_line=lines.last, size=before.size + size)
    kept = with_room(job_id, lines.first, with_error(told, lines))
    held = Job.objects.filter(pk=job_id, fence=fence).exclude(state__in=FINAL)
    if held.update(**columns(kept, is_news=kept.first_error_line != before.first_error_line)) != 1:
        raise FenceLostError
    return kept


def written(job_id: int, fence: int) -> Kept:
    """As the rows say. Raises FenceLostError."""
    job = Job.objects.filter(pk=job_id, fence=fence).first()
    if job is None:
        raise FenceLostError
    return Kept.of(job)


def columns(kept: Kept, *, is_news: bool) -> dict[str, Any]:
    first, last = kept.gap or (None, None)
    told = {"last_line": kept.last_line, "transcript_bytes": kept.size, "gap_first": first, "gap_last": last}
    news: dict[str, Any] = {"first_error_line": kept.first_error_line, "version": F("version") + 1}
    return {**told, **news} if is_news else told


def with_error(kept: Kept, lines: Lines) -> Kept:
    if kept.first_error_line is not None:
        return kept
    index = first_error(lines.lines)
    return kept if index is None else replace(kept, first_error_line=lines.first + index)


def with_room(job_id: int, newest: int, kept: Kept) -> Kept:
    """Of what is behind the first half of the limit the oldest rows go, never the newest one."""
    limit = conf.knob("TRANSCRIPT_BYTES")
    if kept.size <= limit:
        return kept
    begin = kept.gap[1] if kept.gap else end_of_first_part(job_id, limit // 2)
    rows = TranscriptChunk.objects.filter(job_id=job_id, first__gt=begin, first__lt=newest).order_by("first")
    freed, last = 0, begin
    for row_last, octets in rows.values_list("last", OctetLength("text")).iterator():
        freed, last = freed + octets + 1, row_last
        if freed >= kept.size - limit + limit // AT_ONCE:
            break
    if not freed:
        return kept
    rows.filter(last__lte=last).delete()
    return replace(kept, size=kept.size - freed, gap=(kept.gap[0] if kept.gap else begin + 1, last))


def end_of_first_part(job_id: int, size: int) -> int:
    """The last line of the row with which this size is reached."""
    rows = TranscriptChunk.objects.filter(job_id=job_id).order_by("first")
    for last, octets in rows.values_list("last", OctetLength("text")).iterator():
        size -= octets + 1
        if size <= 0:
            return int(last)
    return 0
