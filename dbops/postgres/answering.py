"""Does a server answer, and which database is it? One connection of its own, read-only, within a budget."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection

from dbops.postgres.identity import IDENTITY, written
from dbops.postgres.parameters import Parameters
from dbops.postgres.readiness import Unreachable, classify, first_line

# A host name may stand for several addresses, each with libpq's own connect_timeout.
CONNECT_S = 3.0
STATEMENT_S = 1.0
# A stopped server does not obey its own statement_timeout.
SILENCE_S = 1.5
# https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-RECOVERY-INFO
SERVER = "SELECT current_setting('server_version'), pg_is_in_recovery()"
# SET LOCAL: through a pooler the session is not ours to change.
# https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-STATEMENT-TIMEOUT
LIMIT = f"SET LOCAL statement_timeout = '{STATEMENT_S:g}s'"


@dataclass(frozen=True)
class Answer:
    """`identity` is "" where the server does not tell it; the latency: connecting and one SELECT."""

    identity: str
    server_version: str
    in_recovery: bool
    latency_ms: int


async def ask(parameters: Parameters) -> Answer | Unreachable:
    """One try. `settings` as the reason: libpq cannot use the parameters, so nothing was tried."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(CONNECT_S):
            connection = await connect(parameters)
    except TimeoutError:
        return Unreachable("timeout", f"No connection within {CONNECT_S:g} s.")
    except (psycopg.ProgrammingError, ValueError) as error:
        return Unreachable("settings", first_line(str(error)))
    except psycopg.Error as error:
        return classify(str(error))
    try:
        return await _read(connection, began)
    except (TimeoutError, psycopg.errors.QueryCanceled):
        return Unreachable("timeout", "It took the connection and gave no answer in time.")
    except psycopg.Error as error:
        return classify(str(error))
    finally:
        await connection.close()


async def connect(parameters: Parameters) -> AsyncConnection:
    arguments: dict[str, Any] = dict(parameters)
    return await AsyncConnection.connect(**arguments, prepare_threshold=None)


async def _read(connection: AsyncConnection, began: float) -> Answer:
    await connection.set_read_only(True)
    with hung_up_after(SILENCE_S, connection):
        await connection.execute(LIMIT)
        version, in_recovery = await row(connection, SERVER)
        latency_ms = round(1000 * (time.monotonic() - began))
        identity = await identity_of(connection)
        # Left in a transaction, a pooler would throw its connection away.
        await connection.rollback()
    return Answer(identity, str(version), bool(in_recovery), latency_ms)


async def identity_of(connection: AsyncConnection) -> str:
    try:
        system, oid = await row(connection, IDENTITY)
    except psycopg.errors.InsufficientPrivilege:
        return ""
    return written(str(system), str(oid))


async def row(connection: AsyncConnection, query: str) -> tuple[object, ...]:
    row = await (await connection.execute(query.encode())).fetchone()
    assert row is not None
    return row


@contextlib.contextmanager
def hung_up_after(seconds: float, connection: AsyncConnection) -> Iterator[None]:
    """Cut the connection when the time is over, and raise TimeoutError then.

    Cancelling the task instead would have psycopg ask the silent server to cancel, for many seconds.
    """
    line = socket.socket(fileno=os.dup(connection.fileno()))
    alarm = asyncio.get_running_loop().call_later(seconds, _hang_up, line)
    over = asyncio.get_running_loop().time() + seconds
    try:
        yield
    except psycopg.OperationalError:
        if asyncio.get_running_loop().time() >= over:
            raise TimeoutError from None
        raise
    finally:
        alarm.cancel()
        line.close()


def _hang_up(line: socket.socket) -> None:
    # It may have gone by itself in this very moment.
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
