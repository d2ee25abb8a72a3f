"""A disk has no room: the target's or opsdash's own. What is recorded is told as it is."""

import os
import sys
import uuid
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.contrib.auth.models import User
from django.test import Client

from dbops import launch
from dbops.execute import execute
from dbops.inspection import inspect_now
from dbops.models import Job, Target
from tests.integration.conftest import ALICE, MakeTarget, default_of, make_shop
from tests.integration.disks import SUPERUSER, Disk, fill, own_table_on, tablespace
from tests.targets.builder import CREATE_ITEM, make_project

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk"),
]
FILL = """
from django.db import connection
connection.cursor().execute("CREATE TABLE filler (t text)")
for _ in range(100):
    connection.cursor().execute("INSERT INTO filler VALUES (%s)", [os.urandom(100_000).hex()])
"""


def run(target: Target, **arguments: str) -> Job:
    job = launch.start(default_of(target), "migrate", arguments, ALICE, key=uuid.uuid4()).job
    execute(job.pk, "worker")
    job.refresh_from_db()
    return job


def test_the_disk_of_a_sqlite_database_is_full(
    make_target: MakeTarget, small_disk: Disk, tmp_path: Path
) -> None:
    disk = small_disk(2)
    project = make_project(tmp_path)
    project.databases["default"]["NAME"] = str(disk / "db.sqlite3")
    project.settings()
    project.migration("0001_initial", CREATE_ITEM)
    project.python("0002_fill", FILL)
    project.migration("0003_never", 'migrations.RunSQL("CREATE TABLE never (n int)")')
    target = make_target("lite", working_directory=str(tmp_path), python=[sys.executable])
    inspect_now(target)
    job = run(target)
    assert (job.state, job.error_type) == ("failed", "TargetFailed")
    assert "database or disk is full" in job.outcome
    assert "Make room on the disk of the database" in job.outcome
    assert job.facts["recorded"] == [["shop", "0001_initial"]]
    assert "Recorded in the database by now: shop.0001_initial; 2 still to apply." in job.outcome
    fill(disk)
    again = run(target)
    assert again.state == "failed" and "disk" in again.outcome, again.outcome
    assert again.facts["recorded"] == []
    (disk / "filler").unlink()
    assert "2 to apply" in default_of(target).found()[0].detail
    assert not list(disk.glob("*-journal"))


def test_the_disk_of_a_postgres_target_is_full(make_target: MakeTarget, small_disk: Disk) -> None:
    with tablespace(small_disk(16)) as space:
        own = urlsplit(os.environ["DATABASE_URL"])
        name = f"target_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(SUPERUSER, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {name} OWNER {own.username} TABLESPACE {space}")
        target = make_shop(make_target, own._replace(path=f"/{name}").geturl())
        inspect_now(target)
        fill(small_place(space))
        job = run(target)
        with psycopg.connect(SUPERUSER, autocommit=True) as server:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert (job.state, job.error_type) == ("failed", "TargetFailed")
    assert "No space left on device" in job.outcome
    assert "Make room on the disk of the database" in job.outcome
    assert "No migration was recorded by this job" in job.outcome
    assert "No session of this job is left on the server." in job.outcome


def small_place(space: str) -> Path:
    with psycopg.connect(SUPERUSER) as server:
        row = server.execute(
            "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = %s", [space]
        ).fetchone()
    assert row
    return Path(row[0])


def test_an_act_that_our_full_disk_refuses_is_said_to_be_not_done(
    people: dict[str, User], make_target: MakeTarget, small_disk: Disk
) -> None:
    make_target("shop")
    client: Any = Client(raise_request_exception=False)
    client.force_login(people["operator"])
    with own_table_on(small_disk(1), "dbops_auditevent") as disk:
        fill(disk)
        answer = client.post("/targets/shop/inspections/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    page = unescape(answer.content.decode())
    assert "opsdash's own database has no room left" in page and "What you sent was probably not done" in page
    assert Target.objects.get().inspection_asked_at is None
