"""examine: what of a migration is in the schema, told from the schema itself."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dbops.target import door
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import LONG_S, migrate
from tests.targets.builder import ADD_PRICE, Project, make_project

CREATE = (
    'migrations.CreateModel("Cat", [("id", models.BigAutoField(primary_key=True)), '
    '("label", models.CharField(max_length=20))]), '
    'migrations.CreateModel("Item", [("id", models.AutoField(primary_key=True)), '
    '("n", models.IntegerField()), ("code", models.CharField(max_length=10, db_index=True)), '
    '("cat", models.ForeignKey("shop.Cat", models.CASCADE)), '
    '("old", models.PositiveIntegerField(null=True)), ("at", models.DateTimeField(null=True))]), '
    'migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True)), '
    '("items", models.ManyToManyField("shop.Item"))])'
)
# Each is applied to the tables above.
CHANGES = {
    "a field": 'AddField("Item", "price", models.DecimalField(max_digits=8, decimal_places=2, null=True))',
    "a field with a default": 'AddField("Item", "state", models.CharField(max_length=5, default="new"))',
    "a default of the database": (
        'AddField("Item", "state", models.CharField(max_length=5, db_default="new"))'
    ),
    "a positive field": 'AddField("Item", "size", models.PositiveSmallIntegerField(default=1))',
    "a foreign key": 'AddField("Cat", "parent", models.ForeignKey("shop.Cat", models.CASCADE, null=True))',
    "a one to one": 'AddField("Cat", "best", models.OneToOneField("shop.Item", models.SET_NULL, null=True))',
    "many to many": 'AddField("Cat", "items", models.ManyToManyField("shop.Item"))',
    "a table": (
        'CreateModel("Shelf", [("id", models.UUIDField(primary_key=True)), '
        '("cat", models.ForeignKey("shop.Cat", models.CASCADE)), ("name", models.SlugField(unique=True)), '
        '("data", models.JSONField(default=dict)), ("tags", models.ManyToManyField("shop.Tag"))], '
        'options={"unique_together": {("cat", "name")}, '
        '"indexes": [models.Index(fields=["name"], name="by_name")]})'
    ),
    "a table gone": 'DeleteModel("Tag")',
    "a field gone": 'RemoveField("Item", "old")',
    "a field renamed": 'RenameField("Item", "code", "sku")',
    "a foreign key renamed": 'RenameField("Item", "cat", "kind")',
    "a model renamed": 'RenameModel("Item", "Thing")',
    "a table renamed": 'AlterModelTable("Item", "things")',
    "another type": 'AlterField("Item", "n", models.BigIntegerField())',
    "a longer text": 'AlterField("Item", "code", models.CharField(max_length=30, db_index=True))',
    "another key, pointed to": 'AlterField("Item", "id", models.BigAutoField(primary_key=True))',
    "null": 'AlterField("Item", "n", models.IntegerField(null=True))',
    "unique": 'AlterField("Item", "code", models.CharField(max_length=10, unique=True))',
    "no index": 'AlterField("Item", "code", models.CharField(max_length=10))',
    "unique together": 'AlterUniqueTogether("Item", {("n", "code")})',
    "an index": 'AddIndex("Item", models.Index(fields=["n", "-at"], name="n_at"))',
    "a partial index": (
        'AddIndex("Item", models.Index(fields=["n"], name="few", condition=models.Q(n__gt=5)))'
    ),
    "a check": 'AddConstraint("Item", models.CheckConstraint(name="n_is_big", condition=models.Q(n__gt=1)))',
    "a unique constraint": (
        'AddConstraint("Item", models.UniqueConstraint(name="once", fields=["n", "code"]))'
    ),
    "a unique condition": (
        'AddConstraint("Item", models.UniqueConstraint(name="once_more", fields=["n"], '
        "condition=models.Q(n__gt=2)))"
    ),
    "an order": 'AlterOrderWithRespectTo("Item", "cat")',
    "a generated field": (
        'AddField("Item", "twice", models.GeneratedField(expression=models.F("n") * 2, '
        "output_field=models.IntegerField(), db_persist=False if LITE else True))"
    ),
}
UNSEEN_CHANGES = {
    "options": 'migrations.AlterModelOptions("Item", {"verbose_name": "thing"})',
    "choices": 'migrations.AlterField("Item", "n", models.IntegerField(choices=[(1, "one")]))',
    "code": "migrations.RunPython(migrations.RunPython.noop)",
}


def examine(project: Project, *names: str, **arguments: Any) -> Any:
    asked = [name.split(".") for name in names or ("shop.0002_change",)]
    sent = {"alias": "default", "migrations": asked, **arguments}
    return door.call(project.address(), "examine", sent, timeout_s=LONG_S)


def one(project: Project, *names: str, **arguments: Any) -> Any:
    return examine(project, *names, **arguments)["migrations"][0]


@pytest.fixture(params=["postgres", "sqlite"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """With its tables made, and one row in each."""
    databases = None
    if request.param == "postgres":
        databases = {"default": request.getfixturevalue("database").settings}
    project = make_project(tmp_path / "mini", databases)
    project.migration("0001_initial", CREATE)
    return project


def lite(project: Project) -> bool:
    return "sqlite" in project.databases["default"]["ENGINE"]


def change(project: Project, operations: str, **options: Any) -> None:
    project.migration("0002_change", operations.replace("LITE", str(lite(project))), **options)


def forget(project: Project, request: pytest.FixtureRequest, name: str = "0002_change") -> None:
    """It is applied and not recorded."""
    run_sql(project, request, f"DELETE FROM django_migrations WHERE name = '{name}'")


def run_sql(project: Project, request: pytest.FixtureRequest, *statements: str) -> None:
    if lite(project):
        with sqlite3.connect(project.sqlite) as file:
            for statement in statements:
                file.execute(statement)
        file.close()
        return
    with request.getfixturevalue("database").connect() as connection:
        for statement in statements:
            connection.execute(statement)


def of_each(project: Project) -> dict[str, Any]:
    """What is said of every change."""
    told = of_all(project)
    if lite(project):
        # SQLite numbers rows in one way, and Django does not touch there what points to a key.
        assert told.pop("another key, pointed to")["verdict"] == "unseen"
    return told


def of_all(project: Project) -> dict[str, Any]:
    names = [f"shop{number}.0002_change" for number in range(len(CHANGES))]
    told = [
        found
        for at in range(0, len(names), 20)
        for found in examine(project, *names[at : at + 20])["migrations"]
    ]
    return dict(zip(CHANGES, told, strict=True))


def test_what_is_not_applied_is_untouched_and_what_is_applied_is_seen_to_be(
    either: Project, request: pytest.FixtureRequest
) -> None:
    """Each change in an app of its own."""
    apps = [f"shop{number}" for number in range(len(CHANGES))]
    for app, operations in zip(apps, CHANGES.values(), strict=True):
        either.write(f"{app}/__init__.py", "")
        either.migration("0001_initial", CREATE.replace("shop.", f"{app}."), app=app)
        own = "migrations." + operations.replace("shop.", f"{app}.").replace("LITE", str(lite(either)))
        either.migration("0002_change", own, app=app)
    either.settings(apps=tuple(apps))
    late = [either.path / app / "migrations" / "0002_change.py" for app in apps]
    for file in late:
        file.rename(file.with_suffix(".later"))
    assert migrate(either.address()).end.status == 0
    for file in late:
        file.with_suffix(".later").rename(file)
    for name, found in of_each(either).items():
        assert (found["verdict"], found["recorded"], found["recordable"]) == ("untouched", False, False), (
            name,
            found,
        )
        assert found["lacking"] and not found["there"] and not found["undo"], name
    assert migrate(either.address()).end.status == 0
    for name, found in of_each(either).items():
        assert (found["verdict"], found["recorded"], found["recordable"]) == ("applied", True, False), (
            name,
            found,
        )
    run_sql(either, request, "DELETE FROM django_migrations WHERE name = '0002_change'")
    for name, found in of_each(either).items():
        assert (found["verdict"], found["recorded"], found["recordable"]) == ("applied", False, True), (
            name,
            found,
        )
        assert found["there"] and not found["lacking"], name


@pytest.mark.parametrize("name", UNSEEN_CHANGES)
def test_a_migration_that_changes_nothing_of_the_schema_cannot_be_judged(either: Project, name: str) -> None:
    migrate(either.address())
    change(either, UNSEEN_CHANGES[name])
    found = one(either)
    assert (found["verdict"], found["recordable"]) == ("unseen", False)
    assert found["unseen"] == (["RunPython noop"] if name == "code" else [])


# What is left behind (Postgres)


@pytest.fixture
def tables(postgres_shop: Project) -> Project:
    """Three migrations of one table on Postgres, applied."""
    assert migrate(postgres_shop.address()).end.status == 0
    return postgres_shop


def test_what_failed_in_a_transaction_left_nothing(tables: Project) -> None:
    tables.migration("0004_bad", f'{ADD_PRICE.replace("price", "size")}, migrations.RunSQL("SELECT 1/0")')
    assert migrate(tables.address()).failure.type == "failed"
    found = one(tables, "shop.0004_bad")
    assert (found["verdict"], found["unseen"], found["atomic"]) == ("untouched", ["RunSQL"], True)
    assert found["lacking"] == ["the column size of shop_item"]


CONCURRENTLY = (
    'migrations.AddField("Item", "size", models.IntegerField(default=7)), AddIndexConcurrently("Item", '
    'models.Index(fields=["n"], name="by_n"))'
)
UNIQUE = (
    'migrations.AddField("Item", "size", models.IntegerField(default=7)), migrations.RunSQL('
    '"CREATE UNIQUE INDEX CONCURRENTLY by_size ON shop_item (size)", state_operations=['
    'migrations.AddConstraint("Item", models.UniqueConstraint(fields=["size"], name="by_size", '
    "condition=models.Q(size__gt=0)))])"
)
OF_POSTGRES = "from django.contrib.postgres.operations import AddIndexConcurrently"


def two_rows(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("INSERT INTO shop_item (n) VALUES (1), (1)")


def test_an_index_that_failed_to_be_built_concurrently_is_told_as_invalid(
    tables: Project, database: Database
) -> None:
    two_rows(database)
    tables.migration("0004_bad", UNIQUE, head=OF_POSTGRES, body="atomic = False")
    assert migrate(tables.address()).failure.type == "failed"
    answer = examine(tables, "shop.0004_bad")
    found = answer["migrations"][0]
    assert (found["verdict"], found["recordable"]) == ("partly", False)
    assert found["there"] == ["the column size of shop_item"]
    assert found["undo"] == ['ALTER TABLE "shop_item" DROP COLUMN "size";']
    assert found["invalid"] == ["the index by_size (UNIQUE btree (size)) of shop_item"]
    (index,) = answer["invalid_indexes"]
    assert (index["schema"], index["table"], index["name"]) == ("public", "shop_item", "by_size")
    assert (index["building"], index["constraint"], index["droppable"]) == (False, None, True)
    assert index["statement"] == "DROP INDEX CONCURRENTLY public.by_size"
