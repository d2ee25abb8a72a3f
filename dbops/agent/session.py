"""What every database connection of the target's is told, and what the server confirmed.

Told on `connection_created` with SET and read back: the settings' own OPTIONS override PGOPTIONS and PGAPPNAME, and an unknown
parameter there would be fatal. Connections of reading verbs are read-only; "confirmed" means that the server said so itself.
"""

from . import cancel, redaction, sqlite

CONNECT_TIMEOUT_S = 5
CONNECTION_CHECK_MS = 2000
# https://www.postgresql.org/docs/current/runtime-config-client.html
IDLE_SESSION_TIMEOUT_SINCE = 140000
CONNECTION_CHECK_SINCE = 140000


class Session:
    """`wishes`: application_name, lock_timeout_ms, statement_timeout_ms; a missing one leaves the server's default."""

    def __init__(self, verb, arguments, channel):
        self.reads_only = verb != "perform"
        self.wishes = dict(arguments.get("session") or {})
        self.wishes.setdefault("application_name", (arguments.get("guard") or {}).get("label"))
        self.channel = channel
        self.confirmed = {}

    # Before a connection is opened

    def adapt_new_connections(self, module):
        """django.db.utils has been imported: every connection that is created from the settings goes through here."""
        create = module.ConnectionHandler.create_connection

        def create_and_adapt(handler, alias):
            connection = create(handler, alias)
            self.adapt(connection)
            return connection

        module.ConnectionHandler.create_connection = create_and_adapt

    def adapt(self, connection):
        """One process, one job: a pool of the target's would only hide why a connection fails."""
        redaction.learn(connection.settings_dict.get("PASSWORD"))
        options = {k: v for k, v in (connection.settings_dict.get("OPTIONS") or {}).items() if k != "pool"}
        connection.settings_dict = dict(connection.settings_dict, OPTIONS=options)
        get_params = connection.get_connection_params
        connection.get_connection_params = lambda: self.params(connection, get_params())

    def params(self, connection, params):
        if connection.vendor == "postgresql":
            params.setdefault("connect_timeout", int(self.wishes.get("connect_timeout_s", CONNECT_TIMEOUT_S)))
        if connection.vendor == "sqlite" and self.reads_only:
            params["database"] = sqlite.read_only_name(params["database"])
            commands = getattr(connection, "init_commands", [])
            connection.init_commands = [text for text in commands if "journal_mode" not in text.lower()]
        return params

    # When it has been opened

    def follow_connections(self, module):
        """django.db.backends.signals has been imported: our receiver is the first."""
        module.connection_created.connect(self.tell, weak=False, dispatch_uid="opsdash")

    def tell(self, connection, **_):
        if connection.vendor == "postgresql":
            self.confirmed[connection.alias] = self.tell_postgres(connection)
        elif connection.vendor == "sqlite":
            self.confirmed[connection.alias] = self.tell_sqlite(connection)
        if not getattr(connection, "opsdash_guard", False):
            cancel.follow(connection)
        if not self.reads_only:
            self.announce(connection)

    def announce(self, connection):
        purpose = "guard" if getattr(connection, "opsdash_guard", False) else "work"
        pid = backend_pid(connection)
        self.channel.event(
            "connection", alias=connection.alias, vendor=connection.vendor, backend_pid=pid, purpose=purpose
        )
        confirmed = self.confirmed.get(connection.alias, {})
        self.channel.event("session", alias=connection.alias, purpose=purpose, confirmed=confirmed)

    def tell_postgres(self, connection):
        wanted = self.wanted(connection.pg_version)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT " + ", ".join(["set_config(%s, %s, false)"] * len(wanted)), flatten(wanted)
            )
        told = dict(wanted, **self.tell_connection_check(connection))
        if not connection.get_autocommit():
            connection.connection.commit()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT " + ", ".join(["current_setting(%s)"] * (len(told) + 1)),
                [*told, "transaction_read_only"],
            )
            row = cursor.fetchone()
        if not connection.get_autocommit():
            connection.connection.rollback()
        return dict(zip([*told, "transaction_read_only"], row))

    def wanted(self, version):
        """In the order of the names; values as set_config takes them."""
        wanted = {"idle_in_transaction_session_timeout": "0"}
        if version >= IDLE_SESSION_TIMEOUT_SINCE:
            wanted["idle_session_timeout"] = "0"
        if self.reads_only:
            wanted["default_transaction_read_only"] = "on"
        if self.wishes.get("application_name"):
            wanted["application_name"] = self.wishes["application_name"]
        for name in ("lock_timeout", "statement_timeout"):
            if self.wishes.get(name + "_ms") is not None:
                wanted[name] = str(int(self.wishes[name + "_ms"]))
        return wanted

    def tell_connection_check(self, connection):
        """The server then notices within seconds that we are gone. Not every platform of a server can: it says so by an error."""
        if connection.pg_version < CONNECTION_CHECK_SINCE:
            return {}
        value = str(CONNECTION_CHECK_MS)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('client_connection_check_interval', %s, false)", [value])
        except connection.Database.Error:
            if not connection.get_autocommit():
                connection.connection.rollback()
            return {}
        return {"client_connection_check_interval": value}

    def tell_sqlite(self, connection):
        with connection.cursor() as cursor:
            if self.reads_only:
                cursor.execute("PRAGMA query_only = ON")
            cursor.execute("PRAGMA query_only")
            return {"query_only": "on" if cursor.fetchone()[0] else "off"}

    def is_read_only(self, alias):
        """True only when the server said so."""
        confirmed = self.confirmed.get(alias, {})
        return "on" in (confirmed.get("transaction_read_only"), confirmed.get("query_only"))


def flatten(pairs):
    return [word for pair in pairs.items() for word in pair]


def backend_pid(connection):
    """Of a Postgres connection; psycopg 3 and psycopg2 call it differently."""
    raw = connection.connection
    if connection.vendor != "postgresql":
        return None
    return raw.get_backend_pid() if hasattr(raw, "get_backend_pid") else raw.info.backend_pid
