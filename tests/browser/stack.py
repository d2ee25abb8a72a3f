"""All of opsdash for browser tests: its own database, the examples, workers, beat and gunicorn, as `make run`
starts them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from embedded import ports
from tests.integration.web import answers
from tests.integration.worker import until

REPOSITORY = Path(__file__).resolve().parents[2]
PEOPLE = ("superuser", "staff", "operator", "viewer")
WORKER = ("celery", "-A", "opsdash", "worker", "--concurrency", "2", "--loglevel", "INFO", "--without-mingle")


@dataclass
class Stack:
    """One installation. `web` may be stopped and started again by a test."""

    folder: Path
    env: Mapping[str, str]
    port: int
    passwords: Mapping[str, str]
    web: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *argv],
            cwd=REPOSITORY,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )

    def stop_web(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Killed, it is with its children, or they would be left with the port."""
        if how == signal.SIGKILL:
            os.killpg(self.web.pid, how)
        self.web.send_signal(how)
        self.web.wait(20)

    def start_web(self) -> None:
        self.web = start_web(self.folder, self.env, self.port)
        until(lambda: answers(self.port), "the web process answers")


@contextmanager
def stack(folder: Path, *, with_workers: bool = True, **knobs: str) -> Iterator[Stack]:
    with ExitStack() as stopped:
        names = {key: f"browser_{key}_{uuid.uuid4().hex[:8]}" for key in ("opsdash", "staging", "production")}
        urls = {key: stopped.enter_context(database(name)) for key, name in names.items()}
        passwords = {name: f"{name}-{uuid.uuid4().hex}" for name in PEOPLE}
        (folder / "passwords.json").write_text(json.dumps(passwords))
        env = {**environment(folder, urls), **knobs}
        prepare(env)
        if with_workers:
            start_workers(stopped, folder, env)
        port = ports.choose()
        running = Stack(folder, env, port, passwords, start_web(folder, env, port))
        stopped.callback(lambda: end(running.web))
        until(lambda: answers(running.port), f"the web process answers; see {folder}/web.log")
        yield running


def start_workers(stopped: ExitStack, folder: Path, env: Mapping[str, str]) -> None:
    for number, queue in enumerate(("jobs", "jobs", "inspect")):
        argv = [*WORKER, "-Q", queue, "-n", f"{queue}{number}@test"]
        stopped.enter_context(process(folder / f"{queue}{number}.log", argv, env))
    beat = ["celery", "-A", "opsdash", "beat", "--pidfile="]
    stopped.enter_context(process(folder / "beat.log", beat, env))


def environment(folder: Path, urls: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    # A Redis database of its own: the messages of other tests are not for these workers.
    redis = kept["REDIS_URL"].rpartition("/")[0] + "/3"
    return {
        **kept,
        "DATABASE_URL": urls["opsdash"],
        "REDIS_URL": redis,
        "OPSDASH_SECURE": "0",
        "OPSDASH_INSPECTION_INTERVAL_S": "5",
        "OPSDASH_DEMO_SHOP_STAGING_URL": urls["staging"],
        "OPSDASH_DEMO_SHOP_PRODUCTION_URL": urls["production"],
        "OPSDASH_DEMO_BLOG_PATH": str(folder / "blog.sqlite3"),
        "OPSDASH_DEMO_PASSWORDS": str(folder / "passwords.json"),
    }


def prepare(env: Mapping[str, str]) -> None:
    for argv in (["migrate", "--noinput"], ["setup_demo"]):
        subprocess.run(
            [sys.executable, "manage.py", *argv], cwd=REPOSITORY, env=env, check=True, capture_output=True
        )


@contextmanager
def database(name: str) -> Iterator[str]:
    """A database on the server of the tests; its URL."""
    server = os.environ["DATABASE_URL"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def process(log: Path, argv: list[str], env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    running = start(log, argv, env)
    try:
        yield running
    finally:
        end(running)


def start(log: Path, argv: list[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *argv],
            cwd=REPOSITORY,
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def start_web(folder: Path, env: Mapping[str, str], port: int) -> subprocess.Popen[bytes]:
    argv = [
        "gunicorn",
        "-k",
        "opsdash.worker.Worker",
        "--bind",
        f"127.0.0.1:{port}",
        "--graceful-timeout",
        "3",
    ]
    return start(folder / "web.log", [*argv, "--no-control-socket", "opsdash.asgi:application"], env)


def end(running: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def keep_logs(folder: Path, results: Path) -> None:
    """Beside the screenshots of a failed test."""
    results.mkdir(exist_ok=True)
    for log in folder.glob("*.log"):
        shutil.copy(log, results / log.name)
