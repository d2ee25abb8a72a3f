"""What an inspection tells of the files: all of them, whatever is wrong with one."""

import hashlib
import os
import py_compile
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.agent.frames_of import inspect, inspect_default, migrate
from tests.targets.builder import CREATE_ITEM, Project, make_project
from tests.targets.traps import ITEM

ALL = [["shop", "0001_initial"], ["shop", "0002_name"], ["shop", "0003_price"]]


def keys(report: Any) -> list[list[str]]:
    return [[one["app"], one["name"]] for one in report["disk"]]


def on_disk(report: Any, name: str) -> Any:
    return next(one for one in report["disk"] if one["name"] == name)


def test_every_file_has_its_hash_and_what_it_depends_on(shop: Project) -> None:
    shop.migration(
        "0004_odd", "", body="atomic = False\n    initial = False\n    run_before = [('shop', '0005_last')]"
    )
    shop.migration("0005_last", "", after=[("shop", "0003_price"), ("shop", "__first__")])
    report = inspect(shop.address())
    file = shop.path / "shop/migrations/0004_odd.py"
    assert keys(report) == [*ALL, ["shop", "0004_odd"], ["shop", "0005_last"]]
    assert on_disk(report, "0004_odd") == {
        "app": "shop",
        "name": "0004_odd",
        "file": str(file),
        "hash": hashlib.sha256(file.read_bytes()).hexdigest(),
        "dependencies": [["shop", "0003_price"]],
        "run_before": [["shop", "0005_last"]],
        "replaces": [],
        "atomic": False,
        "initial": False,
        "broken": False,
    }
    assert on_disk(report, "0005_last")["dependencies"] == [["shop", "0003_price"], ["shop", "__first__"]]
    assert on_disk(report, "0005_last")["initial"] is None


def test_a_source_is_sent_once(shop: Project) -> None:
    report = inspect(shop.address())
    first = on_disk(report, "0001_initial")
    text = Path(first["file"]).read_text()
    assert report["sources"][first["hash"]] == {"text": text, "cut": False}
    again = inspect(shop.address(), known_sources=list(report["sources"]))
    assert again["sources"] == {}
    assert again["disk"] == report["disk"]
    shop.migration("0004_new", "")
    assert len(inspect(shop.address(), known_sources=list(report["sources"]))["sources"]) == 1


def test_a_source_of_five_megabytes_is_cut_and_its_hash_is_of_all(shop: Project) -> None:
    shop.migration("0004_long", f'migrations.RunSQL("-- {"x" * 5_000_000}")')
    report = inspect(shop.address())
    found = report["sources"][on_disk(report, "0004_long")["hash"]]
    assert found["cut"] and len(found["text"]) < 301_000
    data = (shop.path / "shop/migrations/0004_long.py").read_bytes()
    assert on_disk(report, "0004_long")["hash"] == hashlib.sha256(data).hexdigest()
    assert len(report["databases"][0]["plan"]) == 4


def test_a_secret_of_the_target_s_does_not_leave_with_a_source(shop: Project) -> None:
    shop.migration("0004_leak", "migrations.RunSQL(\"SELECT 'correct horse'\")")
    report = inspect(shop.address(env={"SHOP_PASSWORD": "correct horse"}))
    assert "correct horse" not in str(report["sources"])
    assert "SELECT '***'" in report["sources"][on_disk(report, "0004_leak")["hash"]]["text"]


def test_the_packages_tell_what_a_change_would_change(shop: Project) -> None:
    shop.write("shop/migrations/helpers/__init__.py", "")
    folder = shop.path / "shop/migrations"
    os.utime(folder / "0002_name.py", ns=(5, 1_234_567_891))
    (package,) = inspect(shop.address())["packages"]
    assert (package["app"], package["directory"]) == ("shop", str(folder))
    files = {name: (size, mtime) for name, size, mtime, _ in package["files"]}
    assert list(files) == [
        "0001_initial.py", "0002_name.py", "0003_price.py", "__init__.py", "helpers/__init__.py",
    ]  # fmt: skip
    assert files["0002_name.py"] == ((folder / "0002_name.py").stat().st_size, 1_234_567_891)


def test_an_app_without_migrations_is_named(shop: Project) -> None:
    shop.write("plain/__init__.py", "")
    shop.write("empty/migrations/.keep", "")
    shop.write("empty/__init__.py", "")
    shop.settings(apps=("shop", "plain", "empty"))
    assert inspect(shop.address())["apps"] == {"migrated": ["shop"], "unmigrated": ["empty", "plain"]}


def test_migration_modules_elsewhere(shop: Project) -> None:
    shop.write("moved/__init__.py", "")
    shutil.move(shop.path / "shop/migrations", shop.path / "moved/shop")
    shop.write("plain/__init__.py", "")
    extra = "\nMIGRATION_MODULES = {'shop': 'moved.shop', 'plain': None}\n"
    shop.settings(extra, apps=("shop", "plain"))
    report = inspect(shop.address())
    assert keys(report) == ALL
    assert report["packages"][0]["directory"] == str(shop.path / "moved/shop")
    assert report["apps"]["unmigrated"] == ["plain"]


def test_migration_modules_that_are_not_there_name_the_app(shop: Project) -> None:
    shop.write("later/__init__.py", "")
    shop.settings("\nMIGRATION_MODULES = {'later': 'moved.later'}\n", apps=("shop", "later"))
    report = inspect(shop.address())
    (error,) = report["databases"][0]["errors"]
    assert (error["type"], error["app"], error["name"]) == ("import", "later", "")
    assert keys(report) == ALL
    # makemigrations would make that package.
    assert report["unmade"]["state"] == "found"


def test_an_app_in_an_archive_has_migrations_without_a_hash(project: Project) -> None:
    project.migration("0001_initial", CREATE_ITEM)
    shutil.make_archive(str(project.path / "packed"), "zip", project.path, "shop")
    shutil.rmtree(project.path / "shop")
    project.write("manage.py", "import sys\nsys.path.insert(0, 'packed.zip')\n" + manage(project))
    report = inspect(project.address())
    assert keys(report) == [["shop", "0001_initial"]]
    assert report["disk"][0]["hash"] == "" and report["sources"] == {}
    assert report["packages"][0]["files"] == []
    assert len(report["databases"][0]["plan"]) == 1


def manage(project: Project) -> str:
    return (project.path / "manage.py").read_text()


def test_a_migration_that_is_compiled_only_has_no_hash(shop: Project) -> None:
    file = shop.path / "shop/migrations/0003_price.py"
    py_compile.compile(str(file), cfile=str(file) + "c")
    file.unlink()
    report = inspect(shop.address())
    assert keys(report) == ALL
    assert on_disk(report, "0003_price")["hash"] == ""


BROKEN = {
    "a syntax error": ("class Migration(:\n", "import", "SyntaxError"),
    "a missing package": ("import nothing_like_it\n", "import", "nothing_like_it"),
    "no class": ("x = 1\n", "bad_migration", "no Migration class"),
    "an exit": ("raise SystemExit(3)\n", "import", "sys.exit(3)"),
    "an error": ("1 / 0\n", "import", "ZeroDivisionError"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_one_broken_file_is_named_and_hides_no_other(shop: Project, kind: str) -> None:
    source, error_type, words = BROKEN[kind]
    migrate(shop.address(), app="shop", migration="0002")
    file = shop.write("shop/migrations/0002_rival.py", source)
    shop.write("shop/migrations/0004_second.py", "import nothing_else\n")
    shop.write("other/__init__.py", "")
    shop.migration("0001_initial", "", app="other", after=[])
    shop.migration("0001_rival", "", app="other", after=[])
    shop.settings(apps=("shop", "other"))
    report = inspect(shop.address())
    found = report["databases"][0]
    first, second = sorted(found["errors"], key=lambda error: error["name"])
    assert (first["type"], first["app"], first["name"]) == (error_type, "shop", "0002_rival")
    assert first["file"] == str(file)
    assert words in first["message"]
    assert (second["name"], second["file"]) == ("0004_second", str(file.with_name("0004_second.py")))
    names = ["0001_initial", "0002_name", "0002_rival", "0003_price", "0004_second"]
    assert [name for app, name in keys(report) if app == "shop"] == names
    assert on_disk(report, "0002_rival")["broken"]
    assert on_disk(report, "0002_rival")["hash"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert [one["name"] for one in found["migrations"]["shop"]] == names
    assert [one["applied"] for one in found["migrations"]["shop"]] == [True, True, False, False, False]
    # What hangs together in a broken app is not known; another's conflict is.
    assert found["conflicts"] == {"other": ["0001_initial", "0001_rival"]}
    assert (found["ghosts"], found["plan"]) == ([], [])


def test_a_broken_file_in_the_middle_makes_no_conflict_of_its_ends(shop: Project) -> None:
    shop.write("shop/migrations/0002_name.py", "import nothing_like_it\n")
    assert inspect_default(shop.address())["conflicts"] == {}


def test_the_row_of_a_broken_file_is_no_ghost(shop: Project) -> None:
    migrate(shop.address())
    shop.write("shop/migrations/0003_price.py", "import nothing_like_it\n")
    found = inspect_default(shop.address())
    assert found["ghosts"] == []
    assert [error["name"] for error in found["errors"]] == ["0003_price"]


def test_a_package_that_cannot_be_imported_makes_no_ghosts(shop: Project) -> None:
    migrate(shop.address())
    file = shop.write("shop/migrations/__init__.py", "import nothing_like_it\n")
    found = inspect_default(shop.address())
    (error,) = found["errors"]
    assert (error["app"], error["name"], error["file"]) == ("shop", "", str(file))
    assert found["ghosts"] == []


def test_all_parents_that_are_missing_are_named(shop: Project) -> None:
    shop.migration("0004_lost", "", after=[("shop", "0003_gone")])
    shop.migration("0005_lost", "", after=[("shop", "0004_lost"), ("bills", "0001_initial")])
    errors = inspect_default(shop.address())["errors"]
    assert {(error["type"], error["app"], error["name"]) for error in errors} == {
        ("node_not_found", "shop", "0004_lost"),
        ("node_not_found", "shop", "0005_lost"),
    }
    assert {Path(error["file"]).name for error in errors} == {"0004_lost.py", "0005_lost.py"}


def test_an_app_label_that_was_renamed(shop: Project) -> None:
    migrate(shop.address())
    shop.write("bills/__init__.py", "")
    shop.migration("0001_initial", "", app="bills", after=[("shop", "__first__")])
    (shop.path / "shop").rename(shop.path / "store")
    for file in (shop.path / "store/migrations").glob("0*.py"):
        file.write_text(file.read_text().replace("'shop'", "'store'"))
    shop.settings(apps=("store", "bills"))
    found = inspect_default(shop.address())
    (error,) = found["errors"]
    assert (error["type"], error["app"], error["name"]) == ("node_not_found", "bills", "0001_initial")
    assert "depends on the app shop, which is not installed under that label" in error["message"]
    assert found["ghosts"] == ALL


def test_a_circle_is_named_with_a_file(project: Project) -> None:
    project.migration("0001_hen", "", after=[("shop", "0002_egg")])
    project.migration("0002_egg", "", after=[("shop", "0001_hen")])
    (error,) = inspect_default(project.address())["errors"]
    assert error["type"] == "circular"
    assert error["file"].endswith(f"/{error['name']}.py") and error["name"] in ("0001_hen", "0002_egg")
    assert "shop.0001_hen" in error["message"] and "shop.0002_egg" in error["message"]


def test_two_files_with_one_number_that_follow_each_other_are_no_conflict(shop: Project) -> None:
    shop.migration("0003_again", "")
    found = inspect_default(shop.address())
    assert (found["conflicts"], found["errors"], len(found["plan"])) == ({}, [], 4)


ODD_NAMES = ["0004_<script>alert(1)<", "0005_prices & names", "0006_größe_✓", "0007_'quoted\"", "0008_a\nb"]


def test_names_with_unusual_characters(shop: Project) -> None:
    for name in ODD_NAMES:
        shop.migration(name, "")
    report = inspect(shop.address())
    assert [name for _, name in keys(report)][3:] == ODD_NAMES
    assert [one["name"] for one in report["databases"][0]["plan"]][3:] == ODD_NAMES


def test_a_name_that_is_not_utf_8_can_be_stored(shop: Project) -> None:
    folder, text = shop.path / "shop/migrations", (shop.path / "shop/migrations/0001_initial.py").read_text()
    name = os.fsdecode(b"0004_\xff.py")
    (folder / name).write_text(text.replace("dependencies = []", "dependencies = [('shop', '0003_price')]"))
    report = inspect(shop.address())
    str(report).encode("utf-8")
    assert keys(report)[3][1].startswith("0004_")
    assert len(report["databases"][0]["plan"]) == 4


def test_two_thousand_migrations(tmp_path: Path) -> None:
    project = make_project(tmp_path / "many")
    project.write("shop/models.py", ITEM)
    project.migration("0001_initial", CREATE_ITEM)
    for number in range(2, 2001):
        project.migration(f"{number:04}_more", "")
    report = inspect(project.address())
    assert len(report["disk"]) == len(report["databases"][0]["plan"]) == 2000
    assert report["databases"][0]["errors"] == []
    assert report["unmade"]["state"] == "found"


def test_a_file_that_only_looks_like_a_migration_is_left_out(shop: Project) -> None:
    shop.write("shop/migrations/_helper.py", "1 / 0\n")
    shop.write("shop/migrations/~backup.py", "1 / 0\n")
    assert keys(inspect(shop.address())) == ALL


def test_without_the_database_the_files_are_still_told(shop: Project) -> None:
    gone = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1", "PORT": "1"}
    shop.databases = {"default": gone}
    shop.settings()
    shop.migration("0003_rival", "", after=[("shop", "0002_name")])
    report = inspect(shop.address())
    found = report["databases"][0]
    assert (found["reachable"], found["reason"]) == (False, "refused")
    assert found["conflicts"] == {"shop": ["0003_price", "0003_rival"]}
    assert report["merges"]["shop"]["source"]
    assert len(report["disk"]) == 4 and len(report["sources"]) == 4
