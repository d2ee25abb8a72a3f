"""Which lines of a transcript hold some words, as they are shown."""

import time
from dataclasses import dataclass

from django.db import transaction

from dbops import conf
from dbops.plain import CONTROLS, PICTURES, plain
from dbops.transcript.reading import rows_after

MOST_LINES = 10_000
# What memory holds of a transcript at once: a row has some BATCH_BYTES at most.
ROWS_AT_ONCE = 100


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

    def lines_of(self, first: int, text: str) -> list[int]:
        """The numbers of those that hold them, of a row whose first line has the number `first`. Most rows
        hold nothing: that costs one look at the whole text."""
        shown = self._folded(self._shown(text))
        if self._text not in shown:
            return []
        return [number for number, line in enumerate(shown.split("\n"), first) if self._text in line]

    def _shown(self, text: str) -> str:
        """As `plain`, where that makes a difference."""
        return plain(text) if self._is_strange or "\x1b" in text or "\x9b" in text else text

    def _folded(self, text: str) -> str:
        return text if self._case else text.casefold()


class SearchTooLongError(Exception):
    """str() says how far it came."""


@transaction.atomic
def search(job_id: int, text: str, after: int = 0, *, case: bool = False) -> Found:
    """Lines behind number `after`. Of what is not kept nothing is found. SearchTooLongError after
    QUERY_TIMEOUT_MS."""
    words, lines, count, until = Words(text, case=case), list[int](), 0, after
    deadline = time.monotonic() + conf.knob("QUERY_TIMEOUT_MS") / 1000
    rows = rows_after(job_id, after).values_list("first", "last", "text")
    # In a transaction, so that the server hands out some rows at a time and makes no copy of all.
    for first, last, row in rows.iterator(ROWS_AT_ONCE):
        found = [number for number in words.lines_of(first, row) if number > after]
        lines += found[: MOST_LINES - len(lines)]
        count += len(found)
        until = last
        if time.monotonic() > deadline:
            seconds = f"{conf.knob('QUERY_TIMEOUT_MS') / 1000:g}"
            raise SearchTooLongError(
                f"The search was stopped after {seconds} seconds, the limit, at line {last:,}. "
                "Nothing was changed. Download the transcript and search there."
            )
    return Found(lines, count, until)
