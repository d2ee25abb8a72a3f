"""What a project has of its own stands on its target's page."""

from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from dbops.models import Inspection, TargetDatabase
from tests.integration.conftest import PASSWORD, MakeDatabase

pytestmark = pytest.mark.django_db

COMMANDS = {"migrate": "tenants", "flush": "tenants"}
APPS = {"migrated": ["shop"], "unmigrated": ["theme", "legacy"]}


def page_of(people: dict[str, User], database: TargetDatabase, **told: Any) -> str:
    now = timezone.now()
    report = {"databases": [{"alias": database.alias}], **told}
    Inspection.objects.create(
        target=database.target, outcome="done", started_at=now, finished_at=now, report=report
    )
    client = Client()
    client.login(username="viewer", password=PASSWORD)
    answer = client.get(database.target.get_absolute_url())
    return " ".join(unescape(answer.content.decode()).split())


def test_own_commands_routers_user_model_and_apps_without_migrations_are_named(
    people: dict[str, User], make_database: MakeDatabase
) -> None:
    own = {"user_model": "people.Person", "routers": ["shop.routers.Old"], "commands": COMMANDS}
    page = page_of(people, make_database("shop"), project=own, apps=APPS)
    assert '<dt>User model</dt><dd class="breakable">people.Person</dd>' in page
    assert "flush (of tenants), migrate (of tenants)" in page
    assert '<dt>Routers</dt><dd class="breakable">shop.routers.Old</dd>' in page
    assert '<dt>Apps without migrations</dt><dd class="breakable">legacy, theme</dd>' in page


def test_what_is_django_s_is_not_named(people: dict[str, User], make_database: MakeDatabase) -> None:
    own = {"user_model": "auth.User", "routers": [], "commands": {}}
    page = page_of(people, make_database("shop"), project=own)
    for heading in ("User model", "Commands of its own", "Routers", "Apps without migrations"):
        assert f"<dt>{heading}</dt>" not in page


def test_a_report_of_an_older_agent_says_nothing_of_it(
    people: dict[str, User], make_database: MakeDatabase
) -> None:
    page = page_of(people, make_database("shop"))
    assert "Commands of its own" not in page


def test_names_of_the_target_s_are_escaped(people: dict[str, User], make_database: MakeDatabase) -> None:
    own = {"user_model": "<b>x.Y", "routers": ["<b>r"], "commands": {"migrate": "<b>app"}}
    now = timezone.now()
    database = make_database("shop")
    Inspection.objects.create(
        target=database.target,
        outcome="done",
        started_at=now,
        finished_at=now,
        report={"databases": [{"alias": database.alias}], "project": own},
    )
    client = Client()
    client.login(username="viewer", password=PASSWORD)
    page = client.get(database.target.get_absolute_url()).content.decode()
    assert "<b>" not in page
    assert page.count("&lt;b&gt;") == 3
