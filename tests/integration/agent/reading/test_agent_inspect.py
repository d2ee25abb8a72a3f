"""The report on every database alias, on Postgres and SQLite; it never changes anything."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dbops.target import errors
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import inspect, inspect_default, migrate
from tests.targets.builder import ADD_NAME, ADD_PRICE, CREATE_ITEM, Project, make_project, shop_project

ALL = ["0001_initial", "0002_name", "0003_price"]


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """Three migrations, on either kind of database."""
    name = "shop" if request.param == "sqlite" else "postgres_shop"
    found: Project = request.getfixturevalue(name)
    return found


def names(found: list[Any]) -> list[str]:
    return [one["name"] for one in found]


def test_an_empty_database_has_everything_pending(either: Project) -> None:
    found = inspect_default(either.address())
    assert (found["reachable"], found["reason"], found["applied"]) == (True, "", [])
    assert found["plan"] == [{"app": "shop", "name": name} for name in ALL]
    assert found["read_only_confirmed"]
    assert found["errors"] == found["ghosts"] == found["prunable"] == []


def test_what_is_applied_has_its_time(either: Project) -> None:
    migrate(either.address(), app="shop", migration="0002")
    found = inspect_default(either.address())
    shop = found["migrations"]["shop"]
    assert names(shop) == ALL
    assert [bool(one["applied_at"]) for one in shop] == [True, True, False]
    assert shop[0]["applied_at"] == found["applied"][0][2]
    assert found["applied"][0][2][:2] == "20" and found["applied"][0][2].endswith("+00:00")
    assert names(found["plan"]) == ["0003_price"]


def test_the_pending_plan_is_in_the_order_of_a_real_run(either: Project) -> None:
    either.settings(apps=("shop", "bills"))
    either.write("bills/__init__.py", "")
    either.migration("0001_initial", "", app="bills", after=[("shop", "0001_initial")])
    either.migration("0004_after", "", after=[("shop", "0003_price"), ("bills", "0001_initial")])
    expected = inspect_default(either.address())["plan"]
    performed = migrate(either.address()).answer["recorded_after"]
    assert [[one["app"], one["name"]] for one in expected] == performed


def test_an_inspection_writes_nothing(either: Project) -> None:
    migrate(either.address(), app="shop", migration="0001")
    before = fingerprint(either)
    inspect(either.address())
    assert fingerprint(either) == before


def fingerprint(project: Project) -> dict[str, str]:
    files = sorted(project.path.rglob("*.sqlite3*"))
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_sqlite_file_that_is_not_there_yet_is_not_made(shop: Project) -> None:
    found = inspect_default(shop.address())
    assert (found["reachable"], found["missing"]) == (True, True)
    assert len(found["plan"]) == 3
    assert not list(shop.path.glob("*.sqlite3*"))


def test_a_sqlite_file_that_a_writer_has_open_can_be_read(shop: Project) -> None:
    migrate(shop.address())
    with sqlite3.connect(shop.sqlite) as writer:
        writer.execute("PRAGMA journal_mode = wal")
        writer.execute("INSERT INTO shop_item (n) VALUES (1)")
        assert len(inspect_default(shop.address())["applied"]) == 3


CLOSES_SLOWLY = """
import time
from django.db.backends.sqlite3 import base

at_once = base.DatabaseWrapper.close

def close(self):
    time.sleep(1)
    at_once(self)

base.DatabaseWrapper.close = close
"""


def test_who_has_the_answer_finds_nothing_beside_a_sqlite_file(shop: Project) -> None:
    """It ends the process that read, however far that has come with closing."""
    migrate(shop.address())
    with closing(sqlite3.connect(shop.sqlite)) as file:
        file.execute("PRAGMA journal_mode = wal")
    shop.settings(CLOSES_SLOWLY)
    assert len(inspect_default(shop.address())["applied"]) == 3
    assert not list(shop.path.glob("*.sqlite3-*"))


def test_the_settings_own_wal_command_does_not_get_in_the_way(shop: Project) -> None:
    migrate(shop.address())
    commands = "PRAGMA synchronous=NORMAL; PRAGMA journal_mode=WAL;"
    shop.databases["default"]["OPTIONS"] = {"init_command": commands}
    shop.settings()
    found = inspect_default(shop.address())
    assert (found["reachable"], len(found["applied"])) == (True, 3)


def test_two_leaf_nodes_are_a_conflict(either: Project) -> None:
    either.migration("0003_rival", "", after=[("shop", "0002_name")])
    found = inspect_default(either.address())
    assert found["conflicts"] == {"shop": ["0003_price", "0003_rival"]}
    assert found["errors"] == []


def test_a_dependency_that_is_not_there(either: Project) -> None:
    migrate(either.address(), app="shop", migration="0002")
    either.migration("0004_lost", "", after=[("shop", "0003_gone")])
    found = inspect_default(either.address())
    assert [error["type"] for error in found["errors"]] == ["node_not_found"]
    assert "0003_gone" in found["errors"][0]["message"]
    assert names(found["migrations"]["shop"]) == [*ALL, "0004_lost"]
    assert len(found["applied"]) == 2


def test_migrations_that_depend_on_each_other(project: Project) -> None:
    project.migration("0001_hen", "", after=[("shop", "0002_egg")])
    project.migration("0002_egg", "", after=[("shop", "0001_hen")])
    assert [error["type"] for error in inspect_default(project.address())["errors"]] == ["circular"]


def test_a_file_without_a_migration_in_it(shop: Project) -> None:
    shop.write("shop/migrations/0004_empty.py", "")
    found = inspect_default(shop.address())
    assert [error["type"] for error in found["errors"]] == ["bad_migration"]
    assert found["reachable"]


def test_a_migration_that_cannot_be_imported_shows_its_traceback(shop: Project) -> None:
    shop.write("shop/migrations/0004_broken.py", "import nothing_like_it\n")
    error = inspect_default(shop.address())["errors"][0]
    assert error["type"] == "import"
    assert "0004_broken.py" in error["traceback"]
    assert "nothing_like_it" in error["message"]


def test_applied_before_its_dependency(either: Project) -> None:
    migrate(either.address(), app="shop", migration="0002")
    either.migration("0001_b", "", after=[("shop", "0001_initial")])
    either.migration("0002_name", ADD_NAME, after=[("shop", "0001_b")])
    found = inspect_default(either.address())
    assert [error["type"] for error in found["errors"]] == ["inconsistent_history"]
    assert "0001_b" in found["errors"][0]["message"]


def test_rows_without_a_file_are_ghosts(either: Project) -> None:
    migrate(either.address())
    (either.path / "shop/migrations/0003_price.py").unlink()
    found = inspect_default(either.address())
    assert found["ghosts"] == [["shop", "0003_price"]]
    assert found["plan"] == []


def test_rows_of_an_app_that_is_no_longer_installed_are_ghosts(either: Project) -> None:
    migrate(either.address())
    either.settings(apps=())
    assert inspect_default(either.address())["ghosts"] == [["shop", name] for name in ALL]


def test_rows_that_a_squash_replaces_are_prunable_and_no_ghosts(either: Project) -> None:
    migrate(either.address())
    for name in ALL:
        (either.path / f"shop/migrations/{name}.py").unlink()
    replaces = f"replaces = {[('shop', name) for name in ALL]!r}"
    either.migration("0001_squashed", f"{CREATE_ITEM}, {ADD_NAME}, {ADD_PRICE}", after=[], body=replaces)
    found = inspect_default(either.address())
    assert (found["ghosts"], found["prunable"]) == ([], [["shop", name] for name in ALL])
    assert found["plan"] == []
    assert found["migrations"]["shop"][0]["replaces"] == [["shop", name] for name in ALL]


def test_every_alias_is_reported_by_itself(tmp_path: Path, database: Database) -> None:
    lite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "second.sqlite3")}
    gone = {**database.settings, "NAME": "not_there_at_all"}
    driver = {"ENGINE": "django.db.backends.oracle", "NAME": "x"}
    aliases = {"default": database.settings, "second": lite, "gone": gone, "oracle": driver, "empty": {}}
    project = shop_project(tmp_path / "shop", aliases)
    found = {one["alias"]: one for one in inspect(project.address())["databases"]}
    assert [(alias, one["reachable"], one["reason"]) for alias, one in found.items()] == [
        ("default", True, ""),
        ("second", True, ""),
        ("gone", False, "no_such_database"),
        ("oracle", False, "driver_missing"),
        ("empty", False, "engine"),
    ]
    assert names(found["gone"]["migrations"]["shop"]) == ALL
    assert found["gone"]["plan"] == []
    assert inspect(project.address(), aliases=["second"])["databases"][0]["alias"] == "second"


def test_an_alias_that_is_not_there_is_refused(shop: Project) -> None:
    with pytest.raises(errors.BadArgument, match="no database alias second"):
        inspect(shop.address(), aliases=["second"])


def test_who_the_server_is(postgres_shop: Project, database: Database) -> None:
    report = inspect(postgres_shop.address())
    found = report["databases"][0]
    assert found["identity"] == database.identity()
    assert found["server_version"] == database.rows("SHOW server_version")[0][0]
    assert found["in_recovery"] is False
    assert found["connection"]["password"] == database.settings["PASSWORD"]
    assert (found["vendor"], found["name"]) == ("postgresql", database.name)
    assert report["python"].startswith("3.") and report["django"] and report["settings_module"] == "settings"


def test_two_paths_to_one_sqlite_file_have_one_identity(shop: Project, tmp_path: Path) -> None:
    migrate(shop.address())
    (tmp_path / "link.sqlite3").symlink_to(shop.sqlite)
    lite = {"ENGINE": "django.db.backends.sqlite3"}
    other = make_project(tmp_path / "other", {"default": {**lite, "NAME": str(tmp_path / "link.sqlite3")}})
    uri = make_project(tmp_path / "uri", {"default": {**lite, "NAME": f"file:{shop.sqlite}?cache=private"}})
    found = [inspect_default(one.address())["identity"] for one in (shop, other, uri)]
    assert found == [f"sqlite:{shop.sqlite}"] * 3


def test_a_target_on_opsdash_s_own_database_is_marked(postgres_shop: Project, database: Database) -> None:
    found = inspect_default(postgres_shop.address(), forbidden_identity=database.identity())
    assert found["own_database"]
    assert found["migrations"] == {}


def test_a_pool_of_the_target_s_is_not_used(postgres_shop: Project, database: Database) -> None:
    postgres_shop.databases["default"] = {**database.settings, "OPTIONS": {"pool": {"min_size": 4}}}
    postgres_shop.settings()
    assert inspect_default(postgres_shop.address())["reachable"]


def test_a_target_without_databases(shop: Project) -> None:
    shop.databases.clear()
    shop.settings()
    found = inspect_default(shop.address())
    assert (found["reachable"], found["reason"]) == (False, "engine")
    assert names(found["migrations"]["shop"]) == ALL


def test_an_error_with_endless_words_is_cut(shop: Project) -> None:
    shop.write("shop/migrations/0004_long.py", "raise RuntimeError('x' * 3_000_000)")
    (found,) = inspect_default(shop.address())["errors"]
    assert len(found["message"]) < 21_000
    assert len(found["traceback"]) < 61_000


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"HOST": "db..internal"}, "UnicodeError"),
        ({"PORT": "abc"}, "abc"),
    ],
)
def test_one_alias_whose_settings_make_no_sense_does_not_hide_the_others(
    shop: Project, wrong: dict[str, Any], words: str
) -> None:
    odd = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1", "PORT": "1", **wrong}
    shop.databases["odd"] = odd
    shop.settings()
    reports = {report["alias"]: report for report in inspect(shop.address())["databases"]}
    assert reports["default"]["reachable"] and len(reports["default"]["plan"]) == 3
    assert not reports["odd"]["reachable"]
    assert reports["odd"]["reason"] == "other" and words in reports["odd"]["detail"]
