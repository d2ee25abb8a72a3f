"""How a secret may stand in a text: as it is, quoted by some language, or encoded."""

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote, quote_plus, unquote

# Shorter values (a "0", a "dev") stand in too many harmless places.
SHORTEST = 4
# Encoded, a short one is a few letters that stand in many a word.
SHORTEST_ENCODED = 6
# What a text of one secret is looked for in: a value may be a document of many lines.
MOST_LINES = 500
INNER = re.compile(r"key|secret|token|pass|credential", re.IGNORECASE)


def words_of(secret: str) -> set[str]:
    """Everything that must not stand in a text, of one declared value. Lines are taken one by one: nothing
    that is masked goes beyond a line."""
    lines = secret.splitlines()[:MOST_LINES]
    words = {form for line in lines if len(line) >= SHORTEST for form in forms(line)}
    # Encoded as a whole it is one line.
    if len(lines) > 1:
        words |= set(encoded(secret))
    for inner in inner_secrets(secret):
        words |= forms(inner)
    return {word for word in words if len(word) >= SHORTEST}


def forms(secret: str) -> set[str]:
    """Of one line."""
    quoted = repr(secret)[1:-1]
    found = {secret, quoted, quoted.replace("'", "\\'"), ascii(secret)[1:-1], secret.replace("'", "''")}
    found |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    found |= {html.escape(secret), html.escape(secret).replace("&#x27;", "&#39;")}
    found |= {secret.replace("'", "'\"'\"'"), secret.replace("\\", "\\\\").replace("'", "\\'")}
    found |= set(percent_encoded(secret)) | {unquote(secret)}
    return found | set(encoded(secret))


def percent_encoded(secret: str) -> Iterator[str]:
    if any("\ud800" <= character <= "\udfff" for character in secret):
        return
    for form in (quote(secret), quote(secret, safe=""), quote_plus(secret)):
        yield form
        yield _lower_escapes(form)


def _lower_escapes(form: str) -> str:
    """%2F -> %2f"""
    first, *others = form.split("%")
    return "%".join([first, *(other[:2].lower() + other[2:] for other in others)])


def encoded(secret: str) -> Iterator[str]:
    """In base64 and in hexadecimal digits, also within a longer text that was encoded with it."""
    data = secret.encode("utf-8", "replace")
    if len(data) < SHORTEST_ENCODED:
        return
    yield data.hex()
    yield data.hex().upper()
    for before in range(3):
        core = base64_core(data, before)
        yield core
        yield core.replace("+", "-").replace("/", "_")


def base64_core(data: bytes, before: int) -> str:
    """Those letters that are the same whatever stands around it, behind a multiple of three bytes and
    `before` more."""
    letters = b64encode(bytes(before) + data).decode().rstrip("=")
    first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
    return letters[first:last]


def inner_secrets(secret: str) -> Iterator[str]:
    """Those of a JSON document that is a secret as a whole (an account's key)."""
    if not secret.lstrip().startswith("{"):
        return
    try:
        document = json.loads(secret)
    except (ValueError, RecursionError):
        return
    for name, value in document.items() if isinstance(document, dict) else ():
        if isinstance(value, str) and INNER.search(name) and "://" not in value:
            yield from (line for line in value.splitlines() if len(line) >= SHORTEST)
