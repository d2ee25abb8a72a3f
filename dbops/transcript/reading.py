"""Reading the rows."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Max

from dbops.models import TranscriptChunk

CHUNKS_AT_ONCE = 50


@dataclass(frozen=True)
class Lines:
    """Complete lines: `lines[0]` has the number `first`."""

    first: int
    lines: list[str]

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


def read_after(job_id: int, after: int) -> Lines | None:
    """Some lines behind number `after` (0: from the beginning), or None when there are none yet."""
    chunks = list(
        TranscriptChunk.objects.filter(job_id=job_id, last__gt=after).order_by("first")[:CHUNKS_AT_ONCE]
    )
    if not chunks:
        return None
    lines = [line for chunk in chunks for line in chunk.lines]
    skip = max(0, after + 1 - chunks[0].first)
    return Lines(chunks[0].first + skip, lines[skip:])


def read_all(job_id: int) -> Iterator[str]:
    """Each line with its line feed, for a download; memory holds a few chunks at most."""
    after = 0
    while batch := read_after(job_id, after):
        yield from (line + "\n" for line in batch.lines)
        after = batch.last


def read_last(job_id: int, most: int) -> Lines:
    """The last `most` lines; with no line at all, an empty batch that begins at 1."""
    last = TranscriptChunk.objects.filter(job_id=job_id).aggregate(last=Max("last"))["last"] or 0
    return read_before(job_id, last + 1, most)


def read_before(job_id: int, before: int, most: int) -> Lines:
    """At most `most` lines, those in front of number `before` (1 or more); without any, an empty batch."""
    first = max(1, before - most)
    chunks = list(
        TranscriptChunk.objects.filter(job_id=job_id, last__gte=first, first__lt=before).order_by("first")
    )
    if not chunks:
        return Lines(first, [])
    lines = [line for chunk in chunks for line in chunk.lines]
    start = chunks[0].first
    return Lines(first, lines[first - start : before - start])
