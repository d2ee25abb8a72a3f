"""makemigrations as a job: only what was seen in a preview, only new files, whole or not at all."""

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dbops.target import door
from tests.integration.agent.frames_of import Record, has_said, listen
from tests.targets.builder import CREATE_ITEM, Project, make_project

MODELS = """\
from django.db import models

class Item(models.Model):
    id = models.BigAutoField(primary_key=True)
    n = models.IntegerField(null=True)
"""
MORE = "    name = models.CharField(max_length=10, null=True)\n"


@pytest.fixture
def grown(tmp_path: Path) -> Project:
    """Its models have a field more than its migrations."""
    project = make_project(tmp_path / "grown")
    # As Django itself writes it.
    project.migration("0001_initial", CREATE_ITEM.replace('=True)), ("n"', '=True, serialize=False)), ("n"'))
    project.write("shop/models.py", MODELS + MORE)
    return project


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def arguments(project: Project, **changes: Any) -> dict[str, Any]:
    manage = project.path / "manage.py"
    seen = {str(manage): hash_of(manage)}
    return {
        "operation": "makemigrations", "alias": "default", "merge": False, "expected": "",
        "directory": str(project.path), "seen": seen, **changes,
    }  # fmt: skip


def make(project: Project, **changes: Any) -> Record:
    with door.open_session(project.address(), "perform", arguments(project, **changes)) as session:
        return listen(session)


def seen_by(project: Project, **changes: Any) -> str:
    """The fingerprint of what would be written now."""
    failure = make(project, expected="another", **changes).failure
    assert failure.type == "preview_changed", failure
    return str(failure.facts["fingerprint"])


def files(project: Project) -> list[str]:
    found = (project.path / "shop/migrations").iterdir()
    return sorted(str(one.relative_to(project.path)) for one in found if one.name != "__pycache__")


@pytest.fixture
def unwritable(grown: Project) -> Iterator[Project]:
    """Root may write anywhere, but not to a disk that is mounted read-only."""
    folder = grown.path / "shop/migrations"
    if os.geteuid():
        folder.chmod(0o500)
        yield grown
        folder.chmod(0o700)
        return
    if subprocess.run(["mount", "--bind", folder, folder], check=False).returncode:
        pytest.skip("this machine lets not even root mount a folder")
    subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
    yield grown
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_what_was_seen_is_written_and_told_with_its_text(grown: Project) -> None:
    expected = seen_by(grown)
    assert files(grown) == ["shop/migrations/0001_initial.py", "shop/migrations/__init__.py"]
    record = make(grown, expected=expected)
    (one,) = record.answer["files"]
    path = grown.path / "shop/migrations/0002_item_name.py"
    assert (one["app"], one["name"], one["path"]) == ("shop", "0002_item_name", str(path))
    assert one["text"] == path.read_text() and "migrations.AddField(" in one["text"]
    assert record.answer["changed"] == []
    assert [event["name"] for event in record.events("step_finished")] == [
        "shop/migrations/0002_item_name.py"
    ]
    assert files(grown)[1:] == ["shop/migrations/0002_item_name.py", "shop/migrations/__init__.py"]
    assert not grown.sqlite.exists()


def test_a_conflict_is_merged(grown: Project) -> None:
    for name in ("0002_left", "0002_right"):
        grown.migration(name, 'migrations.RunSQL("SELECT 1")', after=[("shop", "0001_initial")])
    grown.write("shop/models.py", MODELS)
    (one,) = make(grown, merge=True, expected=seen_by(grown, merge=True)).answer["files"]
    assert "0002_left" in one["text"] and "0002_right" in one["text"]
    assert one["name"].startswith("0003_merge_")


def test_another_preview_than_the_one_that_was_seen_writes_nothing(grown: Project) -> None:
    expected = seen_by(grown)
    grown.write("shop/models.py", MODELS + MORE.replace("name", "title"))
    failure = make(grown, expected=expected).failure
    assert failure.type == "preview_changed" and "shop.0002_item_title" in failure.message
    assert len(files(grown)) == 2


def test_a_moment_later_the_preview_is_the_same(grown: Project) -> None:
    """Its first line, and some names, have the moment in them."""
    grown.settings(
        "\nimport datetime\nfrom django.db.migrations import migration, writer\n"
        "now = datetime.datetime(2001, 1, 1, 1, 30)\n"
        "writer.now = lambda: now\n"
        "migration.Migration.suggest_name = lambda self: now.strftime('auto_%Y%m%d_%H%M')\n"
    )
    first = seen_by(grown)
    text = (grown.path / "settings.py").read_text()
    (grown.path / "settings.py").write_text(text.replace("2001, 1, 1, 1, 30", "2001, 1, 1, 2, 30"))
    (one,) = make(grown, expected=first).answer["files"]
    assert "2001-01-01 02:30" in one["text"] and one["name"] == "0002_auto_20010101_0230"


def test_a_file_that_appears_in_the_last_moment_is_never_overwritten(grown: Project) -> None:
    expected = seen_by(grown)
    path = grown.path / "shop/migrations/0002_item_name.py"
    grown.write("shop/management/__init__.py", "")
    grown.write("shop/management/commands/__init__.py", "")
    grown.write(
        "shop/management/commands/makemigrations.py",
        "from django.core.management.commands.makemigrations import Command as Django\n"
        "class Command(Django):\n"
        "    def write_migration_files(self, changes, *args):\n"
        "        if not self.dry_run:\n"
        f"            import pathlib; pathlib.Path({str(path)!r}).write_text('mine')\n"
        "        super().write_migration_files(changes, *args)\n",
    )
    failure = make(grown, expected=expected).failure
    assert failure.type == "file_exists"
    assert path.read_text() == "mine"
    assert [one["path"] for one in failure.facts["files"]] == [str(path)]


def test_what_the_project_s_own_command_changes_beside_it_is_told(grown: Project) -> None:
    latest = grown.write("shop/migrations/latest.txt", "0001_initial\n")
    grown.write("shop/management/__init__.py", "")
    grown.write("shop/management/commands/__init__.py", "")
    grown.write(
        "shop/management/commands/makemigrations.py",
        "from django.core.management.commands.makemigrations import Command as Django\n"
        "class Command(Django):\n"
        "    def write_migration_files(self, changes, *args):\n"
        "        super().write_migration_files(changes, *args)\n"
        f"        if not self.dry_run: open({str(latest)!r}, 'w').write('0002_item_name\\n')\n",
    )
    answer = make(grown, expected=seen_by(grown)).answer
    assert answer["changed"] == [str(latest)] and len(answer["files"]) == 1


def test_a_tree_that_cannot_be_written_is_a_sentence(unwritable: Project) -> None:
    failure = make(unwritable, expected=seen_by(unwritable)).failure
    assert failure.type == "tree_unwritable"
    assert "shop/migrations" in failure.message and "cannot be written: " in failure.message
    assert failure.facts["files"] == [] and len(files(unwritable)) == 2


def test_another_tree_than_the_worker_s_is_refused(grown: Project) -> None:
    expected = seen_by(grown)
    manage = str(grown.path / "manage.py")
    failure = make(grown, expected=expected, seen={manage: "0" * 64}).failure
    assert failure.type == "tree_differs" and manage in failure.message
    assert make(grown, expected=expected, seen={}).failure.type == "tree_differs"
    assert len(files(grown)) == 2


@pytest.mark.parametrize("where", ["elsewhere", "grown/.venv/lib/site-packages"])
def test_nothing_is_written_outside_of_the_project(grown: Project, where: str) -> None:
    """Another app's models may lack a migration too, say after a change of DEFAULT_AUTO_FIELD."""
    library = grown.path.parent / where
    other = make_project(library)
    other.write("installed/__init__.py", "")
    other.write("installed/migrations/__init__.py", "")
    other.write("installed/models.py", MODELS)
    grown.settings(f"import sys; sys.path.append({str(library)!r})\n", apps=("installed", "shop"))
    failure = make(grown, expected=seen_by(grown)).failure
    assert failure.type == "outside_tree" and f"{library}/installed/migrations/0001_" in failure.message
    assert len(files(grown)) == 2 and len(list((library / "installed/migrations").glob("0*"))) == 0


def test_a_link_that_leads_out_of_the_project_is_not_followed(grown: Project) -> None:
    outside = grown.path.parent / "outside"
    (grown.path / "shop/migrations").rename(outside)
    (grown.path / "shop/migrations").symlink_to(outside)
    assert make(grown, expected=seen_by(grown)).failure.type == "outside_tree"
    assert sorted(one.name for one in outside.glob("*.py")) == ["0001_initial.py", "__init__.py"]


def test_a_full_disk_leaves_no_half_of_a_file(grown: Project) -> None:
    """Also on one where a file has one name only."""
    grown.settings(
        "import errno, os, resource\n"
        "def link(*_):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "    raise OSError(errno.EPERM, 'no')\n"
        "os.link = link\n"
    )
    record = make(grown, expected=seen_by(grown))
    assert record.failure.facts["files"] == []
    assert record.failure.type == "tree_unwritable" and "File too large" in record.failure.message
    assert files(grown) == ["shop/migrations/0001_initial.py", "shop/migrations/__init__.py"]


def test_two_at_once_in_one_tree_are_refused(grown: Project) -> None:
    descriptor = os.open(grown.path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        failure = make(grown, expected="x").failure
    finally:
        os.close(descriptor)
    assert failure.type == "tree_busy" and str(grown.path) in failure.message


def test_what_the_project_refuses_is_said_in_its_words(grown: Project) -> None:
    grown.write("shop/models.py", MODELS + "    must = models.IntegerField()\n")
    record = make(grown, expected=seen_by(grown))
    assert record.failure.type == "makemigrations_refused"
    assert b"non-nullable field" in record.output or b"'must'" in record.output
    assert len(files(grown)) == 2 and record.failure.facts["files"] == []


def test_a_cancel_leaves_whole_files_and_says_which(grown: Project) -> None:
    """The project's command hangs between two files."""
    grown.settings(apps=("shop", "depot"))
    grown.write("depot/__init__.py", "")
    grown.write("depot/models.py", MODELS)
    grown.write("depot/migrations/__init__.py", "")
    expected = seen_by(grown)
    grown.write("shop/management/__init__.py", "")
    grown.write("shop/management/commands/__init__.py", "")
    grown.write(
        "shop/management/commands/makemigrations.py",
        "from django.core.management.commands.makemigrations import Command as Django\n"
        "class Command(Django):\n"
        "    def write_migration_files(self, changes, *args):\n"
        "        for app in sorted(changes):\n"
        "            super().write_migration_files({app: changes[app]}, *args)\n"
        "            if not self.dry_run:\n"
        "                import time; print('hangs', flush=True); time.sleep(600)\n",
    )
    with door.open_session(grown.address(), "perform", arguments(grown, expected=expected)) as session:
        listen(session, has_said(b"hangs"))
        session.cancel()
        failure = listen(session).failure
    assert failure.type == "cancelled"
    assert [(one["app"], one["name"]) for one in failure.facts["files"]] == [("depot", "0001_initial")]
    assert len(files(grown)) == 2


def test_the_database_is_only_read(grown: Project) -> None:
    """The check of its history opens it."""
    grown.settings("\nfrom django.db.backends.signals import connection_created\n"
                   "def write(connection, **_):\n"
                   "    connection.cursor().execute('CREATE TABLE written (n integer)')\n"
                   "connection_created.connect(write, weak=False)\n")  # fmt: skip
    grown.sqlite.touch()
    make(grown, expected="x")
    assert grown.sqlite.read_bytes() == b""
