"""A checkout's copy, and docker compose run in it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SHOP_PASSWORD = "the-shops-own-password"
TARGETS = f"""\
[targets.shop]
environment = "staging"
working_directory = "/srv/targets/shop"
python = "/opt/venv/bin/python"

[targets.shop.env]
SHOP_BATCH_PAUSE = "3"

[targets.shop.secret_env]
DATABASE_URL = "postgres://shop:{SHOP_PASSWORD}@shop-db:5432/shop"
"""


def say(sentence: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {sentence}\n")
    sys.stdout.flush()


def until(true: Callable[[], bool], what: str, limit_s: float = 120) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {limit_s:.0f} s it is still not so that {what}")
        time.sleep(0.5)


def compose_command() -> list[str]:
    """COMPOSE names another one than the plugin, or else docker-compose."""
    if chosen := os.environ.get("COMPOSE"):
        return chosen.split()
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return ["docker", "compose"] if plugin.returncode == 0 else ["docker-compose"]


@dataclass(frozen=True)
class Installation:
    """One compose project in a folder of its own."""

    folder: Path
    project: str
    port: int
    command: list[str]
    env: Mapping[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def compose(self, *words: str, check: bool = True, env: Mapping[str, str] | None = None) -> str:
        files = ["-f", "docker-compose.yml", "-f", "tests/compose/shop-db.yml"]
        return self._run([*self.command, "-p", self.project, *files, *words], check, env or {})

    def docker(self, *words: str) -> str:
        return self._run(["docker", *words], True, {})

    def manage(self, *words: str, **env: str) -> str:
        """A command of manage.py, in the worker's container, as that container's user."""
        names = [word for name in env for word in ("-e", name)]
        return self.compose("exec", "-T", *names, "worker", "python", "manage.py", *words, env=env)

    def container(self, service: str) -> str:
        return self.compose("ps", "-q", service).strip()

    def is_healthy(self, service: str) -> bool:
        state = self.docker("inspect", "--format", "{{.State.Health.Status}}", self.container(service))
        return state.strip() == "healthy"

    def _run(self, argv: list[str], check: bool, more: Mapping[str, str]) -> str:
        done = subprocess.run(
            argv, cwd=self.folder, env={**self.env, **more}, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def secrets(self) -> list[str]:
        text = (self.folder / ".env").read_text()
        names = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "OPSDASH_SECRET_KEY", "OPSDASH_SEALING_KEYS")
        return [SHOP_PASSWORD, *(re.findall(rf"^{name}=(.+)$", text, re.M)[0] for name in names)]


@contextmanager
def installation(port: int) -> Iterator[Installation]:
    """Made as docs/compose.md says, from what git knows of; taken away with all its data afterwards."""
    with tempfile.TemporaryDirectory(prefix="opsdash-compose-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        copy_checkout(folder)
        subprocess.run(["sh", "docker/new-env.sh"], cwd=folder, check=True, capture_output=True)
        (folder / "targets").mkdir()
        shutil.copytree(folder / "examples" / "shop", folder / "targets" / "shop")
        (folder / "targets" / "targets.toml").write_text(TARGETS)
        mine = {
            "WEB_ADDRESS": f"127.0.0.1:{port}",
            "IMAGE_OPSDASH": "opsdash:smoke",
            "SHOP_PASSWORD": SHOP_PASSWORD,
        }
        running = Installation(
            folder, f"opsdash-smoke-{os.getpid()}", port, compose_command(), {**os.environ, **mine}
        )
        try:
            yield running
        except BaseException:
            sys.stdout.write(running.compose("ps", "-a", check=False))
            sys.stdout.write(running.compose("logs", "--tail", "40", check=False))
            raise
        finally:
            running.compose("down", "-v", "-t", "5", check=False)


def copy_checkout(folder: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
