"""What is recorded in a SQLite file, read by ourselves; it is neither made nor changed by that."""

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from django.utils.dateparse import parse_datetime

PREFIX = "sqlite:"
BUSY_S = 0.5
ROWS = "SELECT app, name, applied FROM django_migrations ORDER BY id"
TABLE = "SELECT 1 FROM sqlite_master WHERE name = 'django_migrations' AND type IN ('table', 'view')"

Rows = list[tuple[str, str, datetime | None]]


class UnreadableFile(Exception):
    """The file cannot be read from here; str() says why."""


def rows_of(identity: str) -> tuple[bool, Rows]:
    """(whether the file is there, its rows). Identity as the agent tells it: `sqlite:` and the real path.

    Raises UnreadableFile.
    """
    path = Path(identity.removeprefix(PREFIX))
    if not path.exists():
        return False, []
    try:
        uri = f"file:{quote(str(path))}?mode={'rw' if _is_idle_wal(path) else 'ro'}"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S)) as file:
            file.execute("PRAGMA query_only = ON")
            found = file.execute(ROWS).fetchall() if file.execute(TABLE).fetchone() else []
    except (sqlite3.Error, UnicodeError, OSError) as error:
        raise UnreadableFile(str(error)) from error
    return True, [_row(*row) for row in found]


def _is_idle_wal(path: Path) -> bool:
    """As the agent's (dbops.agent.sqlite): only who may write takes away the files that reading makes."""
    with path.open("rb") as file:
        is_wal = file.read(20)[18:] == b"\2\2"
    return is_wal and not any(Path(f"{path}{end}").exists() for end in ("-wal", "-shm"))


def _row(app: object, name: object, applied: object) -> tuple[str, str, datetime | None]:
    """SQLite takes anything for anything; what Django would not write is left to Django to read."""
    if not isinstance(app, str) or not isinstance(name, str):
        raise UnreadableFile("a row of django_migrations holds no text where a name belongs")
    try:
        return app, name, parse_datetime(applied) if isinstance(applied, str) else None
    except ValueError:
        return app, name, None
