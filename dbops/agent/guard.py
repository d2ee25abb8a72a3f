"""The guard: at most one changing job on a database, whichever target or opsdash it comes from.

Postgres: a session advisory lock on that database, held by a connection of its own. SQLite: an flock on a
file beside the database. Others have none, and that is said. The lock is checked every few seconds; losing it
must stop the job.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from typing import TYPE_CHECKING

from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import Error as DatabaseError

from . import cancel, databases, sqlite
from .blockers import Blockers
from .endings import Endings
from .failures import Failure, describe

if TYPE_CHECKING:
    from typing import Any, Iterator

    from .channel import Channel

# "opsd", "dash": the two keys of pg_try_advisory_lock(int, int).
KEYS = (0x6F707364, 0x64617368)
CHECK_EVERY_S = 3.0
LOOK_EVERY_S = 1.0
SUFFIX = ".opsdash-guard"
NOBODY = {"held": False, "by": None, "pid": None, "since": None}
# Nothing was read: neither held nor free may be claimed.
UNREAD = dict(NOBODY, held=None, kind="")

# A lock with two keys has objsubid 2: https://www.postgresql.org/docs/current/view-pg-locks.html
HOLDER_SQL = """
SELECT pid, pid = pg_backend_pid()
  FROM pg_locks
 WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = %s AND objid = %s
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
# A moment in microseconds: equal ones are of one transaction.
TRANSACTION_SQL = (
    "SELECT (extract(epoch FROM xact_start) * 1000000)::bigint FROM pg_stat_activity WHERE pid = %s"
)
# Apart: some servers show their locks to everybody, and their sessions not.
NAME_SQL = "SELECT application_name, backend_start FROM pg_stat_activity WHERE pid = %s"


def holder(connection: Any) -> dict[str, Any]:
    """Who holds the guard now: kind, held, by, pid, since. Where there is none: kind "none" and held None."""
    if connection.vendor == "postgresql":
        return dict(postgres_holder(connection), kind=PostgresGuard.kind)
    path = file_of(connection)
    return dict(file_holder(path), kind=FileGuard.kind) if path else {"held": None, "kind": NoGuard.kind}


def file_of(connection: Any) -> str:
    """The guard file of a SQLite file; "" where there is none."""
    real = sqlite.path(connection.settings_dict["NAME"]) if connection.vendor == "sqlite" else ""
    return real + SUFFIX if real else ""


def postgres_holder(connection: Any) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(HOLDER_SQL, KEYS)
        row = cursor.fetchone()
    if row is None:
        return NOBODY
    named = databases.allowed_rows(connection, NAME_SQL, row[:1])
    by, since = named[0] if named else (None, None)
    return {"held": True, "by": by, "pid": row[0], "since": since.isoformat() if since else None}


def file_holder(path: str) -> dict[str, Any]:
    """The file says who; only the lock says whether."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return NOBODY
    except BlockingIOError:
        return dict(NOBODY, held=True, **words_in(path))
    return NOBODY


def words_in(path: str) -> dict[str, Any]:
    """Empty in the moment between the lock and its words."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    words: dict[str, Any] = json.loads(text) if text else {}
    return words


@contextlib.contextmanager
def held(connection: Any, label: str) -> Iterator[Watch]:
    """Hold the guard of this connection's database, or raise a Failure guard_busy with who holds it."""
    guard = guard_of(connection, label)
    guard.take()
    watch = Watch(guard)
    watch.start()
    pid = os.getpid()
    try:
        yield watch
    finally:
        # A process that the target forked unwinds through here too, and has nothing to give back.
        if os.getpid() == pid:
            watch.stop()
            guard.release()


def guard_of(connection: Any, label: str) -> PostgresGuard | FileGuard | NoGuard:
    if connection.vendor == "postgresql":
        return PostgresGuard(connection.alias)
    path = file_of(connection)
    return FileGuard(path, label) if path else NoGuard()


def busy(who: dict[str, Any]) -> Failure:
    by = who["by"] or "somebody who gives no name"
    return Failure("guard_busy", f"The database is guarded by {by} (process {who['pid']}).", "person", who)


class NoGuard:
    kind = "none"

    def take(self) -> None:
        """Nothing to take."""

    def is_held(self) -> bool:
        return True

    def release(self) -> None:
        """Nothing to give back."""


class PostgresGuard:
    kind = "advisory lock"

    def __init__(self, alias: str) -> None:
        connection: Any = connections.create_connection(alias)
        connection.opsdash_guard = True
        # In a transaction that never ends nothing new would be seen of other sessions.
        connection.settings_dict = dict(connection.settings_dict, AUTOCOMMIT=True)
        self.connection = connection
        # Django's connections are not for two threads at once.
        self.mine = threading.RLock()
        # The watching thread asks over it too.
        self.connection.inc_thread_sharing()

    def take(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", KEYS)
            taken = cursor.fetchone()[0]
        if not taken:
            who = postgres_holder(self.connection)
            self.release()
            raise busy(who)

    def is_held(self) -> bool:
        return any(row[1] for row in self.rows(HOLDER_SQL, KEYS))

    def rows(self, query: str, parameters: Any = ()) -> list[Any]:
        with self.mine, self.connection.cursor() as cursor:
            cursor.execute(query, parameters)
            found: list[Any] = cursor.fetchall()
            return found

    def transaction_of(self, pid: int | None) -> int | None:
        """When the transaction of this session began; None where it has none, or the server does not say."""
        try:
            return next((row[0] for row in self.rows(TRANSACTION_SQL, [pid])), None)
        except DatabaseError:
            return None

    def doubt_about_record(self, names: list[tuple[str, str]]) -> str:
        """ "" when none of these migrations is recorded, as another session than that of the work sees it."""
        table = self.connection.ops.quote_name(MigrationRecorder.Migration._meta.db_table)
        try:
            recorded = set(self.rows("SELECT app, name FROM (t)".replace("(t)", table)))
        except DatabaseError:
            return "what is recorded could not be read"
        return "it is recorded" if recorded.intersection(map(tuple, names)) else ""

    def release(self) -> None:
        self.connection.close()


class FileGuard:
    kind = "file lock"

    def __init__(self, path: str, label: str) -> None:
        self.path = path
        self.label = label
        self.fd = -1

    def take(self) -> None:
        try:
            self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as problem:
            facts = {"rights": sqlite.lacking(self.path)}
            raise Failure(
                "guard_unavailable", f"The guard file cannot be opened: {problem}.", "server", facts
            ) from problem
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.fd)
            raise busy(file_holder(self.path)) from None
        words = {
            "by": self.label,
            "pid": os.getpid(),
            "since": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        }
        os.ftruncate(self.fd, 0)
        os.write(self.fd, json.dumps(words).encode("ascii"))

    def is_held(self) -> bool:
        """The lock stays with the open file; it guards nothing any more when another file has the name."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.fd))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """A daemon that the target forked has the open file too: closing alone would leave it the lock."""
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        os.close(self.fd)


class Watch(threading.Thread):
    """Asks every few seconds. `lost` is why the guard is gone, or ""."""

    def __init__(self, guard: PostgresGuard | FileGuard | NoGuard) -> None:
        super().__init__(daemon=True, name="opsdash-guard")
        self.guard = guard
        self.lost = ""
        self.looks: Blockers | None = None
        self._endings: Endings | None = None
        self._over = threading.Event()

    def look_for_blockers(self, channel: Channel, pids: set[int], names: list[str]) -> None:
        """From now on, every second; only Postgres can tell."""
        if isinstance(self.guard, PostgresGuard):
            self.looks = Blockers(channel, self.guard, pids, names)
            self._endings = Endings(self.looks)

    def run(self) -> None:
        checked = time.monotonic()
        while not self._over.wait(LOOK_EVERY_S):
            if time.monotonic() - checked >= CHECK_EVERY_S:
                checked = time.monotonic()
                lost = self.check()
                if lost and not self._over.is_set():
                    self.lost = lost
                    cancel.stop(("guard_lost", lost, "server"))
                    return
            if self._endings and self.looks:
                self._endings.obey()
                self.looks.look()

    def check(self) -> str:
        try:
            return "" if self.guard.is_held() else f"The {self.guard.kind} is no longer held by this job."
        except Exception as problem:
            return "The guard's connection is gone: " + describe(problem)

    def waits_within(self, pid: int, began: float, ended: float) -> list[dict[str, Any]]:
        """See Blockers.within."""
        return self.looks.within(pid, began, ended) if self.looks else []

    def forget_blockers(self) -> None:
        if self.looks:
            self.looks.seen = []

    def stop(self) -> None:
        self._over.set()
        self.join(CHECK_EVERY_S)
