"""examine: where the schema's end leaves a doubt, and what is then not claimed or not offered."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import migrate
from tests.integration.agent.reading.test_agent_examine import one
from tests.targets.builder import Project, make_project

# Where the end does not show what was done


TWO = (
    'migrations.CreateModel("Item", [("id", models.BigAutoField(primary_key=True)), '
    '("a", models.IntegerField(null=True)), ("b", models.IntegerField(null=True))]), '
    'migrations.CreateModel("Old", [("id", models.BigAutoField(primary_key=True))])'
)
FAILS = "migrations.RunPython(fails)"
HEAD = "def fails(apps, schema_editor):\n    raise RuntimeError('no')\n"
ADD_Z = 'migrations.AddField("Item", "z", models.IntegerField(null=True))'


@pytest.fixture
def two(tmp_path: Path, database: Database) -> Project:
    """Two tables on Postgres, with one row."""
    project = make_project(tmp_path / "two", {"default": database.settings})
    project.migration("0001_initial", TWO)
    assert migrate(project.address()).end.status == 0
    with database.connect() as connection:
        connection.execute("INSERT INTO shop_item (a, b) VALUES (1, 2)")
    return project


def failed(project: Project, operations: str, **options: Any) -> Any:
    project.migration("0002_change", operations, head=HEAD, **{"body": "atomic = False", **options})
    assert migrate(project.address()).failure.type == "failed"
    return one(project)


@pytest.mark.parametrize(
    "renames",
    [
        'migrations.RenameField("Item", "a", "m"), migrations.RenameModel("Old", "New")',
        'migrations.AlterModelTable("Item", "things")',
        'migrations.AlterField("Item", "a", models.IntegerField(null=True, db_column="m"))',
    ],
)
def test_what_was_renamed_is_never_dropped(two: Project, renames: str) -> None:
    late = 'migrations.CreateModel("Late", [("id", models.BigAutoField(primary_key=True))])'
    found = failed(two, f"{renames}, {FAILS}, {late}")
    assert (found["verdict"], found["undo"]) == ("partly", [])
    assert found["no_undo"].startswith("it renames (")
    assert found["no_undo"].endswith("and what looks new may hold what was there before")


def test_what_a_migration_plainly_adds_is_undone_from_its_end(two: Project, database: Database) -> None:
    shelf = (
        'migrations.CreateModel("Shelf", [("id", models.BigAutoField(primary_key=True)), '
        '("items", models.ManyToManyField("shop.Item"))])'
    )
    link = 'migrations.AddField("Item", "shelf", models.ForeignKey("shop.Shelf", models.CASCADE, null=True))'
    index = 'migrations.AddIndex("Item", models.Index(fields=["shelf", "b"], name="by_both"))'
    before = database.rows("SELECT relname::text FROM pg_class WHERE relname LIKE 'shop%' ORDER BY 1")
    found = failed(two, f"{shelf}, {link}, {index}, {FAILS}, {ADD_Z}")
    assert found["undo"] == [
        'DROP INDEX "by_both";',
        'ALTER TABLE "shop_item" DROP COLUMN "shelf_id";',
        'DROP TABLE "shop_shelf_items";',
        'DROP TABLE "shop_shelf";',
    ]
    with database.connect() as connection:
        for statement in found["undo"]:
            connection.execute(statement.encode())
    assert database.rows("SELECT relname::text FROM pg_class WHERE relname LIKE 'shop%' ORDER BY 1") == before
    assert one(two)["verdict"] == "untouched"


def test_what_is_already_gone_is_not_called_undone(two: Project) -> None:
    found = failed(two, f'{ADD_Z}, migrations.RemoveField("Item", "a"), {FAILS}, {ADD_Z.replace("z", "y")}')
    assert (found["verdict"], found["undo"]) == ("partly", [])
    assert found["no_undo"] == (
        "they would not bring back what it was before (the column a of shop_item is gone)"
    )


def test_what_is_there_of_an_atomic_migration_may_have_been_there_before(
    two: Project, database: Database
) -> None:
    with database.connect() as connection:
        connection.execute("ALTER TABLE shop_item ADD z integer")
    found = failed(two, f"{ADD_Z}, {ADD_Z.replace('z', 'y')}", body="")
    assert (found["verdict"], found["undo"]) == ("partly", [])
    assert found["no_undo"] == "it is atomic, so what is there may have been there before it"


SWAP = ", ".join(f'migrations.RenameField("Item", "{old}", "{new}")' for old, new in ("at", "ba", "tb"))
AGAIN = 'migrations.AddField("Item", "a", models.IntegerField(null=True))'
GONE = 'migrations.RemoveField("Item", "a")'


@pytest.mark.parametrize(
    ("operations", "names"),
    [
        (f"{ADD_Z}, {FAILS}, {SWAP}", "a, b, t"),
        (f"{GONE}, {AGAIN}, {FAILS}", "a"),
        (f"{GONE}, {FAILS}, {AGAIN}", "a"),
        (
            'migrations.AlterField("Item", "a", models.SmallIntegerField(null=True)), '
            f'migrations.AlterField("Item", "a", models.IntegerField(null=True)), {FAILS}',
            "a",
        ),
        (
            f'{GONE}, migrations.AddField("Item", "c", models.IntegerField(null=True, db_column="a")), '
            f"{FAILS}",
            "a",
        ),
        (
            'migrations.DeleteModel("Old"), migrations.CreateModel("Old", [("id", '
            f"models.BigAutoField(primary_key=True))]), {FAILS}",
            "old, shop_old",
        ),
    ],
)
def test_what_is_changed_more_than_once_cannot_be_told(two: Project, operations: str, names: str) -> None:
    found = failed(two, operations)
    assert (found["verdict"], found["recordable"], found["undo"]) == ("unknown", False, [])
    assert found["why"] == f"it changes {names} more than once, which the end does not show"


def test_a_field_that_is_taken_away_before_its_model_is_no_doubt(two: Project, database: Database) -> None:
    two.migration("0002_change", f'{GONE}, migrations.DeleteModel("Item")')
    assert one(two)["verdict"] == "untouched"
    with database.connect() as connection:
        connection.execute("DROP TABLE shop_item")
    assert one(two)["recordable"]


# What Django begins or ceases to manage

LEGACY = (
    'migrations.CreateModel("Legacy", [("id", models.BigAutoField(primary_key=True))], '
    'options={"db_table": "legacy", "managed": False})'
)
MANAGED = 'migrations.AlterModelOptions("Legacy", {"managed": True})'


def test_a_table_that_django_begins_to_manage_is_not_one_that_it_makes(
    two: Project, database: Database
) -> None:
    with database.connect() as connection:
        connection.execute("CREATE TABLE legacy (id bigint PRIMARY KEY, n integer)")
    two.migration("0002_legacy", LEGACY)
    assert migrate(two.address()).end.status == 0
    two.migration("0003_change", f"{MANAGED}, {ADD_Z}", body="atomic = False")
    found = one(two, "shop.0003_change")
    assert (found["verdict"], found["lacking"]) == ("untouched", ["the column z of shop_item"])
    with database.connect() as connection:
        connection.execute("ALTER TABLE shop_item ADD z integer")
    found = one(two, "shop.0003_change")
    assert (found["verdict"], found["there"]) == ("applied", ["the column z of shop_item"])


@pytest.mark.parametrize(
    "more",
    [
        'migrations.AddField("Legacy", "n", models.IntegerField(null=True))',
        'migrations.RenameModel("Legacy", "New")',
    ],
)
def test_what_else_is_done_to_such_a_table_cannot_be_told(two: Project, more: str) -> None:
    two.migration("0002_legacy", LEGACY)
    assert migrate(two.address()).end.status == 0
    two.migration("0003_change", f"{MANAGED}, {more}")
    assert one(two, "shop.0003_change")["why"].endswith("more than once, which the end does not show")


# What is not in the schema


def test_a_content_type_that_is_renamed_with_its_model_is_not_seen(two: Project, database: Database) -> None:
    two.settings(apps=("django.contrib.contenttypes", "shop"))
    two.migration("0002_change", 'migrations.RenameModel("Old", "New")')
    with database.connect() as connection:
        connection.execute("ALTER TABLE shop_old RENAME TO shop_new")
    found = one(two)
    assert (found["verdict"], found["recordable"]) == ("applied", False)
    assert found["unseen"] == ["RenameModel of a content type"]


@pytest.mark.parametrize("default", ["default=5", "db_default=5"])
def test_what_rows_were_filled_with_is_not_seen(two: Project, database: Database, default: str) -> None:
    two.migration(
        "0002_change", f'migrations.AddField("Item", "size", models.IntegerField(null=True, {default}))'
    )
    with database.connect() as connection:
        connection.execute("ALTER TABLE shop_item ADD size integer")
        if default == "db_default=5":
            connection.execute("ALTER TABLE shop_item ALTER size SET DEFAULT 5")
    found = one(two)
    assert (found["verdict"], found["unseen"], found["recordable"]) == ("applied", ["AddField size"], False)
    with database.connect() as connection:
        connection.execute("DELETE FROM shop_item")
    assert one(two)["recordable"]


def test_nulls_that_were_filled_are_not_seen(two: Project, database: Database) -> None:
    two.migration("0002_change", 'migrations.AlterField("Item", "a", models.IntegerField(default=5))')
    with database.connect() as connection:
        connection.execute("ALTER TABLE shop_item ALTER a SET NOT NULL")
    assert one(two)["unseen"] == ["AlterField a"]


KEY = 'migrations.AddField("Item", "old", models.ForeignKey("shop.Old", models.CASCADE, null=True))'


@pytest.mark.parametrize(
    ("key", "recordable"),
    [
        ("REFERENCES shop_old (id)", True),
        ("REFERENCES beside.shop_old (id)", False),
        ("REFERENCES shop_old (id) ON UPDATE CASCADE", False),
        ("REFERENCES shop_old (id) MATCH FULL", False),
    ],
)
def test_a_foreign_key_leads_to_that_table_by_those_rules(
    two: Project, database: Database, key: str, recordable: bool
) -> None:
    two.migration("0002_change", KEY)
    with database.connect() as connection:
        connection.execute("CREATE SCHEMA beside; CREATE TABLE beside.shop_old (id bigint PRIMARY KEY)")
        add = f"ALTER TABLE shop_item ADD old_id bigint {key} DEFERRABLE INITIALLY DEFERRED"
        connection.execute(f"{add}; CREATE INDEX by_old ON shop_item (old_id)".encode())
    assert one(two)["recordable"] == recordable


@pytest.mark.parametrize("kind", ["serial", "integer DEFAULT nextval('shop_item_id_seq')"])
def test_a_key_is_numbered_by_a_sequence_of_its_own(two: Project, database: Database, kind: str) -> None:
    two.migration(
        "0002_change", 'migrations.CreateModel("Num", [("id", models.AutoField(primary_key=True))])'
    )
    with database.connect() as connection:
        connection.execute(f"CREATE TABLE shop_num (id {kind} PRIMARY KEY)".encode())
    assert one(two)["recordable"] == (kind == "serial")


# drop_index


@pytest.fixture
def invalid(two: Project, database: Database) -> Project:
    """With AUTOCOMMIT off, and an invalid index."""
    two.databases["default"]["AUTOCOMMIT"] = False
    two.settings()
    with database.connect() as connection:
        connection.execute("INSERT INTO shop_item (a, b) VALUES (1, 2)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY bad ON shop_item (a)")
    return two


def test_an_index_is_dropped_where_autocommit_is_off(invalid: Project, database: Database) -> None:
    dropped = migrate(invalid.address(), operation="drop_index", schema="public", index="bad")
    assert dropped.answer["dropped"] == "public.bad"
    assert database.rows("SELECT to_regclass('bad')::text") == [(None,)]


def test_dropping_an_index_waits_for_no_lock_long(invalid: Project, database: Database) -> None:
    with database.connect(autocommit=False) as other:
        other.execute("INSERT INTO shop_item (a) VALUES (9)")
        dropped = migrate(invalid.address(), operation="drop_index", schema="public", index="bad")
    assert (dropped.failure.type, dropped.failure.facts["sqlstate"]) == ("act_failed", "55P03")
    assert database.rows("SELECT count(*) FROM pg_class WHERE relname = 'bad'") == [(1,)]
    again = migrate(invalid.address(), operation="drop_index", schema="public", index="bad")
    assert again.answer["dropped"] == "public.bad"
