"""The guard: at most one changing job on a database, whichever target or opsdash it comes from.

Postgres: a session advisory lock on that database, held by a connection of its own. SQLite: an flock on a file beside the database.
Other databases have none, and that is said. The lock is checked every few seconds; losing it must stop the job.
"""

import contextlib
import fcntl
import json
import os
import threading
import time

from django.db import connections

from . import cancel, sqlite
from .failures import Failure, describe

# "opsd", "dash": the two keys of pg_try_advisory_lock(int, int).
KEYS = (0x6F707364, 0x64617368)
CHECK_EVERY_S = 3.0
SUFFIX = ".opsdash-guard"

# An advisory lock with two keys has objsubid 2: https://www.postgresql.org/docs/current/view-pg-locks.html
HOLDER_SQL = """
SELECT l.pid, a.application_name, a.backend_start, l.pid = pg_backend_pid()
  FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = %s AND l.objid = %s
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def holder(connection):
    """Who holds the guard now: {"held", "by", "pid", "since"}."""
    if connection.vendor == "postgresql":
        return postgres_holder(connection)
    real = sqlite.path(connection.settings_dict["NAME"]) if connection.vendor == "sqlite" else ""
    return file_holder(real + SUFFIX) if real else nobody()


def nobody():
    return {"held": False, "by": None, "pid": None, "since": None}


def postgres_holder(connection):
    with connection.cursor() as cursor:
        cursor.execute(HOLDER_SQL, KEYS)
        row = cursor.fetchone()
    if row is None:
        return nobody()
    return {"held": True, "by": row[1], "pid": row[0], "since": row[2].isoformat() if row[2] else None}


def file_holder(path):
    """The file says who; only the lock says whether."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return nobody()
    except BlockingIOError:
        return dict(nobody(), held=True, **words_in(path))
    return nobody()


def words_in(path):
    with open(path, encoding="utf-8") as file, contextlib.suppress(ValueError):
        return json.load(file)
    return {}


@contextlib.contextmanager
def held(connection, label):
    """Hold the guard of this connection's database. Yields a guard, or raises Failure guard_busy with who holds it."""
    guard = make(connection, label)
    guard.take()
    watch = Watch(guard)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()
        guard.release()


def make(connection, label):
    if connection.vendor == "postgresql":
        return PostgresGuard(connection.alias)
    real = sqlite.path(connection.settings_dict["NAME"]) if connection.vendor == "sqlite" else ""
    return FileGuard(real + SUFFIX, label) if real else NoGuard(connection.vendor)


def busy(who):
    by = who["by"] or "somebody whose name the server does not show"
    return Failure(
        "guard_busy", "The database is guarded by %s (process %s)." % (by, who["pid"]), "person", who
    )


class NoGuard:
    kind = "none"

    def __init__(self, vendor):
        self.vendor = vendor

    def take(self):
        return

    def is_held(self):
        return True

    def release(self):
        return


class PostgresGuard:
    kind = "advisory lock"

    def __init__(self, alias):
        self.connection = connections.create_connection(alias)
        self.connection.opsdash_guard = True
        # The watching thread asks over it too.
        self.connection.inc_thread_sharing()

    def take(self):
        with self.connection.cursor() as cursor:
            # A busy job must not lose its guard to a limit that is meant for its statements.
            cursor.execute("SELECT set_config('statement_timeout', '0', false)")
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", KEYS)
            taken = cursor.fetchone()[0]
        if not taken:
            who = postgres_holder(self.connection)
            self.release()
            raise busy(who)

    def is_held(self):
        with self.connection.cursor() as cursor:
            cursor.execute(HOLDER_SQL, KEYS)
            return any(row[3] for row in cursor.fetchall())

    def release(self):
        self.connection.close()


class FileGuard:
    kind = "file lock"

    def __init__(self, path, label):
        self.path = path
        self.label = label

    def take(self):
        try:
            self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as problem:
            raise Failure(
                "guard_unavailable", "The guard file cannot be opened: %s." % problem, "server"
            ) from problem
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.fd)
            raise busy(file_holder(self.path)) from None
        words = {"by": self.label, "pid": os.getpid(), "since": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        os.ftruncate(self.fd, 0)
        os.write(self.fd, json.dumps(words).encode("ascii"))

    def is_held(self):
        """The lock stays with the open file; it guards nothing when another file has the name."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.fd))
        except FileNotFoundError:
            return False

    def release(self):
        os.close(self.fd)


class Watch(threading.Thread):
    """Asks every few seconds; `lost` is why the guard is gone, or ""."""

    def __init__(self, guard):
        super().__init__(daemon=True, name="opsdash-guard")
        self.guard = guard
        self.lost = ""
        self._over = threading.Event()

    def run(self):
        while not self._over.wait(CHECK_EVERY_S):
            self.lost = self.check()
            if self.lost and not self._over.is_set():
                cancel.stop()
                return

    def check(self):
        try:
            return "" if self.guard.is_held() else "The server no longer shows the lock as held by this job."
        except Exception as problem:
            return "The guard's connection is gone: " + describe(problem)

    def stop(self):
        self._over.set()
        self.join(CHECK_EVERY_S)
