"""The newest lines of a job, as they are sent: a bounded memory of rows that every viewer shares."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dbops.transcript.events import event
from dbops.transcript.reading import Gap, Lines

# In memory; who is further behind reads the rows.
KEPT_BYTES = 2_000_000
# A line as a text of its own takes about so much more than its letters.
LINE_COST = 60


@dataclass(frozen=True)
class Piece:
    """Lines and the event that tells them. `gap`: (first, last) of those of the job that are not kept."""

    lines: Lines
    gap: Gap | None = None

    @property
    def last(self) -> int:
        return self.lines.last

    @cached_property
    def cost(self) -> int:
        """In memory: the event, the same letters as lines, and what a line takes besides."""
        return 2 * len(self.event) + LINE_COST * len(self.lines.lines)

    @cached_property
    def event(self) -> bytes:
        document: dict[str, Any] = self.lines.document()
        if self.gap:
            document["gap"] = self.gap
        return event("lines", document, number=self.lines.last)

    def leads_on_from(self, after: int) -> bool:
        """No line that is kept lies between number `after` and these."""
        first = self.lines.first
        return first <= after + 1 or bool(self.gap and self.gap[0] <= after + 1 and first - 1 <= self.gap[1])

    def behind(self, after: int) -> "Piece":
        """What of it has a number greater than `after`."""
        return self if after < self.lines.first else Piece(self.lines.between(after + 1, self.last), self.gap)


class Newest:
    """Pieces without a hole between them, up to line `edge`. What is in front of them is in the rows."""

    def __init__(self, edge: int) -> None:
        self.edge = edge
        self._pieces: deque[Piece] = deque()
        self._bytes = 0

    def add(self, piece: Piece) -> None:
        """It leads on from `edge`."""
        self._pieces.append(piece)
        self._bytes += piece.cost
        self.edge = piece.last
        while self._bytes > KEPT_BYTES and len(self._pieces) > 1:
            self._bytes -= self._pieces.popleft().cost

    def behind(self, after: int) -> list[Piece] | None:
        """The pieces behind line `after`; None where the first of them is in the rows alone."""
        if after >= self.edge:
            return []
        found = list(self._since(after))[::-1]
        if not found or not found[0].leads_on_from(after):
            return None
        return [found[0].behind(after), *found[1:]]

    def _since(self, after: int) -> Iterator[Piece]:
        """From the newest back."""
        for piece in reversed(self._pieces):
            if piece.last <= after:
                return
            yield piece
