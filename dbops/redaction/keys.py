"""Private keys as they are printed: many lines between two that say what they are."""

import re
from collections.abc import Iterator

from dbops.redaction.shapes import MASK

SIGN = "PRIVATE KEY"
BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
# A key of 16,384 bits has some 200 lines.
MOST_LINES = 400
# What stands in one: letters of base64, perhaps behind the prefix of a logger; what openssl says of it.
ENTRAILS = re.compile(
    r"\s*[A-Za-z0-9+/=]*\s*|\s*(?:Proc-Type|DEK-Info|Version|Comment): .*|.*[A-Za-z0-9+/=]{20,}.*"
)


class Keys:
    """Line by line; what was begun is known in the next one."""

    def __init__(self) -> None:
        self._left = 0

    @property
    def is_open(self) -> bool:
        return self._left > 0

    def clean(self, line: str) -> str:
        if self.is_open and not END.search(line):
            if ENTRAILS.fullmatch(line):
                self._left -= 1
                return MASK
            self._left = 0
        return "".join(self._pieces(line))

    def _pieces(self, line: str) -> Iterator[str]:
        """What is shown of a line in which keys may begin and end."""
        at = 0
        while at < len(line):
            sought = END if self.is_open else BEGIN
            found = sought.search(line, at)
            end = found.end() if found else len(line)
            yield MASK if self.is_open else line[at:end]
            self._left = self._left if found is None else 0 if self.is_open else MOST_LINES
            at = end
        if self.is_open and line.endswith("-----"):
            yield MASK
