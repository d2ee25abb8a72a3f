"""Reading the rows: complete lines, in the pieces in which they were written, each with its moment."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Func, IntegerField, Max, QuerySet

from dbops.models import TranscriptChunk
from dbops.transcript.retention import end_of_text

# A step of a replay. A row has a line or some BATCH_BYTES.
REPLAY_BYTES = 256 * 1024
ROWS_AT_ONCE = 500
# Of numbers of lines: as good as no end.
ANY = 1 << 31


# (first, last) of the lines of a job that are not kept.
Gap = tuple[int, int]


class OctetLength(Func):
    """Known without reading the text."""

    function = "octet_length"
    output_field = IntegerField()


@dataclass(frozen=True)
class Lines:
    """Complete lines: `lines[0]` has the number `first`. They came at `at`."""

    first: int
    lines: list[str]
    at: datetime

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1

    def between(self, first: int, last: int) -> "Lines":
        """Those of them with a number from `first` to `last`."""
        start, end = max(0, first - self.first), last + 1 - self.first
        return Lines(self.first + start, self.lines[start:end], self.at)

    def document(self) -> dict[str, Any]:
        """{"first", "at", "lines"}: `at` in milliseconds since 1970."""
        return {"first": self.first, "at": int(self.at.timestamp() * 1000), "lines": self.lines}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Lines":
        at = datetime.fromtimestamp(document["at"] / 1000, UTC)
        return cls(document["first"], document["lines"], at)


def read_after(job_id: int, after: int, most_bytes: int = REPLAY_BYTES) -> list[Lines]:
    """The next lines behind number `after` (0: from the beginning); empty when there are none (yet).

    Between two of them, or in front of the first, numbers are missing only where they are not kept
    (`Job.gap`), maybe since a moment ago.
    """
    return [lines.between(after + 1, lines.last) for lines in _some(rows_after(job_id, after), most_bytes)]


def read_between(job_id: int, first: int, last: int, most_bytes: int) -> list[Lines]:
    """The lines with these numbers, as far as they are kept; of more than `most_bytes` the first ones."""
    some = _some(rows_after(job_id, first - 1), most_bytes, last)
    return [lines.between(first, min(lines.last, last)) for lines in some]


def read_last(job_id: int, most: int, most_bytes: int) -> list[Lines]:
    """The last `most` lines, or those of the last rows that have `most_bytes` together."""
    last = TranscriptChunk.objects.filter(job_id=job_id).aggregate(last=Max("last"))["last"] or 0
    some = _some(rows_after(job_id, last - most).order_by("-last"), most_bytes)
    return [lines.between(last + 1 - most, lines.last) for lines in reversed(some)]


def read_all(job_id: int) -> Iterator[str]:
    """Each line with its line feed, and a sentence in the place of those that are not kept. Memory holds a
    few rows at most."""
    after = 0
    while some := read_after(job_id, after):
        yield from (line + "\n" for line in with_gaps(some, after))
        after = some[-1].last
    if words := end_of_text(job_id):
        yield words


def with_gaps(some: Iterable[Lines], after: int) -> Iterator[str]:
    """Lines that were read behind number `after`, and a sentence where numbers are missing."""
    for piece in some:
        if piece.first > after + 1:
            yield gap_words(after + 1, piece.first - 1)
        yield from piece.lines
        after = piece.last


def gap_words(first: int, last: int) -> str:
    return (
        f"opsdash: lines {first:,} to {last:,} are not kept: the transcript is larger than its limit "
        "(OPSDASH_TRANSCRIPT_BYTES); its first and last part are."
    )


def rows_after(job_id: int, after: int) -> QuerySet[TranscriptChunk]:
    """Those with lines behind number `after`, in their order; the first one may begin before it."""
    return TranscriptChunk.objects.filter(job_id=job_id, last__gt=after).order_by("last")


def _some(rows: QuerySet[TranscriptChunk], most_bytes: int, last: int = ANY) -> list[Lines]:
    """The first of them, one at least, that have no more than `most_bytes`. Sizes are asked for first, which
    reads no text. What was taken away in between is not there any more: others are looked for."""
    while wanted := _first_ones(rows, most_bytes, last):
        found = rows.filter(pk__in=wanted).values_list("first", "text", "at")
        if some := [Lines(first, text.split("\n"), at) for first, text, at in found]:
            return some
    return []


def _first_ones(rows: QuerySet[TranscriptChunk], most_bytes: int, last: int) -> list[int]:
    """That it ends at `last` is no condition of the query: to find no other one it would go on to the end."""
    wanted, size = list[int](), 0
    for pk, first, octets in rows.values_list("pk", "first", OctetLength("text"))[:ROWS_AT_ONCE]:
        size += octets
        if first > last or (wanted and size > most_bytes):
            break
        wanted.append(pk)
    return wanted
