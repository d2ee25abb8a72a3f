"""What real projects do to whoever looks at them (tests/targets/traps.py). How they are started is in
test_agent_launch."""

import sqlite3
from pathlib import Path

import pytest

from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import inspect, inspect_default, migrate
from tests.targets import traps
from tests.targets.builder import Project, shop_project

ALL = ["0001_initial", "0002_name", "0003_price"]


def test_noise_threads_and_programs_at_set_up(shop: Project) -> None:
    traps.noise_at_set_up(shop)
    traps.with_models(shop)
    report = inspect(shop.address())
    assert [one["name"] for one in report["databases"][0]["plan"]] == ALL
    assert report["unmade"]["state"] == "none"


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_project_that_migrates_itself_at_set_up_is_read_as_it_is(
    request: pytest.FixtureRequest, kind: str
) -> None:
    project: Project = request.getfixturevalue("shop" if kind == "sqlite" else "postgres_shop")
    traps.migrates_itself(project)
    found = inspect_default(project.address())
    assert (found["applied"], len(found["plan"])) == ([], 3)
    assert found["read_only_confirmed"]
    assert not project.sqlite.exists()


def test_a_launcher_below_the_root_that_reads_files_of_the_root(shop: Project) -> None:
    traps.backend_folder(shop)
    (shop.path / "backend/settings.py").write_text(
        (shop.path / "backend/settings.py").read_text()
        + "\nassert os.environ['SHOP_KEY'] == 'from the file'\n"
    )
    found = inspect_default(shop.address(launcher=("backend/manage.py",)))
    assert len(found["plan"]) == 3


def test_django_inside_the_project(shop: Project) -> None:
    traps.django_inside(shop)
    assert len(inspect_default(shop.address())["plan"]) == 3


def test_apps_that_depend_on_the_engine(tmp_path: Path, database: Database) -> None:
    project = shop_project(tmp_path / "shop", {"default": database.settings})
    project.write("lite/__init__.py", "")
    project.migration("0001_initial", "", app="lite")
    choose = "\nif 'sqlite' in DATABASES['default']['ENGINE']: INSTALLED_APPS.append('lite')\n"
    project.settings(choose)
    assert list(inspect_default(project.address())["migrations"]) == ["shop"]


def test_a_custom_user_model(shop: Project) -> None:
    apps = ("django.contrib.contenttypes", "django.contrib.auth", "shop", "people")
    shop.settings(traps.custom_user(shop), apps=apps)
    user = "[('id', models.BigAutoField(primary_key=True)), ('name', models.CharField(max_length=9))]"
    shop.migration("0001_initial", f"migrations.CreateModel('Person', {user})", app="people")
    owner = "models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True)"
    shop.migration(
        "0004_owner",
        f"migrations.AddField('Item', 'owner', {owner})",
        head="from django.conf import settings",
        after=[("shop", "0003_price")],
        body="dependencies += [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]",
    )
    report = inspect(shop.address())
    assert report["databases"][0]["errors"] == []
    (owned,) = [one for one in report["disk"] if one["name"] == "0004_owner"]
    assert owned["dependencies"] == [["shop", "0003_price"], ["people", "__first__"]]
    assert report["project"]["user_model"] == "people.Person"


def test_a_migrate_of_its_own_is_not_run_for_a_look(shop: Project) -> None:
    source = "from django.core.management.base import BaseCommand\nopen('run', 'w')\n"
    traps.command(shop, "migrate", source + "class Command(BaseCommand):\n    pass\n")
    report = inspect(shop.address())
    assert len(report["databases"][0]["plan"]) == 3
    assert report["project"]["commands"] == {"migrate": "shop"}
    assert not (shop.path / "run").exists()


def test_a_second_database_behind_a_router_that_has_one_table(tmp_path: Path) -> None:
    """All is recorded there, and next to nothing is in it."""
    project = shop_project(tmp_path / "shop")
    second = str(tmp_path / "second.sqlite3")
    project.databases["second"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": second}
    project.settings(traps.router(project, "return db == 'default'"))
    migrate(project.address(), alias="second")
    found = next(one for one in inspect(project.address())["databases"] if one["alias"] == "second")
    with sqlite3.connect(second) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert "shop_item" not in tables
    assert (len(found["applied"]), found["plan"]) == (3, [])
    assert found["not_routed"] == [["shop", name] for name in ALL]


def test_routers_and_commands_of_its_own_are_named_and_no_others(shop: Project) -> None:
    assert inspect(shop.address())["project"] == {"user_model": "auth.User", "routers": [], "commands": {}}
    shop.settings(traps.router(shop, "return True"))
    (router,) = inspect(shop.address())["project"]["routers"]
    assert router.endswith("Router")


def test_an_alias_that_is_never_used_hides_nothing(shop: Project) -> None:
    shop.databases["oracle"] = {"ENGINE": "django.db.backends.oracle", "NAME": "x"}
    traps.with_models(shop)
    shop.settings(traps.router(shop, "return True"))
    report = inspect(shop.address())
    assert [one["reason"] for one in report["databases"]] == ["", "driver_missing"]
    assert report["unmade"]["state"] == "none"
    assert len(report["databases"][1]["migrations"]["shop"]) == 3
