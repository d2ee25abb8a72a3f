"""What the target's page and the page of one migration say of it."""

import sqlite3
from html import unescape
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from dbops.inspection import inspect_now, refresh
from dbops.models import Target
from tests.integration.conftest import PASSWORD, MakeTarget, default_of
from tests.integration.recording import record, target_of
from tests.targets.builder import ADD_NAME, Project, shop_project

pytestmark = pytest.mark.django_db

NAMES = ["shop.0001_initial", "shop.0002_name", "shop.0003_price"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return shop_project(tmp_path)


@pytest.fixture
def mini(make_target: MakeTarget, project: Project) -> Target:
    record(project, NAMES[:2])
    target = target_of(make_target, project)
    inspect_now(target)
    return target


@pytest.fixture
def viewer(people: dict[str, User]) -> Client:
    client = Client()
    client.login(username="viewer", password=PASSWORD)
    return client


def address(name: str, app: str = "shop") -> str:
    return reverse("migration", args=["mini", "default", app, name])


def text(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return " ".join(unescape(response.content.decode()).split())


def write(project: Project, name: str, old: str, new: str) -> None:
    file = project.path / "shop" / "migrations" / f"{name}.py"
    file.write_text(file.read_text().replace(old, new))


def test_a_migration_has_its_source_its_times_and_what_it_depends_on(mini: Target, viewer: Client) -> None:
    page = text(viewer, address("0002_name"))
    assert "AddField" in page and "0002_name.py" in page and "Its source when" not in page
    assert f'href="{address("0001_initial")}"' in page and "is needed by this one" in page
    assert f'href="{address("0003_price")}"' in page and "needs this one" in page
    assert "It was applied when it was first seen" in page


def test_an_edited_one_has_its_diff_and_both_sources(mini: Target, project: Project, viewer: Client) -> None:
    write(project, "0002_name", "max_length=10", "max_length=77")
    inspect_now(mini)
    page = text(viewer, address("0002_name"))
    assert (
        "Changed since it was applied" in page and "diff__row--added" in page and "diff__row--removed" in page
    )
    assert "Its source when it was applied" in page and "Its source now" in page
    target = text(viewer, mini.get_absolute_url())
    assert 'status--edited">edited</span>' in target and "What was changed</summary>" in target


def test_a_ghost_keeps_its_page_and_its_source(mini: Target, project: Project, viewer: Client) -> None:
    (project.path / "shop" / "migrations" / "0002_name.py").unlink()
    (project.path / "shop" / "migrations" / "0003_price.py").unlink()
    inspect_now(mini)
    page = text(viewer, address("0002_name"))
    assert "ghost: no file" in page and "There is no file any more" in page
    assert "Its source when it was applied" in page and "AddField" in page
    assert 'status--ghosts">ghost: no file</span>' in text(viewer, mini.get_absolute_url())


def test_what_it_shows_is_escaped(mini: Target, project: Project, viewer: Client) -> None:
    write(project, "0002_name", "max_length=10", "max_length=10, help_text='<script>alert(1)</script>'")
    project.migration("0004_'\"><img src=x>", ADD_NAME.replace("name", "more"))
    inspect_now(mini)
    for url in (mini.get_absolute_url(), address("0002_name"), address("0004_'\"><img src=x>")):
        source = viewer.get(url).content.decode()
        assert "<script>alert" not in source and "<img src=x" not in source


def test_an_unknown_one_is_not_found(mini: Target, viewer: Client) -> None:
    assert viewer.get(address("0099_none")).status_code == 404
    assert viewer.get(address("0001_initial", app="other")).status_code == 404


def test_a_refreshed_target_says_what_is_older(mini: Target, project: Project, viewer: Client) -> None:
    assert "files, models and rights" not in text(viewer, mini.get_absolute_url())
    record(project, NAMES[2:])
    refresh.refresh([mini.pk])
    page = text(viewer, mini.get_absolute_url())
    assert default_of(mini).refreshed_at
    assert "what is applied <time" in page and "files, models and rights <time" in page
    assert "not applied" not in page


def test_what_cannot_be_read_is_not_called_unapplied(mini: Target, project: Project, viewer: Client) -> None:
    with sqlite3.connect(project.sqlite) as database:
        database.execute("ALTER TABLE django_migrations RENAME COLUMN name TO title")
    inspect_now(mini)
    page = text(viewer, reverse("target", args=["mini"]))
    assert "Compare the table django_migrations with what Django expects" in page
    assert page.count(">not known</span>") == 3 and ">not applied<" not in page and "unapplied" not in page
    page = text(viewer, address("0002_name"))
    assert "<dt>Applied</dt><dd>not known</dd>" in page and ">not applied<" not in page
