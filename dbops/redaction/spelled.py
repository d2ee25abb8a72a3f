"""A secret that is printed letter by letter: with something between them, or each on a line of its own."""

import re
from collections.abc import Sequence

from dbops.redaction.shapes import MASK

SHORTEST = 6
LONGEST = 200
BETWEEN = r"[ \t,'\"|.:;/_-]{1,6}"
# Whether a line holds anything of that kind: six letters in a row that stand alone.
SIGN = re.compile(r"(?<!\w)\S(?:[ \t,'\"|.:;/_-]{1,6}\S(?![\w])){5}")
ALONE = re.compile(r"\n[ \t]{0,8}\S{1,2}[ \t]{0,8}(?=\n)")
# Letters on lines of their own that are shown before they are taken for those of a secret.
SHOWN = 3


class Spelled:
    """What a line holds."""

    def __init__(self, secrets: Sequence[str]) -> None:
        patterns = [BETWEEN.join(map(re.escape, secret)) for secret in secrets]
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def clean(self, text: str) -> str:
        if self._pattern is None or not SIGN.search(text):
            return text
        return self._pattern.sub(MASK, text)


class Column:
    """What lines of one or two letters hold together; what was begun is known in the next one."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = secrets
        self._longest = max(map(len, secrets), default=0)
        self._letters = ""

    def concerns(self, text: str) -> bool:
        return bool(self._secrets and (self._letters or ALONE.search(f"\n{text}\n")))

    def clean(self, line: str) -> str:
        letters = line.strip()
        if not letters:
            return line
        if len(letters) > 2:
            self._letters = ""
            return line
        self._letters = (self._letters + letters)[-self._longest :]
        return MASK if any(self._spells(secret) for secret in self._secrets) else line

    def _spells(self, secret: str) -> bool:
        """What came last is how it begins."""
        lengths = range(min(len(secret), len(self._letters)), SHOWN, -1)
        return any(self._letters.endswith(secret[:length]) for length in lengths)
