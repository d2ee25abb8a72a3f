"""Migrations of which Django builds no graph, or not what was applied: what pages and commands say."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from dbops.exits import Exit
from dbops.inspection import inspect_now
from tests.integration.conftest import MakeTarget, default_of
from tests.integration.recording import record, target_of
from tests.integration.test_commands import call
from tests.integration.test_migration_page import text, viewer
from tests.targets.builder import Project, shop_project

__all__ = ["viewer"]
pytestmark = pytest.mark.django_db

Change = Callable[[Project], None]


def missing_parent(project: Project) -> None:
    project.migration("0005_late", "", after=[("shop", "0004_gone")])


def circle(project: Project) -> None:
    project.migration("0004_a", "", after=[("shop", "0003_price"), ("shop", "0005_b")])
    project.migration("0005_b", "", after=[("shop", "0004_a")])


def syntax(project: Project) -> None:
    project.write("shop/migrations/0004_bad.py", "class Migration(:\n")


def package(project: Project) -> None:
    project.migration("0004_bad", "", head="import no_such_package")


UNUSABLE = {
    "missing parent": (missing_parent, "inconsistent", "dependencies reference nonexistent parent node"),
    "circle": (circle, "inconsistent", "CircularDependencyError: shop.0004_a, shop.0005_b."),
    "syntax": (syntax, "broken", "SyntaxError"),
    "package": (package, "broken", "no_such_package"),
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return shop_project(tmp_path)


@pytest.mark.parametrize(("change", "state", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_unusable_is_said_wherever_it_stands_in_the_way(
    project: Project, make_target: MakeTarget, viewer: Client, change: Change, state: str, words: str
) -> None:
    change(project)
    target = target_of(make_target, project)
    inspect_now(target)
    assert [status.state for status in default_of(target).found()] == [state]
    plan = text(viewer, reverse("newest_plan", args=["mini", "default"]))
    assert words in plan and f"No plan can be read while it is {state}" in plan
    assert "comes with the next inspection" not in plan
    graph = text(viewer, reverse("graph", args=["mini", "default"]))
    assert words in graph and "0003_price" in graph and "several leaves" not in graph
    code, said = call("plan", "mini", "--app", "shop")
    assert code == Exit.BROKEN and words.rstrip(".") in said
    assert "manage.py check" not in said


def test_records_that_cannot_be_read_are_the_reason_why_a_plan_cannot(
    project: Project, make_target: MakeTarget
) -> None:
    record(project, ["shop.0001_initial"])
    target = target_of(make_target, project)
    inspect_now(target)
    with closing(sqlite3.connect(project.sqlite)) as file:
        file.execute("ALTER TABLE django_migrations RENAME COLUMN name TO title")
    code, said = call("plan", "mini", "--app", "shop")
    assert code == Exit.BROKEN and "What is applied on mini cannot be read: OperationalError" in said


def test_an_app_that_was_renamed_is_told_from_one_that_went_away(
    project: Project, make_target: MakeTarget, viewer: Client
) -> None:
    record(project, ["store.0001_initial", "store.0002_name"])
    target = target_of(make_target, project)
    inspect_now(target)
    page = text(viewer, reverse("target", args=["mini"]))
    assert "The app shop has migrations of the same names, and none of them is applied" in page
    assert "UPDATE django_migrations SET app = 'shop' WHERE app = 'store'" in page


def test_an_app_that_went_away_is_not_taken_for_a_renamed_one(
    project: Project, make_target: MakeTarget, viewer: Client
) -> None:
    record(project, ["shop.0001_initial", "store.0001_initial"])
    target = target_of(make_target, project)
    inspect_now(target)
    page = text(viewer, reverse("target", args=["mini"]))
    assert "The app store is not installed any more" in page and "of the same names" not in page


def test_a_name_that_turns_the_reading_around_is_shown_as_it_is_written(
    project: Project, make_target: MakeTarget, viewer: Client
) -> None:
    turned = "0004_\u202egpj"
    project.migration(turned, "")
    target = target_of(make_target, project)
    inspect_now(target)
    for name, words in (
        ("target", ["mini"]),
        ("newest_plan", ["mini", "default"]),
        ("graph", ["mini", "default"]),
        ("migration", ["mini", "default", "shop", turned]),
    ):
        page = text(viewer, reverse(name, args=words))
        seen = re.sub(r'(?:value|id|href)="[^"]*"', "", page)
        assert "\u202e" not in seen, name
