"""The sessions of opsdash's jobs on a Postgres server: a guard that is gone does not end the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import databases

if TYPE_CHECKING:
    from typing import Any

# By its beginning: all connections of a job carry its label, of which the server keeps 63 bytes.
LABELS = "opsdash job %"
# In whatever database of the server: a migration may work in several. What the target itself calls its
# session may be anything, so those that the job announced are looked for by their start, too.
# The name of another role's session is shown to everybody; its state and start are not, and are NULL then.
SESSIONS_SQL = """
SELECT pid, application_name, state, backend_start, started
  FROM (SELECT *, (extract(epoch FROM backend_start) * 1000000)::bigint AS started FROM pg_stat_activity) AS a
 WHERE pid <> pg_backend_pid() AND (application_name LIKE %s OR (pid = %s AND started = %s))
 ORDER BY pid
"""
NONE_ANNOUNCED = (0, 0)


def job_sessions(connection: Any, announced: Any = None) -> list[dict[str, Any]] | None:
    """[{pid, application_name, state, since, started}] but ours; None where not to be read.

    `announced`: the (pid, started) of a session that is to be found whatever it is called; `started` counts
    microseconds, by the server's clock.
    """
    if connection.vendor != "postgresql":
        return None
    rows = databases.allowed_rows(connection, SESSIONS_SQL, [LABELS, *(announced or NONE_ANNOUNCED)])
    return rows if rows is None else [fact(*row) for row in rows]


def fact(pid: int, name: str, state: str | None, start: Any, started: int | None) -> dict[str, Any]:
    since = start.isoformat() if start else None
    return {"pid": pid, "application_name": name, "state": state, "since": since, "started": started}
