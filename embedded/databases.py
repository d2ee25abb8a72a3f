"""Roles and databases on a Postgres server, each database with a role of its own."""

from dataclasses import dataclass, field
from urllib.parse import quote

import psycopg
from psycopg import sql

Connection = psycopg.Connection[tuple[object, ...]]


@dataclass(frozen=True)
class Database:
    """A database and the role of the same name that owns it, and nothing else."""

    name: str
    password: str = field(repr=False)
    may_create_databases: bool = False

    def url(self, host: str, port: int) -> str:
        return f"postgres://{quote(self.name)}:{quote(self.password)}@{host}:{port}/{quote(self.name)}"


def missing(connection: Connection, wanted: list[Database]) -> list[Database]:
    """Those whose database does not exist yet."""
    there = {str(row[0]) for row in connection.execute("SELECT datname FROM pg_database")}
    return [database for database in wanted if database.name not in there]


def create(connection: Connection, database: Database) -> None:
    """Make the role and its database, to which no other role (but superusers) may connect."""
    name = sql.Identifier(database.name)
    _ensure_role(connection, database)
    # A role that may create roles is no member of them, and so could not give them a database.
    connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(name))
    connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))


def _ensure_role(connection: Connection, database: Database) -> None:
    name = sql.Identifier(database.name)
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [database.name]).fetchone() is None:
        connection.execute(sql.SQL("CREATE ROLE {}").format(name))
    rights = sql.SQL("CREATEDB" if database.may_create_databases else "NOCREATEDB")
    # Encrypted here, so that the server sees no password that it could log.
    verifier = connection.pgconn.encrypt_password(
        database.password.encode(), database.name.encode(), b"scram-sha-256"
    ).decode()
    connection.execute(
        sql.SQL("ALTER ROLE {} LOGIN {} PASSWORD {}").format(name, rights, sql.Literal(verifier))
    )


def may_create(connection: Connection) -> bool:
    """Whether this role can make databases that belong to roles of their own."""
    row = connection.execute(
        "SELECT rolsuper OR (rolcreatedb AND rolcreaterole) FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    return row is not None and bool(row[0])
