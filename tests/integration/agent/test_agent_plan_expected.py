"""A job that was asked for from a plan is refused where the plan is another one by now."""

import pytest

from dbops.target import errors
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import Record, migrate
from tests.integration.agent.planned import plan
from tests.targets.builder import ADD_NAME, Project


def expected(project: Project, seen: str, **arguments: str) -> Record:
    return migrate(project.address(), expected_plan=seen, **arguments)


def assert_refused(record: Record, names: list[str]) -> None:
    failure = record.failure
    assert (failure.type, failure.fault) == ("plan_changed", "person")
    assert [row[1] for row in failure.facts["plan"]] == names
    assert record.events("working") == [] == record.events("plan")
    error = errors.from_failure("shop", failure)
    assert isinstance(error, errors.PlanChanged)
    assert "Nothing was changed" in str(error)


def test_the_plan_that_was_seen_is_performed(postgres_shop: Project, database: Database) -> None:
    record = expected(postgres_shop, plan(postgres_shop)["fingerprint"])
    assert len(record.answer["recorded_after"]) == 3
    assert len(database.recorded()) == 3


def test_a_part_of_it_has_a_fingerprint_of_its_own(shop: Project) -> None:
    seen = plan(shop, app="shop", migration="0002")["fingerprint"]
    assert_refused(expected(shop, seen), ["0001_initial", "0002_name", "0003_price"])
    record = expected(shop, seen, app="shop", migration="0002")
    assert len(record.answer["recorded_after"]) == 2


@pytest.mark.parametrize("change", ["edited", "added", "applied", "taken away"])
def test_another_plan_is_refused_and_told(postgres_shop: Project, database: Database, change: str) -> None:
    seen = plan(postgres_shop)["fingerprint"]
    names = ["0001_initial", "0002_name", "0003_price"]
    file = postgres_shop.path / "shop" / "migrations" / "0003_price.py"
    if change == "edited":
        file.write_text(file.read_text() + "\n# otherwise\n")
    elif change == "added":
        postgres_shop.migration("0004_more", ADD_NAME.replace("name", "more"))
        names.append("0004_more")
    elif change == "taken away":
        file.unlink()
        names.pop()
    else:
        migrate(postgres_shop.address(), app="shop", migration="0001")
        names.pop(0)
    before = database.rows("SELECT count(*) FROM pg_class")
    record = expected(postgres_shop, seen)
    assert_refused(record, names)
    assert record.failure.facts["fingerprint"] == plan(postgres_shop)["fingerprint"]
    assert database.rows("SELECT count(*) FROM pg_class") == before


def test_where_none_can_be_made_any_more_it_is_refused_too(
    postgres_shop: Project, database: Database
) -> None:
    seen = plan(postgres_shop)["fingerprint"]
    postgres_shop.migration("0004_lost", "", after=[("shop", "0000_gone")])
    record = expected(postgres_shop, seen)
    assert_refused(record, [])
    assert "0000_gone" in record.failure.message
    assert database.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
