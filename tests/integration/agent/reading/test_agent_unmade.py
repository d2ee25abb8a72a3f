"""What the models have and no migration makes, as the project's own makemigrations sees it, and what it would
write for a conflict. Nothing is written, and no database is asked."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.agent.frames_of import inspect, migrate
from tests.targets import traps
from tests.targets.builder import ADD_NAME, CREATE_ITEM, Project, shop_project
from tests.targets.traps import ITEM


def unmade(project: Project, **address: Any) -> Any:
    return inspect(project.address(**address))["unmade"]


def tree(project: Project) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in project.path.rglob("*") if path.is_file()}


def test_models_that_are_as_the_migrations_make_them(shop: Project) -> None:
    traps.with_models(shop)
    found = unmade(shop)
    assert (found["state"], found["migrations"], found["questions"]) == ("none", [], [])
    assert found["words"] == "No changes detected"


def test_what_is_missing_is_shown_as_the_file_that_django_would_write(shop: Project) -> None:
    traps.with_models(shop, "    size = models.IntegerField(null=True)\n")
    before = tree(shop)
    found = unmade(shop)
    (migration,) = found["migrations"]
    assert found["state"] == "found"
    assert (migration["app"], migration["name"]) == ("shop", "0004_item_size")
    assert migration["operations"] == ["Add field size to item"]
    assert migration["source"].startswith("from django.db import migrations, models\n")
    assert "name='size'" in migration["source"] and "('shop', '0003_price')" in migration["source"]
    assert tree(shop) == before
    assert unmade(shop) == found


def test_a_renamed_field_says_so(shop: Project) -> None:
    traps.renamed_field(shop)
    found = unmade(shop)
    (question,) = found["questions"]
    assert question["kind"] == "rename_field"
    assert (question["model"], question["old"], question["new"]) == ("shop.Item", "price", "cost")
    assert "Was shop.Item.price renamed to cost?" in question["words"]
    assert sorted(found["migrations"][0]["operations"]) == [
        "Add field cost to item",
        "Remove field price from item",
    ]


def test_a_renamed_model_says_so(shop: Project) -> None:
    traps.renamed_model(shop)
    found = unmade(shop)
    (question,) = found["questions"]
    assert (question["kind"], question["old"], question["new"]) == (
        "rename_model",
        "shop.Item",
        "shop.Article",
    )
    assert sorted(found["migrations"][0]["operations"]) == ["Create model Article", "Delete model Item"]


def test_a_column_that_needs_a_default_is_shown_with_the_question(shop: Project) -> None:
    more = "    size = models.IntegerField()\n    at = models.DateTimeField(auto_now_add=True)\n"
    traps.with_models(
        shop, more, item=ITEM.replace("n = models.IntegerField(null=True)", "n = models.IntegerField()")
    )
    found = unmade(shop)
    assert found["state"] == "found"
    assert {(one["kind"], one["model"], one["new"]) for one in found["questions"]} == {
        ("not_null_addition", "shop.Item", "size"),
        ("not_null_alteration", "shop.Item", "n"),
        ("auto_now_add_addition", "shop.Item", "at"),
    }
    assert set(found["migrations"][0]["operations"]) == {
        "Add field at to item",
        "Add field size to item",
        "Alter field n on item",
    }


def test_what_its_own_makemigrations_leaves_out_is_no_change(shop: Project) -> None:
    traps.patched_deconstruction(shop)
    assert unmade(shop)["state"] == "none"
    (shop.path / "shop/management/commands/makemigrations.py").unlink()
    assert unmade(shop)["state"] == "found"


def test_one_that_refuses_does_so_in_its_own_words(shop: Project) -> None:
    traps.refusing_makemigrations(shop)
    found = unmade(shop)
    assert found["state"] == "refused"
    assert found["words"] == "Migrations are not made here.\nAsk the data team, channel #data."
    assert found["migrations"] == []


def test_one_that_accepts_only_check_is_asked_so(shop: Project) -> None:
    traps.renamed_field(shop)
    traps.checking_makemigrations(shop)
    found = unmade(shop)
    assert (found["state"], len(found["migrations"]), len(found["questions"])) == ("found", 1, 1)


@pytest.mark.parametrize(
    "start", ["subprocess.run([sys.executable, '-c', CODE])", "os.system('touch here.py')"]
)
def test_one_that_has_another_program_write_is_not_let(shop: Project, start: str) -> None:
    """What that does cannot be seen."""
    own = f"""
import os, subprocess, sys
CODE = "open('here.py', 'w')"
class Command(Django):
    def handle(self, *labels, **options):
        {start}
        super().handle(*labels, **options)
"""
    traps.command(shop, "makemigrations", traps.MAKEMIGRATIONS + own)
    found = inspect(shop.address())["unmade"]
    assert (found["state"], "start another program" in found["words"]) == ("refused", True)
    assert not (shop.path / "here.py").exists()


def test_one_that_writes_whatever_it_is_told_is_not_let(shop: Project) -> None:
    traps.writing_makemigrations(shop)
    before = tree(shop)
    found = unmade(shop)
    assert found["state"] == "refused"
    assert "max_migration.txt, although it was told to write nothing" in found["words"]
    assert tree(shop) == before


def test_one_that_fails_shows_its_traceback(shop: Project) -> None:
    source = traps.MAKEMIGRATIONS + "class Command(Django):\n    def handle(self, *a, **o):\n        1 / 0\n"
    traps.command(shop, "makemigrations", source)
    found = unmade(shop)
    assert (found["state"], found["words"]) == ("failed", "ZeroDivisionError: division by zero")
    assert "makemigrations.py" in found["traceback"] and "opsdash-agent" not in found["traceback"]


def test_one_that_cannot_be_imported_fails(shop: Project) -> None:
    traps.command(shop, "makemigrations", "import nothing_like_it\n")
    found = unmade(shop)
    assert found["state"] == "failed" and "nothing_like_it" in found["traceback"]


def test_one_that_looks_at_nothing_has_not_judged(shop: Project) -> None:
    source = traps.MAKEMIGRATIONS + "class Command(Django):\n    def handle(self, *a, **o):\n        pass\n"
    traps.command(shop, "makemigrations", source)
    found = unmade(shop)
    assert found["state"] == "refused"
    assert found["words"] == "It ended without having compared the models with the migrations."


def test_what_it_leaves_out_of_its_changes_is_left_out(shop: Project) -> None:
    traps.renamed_field(shop)
    source = traps.MAKEMIGRATIONS + (
        "from django.db.migrations.autodetector import MigrationAutodetector\n"
        "class Quiet(MigrationAutodetector):\n"
        "    def changes(self, *args, **options):\n"
        "        super().changes(*args, **options)\n"
        "        return {}\n"
        "import django.core.management.commands.makemigrations as module\n"
        "module.MigrationAutodetector = Quiet\n"
        "class Command(Django):\n    autodetector = Quiet\n"
    )
    traps.command(shop, "makemigrations", source)
    assert unmade(shop)["state"] == "none"


def test_models_that_only_the_urlconf_imports_are_seen(shop: Project) -> None:
    traps.models_of_the_urlconf(shop)
    shop.settings("\nROOT_URLCONF = 'urls'\n")
    assert unmade(shop)["state"] == "none"


def test_a_urlconf_that_cannot_be_imported_is_no_removed_model(shop: Project) -> None:
    traps.models_of_the_urlconf(shop)
    shop.settings("\nROOT_URLCONF = 'urls'\n")
    shop.write("urls.py", "import nothing_like_it\n")
    found = unmade(shop)
    assert (found["state"], found["migrations"]) == ("failed", [])
    assert "URLconf cannot be imported" in found["words"] and "nothing_like_it" in found["words"]
    assert "urls.py" in found["traceback"]


def test_system_checks_that_crash_do_not_matter(shop: Project) -> None:
    traps.with_models(shop)
    traps.crashing_checks(shop)
    assert unmade(shop)["state"] == "none"


def test_without_the_database_it_is_still_judged(shop: Project) -> None:
    traps.renamed_field(shop)
    gone = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1", "PORT": "1"}
    driver = {"ENGINE": "django.db.backends.oracle", "NAME": "x"}
    shop.databases = {"default": gone, "oracle": driver}
    shop.settings(traps.router(shop, "return True"))
    assert unmade(shop)["state"] == "found"


def test_applied_in_the_wrong_order_it_is_still_judged(shop: Project) -> None:
    migrate(shop.address())
    traps.with_models(shop)
    shop.migration("0001_b", "", after=[("shop", "0001_initial")])
    shop.migration("0002_name", ADD_NAME, after=[("shop", "0001_b")])
    report = inspect(shop.address())
    assert report["databases"][0]["errors"][0]["type"] == "inconsistent_history"
    assert report["unmade"]["state"] == "none"


def test_what_it_prints_and_colours_is_kept_out_of_the_answer(shop: Project) -> None:
    traps.with_models(shop)
    source = traps.MAKEMIGRATIONS + (
        "class Command(Django):\n"
        "    def handle(self, *args, **options):\n"
        "        print('\\x1b[31mcareful\\x1b[0m')\n"
        "        super().handle(*args, **options)\n"
    )
    traps.command(shop, "makemigrations", source)
    assert unmade(shop)["words"] == "careful\nNo changes detected"


def test_an_app_whose_migrations_are_still_to_be_made(shop: Project) -> None:
    """A package without a file in it: Django makes the first one."""
    traps.with_models(shop)
    shop.settings(
        traps.custom_user(shop), apps=("django.contrib.contenttypes", "django.contrib.auth", "shop", "people")
    )
    found = unmade(shop)
    assert [(one["app"], one["name"]) for one in found["migrations"]] == [("people", "0001_initial")]


def test_a_conflict_is_refused_and_its_merge_is_shown(shop: Project) -> None:
    traps.with_models(shop)
    shop.migration("0003_rival", "", after=[("shop", "0002_name")])
    before = tree(shop)
    report = inspect(shop.address())
    assert report["unmade"]["state"] == "refused"
    assert "Conflicting migrations detected" in report["unmade"]["words"]
    merge = report["merges"]["shop"]
    assert merge["leaves"] == ["0003_price", "0003_rival"]
    assert merge["file"] == str(shop.path / "shop/migrations/0004_merge_0003_price_0003_rival.py")
    assert "('shop', '0003_rival')" in merge["source"] and merge["problem"] == ""
    assert tree(shop) == before


def test_a_conflict_without_a_common_ancestor_says_why_it_cannot_be_merged(shop: Project) -> None:
    shop.migration("0001_rival", CREATE_ITEM.replace("Item", "Other"), after=[])
    shop.write("bills/__init__.py", "")
    shop.migration("0001_initial", "", app="bills")
    shop.migration("0002_a", "", app="bills", after=[("bills", "0001_initial")])
    shop.migration("0002_b", "", app="bills", after=[("bills", "0001_initial")])
    shop.settings(apps=("shop", "bills"))
    merges = inspect(shop.address())["merges"]
    assert merges["shop"]["problem"].startswith("ValueError: Could not find common ancestor")
    assert merges["shop"]["source"] == ""
    assert merges["bills"]["source"] and merges["bills"]["problem"] == ""


def test_a_project_that_makes_no_migrations_says_so_of_a_merge(shop: Project) -> None:
    shop.migration("0003_rival", "", after=[("shop", "0002_name")])
    traps.refusing_makemigrations(shop)
    merge = inspect(shop.address())["merges"]["shop"]
    assert merge["problem"].startswith("Migrations are not made here.")


@pytest.mark.parametrize("name", ["broken", "sound"])
def test_the_disk_is_read_once(tmp_path: Path, name: str) -> None:
    """A migration counts how often it is made."""
    project = shop_project(tmp_path / name)
    counted = (
        "def __init__(self, *args):\n        open('made', 'a').write('x')\n        super().__init__(*args)"
    )
    project.migration("0004_counts", "", body=counted)
    project.databases["second"] = {**project.databases["default"]}
    project.settings()
    if name == "broken":
        project.migration("0005_rival", "", after=[("shop", "0003_price")])
    inspect(project.address())
    assert (project.path / "made").read_text() == "x"
