"""Replaces secrets by a mask: in a text as a whole, or in lines as they come."""

import re
from collections.abc import Iterable
from functools import lru_cache

from dbops.plain import without_escapes
from dbops.redaction import spelled
from dbops.redaction.keys import SIGN, Keys
from dbops.redaction.shapes import MASK, without_tokens
from dbops.redaction.spelled import Column, Spelled
from dbops.redaction.written import SHORTEST, words_of

# What is not seen between the letters of a secret: controls, marks without a width, letters struck over.
UNSEEN = re.compile(
    r"[^\n]\x08|[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufffd]"
)
# Of an endless line so much is kept back where it is cut: the longest of most tokens.
TOKEN_LENGTH = 300
# So many letters of a secret that is being printed are known as its beginning at a glance.
LEAST, BEGINNINGS = 3, 200


class Redactor:
    """Knows the secrets of one target. `clean` is for any text; a Passage for lines that come one by one."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = [secret for secret in dict.fromkeys(secrets) if len(secret) >= SHORTEST]
        words = {word for secret in known for word in words_of(secret)}
        self._words = tuple(sorted(words, key=len, reverse=True))
        self.letters = [
            secret
            for secret in known
            if spelled.SHORTEST <= len(secret) <= spelled.LONGEST and not set(secret) & set("\r\n")
        ]
        self._spelled = Spelled(self.letters)
        self._beginnings = frozenset(
            word[:length] for word in self._words for length in range(LEAST, min(len(word), BEGINNINGS + 1))
        )
        self.longest = max(len(self._words[0]) if self._words else 0, TOKEN_LENGTH)

    def __repr__(self) -> str:
        return "Redactor(...)"

    def clean(self, text: str) -> str:
        """A text that is complete."""
        return Passage(self).clean(text)

    def in_lines(self, text: str) -> str:
        """What can be seen in each line by itself."""
        cleaned = self._in_letters(text)
        return self._also_unseen(text, cleaned) if has_unseen(text) else cleaned

    def _also_unseen(self, text: str, cleaned: str) -> str:
        """A line that holds more secrets without what is not seen in it is told without that."""
        raw, lines = text.split("\n"), cleaned.split("\n")
        strange = [number for number, line in enumerate(raw) if has_unseen(line)]
        seen = "\n".join(UNSEEN.sub("", without_escapes(raw[number])) for number in strange)
        for number, line in zip(strange, self._in_letters(seen).split("\n"), strict=True):
            if line.count(MASK) > lines[number].count(MASK):
                lines[number] = line
        return "\n".join(lines)

    def beginning(self, line: str) -> int:
        """How many of the last letters of an unfinished line are the beginning of a secret. One letter or two
        are that of many a word."""
        lengths = range(min(len(line), BEGINNINGS), LEAST - 1, -1)
        short = next((length for length in lengths if line[-length:] in self._beginnings), 0)
        return max([short, *(_begun(line, word) for word in self._words if len(word) > BEGINNINGS)])

    def _in_letters(self, text: str) -> str:
        found = tuple(word for word in self._words if word in text)
        if found:
            text = _either(found).sub(MASK, text)
        return self._spelled.clean(without_tokens(text))


class Passage:
    """Lines as they come: a private key goes over many, and a secret may be printed with each letter on a
    line of its own."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._keys = Keys()
        self._column = Column(redactor.letters)

    def clean(self, text: str) -> str:
        """Of complete lines, in one pass; as many lines come out."""
        concerns_column = self._column.concerns(text)
        text = self._redactor.in_lines(text)
        if self._keys.is_open or SIGN in text:
            text = "\n".join(map(self._keys.clean, text.split("\n")))
        if concerns_column:
            text = "\n".join(map(self._column.clean, text.split("\n")))
        return text

    def peek(self, line: str) -> str:
        """An unfinished line, as it may be shown until it is complete."""
        if self._keys.is_open:
            return MASK
        clean = self._redactor.clean(line)
        return clean[: len(clean) - self._redactor.beginning(clean)]


def has_unseen(text: str) -> bool:
    return not (text.isprintable() or text.replace("\n", "").isprintable())


def _begun(line: str, word: str) -> int:
    """Of a very long one."""
    at = line.rfind(word[:BEGINNINGS])
    return len(line) - at if at >= 0 and word.startswith(line[at:]) else 0


@lru_cache(maxsize=64)
def _either(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, words)))
