"""plan: what a migrate would do, and words that are none."""

import hashlib
import json
from typing import Any

import pytest

from dbops.target import errors
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import migrate
from tests.integration.agent.planned import entry, only, plan
from tests.targets.builder import CREATE_ITEM, Project


def names(answer: Any) -> list[str]:
    return [one["name"] for one in answer["migrations"]]


def test_a_plan_tells_each_migration_with_its_operations(postgres_shop: Project) -> None:
    postgres_shop.python("0004_code", "pass", body="atomic = False")
    path = postgres_shop.path / "shop/migrations/0004_code.py"
    path.write_text('"""Fills the rows."""\n' + path.read_text())
    answer = plan(postgres_shop)
    assert (answer["read_only_confirmed"], answer["complete"], answer["stopped"]) == (True, True, "")
    first, code = entry(answer, "0001_initial"), entry(answer, "0004_code")
    assert [one["words"] for one in first["operations"]] == ["Create model Item"]
    assert (first["app"], first["backwards"], first["atomic"], first["docstring"]) == (
        "shop",
        False,
        True,
        "",
    )
    assert (code["atomic"], code["docstring"]) == (False, "Fills the rows.")
    assert code["dependencies"] == [["shop", "0003_price"]]
    assert code["file"] == str(path)
    assert code["hash"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_plan_has_a_fingerprint_of_names_directions_and_sources(shop: Project) -> None:
    answer = plan(shop)
    rows = [[one["app"], one["name"], one["backwards"], one["hash"]] for one in answer["migrations"]]
    said = json.dumps(rows, separators=(",", ":")).encode()
    assert answer["fingerprint"] == hashlib.sha256(said).hexdigest()
    shop.write(
        "shop/migrations/0002_name.py", shop.path.joinpath("shop/migrations/0002_name.py").read_text() + "#"
    )
    assert plan(shop)["fingerprint"] != answer["fingerprint"]


def test_a_field_is_told_before_and_after(postgres_shop: Project) -> None:
    postgres_shop.migration(
        "0004_alter",
        'migrations.AlterField("Item", "name", models.CharField(max_length=30, default=say, unique=True, '
        'db_column="called"))',
        head="def say():\n    raise RuntimeError('a default is not called')\n",
    )
    answer = plan(postgres_shop)
    operation = only(answer, "0004_alter")
    assert (operation["kind"], operation["model"], operation["table"]) == (
        "AlterField",
        "shop.Item",
        "shop_item",
    )
    assert (operation["table_created_in"], operation["name"]) == ("plan", "name")
    before, after = operation["before"], operation["after"]
    assert (before["column"], before["db_type"], before["null"], before["unique"]) == (
        "name",
        "varchar(10)",
        True,
        False,
    )
    assert (after["column"], after["db_type"], after["null"], after["unique"]) == (
        "called",
        "varchar(30)",
        False,
        True,
    )
    assert (after["default_is_callable"], after["default"]) == (True, "shop.migrations.0004_alter.say")


def test_what_is_made_in_this_plan_is_told_from_what_was_there(shop: Project) -> None:
    shop.migration("0004_both", f"{CREATE_ITEM.replace('Item', 'Other')}, {ADD_TO.format('Other')}")
    migrate(shop.address(), app="shop", migration="0002")
    shop.migration("0005_more", f"{ADD_TO.format('Item')}, {ADD_TO.format('Other').replace('more', 'else')}")
    answer = plan(shop)
    told = [[one["table_created_in"] for one in found["operations"]] for found in answer["migrations"]]
    assert told == [[""], ["", "migration"], ["", "plan"]]


ADD_TO = 'migrations.AddField("{}", "more", models.IntegerField(null=True))'


def test_a_foreign_key_an_index_and_a_constraint_are_told(postgres_shop: Project) -> None:
    postgres_shop.migration(
        "0004_more",
        'migrations.AddField("Item", "to", models.ForeignKey("self", models.SET_NULL, null=True)), '
        'migrations.AddIndex("Item", models.Index(fields=["n"], condition=models.Q(n__gt=1), name="by_n")), '
        'migrations.AddConstraint("Item", models.UniqueConstraint(fields=["n", "price"], name="once")), '
        'migrations.RemoveIndex("Item", "by_n")',
    )
    key, index, constraint, gone = entry(plan(postgres_shop), "0004_more")["operations"]
    assert key["after"]["references"] == {
        "table": "shop_item",
        "column": "id",
        "db_constraint": True,
        "on_delete": "SET_NULL",
    }
    assert (key["column"], key["after"]["db_type"]) == ("to_id", "bigint")
    assert (index["index"]["name"], index["index"]["condition"], index["index"]["fields"]) == (
        "by_n",
        True,
        ["n"],
    )
    assert gone["index"] == index["index"]
    assert (constraint["constraint"]["kind"], constraint["constraint"]["fields"]) == (
        "unique",
        ["n", "price"],
    )


def test_what_a_secret_stands_in_is_told_without_it(postgres_shop: Project) -> None:
    secret = postgres_shop.databases["default"]["PASSWORD"]
    postgres_shop.migration(
        "0004_told", f'migrations.RunSQL("SELECT {secret!r}")', body=f'"""Knows {secret}."""'
    )
    assert secret not in json.dumps(plan(postgres_shop)["migrations"])


def test_a_plan_makes_no_table(postgres_shop: Project, database: Database) -> None:
    plan(postgres_shop)
    assert database.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_a_plan_up_to_a_name_or_the_beginning_of_one(shop: Project) -> None:
    assert names(plan(shop, app="shop")) == ["0001_initial", "0002_name", "0003_price"]
    assert names(plan(shop, app="shop", migration="0002_name")) == ["0001_initial", "0002_name"]
    assert names(plan(shop, app="shop", migration="0001")) == ["0001_initial"]
    assert not shop.sqlite.exists()


def test_a_plan_backwards_is_shown_as_that(shop: Project) -> None:
    migrate(shop.address())
    answer = plan(shop, app="shop", migration="0001")
    assert [(one["name"], one["backwards"]) for one in answer["migrations"]] == [
        ("0003_price", True),
        ("0002_name", True),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"app": "shoop"}, "no installed app with the label shoop"),
        ({"app": "bare"}, "The app bare has no migrations"),
        ({"app": "shop", "migration": "0009"}, "no migration that begins with 0009"),
        ({"app": "shop", "migration": "000"}, "more than one migration that begins with 000"),
        ({"migration": "0001"}, "without its app"),
        ({"app": "--fake"}, "'--fake' is neither"),
        ({"app": "shop", "migration": "-x"}, "'-x' is neither"),
        ({"app": "shop\n--fake"}, "is neither"),
        ({"alias": "other"}, "no database alias other; there are: default"),
    ],
)
def test_words_that_are_none_are_typed(shop: Project, arguments: dict[str, str], words: str) -> None:
    shop.settings(apps=("shop", "bare"))
    shop.write("bare/__init__.py", "")
    with pytest.raises(errors.BadArgument, match=words):
        plan(shop, **arguments)


def test_a_plan_on_opsdash_s_own_database_is_refused(postgres_shop: Project, database: Database) -> None:
    with pytest.raises(errors.OwnDatabase):
        plan(postgres_shop, forbidden_identity=database.identity())
