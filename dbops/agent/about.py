"""What a job keeps of where it worked: versions, and how large the database is.

Nothing here may stop a job: what cannot be read is None.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import django

from . import databases, sqlite

if TYPE_CHECKING:
    from typing import Any

# https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-DBOBJECT
SIZE_SQL = "SELECT pg_database_size(current_database())"


def about(connection: Any) -> dict[str, Any]:
    return {
        "python": sys.version.split()[0],
        "django": django.get_version(),
        "vendor": connection.vendor,
        "server_version": server_version(connection),
        "size": size(connection),
    }


def server_version(connection: Any) -> str | None:
    try:
        if connection.vendor == "sqlite":
            return str(connection.Database.sqlite_version)
        if connection.vendor == "postgresql":
            return one(connection, "SELECT current_setting('server_version')")
    except Exception:
        return None
    return None


def size(connection: Any) -> int | None:
    """In bytes; of SQLite that of its file."""
    try:
        if connection.vendor == "sqlite":
            return file_size(sqlite.path(connection.settings_dict["NAME"]))
        if connection.vendor == "postgresql":
            return one(connection, SIZE_SQL)
    except Exception:
        return None
    return None


def file_size(path: str) -> int | None:
    return os.path.getsize(path) if path else None


def one(connection: Any, query: str) -> Any:
    rows = databases.allowed_rows(connection, query)
    return rows[0][0] if rows else None
