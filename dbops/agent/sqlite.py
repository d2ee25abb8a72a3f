"""SQLite files: their one true path, and opening them without making or changing them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote

if TYPE_CHECKING:
    from typing import Any

MEMORY = ":memory:"
QUERY_ONLY = "PRAGMA query_only = ON"


def path(name: Any) -> str:
    """The real path behind DATABASES NAME (a path or a file: URI), or "" for a database in memory."""
    text = os.fspath(name) if name else ""
    if text.startswith("file:"):
        text, _, query = text[len("file:") :].partition("?")
        text = unquote(text.partition("#")[0])
        if ("mode", "memory") in parse_qsl(query):
            return ""
        if text.startswith("//"):
            # file:///path and file://localhost/path
            text = "/" + text[2:].partition("/")[2]
    return "" if text in ("", MEMORY) else os.path.realpath(text)


def read_only_name(name: Any) -> Any:
    """What to open for reading. A missing file reads as an empty database; a plain open would create it."""
    real = path(name)
    if not real:
        return name
    if not os.path.exists(real):
        return MEMORY
    return "file:" + quote(real) + ("?mode=rw" if is_idle_wal(real) else "?mode=ro")


def is_idle_wal(file: str) -> bool:
    """Whoever reads it makes files beside it, and only a connection that may write takes them away when it
    closes: such a one is told to write nothing (QUERY_ONLY) before all else. Where they are there already,
    somebody else is at work, or has left what is not ours to put into the file."""
    try:
        with open(file, "rb") as opened:
            header = opened.read(20)
    except OSError:
        return False
    # https://www.sqlite.org/fileformat.html#file_format_version_numbers
    is_wal = header[18:20] == b"\2\2"
    return is_wal and not any(os.path.exists(file + end) for end in ("-wal", "-shm"))


def lacking(name: Any) -> dict[str, str] | None:
    """As rights.lacking: the file, or the directory around it (journal, guard), may not be written."""
    file = path(name)
    wanted = [os.path.dirname(file), file] if file else []
    closed = [part for part in wanted if os.path.exists(part) and not os.access(part, os.W_OK)]
    return {"lack": "file", "object": closed[0]} if closed else None
