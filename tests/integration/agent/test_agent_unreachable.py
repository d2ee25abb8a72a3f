"""A database that does not answer: every reason has a type, and the answer comes in time."""

import os
import socket
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from dbops.target import errors
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import inspect_default, migrate
from tests.targets.builder import Project, shop_project


def reason(tmp_path: Path, settings: dict[str, Any], **changes: Any) -> Any:
    project = shop_project(tmp_path / "shop", {"default": {**settings, **changes}})
    found = inspect_default(project.address())
    assert not found["reachable"]
    assert len(found["migrations"]["shop"]) == 3
    assert str(settings["PASSWORD"]) not in found["detail"]
    return found["reason"]


def test_nobody_listens(tmp_path: Path, database: Database) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert reason(tmp_path, database.settings, PORT=str(free.getsockname()[1])) == "refused"


def test_a_socket_that_is_not_there(tmp_path: Path, database: Database) -> None:
    assert reason(tmp_path, database.settings, HOST=str(tmp_path)) == "refused"


def test_somebody_listens_and_never_answers(tmp_path: Path, database: Database) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        port = str(silent.getsockname()[1])
        assert reason(tmp_path, database.settings, PORT=port) == "timeout"
        assert time.monotonic() - began < 12


def test_the_target_s_own_connect_timeout_is_kept(tmp_path: Path, database: Database) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        port = str(silent.getsockname()[1])
        options = {"connect_timeout": 2}
        assert reason(tmp_path, database.settings, PORT=port, OPTIONS=options) == "timeout"
        assert time.monotonic() - began < 5


def test_a_wrong_password(tmp_path: Path, database: Database) -> None:
    assert reason(tmp_path, {**database.settings, "PASSWORD": "wrong-4711"}) == "auth"


def test_a_role_that_is_not_there(tmp_path: Path, database: Database) -> None:
    assert reason(tmp_path, database.settings, USER="nobody_like_it") == "auth"


def test_a_database_that_is_not_there(tmp_path: Path, database: Database) -> None:
    assert reason(tmp_path, database.settings, NAME="nothing_like_it") == "no_such_database"


def test_a_server_without_tls(tmp_path: Path, database: Database) -> None:
    assert reason(tmp_path, database.settings, OPTIONS={"sslmode": "require"}) == "tls"


def test_a_database_that_takes_no_more_connections(tmp_path: Path, database: Database) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as owner:
        statement = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 0").format(sql.Identifier(database.name))
        owner.execute(statement)
        assert reason(tmp_path, database.settings) == "too_many_clients"


def test_a_database_that_may_not_be_connected_to(tmp_path: Path, database: Database) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as owner:
        name = sql.Identifier(database.name)
        owner.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(name))
        owner.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM CURRENT_USER").format(name))
        assert reason(tmp_path, database.settings) == "permission"


def test_a_sqlite_file_in_a_directory_that_is_not_there(tmp_path: Path) -> None:
    lite = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nowhere/at/all/db.sqlite3"}
    project = shop_project(tmp_path / "shop", {"default": lite})
    assert inspect_default(project.address())["missing"]
    failure = migrate(project.address()).failure
    assert (failure.type, failure.facts["reason"]) == ("unreachable", "file_missing")


def test_a_sqlite_file_that_is_none(shop: Project) -> None:
    shop.sqlite.write_text("this is no database, however long it is. " * 100)
    found = inspect_default(shop.address())
    assert (found["reachable"], found["reason"]) == (False, "other")
    assert "not a database" in found["detail"]


def test_a_migrate_says_the_reason_too(tmp_path: Path, database: Database) -> None:
    project = shop_project(tmp_path / "shop", {"default": {**database.settings, "NAME": "nothing_like_it"}})
    failure = migrate(project.address()).failure
    assert (failure.type, failure.fault, failure.facts["reason"]) == (
        "unreachable",
        "server",
        "no_such_database",
    )
    error = errors.from_failure("shop", failure)
    assert isinstance(error, errors.TargetUnreachable)
    assert error.reason == "no_such_database"


def test_a_table_that_may_not_be_read_is_not_an_empty_database(
    postgres_shop: Project, database: Database
) -> None:
    migrate(postgres_shop.address())
    superuser = os.environ["TEST_POSTGRES_SUPERUSER_URL"]
    with psycopg.connect(superuser, dbname=database.name, autocommit=True) as connection:
        connection.execute("ALTER TABLE django_migrations OWNER TO CURRENT_USER")
    found = inspect_default(postgres_shop.address())
    assert (found["reachable"], found["reason"]) == (False, "permission")


@pytest.mark.parametrize("alias", ["default"])
def test_the_password_is_in_no_traceback(tmp_path: Path, database: Database, alias: str) -> None:
    secret = "swordfish-4711"
    project = shop_project(tmp_path / "shop", {alias: {**database.settings, "PASSWORD": secret}})
    project.settings(f"\nimport sys\nraise RuntimeError('connecting with {secret} failed')\n")
    with pytest.raises(errors.TargetBroken) as caught:
        inspect_default(project.address(env={"SHOP_DATABASE_PASSWORD": secret}))
    assert secret not in str(caught.value) + caught.value.traceback + caught.value.output
