"""The SQL of a plan: what migrate would send, in both directions, and nothing of it sent."""

import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import migrate
from tests.integration.agent.planned import Real, entry, on_postgres, on_sqlite, only, plan, statements
from tests.integration.agent.reading.test_agent_plan_tables import PYTHONS, is_old
from tests.targets.builder import Project, make_project
from tests.targets.every_kind import every_kind

WRITES = """
from django.db.migrations.operations.base import Operation
class Writes(Operation):
    reversible = True
    def state_forwards(self, app_label, state): pass
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("CREATE TABLE written (id integer)")
    database_backwards = database_forwards
    def describe(self): return "Writes by itself"
"""


class Hand:
    """Sends the statements of a plan as a person would."""

    def __init__(self, project: Project, database: Database | None) -> None:
        self.project = project
        self.database = database

    def send(self, texts: list[str]) -> None:
        if self.database is not None:
            with self.database.connect(autocommit=False) as connection:
                for text in texts:
                    connection.execute(text.encode())
            return
        with sqlite3.connect(self.project.sqlite) as connection:
            for text in texts:
                connection.execute(text)

    def record(self, names: Iterable[str]) -> None:
        self.send(
            [
                "CREATE TABLE django_migrations (id integer, app text, name text, applied timestamp)",
                *(
                    f"INSERT INTO django_migrations VALUES (1, 'shop', '{name}', '2026-01-01')"
                    for name in names
                ),
            ]
        )

    @property
    def real(self) -> Real:
        return on_postgres(self.database) if self.database is not None else on_sqlite(self.project.sqlite)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("engine", ["postgres", "sqlite"])
def test_the_statements_sent_by_hand_do_what_migrate_does_and_undo_it(
    tmp_path: Path, database: Database, engine: str, python: str
) -> None:
    lite = engine == "sqlite"
    project = make_project(tmp_path / "mini", None if lite else {"default": database.settings})
    every_kind(project, is_old(python))
    found = plan(project, python)["migrations"]
    hand = Hand(project, None if lite else database)
    hand.send([])
    empty = hand.real
    for one in found:
        hand.send(statements(one))
    by_hand = hand.real
    undo(hand, project, python)
    assert hand.real == empty
    assert migrate(project.address(argv=(python,))).answer["recorded_known"]
    assert hand.real == by_hand


def undo(hand: Hand, project: Project, python: str) -> None:
    """By a plan back to nothing, which needs the migrations recorded, and these need their table."""
    hand.record(migration.stem for migration in sorted(project.path.glob("shop/migrations/0*.py")))
    for one in plan(project, python, app="shop", migration="zero")["migrations"]:
        hand.send(statements(one, "reverse_"))
    hand.send(["DROP TABLE django_migrations"])


def test_a_plan_backwards_tells_what_is_sent_from_the_database_as_it_is(
    postgres_shop: Project, database: Database
) -> None:
    postgres_shop.migration("0004_unique", 'migrations.AlterUniqueTogether("Item", {("n", "price")})')
    postgres_shop.migration("0005_none", 'migrations.AlterUniqueTogether("Item", set())')
    migrate(postgres_shop.address())
    empty = on_postgres(database)
    answer = plan(postgres_shop, app="shop", migration="zero")
    assert [one["name"][:4] for one in answer["migrations"]] == ["0005", "0004", "0003", "0002", "0001"]
    assert all(one["backwards"] and one["reversible"] for one in answer["migrations"])
    for one in answer["migrations"]:
        Hand(postgres_shop, database).send(statements(one, "reverse_"))
    assert "shop_item" in empty.columns
    assert on_postgres(database) == Real()


def test_a_statement_that_is_looked_up_is_told_with_the_name_that_it_will_find(
    postgres_shop: Project,
) -> None:
    postgres_shop.migration("0004_unique", 'migrations.AlterUniqueTogether("Item", {("n", "price")})')
    postgres_shop.migration("0005_none", 'migrations.AlterUniqueTogether("Item", set())')
    operation = only(plan(postgres_shop), "0005_none")
    (drops,) = operation["sql"]
    assert drops.startswith('ALTER TABLE "shop_item" DROP CONSTRAINT "shop_item_n_price_')
    assert "by looking at the database just before it is applied" in operation["sql_problem"]
    assert operation["reverse_sql_problem"] == ""


def test_what_is_looked_up_and_is_not_there_is_said_for_that_one_alone(
    postgres_shop: Project, database: Database
) -> None:
    postgres_shop.migration("0004_unique", 'migrations.AlterUniqueTogether("Item", {("n", "price")})')
    migrate(postgres_shop.address())
    with database.connect() as connection:
        (name,) = [name for name in on_postgres(database).constraints["shop_item"] if name.endswith("uniq")]
        connection.execute(f"ALTER TABLE shop_item DROP CONSTRAINT {name}".encode())
    postgres_shop.migration(
        "0005_none",
        'migrations.AlterUniqueTogether("Item", set()), '
        'migrations.AddField("Item", "more", models.IntegerField(null=True))',
    )
    unique, more = entry(plan(postgres_shop), "0005_none")["operations"]
    assert unique["sql"] is None
    assert "Found wrong number (0) of constraints" in unique["sql_problem"]
    assert "looking at the database just before" in unique["sql_problem"]
    assert more["sql"] == ['ALTER TABLE "shop_item" ADD COLUMN "more" integer NULL;']


@pytest.mark.parametrize("where", ["alone", "within another operation"])
def test_python_is_shown_and_never_run(shop: Project, tmp_path: Path, where: str) -> None:
    sign = tmp_path / "it ran"
    shop.python("0004_code", f"open({str(sign)!r}, 'w').close()")
    if where != "alone":
        shop.migration(
            "0004_code",
            "migrations.SeparateDatabaseAndState(database_operations=[migrations.RunPython(forwards)])",
            after=[("shop", "0003_price")],
            head=f"def forwards(apps, schema_editor):\n    open({str(sign)!r}, 'w').close()\n",
        )
    operation = only(plan(shop), "0004_code")
    inner = operation if where == "alone" else operation["nested"][0]
    assert (operation["sql"], inner["sql"]) == (None, None)
    assert "runs Python code" in operation["sql_problem"]
    assert inner["source"].startswith("def forwards(apps, schema_editor):\n    open(")
    assert not sign.exists()


def test_python_that_has_no_source_is_said_to_be_that(shop: Project) -> None:
    shop.migration(
        "0004_code",
        "migrations.RunPython(lambda apps, schema_editor: None), migrations.RunPython(print), "
        "migrations.RunPython(functools.partial(work, 3)), migrations.RunPython(Work()), "
        "migrations.RunPython(migrations.RunPython.noop, migrations.RunPython.noop)",
        head="import functools\ndef work(number, apps, schema_editor):\n    return number\n"
        "class Work:\n    def __call__(self, apps, schema_editor):\n        return 'called'\n",
    )
    found = entry(plan(shop), "0004_code")
    short, built_in, part, called, noop = [one["source"] for one in found["operations"]]
    assert "lambda apps, schema_editor: None" in short
    assert built_in == "# builtins.print: It is built into Python."
    assert part.startswith("# functools.partial of this, called with 3\ndef work(number")
    assert "return 'called'" in called
    assert noop.startswith("@staticmethod\ndef noop(")
    assert [one["reversible"] for one in found["operations"]] == [False, False, False, False, True]
    assert found["irreversible"] == ["Raw Python operation"] * 4
    assert found["reverse_sql_problem"].startswith("It cannot be reversed: Raw Python operation")


def test_an_operation_that_writes_by_itself_is_refused_by_the_server_and_said(
    postgres_shop: Project, shop: Project, database: Database
) -> None:
    for project in (postgres_shop, shop):
        project.migration(
            "0004_writes",
            'Writes(), migrations.AddField("Item", "more", models.IntegerField(null=True))',
            head=WRITES,
        )
        answer = plan(project)
        writes, more = entry(answer, "0004_writes")["operations"]
        for way in ("", "reverse_"):
            assert writes[way + "sql"] is None
            assert "began to write by itself, which was refused" in writes[way + "sql_problem"]
        assert more["sql"] == ['ALTER TABLE "shop_item" ADD COLUMN "more" integer NULL;']
        assert answer["read_only_confirmed"]
    assert database.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
    assert not shop.sqlite.exists()


def test_nothing_is_executed(postgres_shop: Project, database: Database) -> None:
    migrate(postgres_shop.address())
    everything = (
        "SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_attribute), "
        "(SELECT count(*) FROM pg_constraint), (SELECT array_agg(t::text) FROM django_migrations t)"
    )
    postgres_shop.migration(
        "0004_rows", 'migrations.RunSQL("INSERT INTO shop_item (n) VALUES (1)", "DROP TABLE shop_item")'
    )
    postgres_shop.migration("0005_gone", 'migrations.DeleteModel("Item")')
    before = database.rows(everything)
    assert only(plan(postgres_shop), "0004_rows")["sql"] == ["INSERT INTO shop_item (n) VALUES (1);"]
    assert plan(postgres_shop, app="shop", migration="zero")["complete"]
    assert database.rows(everything) == before
    assert database.rows("SELECT count(*) FROM shop_item") == [(0,)]


def test_an_operation_of_the_project_s_own_that_is_no_sql_still_changes_the_state(shop: Project) -> None:
    shop.migration(
        "0004_own",
        "Adds()",
        head="from django.db.migrations.operations.base import Operation\nclass Adds(Operation):\n"
        "    reduces_to_sql = False\n    def state_forwards(self, app_label, state):\n"
        "        state.add_field(app_label, 'item', 'own', models.IntegerField(null=True), True)\n",
    )
    shop.migration("0005_alters", 'migrations.AlterField("Item", "own", models.BigIntegerField(null=True))')
    answer = plan(shop)
    assert only(answer, "0004_own")["sql"] is None
    assert "cannot be written as SQL" in only(answer, "0004_own")["sql_problem"]
    assert any('"own" bigint' in text for text in only(answer, "0005_alters")["sql"])


def test_an_operation_that_postgres_refuses_in_a_transaction_says_so(postgres_shop: Project) -> None:
    index = 'AddIndexConcurrently("Item", models.Index(fields=["n"], name="by_n"))'
    head = "from django.contrib.postgres.operations import AddIndexConcurrently"
    postgres_shop.migration("0004_atomic", index, head=head)
    postgres_shop.migration("0005_not", index.replace("by_n", "by_n_too"), head=head, body="atomic = False")
    answer = plan(postgres_shop)
    assert "cannot be executed inside a transaction" in only(answer, "0004_atomic")["sql_problem"]
    operation = only(answer, "0005_not")
    assert operation["sql"] == ['CREATE INDEX CONCURRENTLY "by_n_too" ON "shop_item" ("n");']
    assert operation["index"]["concurrently"]


@pytest.mark.parametrize("engine", ["postgres", "sqlite"])
def test_five_megabytes_of_sql_are_cut_and_it_is_said(request: pytest.FixtureRequest, engine: str) -> None:
    project: Project = request.getfixturevalue("shop" if engine == "sqlite" else "postgres_shop")
    project.migration("0004_long", 'migrations.RunSQL("-- " + "x" * 5_000_000)')
    project.migration("0005_many", 'migrations.RunSQL(["SELECT " + "1" * 1_000] * 5_000)')
    answer = plan(project)
    long, many = only(answer, "0004_long"), only(answer, "0005_many")
    assert long["sql_cut"] and many["sql_cut"]
    assert len("".join(long["sql"])) < 101_000
    assert len("".join(many["sql"])) < 102_000
    assert "5,000,003 characters" in long["sql_problem"]
    assert "of its 5000 statements are left out" in many["sql_problem"]


def test_what_is_kept_for_the_end_is_told_apart(postgres_shop: Project) -> None:
    postgres_shop.migration(
        "0004_key",
        'migrations.CreateModel("Part", [("id", models.AutoField(primary_key=True)), '
        '("item", models.ForeignKey("shop.Item", models.CASCADE))])',
    )
    found = entry(plan(postgres_shop), "0004_key")
    assert found["operations"][0]["sql"][0].startswith('CREATE TABLE "shop_part"')
    assert [text.partition('"shop_part')[0] for text in found["deferred"]] == [
        "ALTER TABLE ",
        "CREATE INDEX ",
    ]
    assert found["reverse_deferred"] == []


def test_where_the_router_lets_nothing_through_there_is_no_sql(tmp_path: Path) -> None:
    lite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db")}
    project = make_project(
        tmp_path / "mini", {"default": lite, "other": dict(lite, NAME=str(tmp_path / "other"))}
    )
    project.settings("\nDATABASE_ROUTERS = ['router.Router']\n")
    project.write(
        "router.py",
        "class Router:\n    def allow_migrate(self, db, app_label, **hints):\n"
        "        return db == 'default'\n",
    )
    project.migration(
        "0001_initial", 'migrations.CreateModel("Item", [("id", models.AutoField(primary_key=True))])'
    )
    project.migration("0002_sql", 'migrations.RunSQL("SELECT 1")')
    for alias, is_routed in (("default", True), ("other", False)):
        answer = plan(project, sys.executable, alias=alias)
        for name in ("0001_initial", "0002_sql"):
            operation: Any = only(answer, name)
            assert operation["routed"] is is_routed
            assert bool(operation["sql"]) is is_routed
        assert bool(entry(answer, "0001_initial")["after"]) is is_routed
