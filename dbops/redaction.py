"""Taking secrets out of what a target prints."""

import json
import re
from collections.abc import Iterable

MASK = "••••••"
# The password of any URL with user and password: a DSN that the target built by itself.
# Every part is bounded and begins at the beginning of a word: a megabyte of letters must not cost a minute.
DSN_PASSWORD = re.compile(
    r"(?P<head>(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}://[^\s:/@]{0,100}:)[^\s@/]{1,200}(?=@)", re.IGNORECASE
)
# A token of our own JSON API (dbops.tokens): a target may print the one that it was given.
OWN_TOKEN = re.compile(r"\bopsdash_[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")
# Shorter values (a "0", a "dev") stand in too many harmless places.
SHORTEST = 4


class Redactor:
    """Replaces the given secrets, and passwords inside URLs, by a mask."""

    def __init__(self, secrets: Iterable[str]) -> None:
        lines = {line for secret in secrets for line in secret.splitlines() if len(line) >= SHORTEST}
        words = sorted({form for line in lines for form in forms(line)}, key=len, reverse=True)
        self.longest = len(words[0]) if words else 0
        self._secrets = re.compile("|".join(map(re.escape, words))) if words else None

    def __repr__(self) -> str:
        return "Redactor(...)"

    def clean(self, text: str) -> str:
        if self._secrets:
            text = self._secrets.sub(MASK, text)
        return without_password(without_token(text))

    def clean_lines(self, text: str) -> str:
        """As `clean` with each line, in one pass: nothing that is masked goes beyond a line."""
        if self._secrets:
            text = self._secrets.sub(MASK, text)
        text = without_token(text)
        if "://" not in text or "@" not in text:
            return text
        return "\n".join(map(without_password, text.split("\n")))


def without_password(text: str) -> str:
    """Every URL's."""
    return DSN_PASSWORD.sub(rf"\g<head>{MASK}", text) if "://" in text and "@" in text else text


def without_token(text: str) -> str:
    return OWN_TOKEN.sub(MASK, text) if "opsdash_" in text else text


def forms(secret: str) -> set[str]:
    """A secret as it is, and as it stands inside a repr or a JSON document."""
    quoted = repr(secret)[1:-1]
    return {secret, quoted, quoted.replace("'", "\\'"), json.dumps(secret)[1:-1]}
