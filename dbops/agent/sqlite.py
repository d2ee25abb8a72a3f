"""SQLite files: their one true path, and opening them without making or changing them."""

import os
from urllib.parse import parse_qsl, quote, unquote, urlencode

MEMORY = ":memory:"


def path(name):
    """The real path behind DATABASES NAME (a path or a file: URI), or "" for a database in memory."""
    text = os.fspath(name) if name else ""
    if text.startswith("file:"):
        text, _, query = text[len("file:") :].partition("?")
        text = unquote(text.partition("#")[0])
        if ("mode", "memory") in parse_qsl(query):
            return ""
        # file:///path and file://localhost/path
        text = "/" + text[2:].partition("/")[2] if text.startswith("//") else text
    return "" if text in ("", MEMORY) else os.path.realpath(text)


def read_only_name(name):
    """What to open instead, for reading. A file that is missing reads as an empty database; a plain open would create it."""
    real = path(name)
    if not real:
        return name
    if not os.path.exists(real):
        return MEMORY
    return "file:" + quote(real) + "?" + urlencode({"mode": "ro"})
