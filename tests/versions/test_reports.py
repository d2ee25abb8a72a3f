"""The whole report on targets of every Django and Python that opsdash promises."""

from pathlib import Path
from typing import Any

from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import inspect, migrate
from tests.targets import traps
from tests.targets.builder import ADD_NAME, ADD_PRICE, CREATE_ITEM, Project, shop_project
from tests.versions.test_agent import ALL, at


def test_files_rows_and_models(tmp_path: Path, database: Database, python: str) -> None:
    project = shop_project(tmp_path / "shop", {"default": database.settings})
    traps.renamed_field(project)
    migrate(at(project, python))
    report = inspect(at(project, python))
    found = report["databases"][0]
    assert [[one["app"], one["name"]] for one in report["disk"]] == ALL
    assert set(report["sources"]) == {one["hash"] for one in report["disk"]}
    assert (found["read_only_confirmed"], found["schema"], found["can_create"]) == (True, "public", True)
    assert report["unmade"]["state"] == "found"
    assert [one["kind"] for one in report["unmade"]["questions"]] == ["rename_field"]
    assert "name='cost'" in report["unmade"]["migrations"][0]["source"]


def test_a_squash_and_a_wrong_order(shop: Project, python: str) -> None:
    migrate(at(shop, python))
    replaces = f"replaces = {[(app, name) for app, name in ALL[:2]]!r}"
    shop.migration("0001_squashed", f"{CREATE_ITEM}, {ADD_NAME}", after=[], body=replaces)
    shop.migration("0002_b", "", after=[("shop", "0001_squashed")])
    shop.migration("0003_price", ADD_PRICE, after=[("shop", "0002_b")])
    found = inspect(at(shop, python))["databases"][0]
    assert [(one["name"], one["state"]) for one in found["squashes"]] == [("0001_squashed", "unrecorded")]
    assert told(found) == [(["shop", "0003_price"], ["shop", "0002_b"])]
    assert [error["type"] for error in found["errors"]] == ["inconsistent_history"]


def told(found: Any) -> list[tuple[list[str], list[str]]]:
    return [(one["migration"], one["dependency"]) for one in found["inconsistencies"]]


def test_a_conflict_with_its_merge_and_a_broken_file(shop: Project, python: str) -> None:
    shop.migration("0003_rival", "", after=[("shop", "0002_name")])
    merge = inspect(at(shop, python))["merges"]["shop"]
    assert "('shop', '0003_rival')" in merge["source"]
    shop.write("shop/migrations/0004_broken.py", "class Migration(:\n")
    report = inspect(at(shop, python))
    (error,) = report["databases"][0]["errors"]
    assert (error["type"], error["name"]) == ("import", "0004_broken")
    assert len(report["disk"]) == 5 and report["unmade"]["state"] == "failed"


def test_its_own_makemigrations_is_the_one_that_is_asked(shop: Project, python: str) -> None:
    traps.patched_deconstruction(shop)
    assert inspect(at(shop, python))["unmade"]["state"] == "none"
    traps.refusing_makemigrations(shop)
    assert inspect(at(shop, python))["unmade"]["state"] == "refused"
