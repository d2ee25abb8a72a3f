"""The commands around it: finding a Python, installing, the tests' services, and what they say on failure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedded import __main__ as commands
from embedded import bootstrap, lineup, postgres, testing
from embedded.disk import refusals_in_words
from embedded.environment import Settings, inherited
from embedded.errors import MachineError
from embedded.state import State
from tests.unit.embedded_help import ROOT

FIND_PYTHON = ROOT / "embedded" / "find-python.sh"


def fake_python(folder: Path, name: str, version: tuple[int, int], venv: bool = True) -> Path:
    """Answers the three questions of find-python.sh."""
    script = folder / name
    script.write_text(
        "#!/bin/sh\n"
        f'case "$2" in *print*) echo {version[0]}.{version[1]};; *ensurepip*) exit {0 if venv else 1};; '
        f"*exit*) exit {0 if version >= (3, 11) else 1};; esac\n"
    )
    script.chmod(0o755)
    return script


def find_python(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(folder), **variables}
    return subprocess.run(
        ["/bin/sh", FIND_PYTHON], env=environment, capture_output=True, text=True, check=False
    )


def test_the_usual_python_is_taken_if_it_is_new_enough(tmp_path: Path) -> None:
    usual = fake_python(tmp_path, "python3", (3, 11))
    fake_python(tmp_path, "python3.14", (3, 14))
    assert find_python(tmp_path).stdout == f"{usual}\n"


def test_a_newer_one_is_found_beside_an_old_usual_one(tmp_path: Path) -> None:
    fake_python(tmp_path, "python3", (3, 9))
    newer = fake_python(tmp_path, "python3.12", (3, 12))
    assert find_python(tmp_path).stdout == f"{newer}\n"


def test_a_named_python_comes_first(tmp_path: Path) -> None:
    fake_python(tmp_path, "python3", (3, 11))
    named = fake_python(tmp_path, "mine", (3, 13))
    assert find_python(tmp_path, PYTHON=str(named)).stdout == f"{named}\n"


@pytest.mark.parametrize(
    ("version", "venv", "sentence"),
    [
        (None, True, "opsdash: needs Python 3.11 or newer, and there is no Python on PATH: "),
        ((3, 9), True, "opsdash: needs Python 3.11 or newer, and {path} is 3.9: "),
        ((3, 12), False, "opsdash: {path} has no venv module, which makes virtual environments: install it "),
    ],
)
def test_without_a_usable_python_it_says_what_is_missing(
    tmp_path: Path, version: tuple[int, int] | None, venv: bool, sentence: str
) -> None:
    path = fake_python(tmp_path, "python3", version, venv) if version else None
    answer = find_python(tmp_path)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.startswith(sentence.format(path=path))
    assert answer.stderr.count("\n") == 1


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one pin, which no index has, and a pip that asks no index."""
    venv = tmp_path / ".venv"
    for name, value in {"CHECKOUT": tmp_path, "VENV": venv, "PYTHON": venv / "bin" / "python"}.items():
        monkeypatch.setattr(bootstrap, name, value)
    monkeypatch.setattr(bootstrap, "LOG", venv / "pip.log")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for name in bootstrap.FILES["test"]:
        (tmp_path / name).write_text("# nothing\n")
    return tmp_path


def test_installed_is_once_and_again_when_a_pin_changed(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bootstrap.main(["run"]) == 0
    said = capsys.readouterr().out
    assert "making the virtual environment" in said
    assert "installing 0 pinned ones" in said
    assert bootstrap.main(["run"]) == 0
    assert capsys.readouterr().out == ""
    (checkout / "requirements.txt").write_text("# changed\n")
    assert bootstrap.main(["run"]) == 0
    assert "making" not in (said := capsys.readouterr().out)
    assert "installing" in said


def test_a_missing_wheel_is_a_sentence_after_pips_own_words(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "requirements.txt").write_text("no-such-package==1.0\n")
    assert bootstrap.main(["run"]) == 1
    said = capsys.readouterr().err
    version = ".".join(map(str, sys.version_info[:2]))
    assert "ERROR: No matching distribution found for no-such-package==1.0" in said
    last = said.splitlines()[-1]
    assert last.startswith(
        f"opsdash: there is no wheel of no-such-package==1.0 to be had for Python {version}"
    )
    assert last.endswith(f"What pip said is above and in {checkout}/.venv/pip.log.")
    assert "No matching distribution" in (checkout / ".venv" / "pip.log").read_text()
    assert bootstrap.main(["run"]) == 1  # and it is not taken for installed


def test_an_interrupted_environment_is_made_anew(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to("/nowhere/python3.11")
    assert bootstrap.main(["run"]) == 0
    assert "making the virtual environment" in capsys.readouterr().out


def test_a_full_disk_while_installing_is_said(checkout: Path) -> None:
    output = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    why = bootstrap._why(output)
    assert why == f"the packages could not be installed: the disk that holds {checkout}/.venv is full."


def test_every_requirement_is_pinned() -> None:
    for name in bootstrap.FILES["test"]:
        for line in bootstrap._pins(ROOT / name):
            assert line.partition(";")[0].count("==") == 1, f"{name}: {line}"


def test_a_missing_wheel_of_postgres_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "WHEEL", "no-such-wheel")
    monkeypatch.setattr(postgres, "PACKAGE", "no_such_wheel")
    for ask in (postgres.version, postgres._installed):
        with pytest.raises(MachineError, match="no-such-wheel is not installed in this virtual environment"):
            ask()


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (28, "The disk that holds /nowhere is full: make room and start again."),
        (30, "/nowhere/file cannot be written (Read-only file system): run this as the user it belongs to"),
        (13, "/nowhere/file cannot be written (Permission denied): run this as the user it belongs to"),
    ],
)
def test_what_the_disk_refuses_is_a_sentence(number: int, sentence: str) -> None:
    with pytest.raises(MachineError) as refused, refusals_in_words(Path("/nowhere")):
        raise OSError(number, os.strerror(number), "/nowhere/file")
    assert str(refused.value).startswith(sentence)


def test_the_processes_are_those_of_the_architecture(tmp_path: Path) -> None:
    place = State(tmp_path)
    programs = [lineup.web(ROOT, place, 8000, {}), *lineup.background(ROOT, place, {})]
    assert [program.name for program in programs] == ["web", "jobs", "inspect", "beat", "prober"]
    assert {program.argv[0] for program in programs} == {sys.executable}
    assert "127.0.0.1:8000" in programs[0].argv


def test_a_state_that_lies_deep_does_not_stop_the_web_process(tmp_path: Path) -> None:
    deep = State(tmp_path / ("x" * 100))
    assert "--no-control-socket" in lineup.web(ROOT, deep, 8000, {}).argv
    assert "--control-socket" in lineup.web(ROOT, State(Path("/var/lib/opsdash/a")), 8000, {}).argv


def test_what_would_mislead_opsdash_is_not_inherited() -> None:
    theirs = {
        "PATH": "/bin",
        "PGHOST": "elsewhere",
        "PYTHONUNBUFFERED": "1",
        "MAKEFLAGS": "k",
        "OPSDASH_DEBUG": "1",
    }
    assert inherited(private_postgres=True, environ=theirs) == {"PATH": "/bin", "OPSDASH_DEBUG": "1"}
    assert inherited(private_postgres=False, environ=theirs)["PGHOST"] == "elsewhere"


def test_no_repr_of_settings_or_services_shows_a_secret() -> None:
    settings = Settings("hidden-1", "hidden-2", "hidden-3", "hidden-4")
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize("arguments", [[], ["walk"], ["run", "twice"]])
def test_a_wrong_command_gets_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(arguments) == 2
    assert bootstrap.main(["walk"]) == 2
    assert "usage: python -m embedded run|clean-state" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--"], ["--nonsense", "--", "true"], ["true"]])
def test_a_wrong_call_of_the_tests_services_gets_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert testing.main(arguments) == 2
    assert "usage: python -m embedded.testing" in capsys.readouterr().err


def with_testing(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "embedded.testing", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_gets_settings_and_gives_its_status() -> None:
    code = (
        "import os, sys; print(sorted(n for n in os.environ if 'OPSDASH' in n or 'DJANGO' in n)); sys.exit(5)"
    )
    done = with_testing(
        "--without-services", "--", "python", "-c", code, OPSDASH_TYPO="1", PYTHONUNBUFFERED="1"
    )
    assert done.returncode == 5
    assert "'DJANGO_SETTINGS_MODULE'" in done.stdout
    assert "'OPSDASH_SECRET_KEY'" in done.stdout
    assert "OPSDASH_TYPO" not in done.stdout


def test_a_command_that_is_not_there_is_a_sentence() -> None:
    done = with_testing("--without-services", "--", "no-such-command")
    assert done.returncode == 127
    assert done.stderr == "no-such-command is neither in the virtual environment nor on PATH.\n"


def test_browser_tests_without_a_browser_fail_in_ci_and_are_left_out_elsewhere() -> None:
    wanted = ("--without-services", "--browser", "--", "echo", "they ran")
    nowhere = {"OPSDASH_TEST_CHROMIUM": "/nowhere/chromium"}
    in_ci = with_testing(*wanted, **nowhere, CI="true")
    assert (in_ci.returncode, in_ci.stdout) == (1, "")
    assert "The browser tests need /nowhere/chromium" in in_ci.stderr
    elsewhere = with_testing(*wanted, **nowhere, CI="")
    assert elsewhere.returncode == 0
    assert "the browser tests are NOT run" in elsewhere.stdout
    assert "they ran" not in elsewhere.stdout


def test_pytest_alone_says_how_to_run_the_tests(tmp_path: Path) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")
    }
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:django",
            "-p",
            "no:cacheprovider",
            "-c",
            os.devnull,
            ROOT / "tests/unit",
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert "The tests need a Postgres and a Redis of their own: run them with `make unit`" in done.stderr
