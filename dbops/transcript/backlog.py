"""Lines that wait to be written, in the batches that become rows."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from dbops import conf

# What waits may take this much of a worker's memory; a line costs a little more than its text.
WAITING_MOST = 32_000_000
LINE_COST = 100
# The lines of one row have one moment: it must be true of the last one, too.
SPAN_S = 1.0
# So that of the smallest transcript there still is a first part and a last one.
ROWS_AT_LEAST = 8


@dataclass
class Batch:
    """`came`: when the first of its lines came, by the recorder's clock. `size`: bytes in the row."""

    came: float
    lines: list[str] = field(default_factory=list)
    size: int = 0
    # Somebody may have written it, and not been told so: what comes later is the next one's.
    is_sealed: bool = False

    def takes(self, now: float, most: int) -> bool:
        return not self.is_sealed and self.size < most and now - self.came < SPAN_S


class Backlog:
    def __init__(self) -> None:
        self.count = self.size = 0
        self._batches: deque[Batch] = deque()

    def __bool__(self) -> bool:
        return bool(self._batches)

    def has_room_for(self, lines: Sequence[str]) -> bool:
        cost = self.size + LINE_COST * (self.count + len(lines))
        return cost + sum(map(size_of, lines)) <= WAITING_MOST

    def add(self, lines: Sequence[str], now: float) -> None:
        most = min(conf.knob("BATCH_BYTES"), conf.knob("TRANSCRIPT_BYTES") // ROWS_AT_LEAST)
        for line in lines:
            if not self._batches or not self._batches[-1].takes(now, most):
                self._batches.append(Batch(now))
            batch, size = self._batches[-1], size_of(line)
            batch.lines.append(line)
            batch.size += size
            self.size += size
        self.count += len(lines)

    def first(self) -> Batch:
        """The one to write next; it does not grow any more."""
        self._batches[0].is_sealed = True
        return self._batches[0]

    def first_is_written(self) -> None:
        batch = self._batches.popleft()
        self.count -= len(batch.lines)
        self.size -= batch.size


def size_of(line: str) -> int:
    """Bytes in the row, with the line feed."""
    return (len(line) if line.isascii() else len(line.encode())) + 1
