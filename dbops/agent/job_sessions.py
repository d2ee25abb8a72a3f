"""The sessions of opsdash's jobs on a Postgres server: a guard that is gone does not end the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import databases

if TYPE_CHECKING:
    from typing import Any

# By its beginning: all connections of a job carry its label, of which the server keeps 63 bytes.
LABELS = "opsdash job %"
# The name of another role's session is shown to everybody; its state and start are not, and are NULL then.
SESSIONS_SQL = """
SELECT pid, application_name, state, backend_start
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE %s
 ORDER BY pid
"""


def job_sessions(connection: Any) -> list[dict[str, Any]] | None:
    """[{pid, application_name, state, since}] on this very database but ours; None where not to be read."""
    if connection.vendor != "postgresql":
        return None
    rows = databases.allowed_rows(connection, SESSIONS_SQL, [LABELS])
    return rows if rows is None else [fact(*row) for row in rows]


def fact(pid: int, name: str, state: str | None, start: Any) -> dict[str, Any]:
    since = start.isoformat() if start else None
    return {"pid": pid, "application_name": name, "state": state, "since": since}
