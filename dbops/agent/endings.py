"""Ending another session on the target's server, as staff asked: its statement, or all of it.

Only in the transaction that was shown: a session of a pool is somebody else's in the next one.

Event session_ended {id, done, words}. done: done, gone (it, or that transaction, was over already),
not_allowed, refused (a session of this very job), failed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from . import blockers, control, failures

if TYPE_CHECKING:
    from typing import Any

    from .blockers import Blockers

# How long a session that was told to end is watched.
ENDS_WITHIN_S = 1.5
PAUSE_S = 0.1
NO_RIGHT = "42501"
ACTS = {"cancel": "pg_cancel_backend", "terminate": "pg_terminate_backend"}
FIND_SQL = "SELECT pid FROM pg_stat_activity WHERE pid = %s AND (start) = %s".replace(
    "(start)", blockers.START.format("backend_start")
)
ACT_SQL = FIND_SQL.replace("SELECT pid", "SELECT {act}(pid)")
ACT_SQL += " AND (start) IS NOT DISTINCT FROM %s".replace("(start)", blockers.START.format("xact_start"))
MOVED_ON = (
    "The session has moved on since: it is in another transaction than the one that was shown, or in none. "
    "Nothing was done."
)
OURS_SQL = """
SELECT pid = pg_backend_pid() OR pid = ANY(%s) OR application_name = ANY(%s)
  FROM pg_stat_activity WHERE pid = %s
"""
ROLE_SQL = """
SELECT quote_ident(session_user), (SELECT r.rolsuper FROM pg_stat_activity a
                                     JOIN pg_roles r ON r.oid = a.usesysid WHERE a.pid = %s)
"""


class Endings:
    def __init__(self, looks: Blockers) -> None:
        self.looks = looks
        self.guard = looks.guard

    def obey(self) -> None:
        """Whatever was asked for since, each once."""
        while True:
            asked = control.next_ending()
            if asked is None:
                return
            try:
                done, words = self.answer(asked)
            except Exception as problem:
                # The guard must be watched on, whatever this one came to.
                done, words = "failed", f"What came of it is not known: {failures.describe(problem)}."
            self.looks.channel.event("session_ended", id=asked["id"], done=done, words=failures.clean(words))

    def answer(self, asked: dict[str, Any]) -> tuple[str, str]:
        pid, start, act = asked["pid"], asked["backend_start"], asked["act"]
        if act not in ACTS:
            return "failed", f"The agent knows no act {act!r}. Nothing was done."
        try:
            with self.guard.mine:
                return self.act(int(pid), str(start), asked["transaction_start"], act)
        except Exception as problem:
            if failures.sqlstate(problem) == NO_RIGHT:
                return "not_allowed", self.lacking(int(pid), problem)
            return "failed", f"It could not be asked of the server: {failures.describe(problem)}."

    def act(self, pid: int, start: str, transaction_start: str | None, act: str) -> tuple[str, str]:
        ours = self.guard.rows(OURS_SQL, [list(self.looks.pids), self.looks.names, pid])
        if ours and ours[0][0]:
            return "refused", "It is a session of this very job. Nothing was done: cancel the job instead."
        rows = self.guard.rows(ACT_SQL.format(act=ACTS[act]), [pid, start, transaction_start])
        if not rows and self.guard.rows(FIND_SQL, [pid, start]):
            return "gone", MOVED_ON
        if not rows or not rows[0][0]:
            return "gone", "The session had gone already. Nothing was done."
        if act == "cancel":
            return "done", "The server was told to cancel its statement."
        if self.has_gone(pid, start):
            return "done", "The session was ended, its transaction rolled back."
        return "done", f"The session was told to end; {ENDS_WITHIN_S} s later it was still there."

    def has_gone(self, pid: int, start: str) -> bool:
        until = time.monotonic() + ENDS_WITHIN_S
        while self.guard.rows(FIND_SQL, [pid, start]):
            if time.monotonic() >= until:
                return False
            time.sleep(PAUSE_S)
        return True

    def lacking(self, pid: int, problem: Exception) -> str:
        """A superuser's session is a superuser's alone to end: no right that can be granted helps there."""
        role, is_superuser_s = self.guard.rows(ROLE_SQL, [pid])[0]
        said = " ".join(str(failures.from_server(problem)).split())
        if is_superuser_s:
            return f"The role {role} may not: only a superuser ends a superuser's session ({said})."
        grant = f"GRANT pg_signal_backend TO {role};"
        return f"The role {role} of the target may not ({said}). This lets it: {grant}"
