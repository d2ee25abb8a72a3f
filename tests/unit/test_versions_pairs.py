"""Which Pythons are found for the tests of versions, and that none is left out without a word."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.versions import pairs, prepare
from tests.versions.pairs import Pair


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """With no Python but those that a test puts there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    monkeypatch.delenv("UV_PYTHON_INSTALL_DIR", raising=False)
    monkeypatch.setattr(pairs, "ENVIRONMENTS", tmp_path / "venvs")
    pairs.found.cache_clear()
    yield tmp_path
    pairs.found.cache_clear()


def put(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return path


def says(version: str, path: Path) -> str:
    return f"echo {version} {path}"


def test_one_on_path_is_found(machine: Path) -> None:
    path = machine / "bin/python3.8"
    put(path, says("3.8", path))
    assert pairs.found("3.8") == path


def test_a_shim_that_leads_to_none_is_passed_over_for_what_pyenv_keeps(machine: Path) -> None:
    put(machine / "bin/python3.8", "echo command not found >&2; exit 127")
    path = machine / ".pyenv/versions/3.8.18/bin/python3.8"
    put(path, says("3.8", path))
    assert pairs.found("3.8") == path


def test_the_newest_that_pyenv_keeps_is_taken(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(machine / "elsewhere"))
    for version in ("3.8.2", "3.8.18"):
        path = machine / f"elsewhere/versions/{version}/bin/python3.8"
        put(path, says("3.8", path))
    assert pairs.found("3.8") == path


def test_one_of_uv_is_found(machine: Path) -> None:
    path = machine / ".local/share/uv/python/cpython-3.13.1-linux-x86_64-gnu/bin/python3.13"
    put(path, says("3.13", path))
    assert pairs.found("3.13") == path


def test_a_python_of_another_version_than_its_name_is_not_taken(machine: Path) -> None:
    put(machine / "bin/python3.8", says("3.7", machine / "bin/python3.8"))
    assert pairs.found("3.8") is None


def test_a_pair_without_its_interpreter_is_named(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = Pair("3.2", ("3.8", "3.9"))
    assert prepare.prepared(pair)
    assert (
        "Django 3.2 on Python 3.8 or 3.9: NOT tried: python3.8 and python3.9: not on PATH"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_a_download_that_fails_is_named_and_with_ci_an_error(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], ci: str, status: int
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(machine))
    pair = Pair("4.2")
    monkeypatch.setattr(prepare, "PAIRS", (pair,))
    assert prepare.main() == status
    assert not pair.is_ready
    said = "".join(capfd.readouterr())
    assert "Could not find a version" in said
    assert f"Django 4.2 on the suite's own Python {pair.version} is NOT tried" in said


def test_pins_that_changed_are_installed_anew(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair("4.2")
    assert pair.interpreter == Path(sys.executable)
    pair.folder.mkdir(parents=True)
    pair.stamp.write_text(pair.fingerprint)
    assert pair.is_ready
    changed = machine / "django-4.2.txt"
    changed.write_text("Django==4.2\n")
    monkeypatch.setattr(pairs, "HERE", machine)
    assert not pair.is_ready
