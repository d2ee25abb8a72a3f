"""examine: what of a migration is in the schema, told from the schema itself."""

import sqlite3
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbops.target import door, errors
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import LONG_S, migrate
from tests.integration.worker import until
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


UNIQUE = (
    'migrations.AddField("Item", "size", models.IntegerField(default=7)), migrations.RunSQL('
    '"CREATE UNIQUE INDEX CONCURRENTLY by_size ON shop_item (size)", state_operations=['
    'migrations.AddConstraint("Item", models.UniqueConstraint(fields=["size"], name="by_size", '
    "condition=models.Q(size__gt=0)))])"
)


def two_rows(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("INSERT INTO shop_item (n) VALUES (1), (1)")


def test_an_index_that_failed_to_be_built_concurrently_is_told_as_invalid(
    tables: Project, database: Database
) -> None:
    two_rows(database)
    tables.migration("0004_bad", UNIQUE, body="atomic = False")
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


def test_an_index_that_is_being_built_is_not_offered_to_be_dropped(
    tables: Project, database: Database
) -> None:
    with database.connect() as other, database.connect() as builder:
        other.autocommit = False
        other.execute("INSERT INTO shop_item (n) VALUES (1)")
        build = threading.Thread(
            target=lambda: builder.execute("CREATE INDEX CONCURRENTLY slow ON shop_item (n)")
        )
        build.start()
        until(lambda: database.rows("SELECT 1 FROM pg_class WHERE relname = 'slow'"), "it is being built")
        (index,) = examine(tables, "shop.0003_price")["invalid_indexes"]
        other.rollback()
        build.join(LONG_S)
    assert (index["name"], index["building"], index["droppable"]) == ("slow", True, False)
    assert examine(tables, "shop.0003_price")["invalid_indexes"] == []


def test_a_table_that_lacks_an_index_is_there_in_part(tables: Project, database: Database) -> None:
    """It was made, and its deferred statements were not performed."""
    tables.migration(
        "0004_shelf",
        'migrations.CreateModel("Shelf", [("id", models.BigAutoField(primary_key=True)), '
        '("n", models.IntegerField(db_index=True)), '
        '("item", models.ForeignKey("shop.Item", models.CASCADE, db_index=False))])',
        body="atomic = False",
    )
    with database.connect() as connection:
        connection.execute("CREATE TABLE shop_shelf (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY)")
        connection.execute("ALTER TABLE shop_shelf ADD n integer NOT NULL, ADD item_id bigint NOT NULL")
    found = one(tables, "shop.0004_shelf")
    assert (found["verdict"], found["there"]) == ("partly", ["the table shop_shelf"])
    assert found["lacking"] == [
        "the foreign key on (item_id) REFERENCES shop_item (id) of shop_shelf",
        "the index on btree (n) of shop_shelf",
    ]
    assert found["undo"] == ['DROP TABLE "shop_shelf";']


def test_a_table_as_an_older_django_made_it_is_no_other_one(tables: Project, database: Database) -> None:
    tables.migration(
        "0004_shelf",
        'migrations.CreateModel("Shelf", [("id", models.AutoField(primary_key=True)), '
        '("item", models.ForeignKey("shop.Item", models.CASCADE))])',
    )
    with database.connect() as connection:
        connection.execute(
            "CREATE TABLE shop_shelf (item_id bigint NOT NULL CONSTRAINT old_name REFERENCES shop_item "
            "DEFERRABLE INITIALLY DEFERRED, id serial PRIMARY KEY)"
        )
        connection.execute("CREATE INDEX other ON shop_shelf (item_id)")
    assert one(tables, "shop.0004_shelf")["recordable"]


ADD_SIZE = 'migrations.AddField("Item", "size", models.IntegerField(default=7))'


@pytest.mark.parametrize(
    ("altered", "verdict", "told"),
    [
        # Neither as before nor as after: Django had not dropped the default yet.
        (
            "ALTER TABLE shop_item ADD size integer NOT NULL DEFAULT 7",
            "partly",
            "the column size of shop_item is integer NOT NULL DEFAULT 7; "
            "before the migration it is not there, after it integer NOT NULL",
        ),
        (
            "ALTER TABLE shop_item ADD more integer",
            "differs",
            "the column more of shop_item is there, and no recorded migration makes it",
        ),
        (
            "ALTER TABLE shop_item DROP COLUMN name",
            "differs",
            "the column name of shop_item is not there, and by what is recorded it should be",
        ),
        (
            "ALTER TABLE shop_item ALTER name TYPE text",
            "differs",
            "the column name of shop_item is text NULL; by what is recorded it should be "
            "character varying(10) NULL",
        ),
        ("DROP TABLE shop_item", "differs", "the table shop_item is not there"),
    ],
)
def test_a_table_that_somebody_altered_is_neither_as_before_nor_as_after(
    tables: Project, database: Database, altered: str, verdict: str, told: str
) -> None:
    tables.migration("0004_size", ADD_SIZE)
    with database.connect() as connection:
        connection.execute(altered)
    found = one(tables, "shop.0004_size")
    assert (found["verdict"], found["recordable"], found["otherwise"]) == (verdict, False, [told])


def test_a_table_that_another_app_s_migration_changed_is_compared_with_that(tables: Project) -> None:
    operation = (
        "class Elsewhere(migrations.AddField):\n"
        "    def state_forwards(self, app, state): super().state_forwards('shop', state)\n"
        "    def database_forwards(self, app, *rest): super().database_forwards('shop', *rest)\n"
    )
    tables.write("extra/__init__.py", "")
    tables.settings(apps=("shop", "extra"))
    tables.migration(
        "0001_color",
        'Elsewhere("Item", "color", models.IntegerField(null=True))',
        app="extra",
        after=[("shop", "0003_price")],
        head=operation,
    )
    assert migrate(tables.address()).end.status == 0
    tables.migration("0004_size", ADD_SIZE)
    assert one(tables, "shop.0004_size")["verdict"] == "untouched"
    found = one(tables, "extra.0001_color")
    assert (found["verdict"], found["unseen"]) == ("applied", ["Elsewhere"])


def test_a_table_of_another_schema_of_the_search_path_is_found_and_one_beside_it_is_not(
    tables: Project, database: Database
) -> None:
    tables.migration(
        "0004_shelf", 'migrations.CreateModel("Shelf", [("n", models.IntegerField(primary_key=True))])'
    )
    with database.connect() as connection:
        connection.execute("CREATE SCHEMA beside; CREATE TABLE beside.shop_shelf (n integer PRIMARY KEY)")
    assert one(tables, "shop.0004_shelf")["verdict"] == "untouched"
    tables.databases["default"]["OPTIONS"] = {"options": "-c search_path=public,beside"}
    tables.settings()
    assert one(tables, "shop.0004_shelf")["recordable"]


# What cannot be told


def test_without_the_right_to_make_temporary_tables_it_says_so(tables: Project, database: Database) -> None:
    tables.migration("0004_size", ADD_SIZE)
    role = f"plain_{uuid.uuid4().hex[:6]}"
    with database.connect_as_superuser() as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'".encode())
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}".encode())
        connection.execute(f"REVOKE TEMPORARY ON DATABASE {database.name} FROM PUBLIC".encode())
    tables.databases["default"].update(USER=role, PASSWORD="x")
    tables.settings()
    try:
        found = one(tables, "shop.0004_size")
    finally:
        with database.connect_as_superuser() as connection:
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())
    assert found["verdict"] == "unknown"
    assert found["why"].startswith("its role may not make temporary tables, by which opsdash compares (GRANT")


def test_what_is_no_base_for_a_comparison_is_said(shop: Project) -> None:
    why = [
        found["why"] for found in examine(shop, "shop.0002_name", "shop.0009", "nowhere.0001")["migrations"]
    ]
    assert why == ["shop.0001_initial, which it builds on, is not recorded", *["its file is not there"] * 2]
    migrate(shop.address())
    assert one(shop, "shop.0002_name")["why"] == "shop.0003_price, recorded as applied, builds on it"
    shop.migration("0004_bad", 'migrations.RemoveField("Item", "nothing")')
    assert "the project's models cannot be built (" in one(shop, "shop.0004_bad")["why"]
    shop.write("shop/migrations/0005_broken.py", "1/0")
    assert one(shop, "shop.0003_price")["why"] == "ZeroDivisionError: division by zero"


OWN_EDITOR = """
from django.db.backends.sqlite3 import base, schema
class Editor(schema.DatabaseSchemaEditor): pass
class DatabaseWrapper(base.DatabaseWrapper):
    SchemaEditorClass = Editor
"""


def test_an_engine_that_makes_its_tables_in_a_way_of_its_own_is_not_judged(shop: Project) -> None:
    shop.write("engine/__init__.py", "")
    shop.write("engine/base.py", OWN_EDITOR)
    shop.databases["default"]["ENGINE"] = "engine"
    shop.settings()
    migrate(shop.address(), app="shop", migration="0002_name")
    assert one(shop, "shop.0003_price")["why"] == "engine.base makes its tables in a way of its own"


def test_a_migration_with_more_than_its_operations_is_not_called_proven(
    either: Project, request: pytest.FixtureRequest
) -> None:
    migrate(either.address())
    body = "def apply(self, *rest, **more):\n        return super().apply(*rest, **more)"
    change(either, CHANGE, body=body)
    assert migrate(either.address()).end.status == 0
    forget(either, request)
    found = one(either)
    assert (found["verdict"], found["unseen"], found["recordable"]) == ("applied", ["its own apply()"], False)


CHANGE = 'migrations.AddField("Item", "size", models.IntegerField(null=True))'


def test_only_the_state_is_changed_and_the_database_is_as_before(either: Project) -> None:
    """It is applied for Django, and nothing of it is in the schema."""
    migrate(either.address())
    change(either, f"migrations.SeparateDatabaseAndState(state_operations=[{CHANGE}])")
    assert migrate(either.address()).end.status == 0
    found = one(either)
    assert (found["verdict"], found["unseen"]) == ("untouched", ["SeparateDatabaseAndState"])


# It changes nothing


def test_an_examination_leaves_no_trace(either: Project, request: pytest.FixtureRequest) -> None:
    migrate(either.address())
    change(either, "migrations." + CHANGES["a table"])
    everything: Callable[[], Any] = either.sqlite.read_bytes
    if not lite(either):
        database = request.getfixturevalue("database")
        query = "SELECT oid, relname, relnamespace, relfilenode FROM pg_class ORDER BY oid"
        everything = lambda: database.rows(query)  # noqa: E731
    before = everything()
    assert one(either)["verdict"] == "untouched"
    assert everything() == before
    assert sorted(path.name for path in either.path.iterdir() if "sqlite" in path.name) == (
        ["db.sqlite3", "db.sqlite3.opsdash-guard"] if lite(either) else []
    )


def test_an_examination_of_a_wrong_database_is_refused(tables: Project, database: Database) -> None:
    with pytest.raises(errors.OwnDatabase):
        examine(tables, forbidden_identity=database.identity())
    with pytest.raises(errors.OtherDatabase):
        examine(tables, expected_identity="postgres:1:2")
    with pytest.raises(errors.BadArgument):
        examine(tables, "shop.--fake")
    with pytest.raises(errors.ProtocolBroken, match="more than 20"):
        examine(tables, *["shop.0001_initial"] * 21)


def test_an_examination_waits_for_a_lock_no_longer_than_it_is_told(
    tables: Project, database: Database
) -> None:
    tables.migration("0004_size", ADD_SIZE)
    with database.connect(autocommit=False) as other:
        other.execute("LOCK TABLE shop_item IN ACCESS EXCLUSIVE MODE")
        found = one(tables, "shop.0004_size", session={"lock_timeout_ms": 500})
    # Before Postgres 18 it has none to wait for.
    assert found["verdict"] == "untouched" or found["why"].startswith("somebody holds a lock on one of its")


# record


def test_a_migration_is_recorded_and_nothing_else_is_done(
    either: Project, request: pytest.FixtureRequest
) -> None:
    receiver = (
        "from django.db.models.signals import post_migrate\n"
        "def say(**_): print('the receivers ran')\npost_migrate.connect(say)\n"
    )
    either.write("shop/models.py", receiver)
    migrate(either.address())
    change(either, CHANGE)
    migrate(either.address())
    forget(either, request)
    record = migrate(either.address(), operation="record", app="shop", migration="0002_change")
    assert record.answer["recorded_after"] == [["shop", "0002_change"]]
    assert b"the receivers ran" not in record.output
    assert record.story[-1] == "<End>" and "<step_finished 0002_change>" in record.story
    assert one(either)["recorded"]


def test_an_act_that_the_agent_does_not_know_is_refused(shop: Project) -> None:
    assert migrate(shop.address(), operation="reset").failure.type == "bad_request"
