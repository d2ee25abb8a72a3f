"""plan: what a migrate would do, and words that are none."""

from typing import Any

import pytest

from dbops.target import door, errors
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import migrate
from tests.targets.builder import Project


def plan(project: Project, **arguments: Any) -> Any:
    return door.call(project.address(), "plan", {"alias": "default", **arguments}, timeout_s=30)


def names(answer: Any) -> list[str]:
    return [one["name"] for one in answer["plan"]]


def test_a_plan_tells_each_migration_with_its_operations(postgres_shop: Project) -> None:
    postgres_shop.python("0004_code", "pass", body="atomic = False")
    answer = plan(postgres_shop)
    assert answer["read_only_confirmed"]
    assert answer["plan"][0] == {
        "app": "shop",
        "name": "0001_initial",
        "backwards": False,
        "atomic": True,
        "operations": ["Create model Item"],
    }
    assert (answer["plan"][3]["atomic"], answer["plan"][3]["operations"]) == (False, ["Raw Python operation"])


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
    assert [(one["name"], one["backwards"]) for one in answer["plan"]] == [
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
