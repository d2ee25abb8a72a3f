"""Real interpreters, real databases: projects in tmp_path, each Postgres database made for one test."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.targets.builder import Project, make_project, shop_project

Connect = Callable[..., psycopg.Connection[Any]]


@pytest.fixture(autouse=True)
def _as_users_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With it set, a test of streaming would pass by accident."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """On SQLite, without migrations."""
    return make_project(tmp_path / "mini")


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """On SQLite, with three migrations."""
    return shop_project(tmp_path / "shop")


class Database:
    """A Postgres database of one test's own."""

    def __init__(self, url: str, name: str) -> None:
        self.server = urlsplit(url)
        self.name = name

    @property
    def settings(self) -> dict[str, Any]:
        """For DATABASES of a project."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": self.name,
            "USER": self.server.username,
            "PASSWORD": self.server.password,
            "HOST": self.server.hostname,
            "PORT": str(self.server.port or 5432),
        }

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(
            dbname=self.name,
            user=self.server.username,
            password=self.server.password,
            host=self.server.hostname,
            port=self.server.port,
            **{"autocommit": True, **options},
        )

    def connect_as_superuser(self, **options: Any) -> psycopg.Connection[Any]:
        url = os.environ["TEST_POSTGRES_SUPERUSER_URL"]
        return psycopg.connect(url, dbname=self.name, **{"autocommit": True, **options})

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(query.encode()).fetchall()

    def recorded(self) -> list[str]:
        return [
            row[0] for row in self.rows("SELECT name FROM django_migrations WHERE app = 'shop' ORDER BY id")
        ]

    def identity(self) -> str:
        databases = "pg_database WHERE datname = current_database()"
        query = f"SELECT system_identifier, oid FROM pg_control_system(), {databases}"
        return "postgres:{}:{}".format(*self.rows(query)[0])


@pytest.fixture
def database() -> Iterator[Database]:
    url = os.environ["DATABASE_URL"]
    name = f"agent_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield Database(url, name)
    # Sessions of other roles may still be ending.
    with psycopg.connect(os.environ["TEST_POSTGRES_SUPERUSER_URL"], autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def postgres_shop(tmp_path: Path, database: Database) -> Project:
    """On Postgres, with three migrations."""
    return shop_project(tmp_path / "postgres", {"default": database.settings})
