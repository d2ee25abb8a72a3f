"""Fast refresh: what follows from the records, without starting the target; the agent is asked for the
rest."""

import os
import py_compile
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from dbops.inspection import due as inspection_due
from dbops.inspection import inspect_now, reach, refresh
from dbops.inspection.base import Alias, bases_of
from dbops.inspection.fresh import report_now
from dbops.inspection.knowledge import database_statuses, latest_done
from dbops.models import Inspection, Job, SeenMigration, Target, TargetDatabase, clock
from dbops.postgres.records import Records, records
from tests.integration.conftest import MakeTarget, default_of
from tests.integration.recording import EARLY, forget, record, settings_of, target_of
from tests.targets.builder import ADD_NAME, CREATE_ITEM, Project, shop_project

pytestmark = pytest.mark.django_db

NAMES = ["shop.0001_initial", "shop.0002_name", "shop.0003_price"]


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: Any, tmp_path: Path) -> Any:
    """(project, where its rows are)"""
    if request.param == "sqlite":
        project = shop_project(tmp_path)
        return project, project
    url = request.getfixturevalue("postgres_url")
    return shop_project(tmp_path, settings_of(url)), url


@pytest.fixture
def project(place: Any) -> Project:
    return place[0]  # type: ignore[no-any-return]


@pytest.fixture
def rows(place: Any) -> Any:
    return place[1]


@pytest.fixture
def mini(make_target: MakeTarget, project: Project, rows: Any) -> Target:
    """Inspected with its first migration applied."""
    record(rows, NAMES[:1])
    target = target_of(make_target, project)
    inspect_now(target)
    return target


def refreshed(target: Target) -> TargetDatabase:
    """Refreshed once, whether it is due or not. The target itself cannot be started meanwhile."""
    Target.objects.update(refresh_tried_at=None)
    refresh.refresh([target.pk])
    target.refresh_from_db()
    return default_of(target)


def states(database: TargetDatabase) -> list[str]:
    return [status.state for status in database.found()]


def told(database: TargetDatabase) -> dict[str, Any]:
    """What a full inspection would find now, in the keys that a refresh tells."""
    inspection = inspect_now(database.target)
    report = report_now(default_of(database.target), inspection)
    keys = ("plan", "conflicts", "ghosts", "prunable", "inconsistencies", "squashes", "missing")
    return {key: report[key] for key in keys} | {"applied": [row[:2] for row in report["applied"]]}


def shown(database: TargetDatabase) -> dict[str, Any]:
    report = report_now(database, latest_done(database.target))
    keys = ("plan", "conflicts", "ghosts", "prunable", "inconsistencies", "squashes", "missing")
    return {key: report[key] for key in keys} | {"applied": [row[:2] for row in report["applied"]]}


def test_what_holds_still_is_only_given_a_later_moment(mini: Target) -> None:
    before = default_of(mini)
    database = refreshed(mini)
    assert database.refreshed_at and before.inspected_at and database.refreshed_at > before.inspected_at
    assert mini.refreshed_at == database.refreshed_at and mini.refresh_refused == ""
    assert (database.statuses, database.fresh) == (before.statuses, {})


def migrate_by_hand(rows: Any) -> None:
    record(rows, NAMES[1:], EARLY + timedelta(days=1))


def put_in_wrong_order(rows: Any) -> None:
    forget(rows, NAMES[0])
    record(rows, [NAMES[2]])


def leave_a_ghost(rows: Any) -> None:
    record(rows, ["shop.0009_gone", "left.0001_initial"])


def forget_all(rows: Any) -> None:
    forget(rows, NAMES[0])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (migrate_by_hand, []),
        (put_in_wrong_order, ["inconsistent"]),
        (leave_a_ghost, ["ghosts", "pending"]),
        (forget_all, ["pending"]),
    ],
)
def test_it_finds_what_a_full_inspection_finds(
    mini: Target, rows: Any, change: Callable[[Any], None], found: list[str]
) -> None:
    change(rows)
    database = refreshed(mini)
    kept = [state for state in states(database) if state not in ("unmade", "noted", "checked")]
    assert kept == found
    mine, statuses = shown(database), database.statuses
    assert database.pending_count == len(mine["plan"])
    assert mine == told(database)
    assert statuses == default_of(mini).statuses


def test_it_starts_nothing_of_the_target(mini: Target, project: Project, rows: Any, monkeypatch: Any) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a program was started")

    migrate_by_hand(rows)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(os, "fork", refuse)
    assert refreshed(mini).pending_count == 0


def test_rows_that_come_back_to_what_they_were_leave_nothing_over(mini: Target, rows: Any) -> None:
    record(rows, NAMES[1:])
    assert refreshed(mini).pending_count == 0
    forget(rows, NAMES[1])
    forget(rows, NAMES[2])
    database = refreshed(mini)
    assert (database.pending_count, states(database)[0]) == (2, "pending")
    assert shown(database) == told(database)


def test_a_migration_that_was_applied_meanwhile_is_frozen_as_its_file_is(mini: Target, rows: Any) -> None:
    migrate_by_hand(rows)
    refreshed(mini)
    row = SeenMigration.objects.get(name="0002_name")
    assert row.applied and row.seen_before and row.applied_at == EARLY + timedelta(days=1)


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "UTC"])
def test_an_edit_is_still_told_where_the_target_tells_local_times(
    mini: Target, project: Project, rows: Any, zone: str
) -> None:
    """Without USE_TZ a moment has no offset; the server tells one. It is the same application still."""
    project.settings(f"USE_TZ = False\nTIME_ZONE = {zone!r}\n")
    inspect_now(mini)
    file = project.path / "shop" / "migrations" / "0001_initial.py"
    file.write_text(file.read_text().replace("null=True", "default=0"))
    inspect_now(mini)
    assert "edited" in states(default_of(mini))
    migrate_by_hand(rows)
    assert "edited" in states(refreshed(mini))
    project.settings("USE_TZ = True\n")
    inspect_now(mini)
    assert "edited" in states(default_of(mini))
    row = SeenMigration.objects.get(name="0001_initial")
    assert row.hash != row.hash_now


@pytest.mark.parametrize("how", ["its first migration", "another app", "put back with its old time"])
def test_what_a_look_at_the_known_files_would_not_show_is_noticed(
    make_target: MakeTarget, project: Project, rows: Any, how: str
) -> None:
    """Each would else be kept as "nothing to apply", or without its edit."""
    project.write("plain/__init__.py", "")
    project.write("new/__init__.py", "")
    project.settings(apps=("shop", "plain"))
    record(rows, NAMES)
    target = target_of(make_target, project)
    inspect_now(target)
    assert refreshed(target).refreshed_at and target.refresh_refused == ""
    if how == "its first migration":
        project.migration("0001_initial", CREATE_ITEM, app="plain")
    elif how == "another app":
        project.migration("0001_initial", CREATE_ITEM, app="new")
        project.settings(apps=("shop", "plain", "new"))
    else:
        file = project.path / "shop" / "migrations" / "0002_name.py"
        before = file.stat()
        file.write_text(file.read_text().replace("max_length=10", "max_length=20"))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    refreshed(target)
    assert "have changed" in target.refresh_refused and target in inspection_due()


def test_migrations_without_files_are_left_to_the_agent(
    make_target: MakeTarget, project: Project, rows: Any
) -> None:
    file = project.path / "shop" / "migrations" / "0003_price.py"
    py_compile.compile(str(file), cfile=f"{file}c")
    file.unlink()
    target = target_of(make_target, project)
    inspect_now(target)
    assert refreshed(target).refreshed_at is None
    assert "not in files that tell of a change" in target.refresh_refused


@pytest.mark.parametrize("how", ["edited", "added", "removed", "renamed package"])
def test_a_change_of_the_files_is_no_refresh_and_the_agent_is_asked(
    mini: Target, project: Project, rows: Any, how: str
) -> None:
    before = refreshed(mini)
    folder = project.path / "shop" / "migrations"
    if how == "edited":
        (folder / "0003_price.py").write_text((folder / "0003_price.py").read_text() + "#")
    elif how == "added":
        project.migration("0004_more", ADD_NAME.replace("name", "more"))
    elif how == "removed":
        (folder / "0003_price.py").unlink()
    else:
        folder.rename(project.path / "shop" / "other")
    migrate_by_hand(rows)
    database = refreshed(mini)
    assert database.refreshed_at == before.refreshed_at and database.statuses == before.statuses
    assert "files of its migrations have changed" in mini.refresh_refused
    assert mini in inspection_due()


def test_files_that_never_were_as_from_there_do_not_start_the_agent_each_time(mini: Target) -> None:
    """Seen from here another directory may lie at the path: that is no change."""
    inspection = mini.inspections.get()
    assert inspection.report
    inspection.report["packages"][0]["files"] = []
    inspection.save()
    refreshed(mini)
    assert mini.refresh_refused and mini not in inspection_due() and mini not in refresh.due()


def test_a_target_that_is_declared_otherwise_is_inspected_first(mini: Target, rows: Any) -> None:
    refreshed(mini)
    mini.variables.create(name="DATABASE_URL", plain="postgres://elsewhere/")
    migrate_by_hand(rows)
    assert refreshed(mini).pending_count == 2
    assert "declared otherwise" in mini.refresh_refused and mini in inspection_due()


def test_a_deployed_revision_is_inspected_first(mini: Target, project: Project, rows: Any) -> None:
    refreshed(mini)
    git = project.path / ".git"
    git.mkdir()
    (git / "HEAD").write_text("0" * 40)
    refreshed(mini)
    assert "another revision" in mini.refresh_refused and mini in inspection_due()


def test_a_failed_inspection_is_never_turned_green_by_a_refresh(mini: Target, rows: Any) -> None:
    Target.objects.update(python=["/nowhere/python"])
    mini.refresh_from_db()
    inspect_now(mini)
    migrate_by_hand(rows)
    assert states(refreshed(mini)) == ["broken"]
    assert "latest inspection failed" in mini.refresh_refused


def test_a_target_without_file_reach_is_left_to_the_agent(mini: Target, rows: Any) -> None:
    Target.objects.update(through_shell=True)
    mini.refresh_from_db()
    migrate_by_hand(rows)
    assert refreshed(mini).refreshed_at is None
    assert "files are not seen" in mini.refresh_refused


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_a_database_that_leads_elsewhere_from_here_is_not_believed(mini: Target) -> None:
    """localhost of the target may be another host's."""
    inspection = mini.inspections.get()
    assert inspection.report
    inspection.report["databases"][0]["identity"] = "postgres:1:1"
    inspection.save()
    assert refreshed(mini).refreshed_at is None
    assert "lead to another database" in mini.refresh_refused


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_another_role_or_schema_is_not_how_the_target_reads_it(mini: Target) -> None:
    inspection = mini.inspections.get()
    assert inspection.report
    inspection.report["databases"][0]["schema"] = "tenant"
    inspection.save()
    assert refreshed(mini).refreshed_at is None
    assert "another role or schema" in mini.refresh_refused


def test_a_database_that_went_away_keeps_its_verdict_and_age_and_the_agent_is_asked(
    mini: Target, project: Project, rows: Any
) -> None:
    before = refreshed(mini)
    if isinstance(rows, str):
        with psycopg.connect(rows.rpartition("/")[0] + "/postgres", autocommit=True) as server:
            server.execute(
                f'ALTER DATABASE "{rows.rpartition("/")[2]}" RENAME TO "{rows.rpartition("/")[2]}_x"'
            )
    else:
        project.sqlite.write_text("this is no database, and as long as its header is")
    database = refreshed(mini)
    assert (database.statuses, database.refreshed_at) == (before.statuses, before.refreshed_at)
    assert mini in inspection_due()
    if isinstance(rows, str):
        with psycopg.connect(rows.rpartition("/")[0] + "/postgres", autocommit=True) as server:
            server.execute(
                f'ALTER DATABASE "{rows.rpartition("/")[2]}_x" RENAME TO "{rows.rpartition("/")[2]}"'
            )


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_a_database_that_was_made_anew_is_inspected_at_once(mini: Target, rows: str) -> None:
    """Another lies behind the same settings now: what was found before is no truth about it."""
    refreshed(mini)
    server, _, name = rows.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{name}"')
        admin.execute(f'CREATE DATABASE "{name}"')
    refreshed(mini)
    assert "another database" in mini.refresh_refused and mini in inspection_due()


def test_a_standby_is_not_believed(mini: Target) -> None:
    """It is the same database by its identity, as it was some time ago."""
    alias = Alias("postgresql", "postgres:1:2", "shop", "public", "")
    told = Records("postgres:1:2", True, "shop", "public", [], in_recovery=True)
    assert isinstance(found := reach.judged(told, alias), reach.Refused) and found.changed
    assert isinstance(reach.judged(replace(told, in_recovery=False), alias), reach.Read)


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_what_leads_to_one_database_alike_is_read_by_one_session(
    mini: Target, rows: str, monkeypatch: Any
) -> None:
    asked, reading = [], records

    async def counted(*given: Any) -> Any:
        asked.append(given)
        return await reading(*given)

    monkeypatch.setattr(reach, "records", counted)
    base = bases_of([mini.pk])[mini.pk]
    same = [reach.Question(default_of(mini), base.aliases["default"]) for _ in range(3)]
    other = reach.Question(default_of(mini), replace(base.aliases["default"], schema="tenant"))
    reach.read_all([*same, other])
    assert [isinstance(one.answer, reach.Read) for one in [*same, other]] == [True, True, True, False]
    assert len(asked) == 1


def test_a_sqlite_file_is_neither_made_nor_changed(make_target: MakeTarget, tmp_path: Path) -> None:
    project = shop_project(tmp_path)
    target = target_of(make_target, project)
    inspect_now(target)
    database = refreshed(target)
    assert states(database)[0] == "pending" and database.refreshed_at and not project.sqlite.exists()
    record(project, NAMES)
    before = project.sqlite.read_bytes(), project.sqlite.stat().st_mtime_ns
    database = refreshed(target)
    assert database.pending_count == 0 and "does not exist" not in str(database.statuses)
    assert (project.sqlite.read_bytes(), project.sqlite.stat().st_mtime_ns) == before


def test_nothing_is_left_beside_a_sqlite_file_in_wal_mode(make_target: MakeTarget, tmp_path: Path) -> None:
    """Reading it makes two files there."""
    project = shop_project(tmp_path)
    record(project, NAMES[:1])
    with closing(sqlite3.connect(project.sqlite)) as file:
        file.execute("PRAGMA journal_mode = WAL")
    before = sorted(project.path.iterdir()), project.sqlite.read_bytes(), project.sqlite.stat().st_mtime_ns
    target = target_of(make_target, project)
    inspect_now(target)
    assert refreshed(target).refreshed_at and default_of(target).applied_count == 1
    after = sorted(project.path.iterdir()), project.sqlite.read_bytes(), project.sqlite.stat().st_mtime_ns
    assert before == after
    with closing(sqlite3.connect(project.sqlite)) as file:
        file.execute("BEGIN IMMEDIATE")
        inspect_now(target)
        assert refreshed(target).refreshed_at and default_of(target).pending_count == 2


def test_pending_ones_that_are_new_have_the_agent_tell_what_they_do(mini: Target, rows: Any) -> None:
    forget_all(rows)
    assert refreshed(mini).pending_count == 3
    assert mini in inspection_due()


def test_where_it_works_the_agent_is_started_less_often(mini: Target, settings: Any) -> None:
    refreshed(mini)
    long_ago = clock.now() - timedelta(seconds=settings.DBOPS["INSPECTION_INTERVAL_S"] + 5)
    Target.objects.update(inspected_at=long_ago)
    assert mini not in inspection_due()
    Target.objects.update(refreshed_at=long_ago)
    assert mini in inspection_due(), "it does not work any more"
    Target.objects.update(refreshed_at=None)
    assert mini in inspection_due(), "it never did"
    full = clock.now() - timedelta(seconds=settings.DBOPS["FULL_INSPECTION_INTERVAL_S"] + 5)
    Target.objects.update(refreshed_at=clock.now(), inspected_at=full)
    assert mini in inspection_due()


def test_what_is_refreshed_and_what_is_older_is_said(mini: Target, settings: Any) -> None:
    refreshed(mini)
    old = clock.now() - timedelta(seconds=settings.DBOPS["STALE_AFTER_S"] + 5)
    TargetDatabase.objects.update(inspected_at=old)
    (first, *_) = database_statuses(default_of(mini))
    assert first.state == "unknown" and "models without a migration" in first.detail
    TargetDatabase.objects.update(refreshed_at=old)
    (first, *_) = database_statuses(default_of(mini))
    assert first.state == "unknown" and "Last inspected" in first.detail


def test_a_refresh_never_replaces_a_later_inspection(mini: Target, rows: Any, monkeypatch: Any) -> None:
    reading = reach.read_all

    def slow(questions: Any) -> None:
        reading(questions)
        inspect_now(mini)

    forget_all(rows)
    monkeypatch.setattr(refresh, "read_all", slow)
    database = refreshed(mini)
    assert database.refreshed_at is None and database.fresh == {}


def test_one_that_was_claimed_is_not_refreshed_again_at_once(mini: Target) -> None:
    refresh.refresh([mini.pk])
    first = default_of(mini).refreshed_at
    refresh.refresh([mini.pk])
    assert first and default_of(mini).refreshed_at == first


def test_a_target_with_an_active_job_is_left_alone(mini: Target, make_job: Callable[..., Job]) -> None:
    Target.objects.update(refresh_tried_at=None)
    assert mini in refresh.due()
    make_job(default_of(mini))
    assert mini not in refresh.due()


def test_many_take_as_many_questions_as_few(make_target: MakeTarget, tmp_path: Path) -> None:
    counts = []
    for number in (2, 12):
        Target.objects.all().delete()
        for place in range(number):
            project = shop_project(tmp_path / f"{number}-{place}")
            target = target_of(make_target, project, f"mini{place}")
            if place == 0:
                inspect_now(target)
                first = target.inspections.get()
            else:
                copy_of(first, target)
        clock.measure()
        with CaptureQueriesContext(connection) as asked:
            refresh.refresh(list(Target.objects.values_list("pk", flat=True)))
        assert Target.objects.filter(refreshed_at__gt=F("inspected_at")).count() == number
        counts.append(len(asked))
    assert counts[0] == counts[1]


def copy_of(inspection: Inspection, target: Target) -> None:
    """As if this target, which has the same files, had been inspected."""
    source = inspection.target
    database = default_of(source)
    target.working_directory = source.working_directory
    target.inspected_at = inspection.started_at
    target.save()
    database.pk, database.target = None, target
    database._state.adding = True
    database.save()
    Inspection.objects.create(
        target=target,
        outcome="done",
        started_at=inspection.started_at,
        finished_at=inspection.finished_at,
        report=inspection.report,
    )
