"""The tables of a plan beside those that the database really has once the plan was carried out."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dbops.target import door
from dbops.target.address import Address
from tests.integration.agent import planned
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import migrate
from tests.integration.agent.planned import Real, entry, on_postgres, on_sqlite, plan, supposed
from tests.targets.builder import CREATE_ITEM, Project, make_project
from tests.targets.every_kind import every_kind

PYTHONS = os.environ.get("OPSDASH_TEST_PYTHONS", sys.executable).split(":")
# To start a target takes longer than to look.
LOOK_EVERY = 4
SHOP = Path(__file__).resolve().parents[4] / "examples" / "shop"


def is_old(python: str) -> bool:
    asked = [python, "-c", "import django; print(django.VERSION < (5, 1))"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() == "True"


def names(tables: dict[str, Any], part: str) -> dict[str, set[str]]:
    """Without those that have no name of their own in SQLite."""
    return {
        table: {name for name in facts[part] if "(" not in name and name != "primary key"}
        for table, facts in tables.items()
    }


def assert_alike(tables: dict[str, Any], real: Real, database: Database | None) -> None:
    told = {
        table: {name: (facts["type"], facts["null"]) for name, facts in found["columns"].items()}
        for table, found in tables.items()
    }
    are = {table: {name: facts[:2] for name, facts in found.items()} for table, found in real.columns.items()}
    if database is not None:
        told, are = ({t: kinds(database, columns) for t, columns in one.items()} for one in (told, are))
    assert told == are
    assert names(tables, "constraints") == {table: set(real.constraints[table]) for table in real.columns}
    assert names(tables, "indexes") == {table: set(real.indexes.get(table, {})) for table in real.columns}


def kinds(database: Database, columns: dict[str, Any]) -> dict[str, Any]:
    return {name: (planned.kind_on_postgres(database, kind), null) for name, (kind, null) in columns.items()}


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("engine", ["postgres", "sqlite"])
def test_the_tables_behind_each_migration_are_those_that_migrate_makes(
    tmp_path: Path, database: Database, engine: str, python: str
) -> None:
    lite = engine == "sqlite"
    project = make_project(tmp_path / "mini", None if lite else {"default": database.settings})
    every = every_kind(project, is_old(python))
    so_far: dict[str, Any] = {}
    answer = plan(project, python)
    assert [(one["name"], one["problem"], one["sql_problem"]) for one in answer["migrations"]] == [
        (name, "", "") for name in every
    ]
    for number, name in enumerate(every, 1):
        supposed(so_far, entry(answer, name))
        if number % LOOK_EVERY and name != every[-1]:
            continue
        assert migrate(project.address(argv=(python,)), app="shop", migration=name).answer["recorded_known"]
        real = on_sqlite(project.sqlite) if lite else on_postgres(database)
        without_the_unseen(so_far, real)
        assert_alike(so_far, real, None if lite else database)
    assert_the_same_is_told_backwards(project, python, so_far)


def without_the_unseen(tables: dict[str, Any], real: Real) -> None:
    """What RunSQL does without saying so is in no state."""
    for found in (tables, real.columns, real.constraints, real.indexes):
        found.pop("by_hand", None)


def assert_the_same_is_told_backwards(project: Project, python: str, tables: dict[str, Any]) -> None:
    back: dict[str, Any] = {}
    for found in plan(project, python, app="shop", migration="zero")["migrations"]:
        for table, facts in found["before"].items():
            back.setdefault(table, facts)
    assert {table: back[table] for table in tables} == tables


def test_the_tables_of_the_example_shop_are_those_that_migrate_makes(database: Database) -> None:
    url = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database.settings)
    env = {"DATABASE_URL": url, "SHOP_BATCH_PAUSE": "0"}
    address = Address(name="shop", argv=(sys.executable,), cwd=str(SHOP), env=env)
    answer = door.call(address, "plan", {"alias": "default"}, timeout_s=60)
    so_far: dict[str, Any] = {}
    for found in answer["migrations"]:
        assert (found["problem"], found["sql_problem"]) == ("", "")
        supposed(so_far, found)
    assert migrate(address).answer["recorded_known"]
    real = on_postgres(database)
    own = {table: facts for table, facts in so_far.items() if not table.startswith("django_")}
    assert_alike(own, real, database)
    schema = door.call(address, "plan", {"alias": "default", "schema": True}, timeout_s=60)["schema"]
    assert {table: facts["columns"].keys() for table, facts in schema.items()} == {
        table: facts["columns"].keys() for table, facts in so_far.items()
    }


def test_a_table_that_lives_under_an_old_name_keeps_what_its_constraints_are_called(
    postgres_shop: Project, database: Database
) -> None:
    postgres_shop.migration("0004_unique", 'migrations.AlterUniqueTogether("Item", {("n", "price")})')
    migrate(postgres_shop.address())
    with database.connect() as connection:
        connection.execute(
            "DO $$ DECLARE it text; BEGIN SELECT conname INTO it FROM pg_constraint "
            "WHERE contype = 'u' AND conrelid = 'shop_item'::regclass; "
            "EXECUTE format('ALTER TABLE shop_item RENAME CONSTRAINT %I TO so_called', it); END $$"
        )
    postgres_shop.migration("0005_none", 'migrations.AlterUniqueTogether("Item", set())')
    found = entry(plan(postgres_shop), "0005_none")
    assert planned.statements(found) == ['ALTER TABLE "shop_item" DROP CONSTRAINT "so_called";']
    assert "so_called" in found["before"]["shop_item"]["constraints"]
    assert "so_called" not in found["after"]["shop_item"]["constraints"]


def test_only_touched_tables_are_told(shop: Project) -> None:
    shop.migration("0004_other", CREATE_ITEM.replace("Item", "Other"))
    shop.python("0005_code", "pass")
    answer = plan(shop)
    assert list(entry(answer, "0004_other")["after"]) == ["shop_other"]
    assert entry(answer, "0004_other")["before"] == {}
    assert entry(answer, "0005_code")["after"] == {}


def test_what_changes_in_the_state_alone_changes_no_table(shop: Project) -> None:
    shop.migration(
        "0004_state",
        "migrations.SeparateDatabaseAndState(state_operations=["
        'migrations.RenameModel("Item", "Thing"), migrations.AlterModelTable("Thing", "shop_item")])',
    )
    found = entry(plan(shop), "0004_state")
    assert (found["before"], found["after"], found["renames"]) == ({}, {}, [])
    assert [one["state_only"] for one in found["operations"][0]["nested"]] == [True, True]
    assert planned.statements(found) == []


def test_renamed_tables_are_told_in_the_direction_of_the_plan(shop: Project) -> None:
    shop.migration("0004_name", 'migrations.RenameModel("Item", "Thing")')
    shop.migration("0005_table", 'migrations.AlterModelTable("Thing", "things")')
    answer = plan(shop)
    assert entry(answer, "0004_name")["renames"] == [["shop_item", "shop_thing"]]
    assert answer["renames"] == [["shop_item", "things"]]
    assert list(entry(answer, "0005_table")["before"]) == ["shop_thing"]
    migrate(shop.address())
    back = plan(shop, app="shop", migration="0003")
    assert [one["renames"] for one in back["migrations"]] == [
        [["things", "shop_thing"]],
        [["shop_thing", "shop_item"]],
    ]
    assert back["renames"] == [["things", "shop_item"]]


def test_the_schema_of_all_that_is_applied(postgres_shop: Project) -> None:
    assert plan(postgres_shop, schema=True)["schema"] == {}
    migrate(postgres_shop.address(), app="shop", migration="0002_name")
    (item,) = plan(postgres_shop, schema=True)["schema"].values()
    assert list(item["columns"]) == ["id", "n", "name"]
    assert item["constraints"] == {"shop_item_pkey": 'PRIMARY KEY ("id")'}
    backwards = plan(postgres_shop, app="shop", migration="0001", schema=True)
    assert list(backwards["schema"]["shop_item"]["columns"]) == ["id", "n", "name"]


NEWER = """
    migrations.CreateModel("Box", [
        ("id", models.SmallAutoField(primary_key=True)),
        ("width", models.IntegerField(db_default=3, db_comment="in cm")),
        ("label", models.CharField(max_length=9, db_default="it's", db_collation="C")),
        ("made", models.DateTimeField(db_default=Now())),
        ("double", models.GeneratedField(
            expression=models.F("width") * 2, output_field=models.IntegerField(), db_persist=True)),
        ("words", ArrayField(models.CharField(max_length=3), null=True)),
        ("span", DateRangeField(null=True)),
    ], options={
        "db_table_comment": "what things are sent in",
        "indexes": [
            GinIndex(fields=["words"], name="by_words"), models.Index(Lower("label"), name="by_lower"),
        ],
        "constraints": [
            ExclusionConstraint(name="apart", expressions=[("span", RangeOperators.OVERLAPS)]),
            models.UniqueConstraint(Lower("label"), "width", name="once_lower"),
            models.UniqueConstraint(fields=["made"], name="later", deferrable=models.Deferrable.DEFERRED),
        ],
    }),
    migrations.CreateModel("Place", [
        ("pk", models.CompositePrimaryKey("row", "shelf")),
        ("row", models.IntegerField()), ("shelf", models.CharField(max_length=3)),
    ]),
"""
NEWER_HEAD = """
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateRangeField, RangeOperators
from django.contrib.postgres.indexes import GinIndex
from django.db.models.functions import Lower, Now
"""
NEWER_ALTERED = """
    migrations.AlterField("Box", "made", models.DateTimeField(null=True, db_comment="the day")),
    migrations.AlterModelTableComment("Box", "what is sent"),
    migrations.RemoveConstraint("Box", "apart"), migrations.RemoveIndex("Box", "by_words"),
    migrations.RenameIndex("Box", new_name="by_low", old_name="by_lower"),
    migrations.RemoveField("Box", "span"),
"""


def test_what_newer_versions_of_django_let_the_database_do(tmp_path: Path, database: Database) -> None:
    project = make_project(tmp_path / "mini", {"default": database.settings})
    project.migration("0001_initial", NEWER, head=NEWER_HEAD)
    answer = plan(project)
    assert migrate(project.address()).answer["recorded_known"]
    assert_alike(entry(answer, "0001_initial")["after"], on_postgres(database), database)
    box, place = (entry(answer, "0001_initial")["after"][name] for name in ("shop_box", "shop_place"))
    columns = box["columns"]
    assert columns["width"]["default"] == "3"
    assert (columns["label"]["default"], columns["label"]["collation"]) == ("'it''s'", "C")
    assert columns["made"]["default"] == "(STATEMENT_TIMESTAMP())"
    assert columns["double"]["generated"] == '("width" * 2) STORED'
    assert (columns["width"]["comment"], box["comment"]) == ("in cm", "what things are sent in")
    assert columns["id"]["identity"]
    assert box["constraints"]["apart"].startswith("EXCLUDE USING")
    assert place["constraints"] == {"shop_place_pkey": 'PRIMARY KEY ("row", "shelf")'}
    assert [facts["primary_key"] for facts in place["columns"].values()] == [True, True]
    project.migration("0002_altered", NEWER_ALTERED)
    found = entry(plan(project), "0002_altered")
    assert (found["problem"], [one["sql_problem"] for one in found["operations"]]) == ("", [""] * 6)
    assert migrate(project.address()).answer["recorded_known"]
    real = on_postgres(database)
    for kept in (real.columns, real.constraints, real.indexes):
        kept.pop("shop_place", None)
    assert_alike(found["after"], real, database)
    assert found["after"]["shop_box"]["columns"]["made"]["comment"] == "the day"
    assert "by_low" in found["after"]["shop_box"]["indexes"]
