"""Between the door and the interpreter: programs that are not there, are no Python, or make noise first."""

import stat
import sys
from pathlib import Path

import pytest

from dbops.target import errors
from tests.integration.agent.frames_of import inspect, inspect_default
from tests.targets.builder import Project


def failing(project: Project, *argv: str) -> errors.TargetError:
    with pytest.raises(errors.TargetError) as caught:
        inspect(project.address(argv=argv))
    return caught.value


def program(folder: Path, text: str) -> str:
    path = folder / "transport"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return str(path)


def test_an_interpreter_that_is_not_there(shop: Project) -> None:
    error = failing(shop, "/nowhere/bin/python")
    assert isinstance(error, errors.InterpreterMissing)
    assert "/nowhere/bin/python" in str(error)


def test_an_interpreter_that_may_not_be_executed(shop: Project) -> None:
    assert isinstance(failing(shop, str(shop.path / "manage.py")), errors.InterpreterMissing)


def test_an_interpreter_that_is_missing_behind_a_transport(shop: Project) -> None:
    error = failing(shop, "env", "/nowhere/bin/python")
    assert isinstance(error, errors.InterpreterMissing)
    assert "No such file" in str(error)


@pytest.mark.parametrize("other", ["/bin/true", "/bin/cat", "/bin/sh"])
def test_a_program_that_is_no_python(shop: Project, other: str) -> None:
    assert isinstance(failing(shop, other), errors.NotPython)


def test_a_program_that_writes_without_end(shop: Project, tmp_path: Path) -> None:
    assert isinstance(failing(shop, program(tmp_path, "exec yes\n")), errors.NotPython)


def test_a_transport_that_fails_says_so_in_its_own_words(shop: Project, tmp_path: Path) -> None:
    error = failing(
        shop, program(tmp_path, "echo 'Permission denied (publickey).' >&2; exit 255\n"), "host", "python"
    )
    assert isinstance(error, errors.TransportFailed)
    assert "Permission denied (publickey)." in str(error)


@pytest.mark.parametrize("start", ['exec {python} "$@" </dev/null\n', '{python} "$@" <&-\n'])
def test_a_command_that_takes_the_standard_input_away_is_told_so(
    shop: Project, tmp_path: Path, start: str
) -> None:
    error = failing(shop, program(tmp_path, start.format(python=sys.executable)))
    assert isinstance(error, errors.TransportFailed)
    assert "keeps its standard input from it" in str(error) and "docker exec -i" in str(error)


def test_noise_before_the_agent_speaks_is_passed_over(shop: Project, tmp_path: Path) -> None:
    noisy = program(tmp_path, 'echo "Welcome to host"; echo "motd" >&2; head -c 20000 /dev/zero; exec "$@"\n')
    assert inspect_default(shop.address(argv=(noisy, sys.executable)))["reachable"]


def test_a_python_that_is_too_old(shop: Project, tmp_path: Path) -> None:
    pretends = "import sys; sys.version_info = (3, 6, 9); sys.version = '3.6.9 (x)'; exec(sys.argv[2])"
    error = failing(shop, program(tmp_path, f'exec {sys.executable} -c "{pretends}" "$@"\n'))
    assert isinstance(error, errors.PythonTooOld)
    assert "3.6.9" in str(error)


def test_a_relative_interpreter_is_meant_from_the_working_directory(shop: Project) -> None:
    link = shop.path / "venv" / "python"
    link.parent.mkdir()
    link.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    link.chmod(0o755)
    assert inspect_default(shop.address(argv=("venv/python",)))["reachable"]


def test_a_transport_that_is_cut_off_is_told_from_one_that_never_was(shop: Project, tmp_path: Path) -> None:
    shop.settings("\nimport os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nimport time; time.sleep(60)\n")
    assert isinstance(failing(shop, sys.executable), errors.ConnectionLost)


def test_the_words_of_a_shell_survive_it(shop: Project, tmp_path: Path) -> None:
    """As ssh does it: the words are joined and parsed again."""
    spaced = tmp_path / "with space's"
    spaced.mkdir()
    (spaced / "python").symlink_to(program(tmp_path, f'exec {sys.executable} "$@"\n'))
    joins = tmp_path / "joins"
    joins.write_text('#!/bin/sh\nexec /bin/sh -c "$*"\n')
    joins.chmod(0o755)
    argv = (str(joins), str(spaced / "python"))
    assert inspect_default(shop.address(argv=argv, through_shell=True))["reachable"]
    with pytest.raises(errors.TransportFailed):
        inspect(shop.address(argv=argv, through_shell=False))
