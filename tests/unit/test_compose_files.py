"""docker-compose.yml, the Dockerfile and .env agree with the rest; `make compose-smoke` runs them."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SECRET = ("OPSDASH_SECRET_KEY", "OPSDASH_SEALING_KEYS", "POSTGRES_PASSWORD", "REDIS_PASSWORD")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "docker").mkdir()
    shutil.copy(ROOT / "docker" / "new-env.sh", tmp_path / "docker")
    shutil.copy(ROOT / ".env.example", tmp_path)
    return tmp_path


def new_env(checkout: Path) -> "subprocess.CompletedProcess[str]":
    argv = ["sh", str(checkout / "docker" / "new-env.sh")]
    return subprocess.run(argv, cwd="/", capture_output=True, text=True, check=False)


def values_in(file: Path) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", file.read_text(), re.M))


def test_a_new_env_has_made_up_secrets_that_only_its_owner_reads(checkout: Path) -> None:
    told = new_env(checkout)
    assert told.returncode == 0, told.stderr
    values = values_in(checkout / ".env")
    assert all(len(values[name]) >= 44 for name in SECRET)
    assert "DATABASE_URL" not in values, "the compose file makes it"
    assert stat.S_IMODE((checkout / ".env").stat().st_mode) == 0o600
    assert not [values[name] for name in SECRET if values[name] in told.stdout]


def test_a_new_env_is_different_each_time(checkout: Path) -> None:
    new_env(checkout)
    first = values_in(checkout / ".env")
    (checkout / ".env").unlink()
    new_env(checkout)
    assert [name for name in SECRET if values_in(checkout / ".env")[name] == first[name]] == []


def test_an_env_that_exists_is_left_alone_in_words(checkout: Path) -> None:
    (checkout / ".env").write_text("POSTGRES_PASSWORD=precious\n")
    told = new_env(checkout)
    assert told.returncode == 1
    assert ".env exists and is left as it is" in told.stderr
    assert (checkout / ".env").read_text() == "POSTGRES_PASSWORD=precious\n"


def test_opsdash_starts_with_a_new_env(checkout: Path) -> None:
    new_env(checkout)
    values = values_in(checkout / ".env")
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("OPSDASH_")}
    told = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT, env={**theirs, **values}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr


def test_every_value_that_the_compose_file_reads_stands_in_the_example_environment() -> None:
    read = set(re.findall(r"\$\{(\w+)", COMPOSE))
    assert {"POSTGRES_PASSWORD", "IMAGE_POSTGRES", "TARGETS_DIR"} <= read
    example = (ROOT / ".env.example").read_text()
    assert [name for name in sorted(read) if not re.search(rf"^#?{name}=", example, re.M)] == []


@pytest.mark.parametrize(
    "name", ["IMAGE_PYTHON", "IMAGE_OPSDASH", "IMAGE_POSTGRES", "IMAGE_REDIS", "TARGETS_DIR"]
)
def test_the_example_environment_shows_the_default_that_the_compose_file_has(name: str) -> None:
    default = re.findall(rf"\$\{{{name}:-([^}}]+)\}}", COMPOSE)[0]
    assert f"#{name}={default}\n" in (ROOT / ".env.example").read_text()


def test_a_name_of_the_compose_file_does_not_stop_the_boot_of_its_containers() -> None:
    assert [name for name in re.findall(r"\$\{(\w+)", COMPOSE) if name.startswith("OPSDASH_")] == []


def test_the_containers_run_what_make_run_runs() -> None:
    lineup = (ROOT / "embedded" / "lineup.py").read_text()
    for word in ("--concurrency", "--without-mingle", "--pidfile=", "run_probes"):
        assert word in lineup and word in COMPOSE, word


def test_projects_are_mounted_read_only() -> None:
    assert "/srv/targets:ro" in COMPOSE
    assert not re.search(r"/srv/targets(?!:ro|/|\.)\b", COMPOSE)


def test_nothing_of_the_checkout_enters_the_image_unnamed() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    assert [rule for rule in rules[1:] if rule.startswith("!") and "." in rule] == [
        "!requirements.txt",
        "!manage.py",
    ]
