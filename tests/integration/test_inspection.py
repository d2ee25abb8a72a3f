"""Inspecting real targets, and what is kept of it."""

import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from dbops.inspection import due, inspect_now, inspect_once
from dbops.inspection.knowledge import migrations_by_app, report_of
from dbops.models import Inspection, Job, Target, TargetDatabase
from tests.integration.conftest import EXAMPLES, MakeTarget, default_of, make_shop
from tests.targets.builder import shop_project

pytestmark = pytest.mark.django_db


def states(target: Target) -> list[str]:
    return [status.state for status in default_of(target).found()]


def test_a_postgres_target_is_pending_with_its_facts(shop: Target, postgres_url: str) -> None:
    database = default_of(shop)
    assert states(shop) == ["pending"]
    assert database.vendor == "postgresql" and database.name == postgres_url.rpartition("/")[2]
    assert database.identity.startswith("postgres:") and database.identity.count(":") == 2
    shop.refresh_from_db()
    assert shop.django_version.startswith("5.2") and shop.python_version.startswith("3.")


def test_a_sqlite_file_that_does_not_exist_is_pending_and_is_not_made(blog: Target, tmp_path: Path) -> None:
    assert states(blog) == ["pending"]
    assert not (tmp_path / "blog.sqlite3").exists()


def test_rows_of_sqlite_that_no_other_database_would_take(make_target: MakeTarget, tmp_path: Path) -> None:
    project = shop_project(tmp_path)
    columns = "id integer PRIMARY KEY, app varchar(255), name varchar(255), applied datetime"
    with closing(sqlite3.connect(project.sqlite)) as connection, connection:
        connection.execute(f"CREATE TABLE django_migrations ({columns})")
        connection.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0001_initial', 'never'), "
            "('a' || char(0) || 'b', '0001_initial', '2024-01-01 00:00:00')"
        )
    target = make_target(working_directory=str(project.path), python=[sys.executable])
    inspect_now(target)
    report = report_of(target.inspections.get(), "default")
    assert report["applied"][0] == ["shop", "0001_initial", None]
    assert report["ghosts"] == [["a\ufffdb", "0001_initial"]]
    shop = migrations_by_app(report)["shop"]
    assert [(one.applied, one.applied_at) for one in shop] == [(True, None), (False, None), (False, None)]


def test_the_connection_is_kept_sealed_and_not_in_the_report(shop: Target, postgres_url: str) -> None:
    password = postgres_url.split(":")[2].split("@")[0]
    report = str(shop.inspections.get().report)
    database = TargetDatabase.objects.filter(target=shop).values().get()
    assert database["sealed_connection"] and password not in str(database) and password not in report


@pytest.mark.parametrize(
    ("change", "reason"),
    [("database", "no_such_database"), ("password", "auth"), ("port", "refused")],
)
def test_an_unreachable_database_says_why(
    make_target: MakeTarget, postgres_url: str, change: str, reason: str
) -> None:
    head, _, name = postgres_url.rpartition("/")
    urls = {
        "database": f"{head}/nowhere",
        "password": head.replace("@", "x@") + f"/{name}",
        "port": head.rpartition(":")[0] + f":1/{name}",
    }
    target = make_shop(make_target, urls[change])
    inspect_now(target)
    (status,) = default_of(target).found()
    assert (status.state, status.reason) == ("unreachable", reason)
    assert status.detail and status.next_step


def test_a_target_that_cannot_be_imported_is_broken_with_its_traceback(
    make_target: MakeTarget, tmp_path: Path
) -> None:
    (tmp_path / "manage.py").write_text((EXAMPLES / "blog" / "manage.py").read_text())
    (tmp_path / "blog").mkdir()
    (tmp_path / "blog" / "settings.py").write_text("import no_such_module\n")
    target = make_target(working_directory=str(tmp_path), python=[sys.executable])
    inspect_now(target)
    target.refresh_from_db()
    (status,) = target.statuses
    assert status["state"] == "broken"
    assert "no_such_module" in status["evidence"] and "Traceback" in status["evidence"]


def test_a_secret_in_a_traceback_is_masked(make_target: MakeTarget, tmp_path: Path) -> None:
    (tmp_path / "manage.py").write_text((EXAMPLES / "blog" / "manage.py").read_text())
    (tmp_path / "blog").mkdir()
    (tmp_path / "blog" / "settings.py").write_text("import os\nraise ValueError(os.environ['TOKEN'])\n")
    target = make_target(working_directory=str(tmp_path), python=[sys.executable])
    variable = target.variables.model(target=target, name="TOKEN")
    variable.keep("canary-4711", secret=True)
    variable.save()
    inspection = inspect_now(target)
    target.refresh_from_db()
    kept = str(target.statuses) + str(Inspection.objects.values().get(pk=inspection.pk))
    assert "ValueError" in kept and "canary-4711" not in kept


def test_a_target_that_breaks_keeps_its_databases_and_says_so_on_each(blog: Target) -> None:
    Target.objects.update(python=["/nowhere/python"])
    blog.refresh_from_db()
    inspect_now(blog)
    assert states(blog) == ["broken"]
    assert default_of(blog).pending_count == 5


def test_a_target_that_recovers_is_pending_again(blog: Target) -> None:
    good = blog.python
    Target.objects.update(python=["/nowhere/python"])
    inspect_now(Target.objects.get())
    Target.objects.update(python=good)
    inspect_now(Target.objects.get())
    assert states(blog) == ["pending"]
    blog.refresh_from_db()
    assert blog.statuses == []


def test_an_alias_that_left_the_settings_is_not_shown_any_more(blog: Target) -> None:
    old = blog.databases.create(alias="replica")
    inspect_now(blog)
    old.refresh_from_db()
    assert not old.in_settings and default_of(blog).in_settings


def test_an_older_report_never_replaces_a_newer_one(blog: Target, monkeypatch: Any) -> None:
    newer = timezone.now() + timedelta(minutes=5)
    Target.objects.update(inspected_at=newer)
    TargetDatabase.objects.update(inspected_at=newer, pending_count=77)
    inspect_now(blog)
    database = default_of(blog)
    assert (database.pending_count, database.inspected_at) == (77, newer)


def test_only_so_many_inspections_are_kept(blog: Target, settings: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "INSPECTIONS_KEPT": 2}
    for _ in range(3):
        inspect_now(blog)
    assert blog.inspections.count() == 2


def test_what_was_just_inspected_is_not_due(blog: Target) -> None:
    assert not due().exists()
    assert inspect_once(blog.pk) is None


def test_old_knowledge_is_due(blog: Target) -> None:
    Target.objects.update(inspected_at=timezone.now() - timedelta(hours=1))
    assert list(due()) == [blog]
    assert inspect_once(blog.pk) is not None


def test_what_a_person_asked_for_is_due_at_once(blog: Target) -> None:
    Target.objects.update(inspection_asked_at=timezone.now())
    assert list(due()) == [blog]
    inspect_once(blog.pk)
    assert not due().exists()


def test_a_target_at_work_is_left_alone(blog: Target, make_job: Any) -> None:
    Target.objects.update(inspected_at=None)
    job = make_job(default_of(blog), state="running")
    assert not due().exists()
    Job.objects.filter(pk=job.pk).update(state="failed", finished_at=timezone.now())
    assert due().exists()


@pytest.mark.django_db(transaction=True)
def test_several_workers_inspect_a_target_once(blog: Target) -> None:
    Target.objects.update(inspected_at=None)
    before, barrier = Inspection.objects.count(), threading.Barrier(4)

    def inspect(_: int) -> None:
        barrier.wait()
        try:
            inspect_once(blog.pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(inspect, range(4)))
    assert Inspection.objects.count() == before + 1


def test_the_end_of_one_inspection_does_not_free_the_target_for_another(blog: Target) -> None:
    since = timezone.now() + timedelta(seconds=5)
    Target.objects.update(inspected_at=None, inspecting_since=since)
    inspect_now(blog)
    blog.refresh_from_db()
    assert blog.inspecting_since == since
    assert inspect_once(blog.pk) is None


def test_an_inspection_that_ended_frees_the_target(blog: Target) -> None:
    Target.objects.update(inspected_at=None)
    inspect_once(blog.pk)
    blog.refresh_from_db()
    assert blog.inspecting_since is None


def test_an_inspection_whose_worker_vanished_does_not_block_for_ever(blog: Target) -> None:
    Target.objects.update(inspected_at=None, inspecting_since=timezone.now() - timedelta(hours=1))
    assert inspect_once(blog.pk) is not None
