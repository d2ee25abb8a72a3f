"""Bytes of a process -> complete lines and the unfinished last one."""

import codecs

from dbops.redaction import MASK, Passage, Redactor

# The beginning of a secret, where output ended in the middle of one; fewer letters tell nothing.
HALF_A_SECRET = 4


class LineSplitter:
    """Feed bytes as they come; take complete lines, and look at the tail.

    UTF-8 that is invalid becomes U+FFFD, so does NUL, which Postgres cannot keep. A carriage return goes back
    to the beginning of the line, as on a terminal, so a progress bar is one line. A line longer than `limit`
    characters is broken into several. Secrets are taken out before a line is broken.
    """

    def __init__(self, redactor: Redactor, limit: int) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._redactor = redactor
        self._passage = Passage(redactor)
        self._limit = limit
        self._rest = ""

    def feed(self, data: bytes, *, final: bool = False) -> list[str]:
        text = self._rest + self._decoder.decode(data, final).replace("\0", "\ufffd")
        complete, feed, self._rest = text.replace("\r\n", "\n").rpartition("\n")
        lines = self._lines(complete) if feed else []
        self._rest = collapse(self._rest)
        return lines + self._break_the_rest() + (self._finish() if final else [])

    @property
    def tail(self) -> str:
        """Without what may become a secret: a viewer sees each letter as it comes."""
        return self._passage.peek(overwrite(self._rest))[: self._limit]

    def _lines(self, text: str) -> list[str]:
        """Of complete lines. Twenty thousand may come in a second: what can be is done with all at once."""
        if "\r" in text:
            text = "\n".join(map(overwrite, text.split("\n")))
        lines = self._passage.clean(text).split("\n")
        if len(max(lines, key=len)) <= self._limit:
            return lines
        return [piece for line in lines for piece in self._pieces(line)]

    def _pieces(self, line: str) -> list[str]:
        return [line[i : i + self._limit] for i in range(0, len(line), self._limit)] or [""]

    def _break_the_rest(self) -> list[str]:
        """An endless line must not grow in memory: cut it, but never inside what may become a secret."""
        if len(self._rest) <= 2 * self._limit + self._redactor.longest:
            return []
        clean = self._redactor.clean(overwrite(self._rest))
        keep = self._redactor.longest or 1
        self._rest = clean[-keep:]
        return self._pieces(clean[:-keep])

    def _finish(self) -> list[str]:
        line, self._rest = self._passage.clean(overwrite(self._rest)), ""
        # Killed while it printed one.
        begun = self._redactor.beginning(line)
        if begun >= HALF_A_SECRET:
            line = line[:-begun] + MASK
        return self._pieces(line) if line else []


def collapse(rest: str) -> str:
    """An unfinished line without what later carriage returns have overwritten. One at the very end is kept:
    a line feed may follow."""
    body = rest.rstrip("\r")
    return body.rpartition("\r")[2] + rest[len(body) :][:1]


def overwrite(line: str) -> str:
    """What a terminal shows of a line with carriage returns: the text after the last one that is followed
    by any. A carriage return at the very end of an unfinished line changes nothing yet."""
    if "\r" not in line:
        return line
    return next((part for part in reversed(line.split("\r")) if part), "")
