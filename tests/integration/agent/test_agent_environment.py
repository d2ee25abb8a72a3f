"""The target's environment starts empty and never holds anything of opsdash's own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.agent.frames_of import inspect, inspect_default, migrate
from tests.targets.builder import Project

KEPT = {"PATH", "HOME", "LANG", "TZ", "TMPDIR"}
TELL = """
import json, sys
json.dump([dict(os.environ), sys.path, sys.argv, os.getcwd()], open("told.json", "w"))
"""


@pytest.fixture
def told(shop: Project) -> Project:
    shop.settings(TELL)
    return shop


def what_it_saw(project: Project) -> tuple[dict[str, str], list[str], list[str], str]:
    environ, path, argv, cwd = json.loads((project.path / "told.json").read_text())
    return environ, path, argv, cwd


def test_the_environment_is_what_is_kept_and_what_is_declared(told: Project) -> None:
    inspect(told.address(env={"SHOP_MODE": "quiet", "PATH": "/declared"}))
    environ = what_it_saw(told)[0]
    assert environ["SHOP_MODE"] == "quiet"
    assert environ["PATH"] == "/declared"
    ours = {"DJANGO_SETTINGS_MODULE", "PYTHONDONTWRITEBYTECODE"}
    assert set(environ) <= KEPT | {"SHOP_MODE"} | ours


def test_nothing_of_opsdash_reaches_a_target(told: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = "postgres://opsdash:canary-4711@db/opsdash"
    for name in ("DATABASE_URL", "REDIS_URL", "OPSDASH_SECRET_KEY", "PGPASSWORD", "PGHOST"):
        monkeypatch.setenv(name, canary)
    told.python(
        "0004_looks",
        "print(open('/proc/self/environ').read(), dict(os.environ), subprocess.getoutput('env'))",
    )
    record = migrate(told.address())
    assert record.answer["recorded_after"][-1] == ["shop", "0004_looks"]
    assert b"canary-4711" not in record.output
    assert "canary-4711" not in (told.path / "told.json").read_text()


def test_the_target_s_own_secrets_are_not_in_any_argv(told: Project) -> None:
    told.python("0004_looks", "print(subprocess.getoutput('ps -eo args'))")
    record = migrate(told.address(env={"SHOP_PASSWORD": "open-sesame-4711"}))
    assert b"open-sesame-4711" not in record.output


def test_paths_and_words_look_as_under_the_launcher(told: Project) -> None:
    inspect(told.address())
    _, path, argv, cwd = what_it_saw(told)
    words = [sys.executable, "manage.py", "showmigrations"]
    subprocess.run(words, cwd=told.path, env={}, check=True, capture_output=True)
    by_hand = what_it_saw(told)
    assert (path, argv, cwd) == by_hand[1:]


def test_the_agent_leaves_no_trace_on_the_path(told: Project) -> None:
    inspect(told.address())
    assert not any("opsdash" in entry for entry in what_it_saw(told)[1] if entry != str(told.path))


def test_a_declared_pythonpath_time_zone_and_no_bytecode_count(told: Project, tmp_path: Path) -> None:
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "elsewhere.py").write_text("")
    extra = "\nimport elsewhere, time\nassert time.tzname[0] == 'JST', time.tzname\n"
    told.settings(extra + TELL)
    inspect(
        told.address(
            env={"PYTHONPATH": str(tmp_path / "extra"), "TZ": "Asia/Tokyo", "PYTHONDONTWRITEBYTECODE": "1"}
        )
    )
    assert what_it_saw(told)[1][:2] == [str(told.path), str(tmp_path / "extra")]
    assert not (told.path / "shop" / "__pycache__").exists()


def test_files_are_found_relative_to_the_working_directory(shop: Project) -> None:
    shop.write("config.txt", "found")
    shop.settings("\nassert open('config.txt').read() == 'found'\n")
    assert inspect_default(shop.address())["reachable"]


def test_a_file_of_the_target_cannot_take_the_place_of_a_module_of_the_agent(shop: Project) -> None:
    for name in ("frames", "supervisor", "session", "guard", "select", "struct"):
        shop.write(f"{name}.py", "raise RuntimeError('taken for the real one')")
    assert inspect_default(shop.address())["reachable"]
