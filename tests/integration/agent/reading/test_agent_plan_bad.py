"""A plan with something wrong in it, or too long for its time: what is wrong is said where it is."""

import sqlite3
from typing import Any

from tests.integration.agent.frames_of import migrate
from tests.integration.agent.planned import entry, only, plan
from tests.targets.builder import CREATE_ITEM, Project

BAD_STATE = (
    "from django.db.migrations.operations.base import Operation\n"
    "class Bad(Operation):\n    def state_forwards(self, app_label, state):\n"
    "        raise RuntimeError('no state for you')\n"
    "    def database_forwards(self, *args): pass\n    database_backwards = database_forwards\n"
)
BAD_FIELD = (
    "class Odd(models.IntegerField):\n    def db_type(self, connection):\n"
    "        raise RuntimeError('no type for you')\n"
)


def other_app(project: Project) -> None:
    project.settings(apps=("shop", "other"))
    project.write("other/__init__.py", "")
    project.migration("0001_initial", CREATE_ITEM, app="other")


def test_a_state_that_cannot_be_told_ends_only_what_builds_on_it(shop: Project) -> None:
    other_app(shop)
    shop.migration(
        "0004_bad", 'migrations.RunSQL("SELECT 1"), Bad(), migrations.RunSQL("SELECT 2")', head=BAD_STATE
    )
    shop.migration("0005_upon", 'migrations.RunSQL("SELECT 3")')
    answer = plan(shop)
    one, bad, two = entry(answer, "0004_bad")["operations"]
    assert one["sql"] == ["SELECT 1;"]
    assert (bad["sql"], two["sql"]) == (None, None)
    assert "no state for you" in bad["sql_problem"]
    assert "builds on shop.0004_bad" in entry(answer, "0005_upon")["sql_problem"]
    assert entry(answer, "0005_upon")["operations"][0]["words"] == "Raw SQL operation"
    others = [found for found in answer["migrations"] if found["app"] == "other"]
    assert [found["sql_problem"] for found in others] == [""]
    assert others[0]["operations"][0]["sql"][0].startswith('CREATE TABLE "other_item"')
    assert only(answer, "0003_price")["sql"] is not None


def test_a_field_that_cannot_be_told_hides_nothing_else(shop: Project) -> None:
    shop.migration("0004_odd", 'migrations.AddField("Item", "odd", Odd(null=True))', head=BAD_FIELD)
    shop.migration("0005_upon", 'migrations.RunSQL("SELECT 3")')
    answer = plan(shop)
    assert "no type for you" in only(answer, "0004_odd")["sql_problem"]
    assert "no type for you" in entry(answer, "0004_odd")["problem"]
    assert only(answer, "0005_upon")["sql"] == ["SELECT 3;"]


def test_beyond_its_time_a_plan_has_words_and_no_sql(shop: Project) -> None:
    answer = plan(shop, budget_s=0.000001)
    assert "opsdash had 0.0 s for" in answer["stopped"]
    assert not answer["complete"]
    assert "3 of its 3 migrations" in answer["stopped"]
    assert "shop.0001_initial" in answer["stopped"]
    told = [[one["words"] for one in found["operations"]] for found in answer["migrations"]]
    assert told == [["Create model Item"], ["Add field name to Item"], ["Add field price to Item"]]
    assert all(found["hash"] and not found["after"] for found in answer["migrations"])
    assert all(only(answer, found["name"])["sql"] is None for found in answer["migrations"])


def test_beyond_its_time_the_schema_is_that_of_all_that_is_applied(shop: Project) -> None:
    migrate(shop.address())
    answer = plan(shop, app="shop", migration="zero", budget_s=0, schema=True)
    assert list(answer["schema"]["shop_item"]["columns"]) == ["id", "n", "name", "price"]


def test_a_schema_says_what_is_recorded_and_not_in_it(shop: Project) -> None:
    migrate(shop.address())
    assert plan(shop, schema=True)["not_in_schema"] == []
    file = shop.path / "shop/migrations/0003_price.py"
    file.write_text(file.read_text().replace('AddField("Item", "price"', 'AddField("Nobody", "price"'))
    with sqlite3.connect(shop.sqlite) as rows:
        rows.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('gone', '0001', '2026')")
    answer = plan(shop, schema=True)
    assert list(answer["schema"]["shop_item"]["columns"]) == ["id", "n", "name"]
    gone, price = answer["not_in_schema"]
    assert gone == {"app": "gone", "name": "0001", "problem": "It has no file."}
    assert (price["name"], "nobody" in price["problem"]) == ("0003_price", True)


def test_an_applied_migration_without_a_state_is_said_with_what_builds_on_it(shop: Project) -> None:
    other_app(shop)
    migrate(shop.address())
    text = (shop.path / "shop/migrations/0003_price.py").read_text()
    shop.write("shop/migrations/0003_price.py", text.replace('"Item", "price"', '"Nothing", "price"'))
    shop.migration("0004_more", 'migrations.RunSQL("SELECT 1")')
    shop.migration(
        "0002_fine", 'migrations.AddField("Item", "more", models.IntegerField(null=True))', app="other"
    )
    answer: Any = plan(shop)
    assert "builds on shop.0003_price" in entry(answer, "0004_more")["sql_problem"]
    assert only(answer, "0002_fine")["sql"] == ['ALTER TABLE "other_item" ADD COLUMN "more" integer NULL;']


def test_names_with_unusual_characters(postgres_shop: Project) -> None:
    name = '<b>"quoted"</b> é'
    postgres_shop.migration(
        "0004_odd",
        f"migrations.CreateModel('Odd', [('id', models.AutoField(primary_key=True)), "
        f"('x', models.CharField(max_length=4, unique=True, db_column={name!r}))], "
        "options={'db_table': 'a b; --'})",
    )
    found = entry(plan(postgres_shop), "0004_odd")
    assert list(found["after"]) == ["a b; --"]
    assert list(found["after"]["a b; --"]["columns"]) == ["id", name]
