"""Reading a statement from its beginning."""

from collections.abc import Sequence

from .lexer import MARK, NAME, WORD, Token


class Cursor:
    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.place = 0

    @property
    def rest(self) -> Sequence[Token]:
        return self.tokens[self.place :]

    @property
    def ended(self) -> bool:
        return self.place >= len(self.tokens)

    def take(self, *words: str) -> bool:
        """Past these words (or marks), where they stand here."""
        ahead = self.tokens[self.place : self.place + len(words)]
        if len(ahead) < len(words) or any(
            not said(token, word) for token, word in zip(ahead, words, strict=True)
        ):
            return False
        self.place += len(words)
        return True

    def take_one(self, *words: str) -> str:
        """The one of these words that stands here, else ""."""
        return next((word for word in words if self.take(word)), "")

    def name(self) -> str:
        """A name, of which only the last part counts ("public"."orders"); "" where none stands here."""
        found = self._part()
        while found and self.take("."):
            found = self._part()
        return found

    def _part(self) -> str:
        if self.ended or self.tokens[self.place].kind not in (WORD, NAME):
            return ""
        token = self.tokens[self.place]
        self.place += 1
        return token.value if token.kind == NAME else token.written.lower()

    def parenthesis(self) -> list[Token]:
        """What stands within the parenthesis that begins here; nothing where none does."""
        if not self.take("("):
            return []
        depth, start = 1, self.place
        while not self.ended and depth:
            token = self.tokens[self.place]
            depth += said(token, "(") - said(token, ")")
            self.place += 1
        return list(self.tokens[start : self.place - 1])


def said(token: Token, word: str) -> bool:
    return token.kind in (WORD, MARK) and token.value == word


def split(tokens: Sequence[Token], mark: str = ",") -> list[list[Token]]:
    """At the marks that stand in no parenthesis."""
    found: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += said(token, "(") - said(token, ")")
        if not depth and said(token, mark):
            found.append([])
        else:
            found[-1].append(token)
    return found


def outside(tokens: Sequence[Token]) -> list[Token]:
    """Those that stand in no parenthesis."""
    found, depth = [], 0
    for token in tokens:
        depth += said(token, "(")
        if not depth:
            found.append(token)
        depth -= said(token, ")")
    return found


def written(tokens: Sequence[Token]) -> str:
    return " ".join(token.written for token in tokens)


def first_names(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The column that each part of a list begins with; "" for an expression."""
    return tuple(Cursor(part).name() for part in split(tokens) if part)
