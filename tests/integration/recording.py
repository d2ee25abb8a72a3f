"""A miniature project on a real database, and what is recorded there, written by hand."""

import sqlite3
import sys
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import psycopg

from dbops.models import Target
from tests.integration.conftest import MakeTarget
from tests.targets.builder import Project

TABLE = (
    "CREATE TABLE IF NOT EXISTS django_migrations "
    "({id}, app varchar(255) NOT NULL, name varchar(255) NOT NULL, applied {moment} NOT NULL)"
)
EARLY = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def settings_of(url: str) -> dict[str, Any]:
    """DATABASES of a project on this server."""
    parts = urlsplit(url)
    return {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": parts.path[1:],
            "USER": parts.username,
            "PASSWORD": parts.password,
            "HOST": parts.hostname,
            "PORT": str(parts.port),
        }
    }


def target_of(make_target: MakeTarget, project: Project, name: str = "mini") -> Target:
    return make_target(name, working_directory=str(project.path), python=[sys.executable])


def record(place: Any, names: Iterable[str], moment: datetime = EARLY) -> None:
    """`place`: a URL of Postgres or a Project on SQLite. Names as app.name."""
    rows = [(*name.split(".", 1), moment) for name in names]
    if isinstance(place, str):
        with psycopg.connect(place, autocommit=True) as connection:
            connection.execute(TABLE.format(id="id serial PRIMARY KEY", moment="timestamptz"))
            with connection.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", rows
                )
        return
    with closing(sqlite3.connect(place.sqlite)) as file, file:
        file.execute(TABLE.format(id="id integer PRIMARY KEY", moment="datetime"))
        told = [(app, name, f"{at:%Y-%m-%d %H:%M:%S}") for app, name, at in rows]
        file.executemany("INSERT INTO django_migrations (app, name, applied) VALUES (?, ?, ?)", told)


def forget(place: Any, name: str) -> None:
    app, migration = name.split(".", 1)
    if isinstance(place, str):
        with psycopg.connect(place, autocommit=True) as connection:
            connection.execute("DELETE FROM django_migrations WHERE app = %s AND name = %s", [app, migration])
        return
    with closing(sqlite3.connect(place.sqlite)) as file, file:
        file.execute("DELETE FROM django_migrations WHERE app = ? AND name = ?", [app, migration])
