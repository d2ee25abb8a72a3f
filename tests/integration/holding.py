"""Holding things that a job needs, as somebody else would."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from django.db import connection

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


@contextmanager
def own_database_away(name: str = "") -> Iterator[None]:
    """Nobody can connect to opsdash's own database (the test's, unless named); who was is cut off."""
    name = name or connection.settings_dict["NAME"]
    connection.close()
    server = urlsplit(os.environ["DATABASE_URL"])._replace(path="/postgres").geturl()
    with psycopg.connect(server, autocommit=True) as elsewhere:
        elsewhere.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
        elsewhere.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            yield
        finally:
            elsewhere.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')


@contextmanager
def own_database_read_only() -> Iterator[None]:
    """As a server that protects a disk that is nearly full: who is connected is cut off, then only reads."""
    name = connection.settings_dict["NAME"]
    connection.close()
    server = urlsplit(os.environ["DATABASE_URL"])._replace(path="/postgres").geturl()
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(server, autocommit=True) as elsewhere:
        elsewhere.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        elsewhere.execute(cut, [name])
        try:
            yield
        finally:
            elsewhere.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
            connection.close()
            elsewhere.execute(cut, [name])
