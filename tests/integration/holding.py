"""Holding things that a job needs, as somebody else would."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from dbops.agent.guard import KEYS


@contextmanager
def held_guard(url: str, by: str) -> Iterator[None]:
    """The guard of a database, held by another session."""
    with psycopg.connect(url, application_name=by, autocommit=True) as connection:
        row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", KEYS).fetchone()
        assert row == (True,)
        yield


@contextmanager
def held_table(url: str, table: str) -> Iterator[psycopg.Connection]:
    """A table locked by a session that is idle in its transaction."""
    with psycopg.connect(url, application_name="somebody") as connection:
        connection.execute(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE')
        yield connection
        connection.rollback()
