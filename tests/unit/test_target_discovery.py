"""What a directory tells about the project in it, without running any of it."""

from pathlib import Path

import pytest

from dbops.target.discovery import discover
from tests.targets.builder import MANAGE, make_project


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_project(tmp_path / "shop")
    return tmp_path / "shop"


def put_interpreter(folder: Path) -> str:
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("")
    (folder / "bin/python").symlink_to("/bin/true")
    return str(folder / "bin/python")


def test_a_plain_project(root: Path) -> None:
    python = put_interpreter(root / ".venv")
    (root / ".env").write_text("A=1\n")
    found = discover(root)
    assert (found.cwd, found.launcher, found.settings_module) == (str(root), ("manage.py",), "settings")
    assert (found.argv, found.env_file) == ((python,), str(root / ".env"))
    assert all(note.endswith(".") for note in found.notes)
    assert len(found.notes) == 4


def test_manage_py_itself_may_be_named(root: Path) -> None:
    assert discover(root / "manage.py").cwd == str(root)


@pytest.mark.parametrize("below", ["src", "backend/app"])
def test_manage_py_may_lie_below(tmp_path: Path, below: str) -> None:
    make_project(tmp_path / below)
    python = put_interpreter(tmp_path / "venv")
    found = discover(tmp_path)
    assert (found.cwd, found.argv) == (str(tmp_path / below), (python,))


def test_the_nearest_of_several_is_taken_and_the_others_are_named(root: Path) -> None:
    (root / "other").mkdir()
    (root / "other/manage.py").write_text(MANAGE)
    found = discover(root)
    assert found.cwd == str(root)
    assert any("other/manage.py" in note and "nearest" in note for note in found.notes)


@pytest.mark.parametrize("folder", ["node_modules", ".hidden", "tests"])
def test_places_that_hold_no_project_are_not_searched(tmp_path: Path, folder: str) -> None:
    make_project(tmp_path / folder)
    assert discover(tmp_path).launcher == ()


def test_a_virtual_environment_beside_the_project(root: Path) -> None:
    python = put_interpreter(root.parent / "venv")
    assert discover(root).argv == (python,)


def test_the_interpreter_s_link_is_not_resolved(root: Path) -> None:
    assert discover(root).argv == ()
    put_interpreter(root / "venv")
    assert "true" not in discover(root).argv[0]


def test_an_environment_of_another_machine_is_named_and_not_called_missing(root: Path) -> None:
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "python").symlink_to("/opt/gone/bin/python3")
    found = discover(root)
    assert found.argv == ()
    assert any(
        f"{root}/.venv/bin/python is a link to /opt/gone/bin/python3, which does not exist" in note
        for note in found.notes
    )


def test_where_a_python_was_named_none_is_looked_for(root: Path) -> None:
    put_interpreter(root / "venv")
    found = discover(root, needs_python=False)
    assert found.argv == () and not any("environment (" in note for note in found.notes)


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ('import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "a.b")', "a.b"),
        ('import os\nos.environ["DJANGO_SETTINGS_MODULE"] = "a.b"', "a.b"),
        ('import os\nx = os.environ.get("DJANGO_SETTINGS_MODULE", "a.b")', "a.b"),
        ("import sys", ""),
        ("this is no python", ""),
        ("raise SystemExit('it was run')", ""),
    ],
)
def test_the_settings_module_is_read_not_run(root: Path, source: str, module: str) -> None:
    (root / "manage.py").write_text(source)
    assert discover(root).settings_module == module


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    found = discover(tmp_path / "nothing")
    assert (found.launcher, found.argv, found.env_file, found.settings_module) == ((), (), "", "")
    text = " ".join(found.notes)
    assert all(word in text for word in ("No manage.py", "No virtual environment", "No .env"))
