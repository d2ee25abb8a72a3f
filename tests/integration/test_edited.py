"""The archive of sources: what a migration's file was when it was applied, and what became of it since."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from dbops.inspection import inspect_now
from dbops.inspection.sources import (
    KEPT_FOR,
    keep_seen,
    keep_sources,
    known_sources,
    sighting,
    texts_of,
    thin,
)
from dbops.models import MigrationSource, SeenMigration, Target, clock
from dbops.models.status import Status
from tests.integration.conftest import MakeDatabase, MakeTarget, default_of
from tests.integration.recording import EARLY, forget, record, target_of
from tests.targets.builder import Project, shop_project

pytestmark = pytest.mark.django_db

NAMES = ["shop.0001_initial", "shop.0002_name", "shop.0003_price"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return shop_project(tmp_path)


@pytest.fixture
def mini(make_target: MakeTarget, project: Project) -> Target:
    return target_of(make_target, project)


def file_of(project: Project, name: str = "0001_initial") -> Path:
    return project.path / "shop" / "migrations" / f"{name}.py"


def edit(project: Project, old: str, new: str, name: str = "0001_initial") -> None:
    file = file_of(project, name)
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def edited(target: Target) -> Status | None:
    inspect_now(target)
    found = [status for status in default_of(target).found() if status.state == "edited"]
    return found[0] if found else None


def seen(name: str = "0001_initial") -> SeenMigration:
    return SeenMigration.objects.get(app="shop", name=name)


def test_an_applied_migration_that_is_changed_later_is_edited_with_its_diff(
    mini: Target, project: Project
) -> None:
    record(project, NAMES)
    assert edited(mini) is None
    edit(project, "null=True", "default=0")
    status = edited(mini)
    assert status and "shop.0001_initial" in status.detail and status.next_step
    assert '-    operations = [migrations.CreateModel("Item"' in status.evidence
    assert "+    operations = [" in status.evidence and "default=0" in status.evidence
    assert "first seen when it was applied already" in status.evidence


def test_what_was_seen_pending_with_the_same_text_was_seen_before_it_was_applied(
    mini: Target, project: Project
) -> None:
    inspect_now(mini)
    record(project, NAMES)
    inspect_now(mini)
    assert seen().seen_before
    edit(project, "null=True", "default=0")
    status = edited(mini)
    assert status and "first seen" not in status.evidence


def test_what_was_edited_before_it_was_applied_was_not_seen_before(mini: Target, project: Project) -> None:
    inspect_now(mini)
    edit(project, "null=True", "default=0")
    record(project, NAMES)
    assert edited(mini) is None
    assert not seen().seen_before and seen("0002_name").seen_before


def test_an_edit_while_it_is_pending_is_no_edit(mini: Target, project: Project) -> None:
    inspect_now(mini)
    edit(project, "null=True", "default=0")
    assert edited(mini) is None
    record(project, NAMES)
    assert edited(mini) is None


def test_a_change_of_comments_and_formatting_alone_is_called_so(mini: Target, project: Project) -> None:
    record(project, NAMES)
    inspect_now(mini)
    edit(project, "    operations = ", "    # nothing else\n    operations =   ")
    status = edited(mini)
    assert status and "Only comments and formatting differ" in status.detail
    assert "Nothing has to be done" in status.next_step


def test_a_file_that_python_cannot_read_any_more_is_not_called_the_same(
    mini: Target, project: Project
) -> None:
    from dbops.inspection.differences import only_looks

    assert not only_looks("a = 1", "a = (")
    assert not only_looks("(" * 5000 + ")" * 5000, "a")
    assert not only_looks("a = 1\0", "a = 1")
    assert only_looks("a = 1", "a = 1  # one")


def test_what_is_recorded_anew_is_frozen_anew(mini: Target, project: Project) -> None:
    record(project, NAMES)
    inspect_now(mini)
    edit(project, "null=True", "default=0")
    assert edited(mini)
    forget(project, NAMES[0])
    record(project, NAMES[:1], EARLY + timedelta(days=1))
    assert edited(mini) is None


def test_the_text_of_before_comes_back_and_it_is_edited_no_more(mini: Target, project: Project) -> None:
    record(project, NAMES)
    inspect_now(mini)
    edit(project, "null=True", "default=0")
    assert edited(mini)
    edit(project, "default=0", "null=True")
    assert edited(mini) is None


def test_a_file_that_is_gone_is_a_ghost_with_its_archived_source(mini: Target, project: Project) -> None:
    record(project, NAMES)
    inspect_now(mini)
    file_of(project, "0003_price").unlink()
    inspect_now(mini)
    (status,) = [status for status in default_of(mini).found() if status.state == "ghosts"]
    assert "shop.0003_price" in status.detail and 'AddField("Item", "price"' in status.evidence


def test_a_ghost_has_its_source_also_where_its_lack_breaks_the_others(mini: Target, project: Project) -> None:
    record(project, NAMES)
    inspect_now(mini)
    file_of(project).unlink()
    inspect_now(mini)
    (status,) = [status for status in default_of(mini).found() if status.state == "ghosts"]
    assert 'CreateModel("Item"' in status.evidence and "never seen" not in status.evidence


def test_a_secret_in_a_source_is_masked_and_the_hash_is_of_the_bytes(mini: Target, project: Project) -> None:
    variable = mini.variables.model(target=mini, name="TOKEN")
    variable.keep("canary-4711", secret=True)
    variable.save()
    file = file_of(project)
    file.write_text(file.read_text() + "# canary-4711\n")
    record(project, NAMES)
    inspection = inspect_now(mini)
    source = MigrationSource.objects.get(hash=seen().hash)
    assert source.text and "canary-4711" not in source.text
    assert "canary-4711" not in str(inspection.report)


def test_what_another_target_archived_is_cleaned_of_this_ones_secrets_too(
    make_target: MakeTarget, project: Project
) -> None:
    file = file_of(project)
    file.write_text(file.read_text() + "# canary-4711\n")
    record(project, NAMES)
    inspect_now(target_of(make_target, project, "first"))
    assert MigrationSource.objects.filter(text__contains="canary-4711").exists()
    second = target_of(make_target, project, "second")
    variable = second.variables.model(target=second, name="TOKEN")
    variable.keep("canary-4711", secret=True)
    variable.save()
    inspect_now(second)
    assert not MigrationSource.objects.filter(text__contains="canary-4711").exists()


def test_a_report_does_not_keep_the_texts_and_they_are_not_sent_twice(mini: Target, project: Project) -> None:
    inspection = inspect_now(mini)
    assert inspection.report and "sources" not in inspection.report
    assert "AddField" not in str(inspection.report["disk"])
    assert known_sources(mini) == sorted(one["hash"] for one in inspection.report["disk"])


def test_a_false_text_for_a_hash_is_never_shown_of_another_target(
    make_target: MakeTarget, make_database: MakeDatabase, project: Project
) -> None:
    """Whoever serves one target's files could else say what another's were."""
    record(project, NAMES)
    hostile = make_database("hostile").target
    hash_ = hashlib.sha256(file_of(project, "0003_price").read_bytes()).hexdigest()
    keep_sources({hash_: {"text": "harmless = True", "cut": False}}, str, clock.now(), hostile)
    mini = target_of(make_target, project)
    assert hash_ not in known_sources(mini)
    inspect_now(mini)
    file_of(project, "0003_price").unlink()
    inspect_now(mini)
    (status,) = [status for status in default_of(mini).found() if status.state == "ghosts"]
    assert "harmless" not in status.evidence and 'AddField("Item"' in status.evidence
    assert texts_of([hash_], hostile.pk)[hash_].text == file_of_archive(hash_)


def file_of_archive(hash_: str) -> str:
    return MigrationSource.objects.get(hash=hash_, target=None).text


def test_what_is_cut_is_kept_for_its_own_target(mini: Target, make_database: MakeDatabase) -> None:
    other = make_database("other").target
    hash_ = hashlib.sha256(b"a = 1").hexdigest()
    keep_sources({hash_: {"text": "a = 1", "cut": True}}, str, clock.now(), mini)
    assert texts_of([hash_], mini.pk)[hash_].cut and not texts_of([hash_], other.pk)


@pytest.mark.parametrize("way", ["ends of lines", "byte order mark"])
def test_a_file_that_is_only_written_otherwise_means_the_same(
    mini: Target, project: Project, way: str
) -> None:
    record(project, NAMES)
    inspect_now(mini)
    data = file_of(project).read_bytes()
    file_of(project).write_bytes(
        data.replace(b"\n", b"\r\n") if way == "ends of lines" else b"\xef\xbb\xbf" + data
    )
    status = edited(mini)
    assert status and "Only comments and formatting differ" in status.detail
    assert "the same" in status.next_step and "ends of its lines" in status.evidence


def test_what_is_masked_is_not_called_the_same(mini: Target, project: Project) -> None:
    """Two secrets look alike once they are masked."""
    for name, value in (("TOKEN", "canary-4711"), ("TOKEN_OLD", "canary-0815")):
        variable = mini.variables.model(target=mini, name=name)
        variable.keep(value, secret=True)
        variable.save()
    file = file_of(project)
    file.write_text(file.read_text() + 'KEY = "canary-4711"\n')
    record(project, NAMES)
    inspect_now(mini)
    edit(project, "canary-4711", "canary-0815")
    status = edited(mini)
    assert status and "Only comments" not in status.detail and "not shown here" in status.next_step
    file.write_text(file.read_text() + "# and a comment\n")
    status = edited(mini)
    assert status and "Only comments" not in status.detail and "Nothing has to" not in status.next_step


def test_texts_that_nothing_refers_to_are_thinned_and_others_stay(mini: Target, project: Project) -> None:
    record(project, NAMES)
    inspect_now(mini)
    MigrationSource.objects.create(hash="0" * 64, text="old", first_seen_at=clock.now() - 2 * KEPT_FOR)
    MigrationSource.objects.create(hash="1" * 64, text="new", first_seen_at=clock.now())
    MigrationSource.objects.exclude(hash="1" * 64).update(first_seen_at=clock.now() - 2 * KEPT_FOR)
    thin()
    assert set(MigrationSource.objects.values_list("hash", flat=True)) == {
        "1" * 64, *SeenMigration.objects.values_list("hash", flat=True)
    }  # fmt: skip


def many(number: int, mark: str = "") -> list[dict[str, Any]]:
    texts = [f"{n} {mark}" for n in range(number)]
    return [
        {"app": "shop", "name": f"{n:04}", "text": text, "hash": hashlib.sha256(text.encode()).hexdigest()}
        for n, text in enumerate(texts)
    ]


@pytest.mark.parametrize("number", [3, 300])
def test_keeping_them_takes_as_many_questions_for_300_as_for_3(
    make_database: MakeDatabase, number: int
) -> None:
    database, now = make_database(), clock.now()
    rows = [["shop", f"{n:04}", None] for n in range(number)]
    keep_seen(database, sighting(many(number), [], now))
    with CaptureQueriesContext(
        connection,
    ) as asked:
        keep_seen(database, sighting(many(number, "1"), rows, now))
        sources = {f"{n}".rjust(64, "f"): {"text": "x", "cut": False} for n in range(number)}
        keep_sources(sources, str, now, database.target)
    assert len([query for query in asked if "SAVEPOINT" not in query["sql"]]) == 4
    assert SeenMigration.objects.filter(applied=True).count() == number


@pytest.mark.django_db(transaction=True)
def test_two_inspections_of_one_target_at_once_never_raise(mini: Target, project: Project) -> None:
    record(project, NAMES)
    at_once = threading.Barrier(4)

    def inspect() -> str:
        try:
            at_once.wait()
            return inspect_now(Target.objects.get()).error_sentence
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert [found.result() for found in [pool.submit(inspect) for _ in range(4)]] == [""] * 4
    assert SeenMigration.objects.count() == 3 and MigrationSource.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_many_that_archive_the_same_texts_and_thin_at_once_never_raise(make_database: MakeDatabase) -> None:
    databases = [make_database(f"shop{number}") for number in range(4)]
    old = clock.now() - 2 * KEPT_FOR

    def work(place: int) -> None:
        try:
            for turn in range(10):
                found = many(40, f"{turn % 3}")
                texts = {one["hash"]: {"text": one["text"]} for one in found[:: (-1) ** place]}
                keep_sources(texts, str, old, databases[place].target)
                keep_seen(
                    databases[place], sighting(found, [["shop", one["name"], None] for one in found], old)
                )
                thin()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        for found in [pool.submit(work, place) for place in range(4)]:
            found.result()


def test_names_that_no_table_of_django_would_take_are_left_out(make_database: MakeDatabase) -> None:
    database, now = make_database(), clock.now()
    kept = keep_seen(database, sighting([], [["x" * 3000, "0001", None], ["shop", "0001", "never"]], now))
    assert [str(row) for row in kept] == ["shop.0001"]
