"""What an inspection tells of the rows of one database: order, squashes, routers, schemas, rights."""

import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from psycopg import sql

from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import inspect, inspect_default, migrate
from tests.targets import traps
from tests.targets.builder import ADD_NAME, ADD_PRICE, CREATE_ITEM, Project, shop_project

ALL = ["0001_initial", "0002_name", "0003_price"]


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest) -> Project:
    found: Project = request.getfixturevalue("shop" if request.param == "sqlite" else "postgres_shop")
    return found


def shop_keys(*names: str) -> list[list[str]]:
    return [["shop", name] for name in names]


# Order


def test_every_migration_that_is_applied_before_its_dependency_is_named(either: Project) -> None:
    migrate(either.address())
    times = {name: time for _, name, time in inspect_default(either.address())["applied"]}
    for name in ("0001_b", "0002_b"):
        either.migration(name, "", after=[("shop", "0001_initial")])
    either.migration("0002_name", ADD_NAME, after=[("shop", "0001_b")])
    either.migration("0003_price", ADD_PRICE, after=[("shop", "0002_name"), ("shop", "0002_b")])
    found = inspect_default(either.address())
    assert found["inconsistencies"] == [
        {
            "migration": ["shop", migration],
            "dependency": ["shop", dependency],
            "applied_at": times[migration],
            "dependency_applied_at": None,
        }
        for migration, dependency in (("0002_name", "0001_b"), ("0003_price", "0002_b"))
    ]
    (error,) = found["errors"]
    assert (error["type"], error["app"], error["name"]) == ("inconsistent_history", "shop", "0002_name")
    assert error["file"] == str(either.path / "shop/migrations/0002_name.py")


def test_a_squash_that_is_not_recorded_is_no_wrong_order(shop: Project) -> None:
    migrate(shop.address())
    squash(shop)
    shop.migration("0004_after", "", after=[("shop", "0001_squashed")])
    record(shop, "0004_after")
    found = inspect_default(shop.address())
    assert (found["inconsistencies"], found["errors"]) == ([], [])


def test_a_squash_of_squashes_is_judged_as_this_django_does(shop: Project) -> None:
    """Before 6.0 Django looks no further than at what the squash itself replaces; whether it gets there hangs
    on the order in which it reads the files, which is one of its hashes."""
    migrate(shop.address())
    shop.migration(
        "0001_squashed", f"{CREATE_ITEM}, {ADD_NAME}", after=[], body=f"replaces = {pairs(*ALL[:2])!r}"
    )
    shop.migration(
        "0001_again",
        f"{CREATE_ITEM}, {ADD_NAME}, {ADD_PRICE}",
        after=[],
        body=f"replaces = {pairs('0001_squashed', ALL[2])!r}",
    )
    shop.migration("0004_after", "", after=[("shop", "0001_again")])
    record(shop, "0004_after")
    reports = [inspect_default(shop.address(env={"PYTHONHASHSEED": str(seed)})) for seed in range(6)]
    refused = [[error["type"] for error in found["errors"]] for found in reports]
    assert (["inconsistent_history"] in refused) == (django.VERSION < (6, 0))
    assert [bool(found["inconsistencies"]) for found in reports] == [bool(types) for types in refused]


def pairs(*names: str) -> list[tuple[str, str]]:
    return [("shop", name) for name in names]


# Squashes


def squash(project: Project, *names: str) -> None:
    replaces = f"replaces = {[('shop', name) for name in names or ALL]!r}"
    project.migration("0001_squashed", f"{CREATE_ITEM}, {ADD_NAME}, {ADD_PRICE}", after=[], body=replaces)


def record(project: Project, *names: str) -> None:
    with sqlite3.connect(project.sqlite) as connection:
        for name in names:
            row = ("shop", name, "2026-01-02 03:04:05")
            connection.execute("INSERT INTO django_migrations (app, name, applied) VALUES (?, ?, ?)", row)


def test_a_squash_of_which_nothing_is_applied_is_only_pending(shop: Project) -> None:
    squash(shop)
    found = inspect_default(shop.address())
    assert (found["squashes"], len(found["plan"])) == ([], 1)


def test_a_squash_that_only_lacks_its_row(either: Project) -> None:
    migrate(either.address())
    for name in ALL[:2]:
        (either.path / f"shop/migrations/{name}.py").unlink()
    either.last.clear()
    squash(either)
    assert inspect_default(either.address())["squashes"] == [
        {
            "app": "shop",
            "name": "0001_squashed",
            "state": "unrecorded",
            "applied": shop_keys(*ALL),
            "unapplied": [],
            "files_gone": shop_keys(*ALL[:2]),
        }
    ]


def test_a_squash_that_is_applied_in_part(either: Project) -> None:
    migrate(either.address(), app="shop", migration="0002")
    squash(either)
    (found,) = inspect_default(either.address())["squashes"]
    assert (found["state"], found["applied"], found["unapplied"], found["files_gone"]) == (
        "partial",
        shop_keys(*ALL[:2]),
        shop_keys("0003_price"),
        [],
    )


def test_a_squash_that_is_recorded_with_all_that_it_replaces(shop: Project) -> None:
    squash(shop)
    migrate(shop.address())
    (found,) = inspect_default(shop.address())["squashes"]
    assert (found["state"], found["unapplied"]) == ("recorded", [])


def test_a_squash_whose_replaced_rows_are_gone_would_be_applied_again(shop: Project) -> None:
    squash(shop)
    migrate(shop.address())
    with sqlite3.connect(shop.sqlite) as connection:
        connection.execute("DELETE FROM django_migrations WHERE name <> '0001_squashed'")
    found = inspect_default(shop.address())
    assert [(one["state"], one["applied"]) for one in found["squashes"]] == [("partial", [])]
    assert len(found["plan"]) == 1


def test_squashes_whose_files_are_gone_do_not_keep_the_plan_from_being_told(shop: Project) -> None:
    for name in ALL:
        (shop.path / f"shop/migrations/{name}.py").unlink()
    shop.last.clear()
    squash(shop)
    shop.migration("0004_next", "")
    found = inspect_default(shop.address())
    assert [one["name"] for one in found["plan"]] == ["0001_squashed", "0004_next"]
    assert found["errors"] == []


# Routers


def test_what_the_router_refused_is_named_although_it_is_recorded(tmp_path: Path) -> None:
    project = shop_project(tmp_path / "two")
    lite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "second.sqlite3")}
    project.databases["second"] = lite
    project.migration("0004_script", "migrations.RunSQL('SELECT 1', hints={'kind': 'script'})")
    project.migration("0005_empty", "")
    split = "migrations.SeparateDatabaseAndState(database_operations=[migrations.RunSQL('SELECT 1')])"
    project.migration("0006_split", split)
    project.settings(traps.router(project, "return db == 'default' or hints.get('kind') == 'script'"))
    for alias in ("default", "second"):
        migrate(project.address(), alias=alias)
    found = {one["alias"]: one for one in inspect(project.address())["databases"]}
    assert len(found["second"]["applied"]) == 6
    assert found["default"]["not_routed"] == []
    assert found["second"]["not_routed"] == shop_keys(*ALL, "0006_split")


def test_a_router_that_refuses_everything(shop: Project) -> None:
    shop.settings(traps.router(shop, "return False"))
    migrate(shop.address())
    assert inspect_default(shop.address())["not_routed"] == shop_keys(*ALL)


def test_a_router_that_wants_what_only_a_migration_has_refuses_nothing(shop: Project) -> None:
    shop.settings(traps.router(shop, "return hints['model'] is not None"))
    migrate(shop.address())
    assert inspect_default(shop.address())["not_routed"] == []


# Aliases


def test_aliases_that_are_one_database_know_each_other(tmp_path: Path, database: Database) -> None:
    lite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "x.sqlite3")}
    gone = {**database.settings, "PORT": "1"}
    aliases = {
        "default": database.settings,
        "replica": {**database.settings, "CONN_MAX_AGE": 60, "HOST": "localhost"},
        "lite": lite,
        "gone": gone,
        "gone too": {**gone, "USER": "another"},
        "memory": {**lite, "NAME": ":memory:"},
        "memory too": {**lite, "NAME": ":memory:"},
    }
    project = shop_project(tmp_path / "shop", aliases)
    found = {one["alias"]: one["same_as"] for one in inspect(project.address())["databases"]}
    assert found == {
        "default": ["replica"],
        "replica": ["default"],
        "lite": [],
        "gone": ["gone too"],
        "gone too": ["gone"],
        "memory": [],
        "memory too": [],
    }


# Schemas and rights


def test_one_table_of_migrations_per_schema(postgres_shop: Project, database: Database) -> None:
    migrate(postgres_shop.address(), app="shop", migration="0002")
    with database.connect() as connection:
        for schema, names in (("Tenant A", ALL), ("tenant_b", ["0001_initial", "0099_gone"])):
            place = sql.Identifier(schema)
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(place))
            connection.execute(
                sql.SQL(
                    "CREATE TABLE {}.django_migrations (LIKE public.django_migrations INCLUDING ALL)"
                ).format(place)
            )
            for name in names:
                insert = sql.SQL(
                    "INSERT INTO {}.django_migrations (app, name, applied) VALUES ('shop', %s, now())"
                )
                connection.execute(insert.format(place), [name])
        connection.execute("CREATE SCHEMA odd; CREATE TABLE odd.django_migrations (something int)")
        failing = "SELECT 'shop'::text AS app, (1 / 0)::text AS name"
        connection.execute(f"CREATE SCHEMA fails; CREATE VIEW fails.django_migrations AS {failing}")
    found = inspect_default(postgres_shop.address())
    assert found["schema"] == "public"
    assert found["schemas"] == [
        {"schema": "Tenant A", "recorded": 3, "pending": 0, "unknown": 0, "current": False},
        {"schema": "public", "recorded": 2, "pending": 1, "unknown": 0, "current": True},
        {"schema": "tenant_b", "recorded": 2, "pending": 2, "unknown": 1, "current": False},
    ]


def test_many_schemas_are_all_told(postgres_shop: Project, database: Database) -> None:
    migrate(postgres_shop.address())
    with database.connect() as connection:
        for number in range(120):
            place = sql.Identifier(f"tenant_{number:03}")
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(place))
            copy = (
                "CREATE TABLE {}.django_migrations AS SELECT * FROM public.django_migrations WHERE id <= {}"
            )
            connection.execute(sql.SQL(copy).format(place, sql.Literal(number % 4)))
    schemas = inspect_default(postgres_shop.address())["schemas"]
    assert len(schemas) == 121
    told = {one["schema"]: (one["recorded"], one["pending"]) for one in schemas}
    assert told == {"public": (3, 0), **{f"tenant_{n:03}": (n % 4, 3 - n % 4) for n in range(120)}}


def test_one_table_of_migrations_alone_is_not_told_twice(postgres_shop: Project) -> None:
    migrate(postgres_shop.address())
    found = inspect_default(postgres_shop.address())
    assert (found["schema"], found["schemas"], found["can_create"]) == ("public", [], True)


def test_the_schema_of_the_settings_is_the_current_one(postgres_shop: Project, database: Database) -> None:
    with database.connect() as connection:
        connection.execute("CREATE SCHEMA shop_data")
    options = {"options": "-c search_path=shop_data"}
    postgres_shop.databases["default"] = {**database.settings, "OPTIONS": options}
    postgres_shop.settings()
    migrate(postgres_shop.address())
    found = inspect_default(postgres_shop.address())
    assert (found["schema"], found["schemas"], found["plan"]) == ("shop_data", [], [])


def test_sqlite_has_no_schemas(shop: Project) -> None:
    found = inspect_default(shop.address())
    assert (found["schema"], found["schemas"], found["can_create"]) == ("", [], None)


@pytest.fixture
def reader(database: Database) -> Iterator[str]:
    """A role that owns nothing."""
    name = f"reader_{uuid.uuid4().hex[:8]}"
    role = sql.Identifier(name)
    with database.connect_as_superuser() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'sesame'").format(role))
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield name
    with database.connect_as_superuser() as connection:
        connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))


def as_role(project: Project, database: Database, role: str) -> Any:
    project.databases["default"] = {**database.settings, "USER": role, "PASSWORD": "sesame"}
    project.settings()
    return inspect(project.address())


def test_no_create_right(postgres_shop: Project, database: Database, reader: str) -> None:
    found = as_role(postgres_shop, database, reader)["databases"][0]
    assert (found["reachable"], found["can_create"], found["rights"]["lack"]) == (True, False, "create")


def test_no_right_to_read_the_rows_hides_nothing_else(
    postgres_shop: Project, database: Database, reader: str
) -> None:
    migrate(postgres_shop.address())
    lite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(postgres_shop.sqlite)}
    postgres_shop.databases["second"] = lite
    report = as_role(postgres_shop, database, reader)
    first, second = report["databases"]
    assert first["records_problem"]["type"] == "permission"
    assert "django_migrations" in first["records_problem"]["message"]
    assert (first["reachable"], first["reason"], first["rights"]["lack"]) == (False, "permission", "access")
    assert first["identity"] == database.identity() and first["schema"] == "public"
    assert first["plan"] == [] and len(first["migrations"]["shop"]) == 3
    assert (second["reachable"], len(second["plan"]), second["records_problem"]) == (True, 3, None)
    assert len(report["disk"]) == 3


def test_rows_without_the_columns(either: Project) -> None:
    migrate(either.address())
    change(either, "ALTER TABLE django_migrations RENAME COLUMN applied TO applied_on")
    found = inspect_default(either.address())
    assert found["records_problem"]["type"] == "missing_columns"
    assert "applied" in found["records_problem"]["message"]
    assert (found["reachable"], found["plan"]) == (False, [])


def test_rows_with_more_columns_are_read(either: Project) -> None:
    migrate(either.address(), app="shop", migration="0002")
    change(either, "ALTER TABLE django_migrations ADD COLUMN by_whom varchar(9)")
    found = inspect_default(either.address())
    assert found["records_problem"] is None
    assert [one["name"] for one in found["plan"]] == ["0003_price"]


def test_no_table_is_nothing_applied(either: Project) -> None:
    migrate(either.address())
    change(either, "DROP TABLE django_migrations")
    found = inspect_default(either.address())
    assert (found["records_problem"], found["applied"], len(found["plan"])) == (None, [], 3)


def test_a_file_that_is_no_database(shop: Project) -> None:
    shop.sqlite.write_text("this is no database, whatever its name says" * 100)
    found = inspect_default(shop.address())
    assert not found["reachable"]
    assert "file is not a database" in found["detail"]


def change(project: Project, statement: str) -> None:
    settings = project.databases["default"]
    if settings["ENGINE"].endswith("sqlite3"):
        with sqlite3.connect(project.sqlite) as connection:
            connection.execute(statement)
        return
    import psycopg

    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    with psycopg.connect(**{word: settings[key] for word, key in names.items()}) as connection:
        connection.execute(statement.encode())
