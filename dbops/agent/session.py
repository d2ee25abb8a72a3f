"""What every database connection of the target's is told, and what the server confirmed.

Told on `connection_created` with SET and read back: the settings' own OPTIONS override PGOPTIONS and
PGAPPNAME, and an unknown parameter there would be fatal. Connections of reading verbs are read-only;
"confirmed" means that the server said so itself.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from . import cancel, redaction, sqlite

if TYPE_CHECKING:
    from typing import Any

    from .channel import Channel

CONNECT_TIMEOUT_S = 5
CONNECTION_CHECK, CONNECTION_CHECK_MS = "client_connection_check_interval", 2000
# How each side finds out that the network between them is gone: within a minute instead of hours.
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES
KEEPALIVES = {"idle": 30, "interval": 10, "count": 3}
# https://www.postgresql.org/docs/current/runtime-config-client.html, runtime-config-connection.html
IDLE_SESSION_TIMEOUT_SINCE = CONNECTION_CHECK_SINCE = 140000
# A process number is used again; with its start it is one session for ever. As a number of microseconds: a
# time's text depends on the session that reads it.
STARTED_SQL = """
SELECT (extract(epoch FROM backend_start) * 1000000)::bigint
  FROM pg_stat_activity
 WHERE pid = pg_backend_pid()
"""


class Session:
    """`session` in the arguments holds wishes: application_name, lock_timeout_ms, statement_timeout_ms,
    connect_timeout_s. One that is missing leaves the server's default."""

    def __init__(self, verb: str, arguments: dict[str, Any], channel: Channel) -> None:
        # What writes to the tree only reads the database.
        self.reads_only = verb != "perform" or arguments.get("operation") == "makemigrations"
        self.wishes = dict(arguments.get("session") or {})
        self.wishes.setdefault("application_name", (arguments.get("guard") or {}).get("label"))
        self.channel = channel
        # Of the connections of the work on a Postgres server.
        self.pids: set[int] = set()
        # Connections to SQLite.
        self.files: list[Any] = []

    # Before a connection is opened

    def adapt_new_connections(self, module: Any) -> None:
        """django.db.utils has been imported: every connection made from the settings goes through here."""
        create = module.ConnectionHandler.create_connection

        def create_and_adapt(handler: Any, alias: str) -> Any:
            connection = create(handler, alias)
            self.adapt(connection)
            return connection

        module.ConnectionHandler.create_connection = create_and_adapt

    def adapt(self, connection: Any) -> None:
        """Without a pool of the target's: for one job it would only hide why a connection fails."""
        settings = dict(connection.settings_dict)
        redaction.learn(settings.get("PASSWORD"))
        if isinstance(settings.get("OPTIONS"), dict):
            settings["OPTIONS"] = {k: v for k, v in settings["OPTIONS"].items() if k != "pool"}
        connection.settings_dict = settings
        get_params = connection.get_connection_params
        connection.get_connection_params = lambda: self.params(connection, get_params())

    def params(self, connection: Any, params: dict[str, Any]) -> dict[str, Any]:
        if connection.vendor == "postgresql":
            params.setdefault("connect_timeout", int(self.wishes.get("connect_timeout_s", CONNECT_TIMEOUT_S)))
            for name, value in KEEPALIVES.items():
                params.setdefault("keepalives_" + name, value)
        if connection.vendor == "sqlite" and self.reads_only:
            params["database"] = sqlite.read_only_name(params["database"])
            commands = getattr(connection, "init_commands", [])
            kept = [text for text in commands if "journal_mode" not in text.lower()]
            connection.init_commands = [sqlite.QUERY_ONLY, *kept] if kept else []
        return params

    # When it has been opened

    def follow_connections(self, module: Any) -> None:
        """django.db.backends.signals has been imported: our receiver is the first."""
        module.connection_created.connect(self.tell, weak=False, dispatch_uid="opsdash")

    def tell(self, connection: Any, **_: Any) -> None:
        confirmed: dict[str, str] = {}
        if connection.vendor == "postgresql":
            confirmed = self.tell_postgres(connection)
        elif connection.vendor == "sqlite":
            self.files.append(connection)
            confirmed = self.tell_sqlite(connection)
        is_guard = getattr(connection, "opsdash_guard", False)
        if not is_guard:
            cancel.follow(connection)
        if not self.reads_only:
            self.announce(connection, "guard" if is_guard else "work", confirmed)

    def close_files(self) -> None:
        """Reading a SQLite file in WAL mode makes files beside it, until it is closed."""
        for connection in self.files:
            # Of another thread: Django closes it there.
            with contextlib.suppress(Exception):
                connection.close()

    def announce(self, connection: Any, purpose: str, confirmed: dict[str, str]) -> None:
        about = {"alias": connection.alias, "purpose": purpose}
        pid, started = backend_pid(connection), backend_started(connection)
        if pid and purpose == "work":
            self.pids.add(pid)
        about_backend = {"vendor": connection.vendor, "backend_pid": pid, "backend_started": started}
        self.channel.event("connection", **about_backend, **about)
        self.channel.event("session", confirmed=confirmed, **about)

    def tell_postgres(self, connection: Any) -> dict[str, str]:
        """Told and read back in two statements: a connection may be far away."""
        wanted = self.wanted(connection.pg_version)
        settings = ", ".join(["set_config(%s, %s, false)"] * len(wanted))
        read_back = [*wanted, "transaction_read_only"]
        with connection.cursor() as cursor:
            cursor.execute("SELECT " + settings, [word for pair in wanted.items() for word in pair])
        keep(connection)
        taken = self.tell_where_possible(connection, self.wanted_where_possible(connection.pg_version))
        read_back.extend(name for name in taken if name == CONNECTION_CHECK)
        with connection.cursor() as cursor:
            cursor.execute("SELECT " + ", ".join(["current_setting(%s)"] * len(read_back)), read_back)
            row = cursor.fetchone()
        keep(connection)
        return dict(zip(read_back, row))

    def wanted(self, version: int) -> dict[str, str]:
        """Names and values as set_config takes them."""
        wanted = {"idle_in_transaction_session_timeout": "0"}
        if version >= IDLE_SESSION_TIMEOUT_SINCE:
            wanted["idle_session_timeout"] = "0"
        if self.reads_only:
            wanted["default_transaction_read_only"] = "on"
        if self.wishes.get("application_name"):
            wanted["application_name"] = str(self.wishes["application_name"])
        for name in ("lock_timeout", "statement_timeout"):
            if self.wishes.get(name + "_ms") is not None:
                wanted[name] = str(int(self.wishes[name + "_ms"]))
        return wanted

    def wanted_where_possible(self, version: int) -> dict[str, str]:
        """The server then notices that we, or the network to us, are gone. Not every platform of it can."""
        wanted = {"tcp_keepalives_" + name: str(value) for name, value in KEEPALIVES.items()}
        if version >= CONNECTION_CHECK_SINCE:
            wanted[CONNECTION_CHECK] = str(CONNECTION_CHECK_MS)
        return wanted

    def tell_where_possible(self, connection: Any, wanted: dict[str, str]) -> list[str]:
        """The names that it took: all at once or, where it refuses one of them, each by itself."""
        if takes(connection, wanted):
            return list(wanted)
        return [name for name, value in wanted.items() if takes(connection, {name: value})]

    def tell_sqlite(self, connection: Any) -> dict[str, str]:
        with connection.cursor() as cursor:
            if self.reads_only:
                cursor.execute(sqlite.QUERY_ONLY)
            cursor.execute("PRAGMA query_only")
            return {"query_only": "on" if cursor.fetchone()[0] else "off"}


def takes(connection: Any, wanted: dict[str, str]) -> bool:
    """Asked of the driver itself, so that the error is its own: Django's is not there to be imported yet."""
    settings = ", ".join(["set_config(%s, %s, false)"] * len(wanted))
    try:
        with connection.connection.cursor() as cursor:
            cursor.execute("SELECT " + settings, [word for pair in wanted.items() for word in pair])
    except connection.Database.Error:
        if not connection.get_autocommit():
            connection.rollback()
        return False
    keep(connection)
    return True


def is_read_only(connection: Any) -> bool:
    """True only when the server says so now: the target may have changed it since."""
    query = {"postgresql": "SHOW transaction_read_only", "sqlite": "PRAGMA query_only"}.get(connection.vendor)
    if query is None:
        return False
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0] in ("on", 1)


def keep(connection: Any) -> None:
    """A setting made in a transaction lives as long as that: with AUTOCOMMIT off it has to be committed."""
    if not connection.get_autocommit():
        connection.connection.commit()


def backend_pid(connection: Any) -> int | None:
    """Of a Postgres connection; psycopg 3 and psycopg2 call it differently."""
    if connection.vendor != "postgresql":
        return None
    raw = connection.connection
    return int(raw.get_backend_pid() if hasattr(raw, "get_backend_pid") else raw.info.backend_pid)


def backend_started(connection: Any) -> int | None:
    """When the server began it, in microseconds by its clock; None where it does not tell. Asked of the
    driver itself, as in `takes`."""
    if connection.vendor != "postgresql":
        return None
    try:
        with connection.connection.cursor() as cursor:
            cursor.execute(STARTED_SQL)
            row = cursor.fetchone()
    except connection.Database.Error:
        row = None
    if not connection.get_autocommit():
        connection.connection.rollback()
    return int(row[0]) if row and row[0] is not None else None
