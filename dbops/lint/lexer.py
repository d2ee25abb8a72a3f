"""SQL as tokens, as far as a statement can be known for what it is: words, names, strings, numbers, marks.

Quoting is Postgres' (dollar quotes, E'', nested comments), and the backticks of MySQL. Time is linear.
"""

import re
from dataclasses import dataclass

WORD, NAME, STRING, NUMBER, MARK = "word", "name", "string", "number", "mark"
# A string or a comment that never ends: nothing behind its beginning is known.
BROKEN = "broken"

# Quantifiers are possessive, so that what does not end is given up at once.
PIECES = re.compile(
    r"""(?P<space>\s++|--[^\n]*+)
      | (?P<comment>/\*)
      | (?P<dollar>\$(?:[^\W\d]\w*+)?\$)
      | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*+')
      | (?P<string>(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*+')
      | (?P<name>"(?:[^"]|"")*+"|`(?:[^`]|``)*+`)
      | (?P<word>[^\W\d][\w$]*+)
      | (?P<number>\d(?:[eE][+-]\d|[\w.])*+)
      | (?P<broken>["'`])
      | (?P<mark>::|[<>!]=|<>|:=|=>|\|\||->>?|\#>>?|@>|<@|\?[|&]|!?~~?\*?|&&|@@|<->|<<|>>|.)""",
    re.VERBOSE | re.DOTALL,
)
NESTED = re.compile(r"/\*|\*/")


@dataclass(frozen=True)
class Token:
    kind: str
    # A word in capitals, a name without its quotes, everything else as it is written.
    value: str
    written: str


def statements(sql: str) -> list[list[Token]]:
    """Its statements without comments; none is empty."""
    found: list[list[Token]] = [[]]
    for token in tokens(sql):
        if token.value == ";" and token.kind == MARK:
            found.append([])
        else:
            found[-1].append(token)
    return [statement for statement in found if statement]


def tokens(sql: str) -> list[Token]:
    found: list[Token] = []
    place = 0
    while match := PIECES.match(sql, place):
        kind, text = str(match.lastgroup), match.group()
        place = match.end()
        if kind in ("comment", "dollar"):
            start, place = (
                match.start(),
                (end_of_comment(sql, place) if kind == "comment" else sql.find(text, place)),
            )
            if place < 0:
                return [*found, Token(BROKEN, "", sql[start:])]
            place += len(text) if kind == "dollar" else 0
            if kind == "dollar":
                found.append(Token(STRING, sql[start:place], sql[start:place]))
        elif kind == "broken":
            return [*found, Token(BROKEN, "", sql[match.start() :])]
        elif kind != "space":
            found.append(token(kind, text))
    return found


def end_of_comment(sql: str, place: int) -> int:
    depth = 1
    for match in NESTED.finditer(sql, place):
        depth += 1 if match.group() == "/*" else -1
        if not depth:
            return match.end()
    return -1


def token(kind: str, text: str) -> Token:
    if kind == "word":
        return Token(WORD, text.upper(), text)
    if kind == "name":
        return Token(NAME, text[1:-1].replace(text[0] * 2, text[0]), text)
    return Token(STRING if kind == "escaped" else kind, text, text)
