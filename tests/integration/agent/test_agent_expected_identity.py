"""A job works on the database that the person saw when asking, or on none."""

from pathlib import Path
from typing import Any

import pytest

from dbops.target import errors
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import Record, inspect_default, migrate
from tests.targets.builder import Project

NO_TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest) -> Project:
    found: Project = request.getfixturevalue("shop" if request.param == "sqlite" else "postgres_shop")
    return found


def lead_to(project: Project, **settings: Any) -> None:
    """What a changed environment does."""
    project.databases["default"] = {**project.databases["default"], **settings}
    project.settings()


def refusal(record: Record, found: str, expected: str) -> errors.OtherDatabase:
    """Before the guard was taken and anything begun."""
    assert record.events("guard") == record.events("plan") == record.events("working") == []
    assert [event for event in record.events("connection") if event["purpose"] == "guard"] == []
    assert (record.failure.type, record.failure.fault) == ("other_database", "person")
    error = errors.from_failure("shop", record.failure)
    assert isinstance(error, errors.OtherDatabase) and error.fault == "person"
    assert error.facts == {"identity": found, "expected_identity": expected}
    return error


def test_the_database_that_was_inspected_is_migrated(either: Project) -> None:
    seen = inspect_default(either.address())["identity"]
    answer = migrate(either.address(), expected_identity=seen).answer
    assert (answer["identity"], len(answer["recorded_after"])) == (seen, 3)
    assert inspect_default(either.address())["identity"] == seen


@pytest.mark.parametrize("expected", ["", None])
def test_without_an_expectation_nothing_is_compared(shop: Project, expected: str | None) -> None:
    assert len(migrate(shop.address(), expected_identity=expected).answer["recorded_after"]) == 3


def test_another_sqlite_file_is_refused_and_not_even_made(shop: Project) -> None:
    seen = inspect_default(shop.address())["identity"]
    lead_to(shop, NAME=str(shop.path / "other.sqlite3"))
    before = set(shop.path.glob("*"))
    error = refusal(
        migrate(shop.address(), expected_identity=seen), f"sqlite:{shop.path}/other.sqlite3", seen
    )
    assert str(error) == (
        "Refused for shop: The alias default leads to another database than the one the job was asked for: "
        f"to sqlite:{shop.path}/other.sqlite3, not to {seen}. "
        "Its environment or settings have changed since the inspection. Nothing was changed. "
        "Inspect the target again and start the job anew."
    )
    assert {path.name for path in set(shop.path.glob("*")) - before} <= {"__pycache__"}


def test_another_postgres_database_is_refused_and_stays_empty(
    shop: Project, postgres_shop: Project, database: Database
) -> None:
    here = database.identity()
    for seen in (inspect_default(shop.address())["identity"], here + "1"):
        refusal(migrate(postgres_shop.address(), expected_identity=seen), here, seen)
    assert database.rows(NO_TABLES) == [(0,)]


def test_a_database_that_does_not_tell_who_it_is_is_refused(
    postgres_shop: Project, database: Database
) -> None:
    seen = inspect_default(postgres_shop.address())["identity"]
    with database.connect_as_superuser() as superuser:
        superuser.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    error = refusal(migrate(postgres_shop.address(), expected_identity=seen), "", seen)
    assert "does not tell its identity" in str(error)
    assert database.rows(NO_TABLES) == [(0,)]


def test_so_is_one_in_memory(shop: Project) -> None:
    seen = inspect_default(shop.address())["identity"]
    lead_to(shop, NAME=":memory:")
    refusal(migrate(shop.address(), expected_identity=seen), "", seen)


def test_a_database_that_does_not_answer_is_unreachable_and_no_other(
    postgres_shop: Project, database: Database
) -> None:
    lead_to(postgres_shop, NAME="not_there_at_all")
    failure = migrate(postgres_shop.address(), expected_identity=database.identity()).failure
    assert (failure.type, failure.facts["reason"]) == ("unreachable", "no_such_database")


@pytest.mark.parametrize("name", ["db.sqlite3", "sub/../db.sqlite3", "file:db.sqlite3", "link.sqlite3"])
def test_a_sqlite_file_is_who_it_is_before_and_after_it_is_made(shop: Project, name: str) -> None:
    (shop.path / "sub").mkdir()
    (shop.path / "link.sqlite3").symlink_to("db.sqlite3")
    lead_to(shop, NAME=name)
    missing = inspect_default(shop.address())
    assert (missing["missing"], missing["identity"]) == (True, f"sqlite:{real(shop)}")
    migrate(shop.address(), expected_identity=missing["identity"])
    made = inspect_default(shop.address())
    assert (made["missing"], len(made["applied"])) == (False, 3)
    assert made["identity"] == missing["identity"]


def real(project: Project) -> Path:
    return project.sqlite.resolve()
