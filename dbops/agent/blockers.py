"""Who keeps a session of this job waiting for a lock.

Event lock_wait {waits: [...]}: when a wait begins, changes, and every few seconds while it lasts; an empty
list when it is over; {waits: [], problem} once, where it cannot be seen.

wait: pid, mode, locktype, relation or null, waited_s, blockers: those in its way first, behind them what
these wait for in turn.
blocker: pid, direct (in the way of the job itself), user, application_name, client, backend_type,
backend_start (text, to the microsecond, in UTC; null where this role may not see it), transaction_start (as
that; null also where it is in no transaction), connected_s, transaction_s, state, state_s, query (without its
values), hidden (the role may not see the latter ones), held (modes), waits_for {mode, locktype, relation} or
null, blocked_by [pid]; or, of a prepared transaction, pid 0, direct, gid, user, prepared_s, held.

Durations are seconds by the server's own clock.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from .failures import clean, describe
from .literals import without_literals

if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

    from .channel import Channel
    from .guard import PostgresGuard

TELL_EVERY_S = 2.0
LOOK_TIMEOUT_MS = 2000
LOOKS_KEPT = 3
NAME_BYTES = 63
DEEPEST = 5
MOST = 20
TEXT = 200
# https://www.postgresql.org/docs/current/view-pg-locks.html: waitstart is there since 14.
WAITSTART_SINCE = 140000
HIDDEN = "<insufficient privilege>"

START = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')"""
WAITING_SQL = """
SELECT pid, pg_blocking_pids(pid)
  FROM pg_stat_activity
 WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()
       AND (pid = ANY(%s) OR application_name = ANY(%s))
 ORDER BY pid
 LIMIT 20
"""
# A row that another transaction has changed is waited for by that transaction's id: the table is then that of
# the row lock which the waiting session has already.
WANTED_SQL = """
SELECT w.pid, w.mode, w.locktype, {waited},
       COALESCE(w.relation, (SELECT t.relation FROM pg_locks t
                              WHERE t.pid = w.pid AND t.granted AND t.locktype = 'tuple' LIMIT 1)
       )::regclass::text
  FROM pg_locks w
 WHERE NOT w.granted AND w.pid = ANY(%s)
"""
# Either kind of lock says by these columns what it is on.
ON = ["locktype", "database", "relation", "page", "tuple", "virtualxid", "transactionid"]
ON += ["classid", "objid", "objsubid"]
SAME = " AND ".join(f"h.{column} IS NOT DISTINCT FROM w.{column}" for column in ON)
HELD_SQL = """
SELECT h.pid, array_agg(DISTINCT h.mode)
  FROM pg_locks w JOIN pg_locks h ON (same)
 WHERE NOT w.granted AND h.granted AND w.pid = ANY(%s) AND h.pid = ANY(%s)
 GROUP BY h.pid
""".replace("(same)", SAME)
# Without a session its locks have no pid; among them is that on its own id.
PREPARED_SQL = """
SELECT p.gid, p.owner::text, extract(epoch FROM clock_timestamp() - p.prepared)::float,
       array_agg(DISTINCT h.mode)
  FROM pg_locks w JOIN pg_locks h ON (same)
       JOIN pg_locks own ON own.pid IS NULL AND own.locktype = 'transactionid'
            AND own.virtualtransaction = h.virtualtransaction
       JOIN pg_prepared_xacts p ON p.transaction = own.transactionid
 WHERE NOT w.granted AND h.granted AND h.pid IS NULL AND w.pid = %s
 GROUP BY 1, 2, 3
""".replace("(same)", SAME)
SESSIONS_SQL = """
SELECT pid, usename::text, application_name, COALESCE(host(client_addr), ''), backend_type,
       {start}, {transaction_start}, {connected}, {transaction}, state, {changed}, query,
       pg_blocking_pids(pid)
  FROM pg_stat_activity
 WHERE pid = ANY(%s)
""".format(
    start=START.format("backend_start"),
    transaction_start=START.format("xact_start"),
    connected="extract(epoch FROM clock_timestamp() - backend_start)::float",
    transaction="extract(epoch FROM clock_timestamp() - xact_start)::float",
    changed="extract(epoch FROM clock_timestamp() - state_change)::float",
)


class Blockers:
    """Looks over the connection of the guard; what it cannot see never stands in the way of the work."""

    def __init__(
        self,
        channel: Channel,
        guard: PostgresGuard,
        pids: set[int],
        names: list[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`pids`: of the connections of the work, and growing; `names`: of the sessions of the job."""
        self.channel = channel
        self.guard = guard
        self.pids = pids
        self.names = sorted({as_kept(name) for name in names if name})
        self.clock = clock
        # The latest looks, each with its begin and its end.
        self.seen: list[tuple[float, float, list[dict[str, Any]]]] = []
        self.told: list[Any] = []
        self.told_at = 0.0
        self.seen_since: dict[Any, float] = {}
        self.failed = False

    def look(self) -> None:
        began = self.clock()
        try:
            waits = self.waits()
        except Exception as problem:
            # A connection that is gone is found out by the check of the guard.
            self.say_once(problem)
            return
        self.seen = [*self.seen[1 - LOOKS_KEPT :], (began, self.clock(), waits)]
        self.tell(waits)

    def say_once(self, problem: Exception) -> None:
        if not self.failed:
            self.failed = True
            self.told = []
            self.channel.event("lock_wait", waits=[], problem=clean(describe(problem)))

    def tell(self, waits: list[dict[str, Any]]) -> None:
        kind = [key_of(wait) for wait in waits]
        due = bool(waits) and self.clock() - self.told_at >= TELL_EVERY_S
        if due or kind != self.told:
            self.told, self.told_at = kind, self.clock()
            self.channel.event("lock_wait", waits=waits)

    def within(self, pid: int, began: float, ended: float) -> list[dict[str, Any]]:
        """What this session waited for when it was last looked between these moments; empty: not seen."""
        found = [waits for first, last, waits in self.seen if began <= first and last <= ended]
        return [wait for wait in found[-1] if wait["pid"] == pid] if found else []

    # What the server says

    def waits(self) -> list[dict[str, Any]]:
        with self.guard.mine, self.brief():
            waiting = dict(self.guard.rows(WAITING_SQL, [list(self.pids), self.names]))
            if not waiting:
                self.seen_since.clear()
                return []
            sessions = self.sessions(waiting)
            held = dict(self.guard.rows(HELD_SQL, [[*waiting, *sessions], list(sessions)]))
            wanted = self.wanted([*waiting, *sessions])
            return [
                dict(wanted[pid], pid=pid, blockers=self.of(pid, waiting[pid], sessions, held, wanted))
                for pid in waiting
                # It may have got its lock between two questions.
                if pid in wanted and waiting[pid]
            ]

    @contextlib.contextmanager
    def brief(self) -> Iterator[None]:
        """These questions, and not those of the guard, are given up when the server is slow."""
        with self.guard.connection.cursor() as cursor:
            cursor.execute(f"BEGIN READ ONLY; SET LOCAL statement_timeout = {LOOK_TIMEOUT_MS}")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")

    def sessions(self, waiting: dict[int, list[int]]) -> dict[int, tuple[Any, ...]]:
        """Those in the way, those in their way, and so on."""
        found: dict[int, tuple[Any, ...]] = {}
        asked = {pid for pids in waiting.values() for pid in pids if pid}
        for _ in range(DEEPEST):
            asked = set(sorted(asked - set(found) - set(waiting))[: MOST - len(found)])
            if not asked:
                break
            rows = self.guard.rows(SESSIONS_SQL, [sorted(asked)])
            found.update({row[0]: row for row in rows})
            asked = {pid for row in rows for pid in row[-1] if pid}
        return found

    def wanted(self, pids: list[int]) -> dict[int, dict[str, Any]]:
        has_start = self.guard.connection.pg_version >= WAITSTART_SINCE
        waited = "extract(epoch FROM clock_timestamp() - w.waitstart)::float" if has_start else "NULL"
        found = {}
        for pid, mode, locktype, waited_s, relation in self.guard.rows(
            WANTED_SQL.format(waited=waited), [pids]
        ):
            since = self.seen_since.setdefault((pid, mode, locktype, relation), self.clock())
            seen_s = self.clock() - since
            found[pid] = {
                "mode": mode,
                "locktype": locktype,
                "relation": relation and clean(relation, TEXT),
                "waited_s": round(max(0.0, seen_s if waited_s is None else waited_s), 1),
            }
        return found

    def of(
        self,
        pid: int,
        direct: list[int],
        sessions: dict[int, tuple[Any, ...]],
        held: dict[int, list[str]],
        wanted: dict[int, dict[str, Any]],
    ) -> list[dict[str, Any]]:
        near = [one for one in dict.fromkeys(direct) if one in sessions]
        far = reached_from(near, sessions)
        blockers = [
            blocker(sessions[one], one in near, held.get(one, []), wanted.get(one)) for one in [*near, *far]
        ]
        return [*(self.prepared(pid) if 0 in direct else []), *blockers]

    def prepared(self, pid: int) -> list[dict[str, Any]]:
        rows = self.guard.rows(PREPARED_SQL, [pid]) or [("", None, None, [])]
        return [
            {
                "pid": 0,
                "direct": True,
                "gid": clean(gid, TEXT),
                "user": user,
                "prepared_s": None if seconds is None else round(seconds, 1),
                "held": list(held),
            }
            for gid, user, seconds, held in rows
        ]


def reached_from(near: list[int], sessions: dict[int, tuple[Any, ...]]) -> list[int]:
    """Behind those, in the order in which they are reached."""
    found = list(near)
    for pid in found:
        found.extend(one for one in sessions[pid][-1] if one in sessions and one not in found)
    return found[len(near) :]


def blocker(
    row: tuple[Any, ...], direct: bool, held: list[str], wanted: dict[str, Any] | None
) -> dict[str, Any]:
    pid, user, name, client, kind, start, transaction_start, connected_s, transaction_s, *others = row
    state, state_s, query, blocked_by = others
    hidden = query == HIDDEN
    return {
        "pid": pid,
        "direct": direct,
        "user": user and clean(user, TEXT),
        "application_name": clean(name or "", TEXT),
        "client": client,
        "backend_type": kind,
        "backend_start": start,
        "transaction_start": transaction_start,
        "connected_s": seconds(connected_s),
        "transaction_s": seconds(transaction_s),
        "state": state,
        "state_s": seconds(state_s),
        "query": "" if hidden else clean(without_literals(query or "")),
        "hidden": hidden,
        "held": sorted(held),
        "waits_for": wanted and {name: wanted[name] for name in ("mode", "locktype", "relation")},
        "blocked_by": list(dict.fromkeys(blocked_by)),
    }


def seconds(value: float | None) -> float | None:
    return None if value is None else round(max(0.0, float(value)), 1)


def as_kept(name: str) -> str:
    """As the server keeps the name of an application: 63 bytes, and nothing but ASCII."""
    text = "".join(sign if " " <= sign <= "~" else "?" for sign in name)
    return text[:NAME_BYTES]


def key_of(wait: dict[str, Any]) -> Any:
    """What makes it another wait than before."""
    blockers = [(one["pid"], one.get("gid"), one.get("state"), one["direct"]) for one in wait["blockers"]]
    return wait["pid"], wait["mode"], wait["relation"], blockers


def words(waits: list[dict[str, Any]]) -> str:
    """Who stands in the way; "" where nobody was seen."""
    direct = [one for wait in waits for one in wait["blockers"] if one["direct"]]
    return ", ".join(dict.fromkeys(words_of(one) for one in direct))


def words_of(one: dict[str, Any]) -> str:
    """`pid 4242 (psql, role shop), idle in transaction`"""
    if not one["pid"]:
        return f"the prepared transaction {one['gid']}".rstrip()
    who = ", ".join(filter(None, [one["application_name"], one["user"] and f"role {one['user']}"]))
    return ", ".join(filter(None, [f"pid {one['pid']}" + (f" ({who})" if who else ""), one["state"]]))
