"""A statement as it may be shown: without the values that stand in it, which may be anybody's secrets.

Names and structure stay. The server keeps the beginning of a statement only, so that anything may be cut in
its middle: what has no end is taken out to the end.
"""

from __future__ import annotations

import re

from . import redaction

SHOWN = 300
# In this order: what begins like something else comes first.
# https://www.postgresql.org/docs/current/sql-syntax-lexical.html
TOKEN = re.compile(
    r"""
      (?P<line>--[^\n]*)
    | (?P<block>/\*)
    | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*(?:'|\\?\Z))
    | (?P<bits>[bBxX]'[^']*(?:'|\Z))
    | (?P<text>(?:[nN]|[uU]&)?'(?:[^']|'')*(?:'|\Z))
    | (?P<dollars>\$(?P<tag>(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?)\$)
    | (?P<parameter>\$\d+)
    | (?P<quoted>(?:[uU]&)?"(?:[^"]|"")*(?:"|\Z))
    | (?P<name>[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*)
    | (?P<number>\.?\d(?:[eE][+-]?\d|[\w.])*)
    | (?P<space>\s+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
# The value of a setting may be a bare word. It begins a statement, or ends one that alters or makes
# something; in an UPDATE a bare word is a column.
# https://www.postgresql.org/docs/current/sql-set.html
SETTING = re.compile(
    r"""
      (?: ^ | ; ) \s?
      (?: (?: alter | create ) \b (?: "[^"]*" | [^";] )* \s )?
      set \s (?: (?: session | local ) \s )?
      (?: "(?:[^"]|"")*" | [\w$]+ ) (?: \s?\.\s? (?: "(?:[^"]|"")*" | [\w$]+ ) )*
      (?: \s?= | \sto\b )
      (?P<value> .+ )
    """,
    re.VERBOSE | re.IGNORECASE,
)
KEPT = ("parameter", "quoted", "name", "other")
NUMBER, TEXT = "?", "'?'"


def without_literals(statement: str) -> str:
    """On one line, values as ? and '?', comments left out, cut to SHOWN characters."""
    words, position = [], 0
    while position < len(statement):
        found = TOKEN.match(statement, position)
        assert found is not None
        kind = found.lastgroup if found.lastgroup != "tag" else "dollars"
        position = end_of(kind, found, statement)
        words.append(shown(kind, found.group()))
    line = redaction.redact(without_setting(" ".join("".join(words).split())))
    return line if len(line) <= SHOWN else line[:SHOWN] + " ..."


def without_setting(line: str) -> str:
    """Nothing of what stands behind the name of a setting."""
    found = SETTING.search(line)
    return f"{line[: found.start('value')]} {NUMBER}" if found else line


def end_of(kind: str | None, found: re.Match[str], statement: str) -> int:
    if kind == "block":
        return end_of_block(statement, found.end())
    if kind == "dollars":
        at = statement.find(found.group(), found.end())
        return len(statement) if at < 0 else at + len(found.group())
    # Whether a backslash keeps a quote from ending a text is a setting of that session: \' tells nothing.
    if kind == "text" and "\\'" in found.group():
        return len(statement)
    return found.end()


def end_of_block(statement: str, position: int) -> int:
    """Behind a comment, which may hold others."""
    depth = 1
    for found in re.finditer(r"/\*|\*/", statement[position:]):
        depth += 1 if found.group() == "/*" else -1
        if depth == 0:
            return position + found.end()
    return len(statement)


def shown(kind: str | None, text: str) -> str:
    if kind in KEPT:
        return text
    if kind == "number":
        return NUMBER
    return TEXT if kind in ("escaped", "bits", "text", "dollars") else " "
