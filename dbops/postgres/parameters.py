"""How a target connects (its Django settings) -> how we would: libpq's parameters. Pure, no I/O.

What the target's settings do not say is not taken from the worker's own surroundings: libpq would read
PGPASSWORD and the like, and the worker's password file, and so hand opsdash's secrets to a target's server.
"""

import os
from collections.abc import Mapping
from typing import Any

from psycopg.pq import Conninfo

# setting in Django -> parameter of libpq
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
BASICS = {"user": "user", "password": "password", "host": "host", "port": "port", "name": "dbname"}
# Ours to say, or never wanted.
OURS = {"application_name", "fallback_application_name", "connect_timeout", "client_encoding", "replication"}
APPLICATION_NAME = "opsdash probe"
CONNECT_TIMEOUT_S = 2
# No file can have this path; libpq passes over a password file that is not there without a word.
NO_FILE = "/dev/null/none"


class Parameters(dict[str, str]):
    """Keyword arguments for psycopg.connect. Its repr shows none of the secrets."""

    def __repr__(self) -> str:
        shown = {name: "..." if name in SECRET else value for name, value in self.items()}
        return f"Parameters({shown})"

    @property
    def secrets(self) -> list[str]:
        return [value for name, value in self.items() if name in SECRET]


def parameters(connection: Mapping[str, Any]) -> Parameters:
    """`connection` as the agent reports it: engine, name, user, password, host, port as texts, and options.

    What libpq does not know stays out (pool, isolation_level, server_side_binding, assume_role ...).
    """
    given = {**_options(connection.get("options") or {}), **_basics(connection)}
    if "service" not in given:
        given = {**_without_our_environment(), "passfile": NO_FILE, "password": "", **given}
        # Django: without a name it is the server's own database.
        given.setdefault("dbname", "postgres")
    # A database of no encoding (SQL_ASCII) would answer in bytes.
    ours = {
        "application_name": APPLICATION_NAME,
        "connect_timeout": str(CONNECT_TIMEOUT_S),
        "client_encoding": "UTF8",
    }
    return Parameters({**given, **ours})


def _basics(connection: Mapping[str, Any]) -> dict[str, str]:
    values = {name: str(connection.get(setting) or "") for setting, name in BASICS.items()}
    return {name: value for name, value in values.items() if value}


def _options(options: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: str(value)
        for name, value in options.items()
        if name in KNOWN - OURS and isinstance(value, str | int | float)
    }


def _without_our_environment() -> dict[str, str]:
    """libpq's compiled value of each parameter that our own environment sets."""
    return {
        name: compiled
        for name, (variable, compiled) in KNOWN_VARIABLES.items()
        if variable in os.environ and name not in {"user", "service", *OURS}
    }


_DEFAULTS = Conninfo.get_defaults()
KNOWN = {option.keyword.decode() for option in _DEFAULTS}
# libpq marks what a form should not show.
SECRET = {option.keyword.decode() for option in _DEFAULTS if option.dispchar == b"*"}
KNOWN_VARIABLES = {
    option.keyword.decode(): (option.envvar.decode(), (option.compiled or b"").decode())
    for option in _DEFAULTS
    if option.envvar
}
