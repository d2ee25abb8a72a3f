"""Why a connection to Postgres fails, typed.

psycopg's connection errors carry no SQLSTATE, only libpq's and the server's words. The server's are known in
English; in another language the reason is `other` and the raw text is shown.
"""

from dataclasses import dataclass

# Reason, words that tell it, in the order in which they are looked for.
# Source: libpq fe-connect.c, postmaster.c, postinit.c and auth.c of PostgreSQL 15 to 18.
WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("starting_up", ("the database system is starting up", "not yet accepting connections")),
    ("starting_up", ("the database system is shutting down", "in recovery mode")),
    ("starting_up", ("terminating connection due to administrator command",)),
    ("too_many_clients", ("too many clients", "remaining connection slots", "too many connections")),
    ("auth", ("password authentication failed", "no password supplied", "no pg_hba.conf entry")),
    ("auth", ("authentication failed for user", 'role "')),
    ("permission", ("permission denied for database",)),
    ("no_such_database", ('database "',)),
    ("tls", ("ssl", "certificate verify failed")),
    ("timeout", ("timeout expired", "timed out")),
    ("refused", ("connection refused", "no such file or directory", "could not translate host name")),
    ("refused", ("name or service not known", "failed to resolve host", "no route to host", "unreachable")),
    ("refused", ("server closed the connection unexpectedly",)),
)
# Waiting does not change these: a person has to.
WILL_NOT_HEAL = frozenset({"auth", "no_such_database", "tls", "driver_missing", "own_database", "permission"})


@dataclass(frozen=True)
class Unreachable:
    """`reason` as in the typed status; `detail` in the server's words, without any password."""

    reason: str
    detail: str

    @property
    def heals(self) -> bool:
        return self.reason not in WILL_NOT_HEAL


def classify(message: str) -> Unreachable:
    """The words of a failed connection -> a typed reason."""
    lowered = message.lower()
    for reason, words in WORDS:
        if any(word in lowered for word in words):
            return Unreachable(reason, first_line(message))
    return Unreachable("other", first_line(message))


def first_line(message: str) -> str:
    return next((line.strip() for line in message.splitlines() if line.strip()), "no words")
