"""SQL and Python as a page shows them: laid out and highlighted here, in classes, with nothing alive in them.

What it costs is bounded by the text's size. sqlparse takes up to half a second for 20,000 characters of the
worst SQL, and for some quadratic time; Pygments is linear, at most a second for 100,000. What is longer is
shown as it is; what is longer than SHOWN is shown in part, and how much is left out is said.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlparse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import PostgresLexer, PythonLexer
from sqlparse import tokens
from sqlparse.exceptions import SQLParseError
from sqlparse.lexer import tokenize

# Characters.
FORMATTED = 20_000
HIGHLIGHTED = 100_000
SHOWN = 300_000
REINDENTED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "MERGE")
INDENT = "\n    "


@dataclass(frozen=True)
class Code:
    """`html` goes into <pre class="code">; {{ code }} gives it."""

    html: SafeString
    # Characters of the text that are not in it.
    left_out: int = 0

    def __str__(self) -> str:
        return self.html

    def __html__(self) -> str:
        return self.html


def sql(statements: str | Iterable[str]) -> Code:
    """Statements, each formatted where it is not too long for that, with an empty line between long ones."""
    given = [statements] if isinstance(statements, str) else list(statements)
    laid_out: list[str] = []
    budget = HIGHLIGHTED
    for statement in given:
        laid_out.append(formatted(statement) if len(statement) <= budget else statement.strip())
        budget -= len(statement)
    return shown(joined(laid_out), PostgresLexer(stripnl=False, ensurenl=False))


def python(source: str) -> Code:
    return shown(source.strip("\n"), PythonLexer(stripnl=False, ensurenl=False))


def formatted(statement: str) -> str:
    """Laid out for reading; as it is where it is long, or deeper than sqlparse goes. Its words stay."""
    statement = statement.strip()
    if len(statement) > FORMATTED:
        return statement
    words = statement[:40].upper().split()
    if words[:1] and words[0] in REINDENTED:
        return reindented(statement)
    if "TABLE" in words[1:4] and words[0] in ("CREATE", "ALTER"):
        return laid_out(statement, depth=1 if words[0] == "CREATE" else 0)
    return statement


def reindented(statement: str) -> str:
    try:
        return str(sqlparse.format(statement, reindent=True)).strip()
    except (SQLParseError, RecursionError):
        return statement


def laid_out(statement: str, depth: int) -> str:
    """A line for each part of what CREATE TABLE or ALTER TABLE lists. sqlparse makes a slope of these."""
    parts: list[str] = []
    level = 0
    for kind, text in tokenize(statement):  # type: ignore[no-untyped-call]
        if parts and parts[-1].endswith(INDENT) and kind in tokens.Whitespace:
            continue
        punctuation = kind in tokens.Punctuation
        level += text == "(" and punctuation
        level -= text == ")" and punctuation
        opens = punctuation and text == "(" and level == depth
        closes = punctuation and text == ")" and level == depth - 1
        parts.append("\n" + text if closes else text)
        if opens or (punctuation and text == "," and level == depth):
            parts.append(INDENT)
    return "".join(parts)


def joined(statements: list[str]) -> str:
    """One below another; an empty line around those of several lines."""
    found = ""
    for statement in statements:
        between = "" if not found else "\n" if "\n" not in statement + found.rpartition("\n\n")[2] else "\n\n"
        found += between + statement
    return found


def shown(text: str, lexer: Lexer) -> Code:
    left_out = max(0, len(text) - SHOWN)
    text = text[:SHOWN]
    if len(text) > HIGHLIGHTED:
        return Code(escape(text), left_out)
    # The formatter escapes what it is given and adds <span class="…"> only.
    return Code(mark_safe(highlight(text, lexer, FORMATTER)), left_out)  # noqa: S308


FORMATTER: HtmlFormatter[str] = HtmlFormatter(nowrap=True)
