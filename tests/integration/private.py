"""A Postgres and a Redis of the test's own, which it may stop, kill and start again."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from embedded import accounts, databases, ports, postgres, redis_server
from embedded.processes import Program, Running, polling, stop_all


@dataclass
class Server:
    """`url` leads to it while it runs."""

    url: str = field(repr=False)
    program: Program
    log: Path
    wait: object
    running: Running | None = None

    @property
    def pid(self) -> int:
        assert self.running
        return self.running.pid

    def start(self) -> None:
        self.running = Running(self.program, self.log)
        self.wait(self.running)  # type: ignore[operator]

    def stop(self) -> None:
        """Of Postgres: fast. Sessions are ended, what is committed stays."""
        assert self.running
        stop_all([self.running])

    def kill(self) -> None:
        """As when its machine loses its power: it and all of its sessions at once."""
        assert self.running
        os.killpg(self.running.pid, signal.SIGKILL)
        self.running.finish()

    def ensure(self) -> None:
        if self.running is None or self.running.ended:
            self.start()


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="opsdash-private-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _quiet(subject: str, what: str) -> None:
    """What is fetched or copied is no news to a test."""


@contextmanager
def private_postgres(**settings: str) -> Iterator[Server]:
    """`settings`: of its postgresql.conf."""
    account = accounts.for_servers(_quiet)
    with _folder() as folder:
        cluster = postgres.Cluster(
            binaries=postgres.binaries_for(account, folder, _quiet),
            data=folder / "postgres",
            port=ports.choose(),
            password="private-password",
            account=account,
            # What is committed must outlive being killed.
            settings={"synchronous_commit": "on", **settings},
        )
        postgres.initdb(cluster)
        url = databases.Database(postgres.SUPERUSER, cluster.password).url(ports.LOOPBACK, cluster.port)
        server = Server(
            url,
            postgres.program(cluster),
            folder / "postgres.log",
            lambda running: postgres.wait_until_ready(running, cluster, polling()),
        )
        with _running(server):
            yield server


@contextmanager
def private_redis() -> Iterator[Server]:
    account = accounts.for_servers(_quiet)
    with _folder() as folder:
        directory = folder / "redis"
        directory.mkdir()
        if account:
            os.chown(directory, account.uid, account.gid)
        binary = redis_server.binary_for(account, folder, _quiet)
        redis = redis_server.Redis(binary, directory, ports.choose(), "private-password", account, keep=False)
        server = Server(
            redis.url,
            redis_server.program(redis),
            folder / "redis.log",
            lambda running: redis_server.wait_until_ready(running, redis, polling()),
        )
        with _running(server):
            yield server


@contextmanager
def _running(server: Server) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        stop_all([server.running] if server.running else [], hurry=lambda: True)


def new_database(server: Server, name: str) -> str:
    """Its URL."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
    return server.url.rpartition("/")[0] + f"/{name}"
