"""Why a server refused: the cause that it names, or none that would have to be guessed."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DatabaseError
from django.db.migrations.exceptions import MigrationSchemaMissing
from django.db.utils import ConnectionHandler
from psycopg import sql

from dbops.agent import rights
from tests.integration.agent.conftest import Database

pytestmark = pytest.mark.django_db
WORDS = "DO $$ BEGIN RAISE EXCEPTION '{}' USING ERRCODE = '42501'; END $$"
THINGS = """
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
CREATE FUNCTION secret() RETURNS int LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION secret() FROM PUBLIC;
CREATE TABLE item (n int);
CREATE INDEX item_n ON item (n);
CREATE SCHEMA audit;
"""


@pytest.fixture
def connection(database: Database) -> Iterator[Any]:
    """As a role that may connect, use the schema public, and nothing else."""
    role = f"guest_{uuid.uuid4().hex[:8]}"
    with database.connect_as_superuser() as server:
        server.execute(THINGS)
        server.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'sesame'").format(sql.Identifier(role)))
    found = ConnectionHandler({"default": {**database.settings, "USER": role, "PASSWORD": "sesame"}})[
        "default"
    ]
    yield found
    found.close()
    with database.connect_as_superuser() as server:
        server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def refused(connection: Any, statement: str) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught, connection.cursor() as cursor:
        cursor.execute(statement)
    return caught.value


@pytest.mark.parametrize(
    ("statement", "lack"),
    [
        ("CREATE TABLE another (n int)", "create"),
        ("SELECT n FROM item", "access"),
        ("ALTER TABLE item ADD m int", "owner"),
        ("SELECT secret()", "other"),
        ("DROP INDEX item_n", "other"),
        ("CREATE TABLE audit.another (n int)", "other"),
        ("CREATE ROLE another", "other"),
        (WORDS.format("keine Berechtigung für Tabelle item"), "other"),
        (WORDS.format("keine Berechtigung für Schema public"), "create"),
        (WORDS.format("droit refusé pour le schéma public"), "create"),
        (WORDS.format("permiso denegado al esquema public"), "create"),
    ],
)
def test_a_lack_is_told_only_where_the_server_names_it(connection: Any, statement: str, lack: str) -> None:
    found = rights.denied(connection, refused(connection, statement))
    assert found
    assert (found["lack"], bool(found["statement"])) == (lack, lack != "other")
    assert found["role"].startswith("guest_")


def test_a_schema_that_is_not_there_is_no_lack_of_a_right(connection: Any) -> None:
    assert rights.denied(connection, refused(connection, "CREATE TABLE nowhere.another (n int)")) is None


def test_where_the_recorder_cannot_make_its_table_the_language_does_not_matter(connection: Any) -> None:
    with pytest.raises(MigrationSchemaMissing) as caught:
        try:
            raise refused(connection, WORDS.format("adgang nægtet"))
        except DatabaseError as problem:
            raise MigrationSchemaMissing(f"Unable to create the django_migrations table ({problem})")  # noqa: B904
    found = rights.denied(connection, caught.value)
    assert found and found["lack"] == "create"


def test_the_server_s_words_are_found_behind_those_of_the_target(connection: Any) -> None:
    with pytest.raises(RuntimeError) as caught:
        try:
            raise refused(connection, "SELECT n FROM item")
        except DatabaseError as problem:
            raise RuntimeError("no items") from problem
    found = rights.denied(connection, caught.value)
    assert found and found["object"] == "table public.item"
