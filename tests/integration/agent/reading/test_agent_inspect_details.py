"""An inspection brings the plan of every alias along, where it is asked for and not known."""

from pathlib import Path
from typing import Any

from tests.integration.agent.frames_of import inspect, migrate
from tests.targets.builder import Project, shop_project


def by_alias(report: Any) -> dict[str, Any]:
    return {one["alias"]: one for one in report["databases"]}


def two_aliases(path: Path) -> Project:
    project = shop_project(path / "shop")
    lite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path / "second.sqlite3")}
    project.databases.update(second=lite, gone={"ENGINE": "django.db.backends.oracle", "NAME": "x"})
    project.settings()
    migrate(project.address(), app="shop", migration="0001")
    return project


def planned(found: Any) -> list[str]:
    return [one["name"] for one in found["plan_detail"]["migrations"]]


def test_the_plan_of_every_alias_that_answers(tmp_path: Path) -> None:
    project = two_aliases(tmp_path)
    found = by_alias(inspect(project.address(), details={"default": ""}))
    assert planned(found["default"]) == ["0002_name", "0003_price"]
    assert planned(found["second"]) == ["0001_initial", "0002_name", "0003_price"]
    assert (found["gone"]["plan_detail"], found["gone"]["reason"]) == (None, "driver_missing")


def test_a_plan_that_is_known_is_not_told_again(tmp_path: Path) -> None:
    project = two_aliases(tmp_path)
    known = by_alias(inspect(project.address(), details={}))["default"]["plan_detail"]["fingerprint"]
    found = by_alias(inspect(project.address(), details={"default": known}))
    assert (found["default"]["plan_detail"], found["default"]["plan_problem"]) == (None, "")
    assert found["second"]["plan_detail"]


def test_without_asking_there_is_no_plan(tmp_path: Path) -> None:
    project = two_aliases(tmp_path)
    found = by_alias(inspect(project.address(), details=None))
    assert [found[alias]["plan_detail"] for alias in ("default", "second")] == [None, None]
    assert len(found["second"]["plan"]) == 3
