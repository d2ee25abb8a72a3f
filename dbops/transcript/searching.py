"""Which lines of a transcript hold some words, as they are shown."""

from dataclasses import dataclass

from dbops.models import TranscriptChunk
from dbops.plain import CONTROLS, PICTURES, plain
from dbops.transcript.reading import rows_after

MOST_LINES = 10_000
# What memory holds of a transcript at once.
PIECE_BYTES = 2_000_000


@dataclass(frozen=True)
class Found:
    """The numbers of the first MOST_LINES of `count` lines, ascending; all up to number `until` were looked
    at."""

    lines: list[int]
    count: int
    until: int

    def document(self) -> dict[str, object]:
        more = self.count > len(self.lines)
        return {"lines": self.lines, "count": self.count, "more": more, "until": self.until}


class Words:
    """What is looked for: no pattern, the letters as they are."""

    def __init__(self, text: str, *, case: bool) -> None:
        self._case = case
        self._text = self._folded(text)
        # As a line shows a control character, or as none does: no line can be left as it is.
        self._is_strange = bool(CONTROLS.search(text) or PICTURES.intersection(text))

    def lines_of(self, row: TranscriptChunk) -> list[int]:
        """Most rows hold nothing: that costs one look at the whole row."""
        shown = self._folded(self._shown(row.text))
        if self._text not in shown:
            return []
        return [number for number, line in enumerate(shown.split("\n"), row.first) if self._text in line]

    def _shown(self, text: str) -> str:
        """As `plain`, where that makes a difference."""
        return plain(text) if self._is_strange or "\x1b" in text or "\x9b" in text else text

    def _folded(self, text: str) -> str:
        return text if self._case else text.casefold()


def search(job_id: int, text: str, after: int = 0, *, case: bool = False) -> Found:
    """Lines behind number `after`. Of what is not kept nothing is found."""
    words, lines, count, until = Words(text, case=case), list[int](), 0, after
    while rows := rows_after(job_id, until, PIECE_BYTES):
        for row in rows:
            found = [number for number in words.lines_of(row) if number > after]
            lines += found[: MOST_LINES - len(lines)]
            count += len(found)
        until = rows[-1].last
    return Found(lines, count, until)
