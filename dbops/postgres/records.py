"""What is recorded in django_migrations, read by ourselves: one short connection, read-only, within a
budget."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import AsyncConnection

from dbops.postgres.answering import CONNECT_S, SILENCE_S, connect, hung_up_after
from dbops.postgres.identity import written
from dbops.postgres.parameters import Parameters
from dbops.postgres.readiness import Unreachable, classify, first_line

# As the target's own session has it: its role's search_path decides which table is meant.
FACTS = """
SELECT system_identifier::text, (SELECT oid::text FROM pg_database WHERE datname = current_database()),
       current_setting('transaction_read_only') = 'on', current_user::text, current_schema()::text,
       to_regclass('django_migrations') IS NOT NULL, pg_is_in_recovery()
  FROM pg_control_system()
"""
# Where a migration holds the table, who asks the agent waits as long as that does.
BEGIN = "BEGIN READ ONLY; SET LOCAL statement_timeout = '1s'; SET LOCAL lock_timeout = '500ms';"
ROWS = "SELECT app::text, name::text, applied FROM django_migrations ORDER BY id"


@dataclass(frozen=True)
class Records:
    """`rows` in their order, [] without a table; None where it is another database than the one expected: of
    that nothing is read."""

    identity: str
    read_only: bool
    user: str
    schema: str
    rows: list[tuple[str, str, datetime]] | None
    # A standby: what it tells may be of some time ago.
    in_recovery: bool = False


async def records(parameters: Parameters, expected: str) -> Records | Unreachable:
    """One try at the database that the target calls `expected`; nothing is raised. Reasons beside those of
    readiness: `settings`, libpq cannot use the parameters; `identity`, the server does not tell it."""
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
        return await _read(connection, expected)
    except (TimeoutError, psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
        return Unreachable("timeout", "It took the connection and gave no answer in time.")
    except psycopg.errors.InsufficientPrivilege as error:
        return Unreachable("identity", first_line(str(error)))
    except psycopg.Error as error:
        return classify(str(error))
    finally:
        await connection.close()


async def _read(connection: AsyncConnection, expected: str) -> Records:
    """In two round trips: a session costs more than what is asked in it."""
    await connection.set_autocommit(True)
    with hung_up_after(SILENCE_S, connection):
        facts = await connection.execute((BEGIN + FACTS).encode())
        while facts.nextset():
            pass
        told = await facts.fetchone()
        assert told is not None
        system, oid, read_only, user, schema, has_table, in_recovery = told
        identity, rows = written(str(system), str(oid)), None
        # Left in a transaction, a pooler would throw its connection away.
        if identity == expected and read_only and has_table:
            rows = await (await connection.execute(f"{ROWS}; ROLLBACK".encode())).fetchall()
        else:
            await connection.execute(b"ROLLBACK")
    found: list[tuple[str, str, datetime]] | None = None
    if identity == expected and read_only:
        found = [(app, name, applied) for app, name, applied in rows or []]
    return Records(identity, bool(read_only), str(user), str(schema or ""), found, bool(in_recovery))
