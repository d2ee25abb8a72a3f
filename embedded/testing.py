"""Services for the tests: `python -m embedded.testing -- pytest tests/unit` starts a throwaway Postgres and
Redis, exports what opsdash/settings.py reads, runs the command and leaves nothing behind.

Options before `--`: `--without-services` exports the settings only (for tools that import them), `--browser`
and `--programs` see to it that Chromium and the programs of machine.py are there.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from embedded import accounts, databases, machine, ports, postgres, redis_server
from embedded.accounts import Account
from embedded.disk import refusals_in_words
from embedded.environment import Settings, inherited
from embedded.errors import EmbeddedError
from embedded.keeper import Notice, children, keep, reap_adopted
from embedded.processes import Running, polling, stop_all
from embedded.screen import complain, say
from embedded.state import CHECKOUT, Secrets, make_directory, new_secrets

USAGE = (
    "usage: python -m embedded.testing [--without-services] [--browser] [--programs] -- COMMAND [WORD ...]"
)
OPTIONS = {"--without-services", "--browser", "--programs"}
SETTINGS_MODULE = "opsdash.settings"
INTERRUPTED = 130
POLL_SECONDS = 0.1
NOWHERE = "127.0.0.1:1"


@dataclass(frozen=True)
class Services:
    """A throwaway Postgres and Redis, and where to reach them.

    `database_url` is of a role that owns its database and may create others; `superuser_url` is of Postgres'
    own superuser, for tests that look at a target from the server's side.
    """

    database_url: str = field(repr=False)
    superuser_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    folder: Path
    secrets: Secrets = field(repr=False)

    def variables(self) -> dict[str, str]:
        """For os.environ. Those without OPSDASH_ in front are for the tests, not for the settings."""
        return {
            **_settings(self.database_url, self.redis_url, self.secrets).variables(),
            "TEST_POSTGRES_SUPERUSER_URL": self.superuser_url,
        }


@contextlib.contextmanager
def services() -> Iterator[Services]:
    """Start a Postgres and a Redis of one's own; they and their data are gone afterwards."""
    account = accounts.for_servers(say)
    folder = Path(tempfile.mkdtemp(prefix="opsdash-tests-"))
    folder.chmod(0o711 if account else 0o700)
    running: list[Running] = []
    try:
        yield _start(folder, account, running)
    finally:
        stop_all(running, hurry=lambda: False)
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, account: Account | None, running: list[Running]) -> Services:
    secrets = new_secrets()
    redis = _redis(folder, account, secrets)
    running.append(redis_process := Running(redis_server.program(redis), folder / "redis.log"))
    cluster = _cluster(folder, account, secrets)
    postgres.initdb(cluster)
    running.append(server := Running(postgres.program(cluster), folder / "postgres.log"))
    postgres.wait_until_ready(server, cluster, polling())
    own = databases.Database("opsdash", secrets.opsdash, may_create_databases=True)
    with cluster.connect() as connection:
        databases.create(connection, own)
    redis_server.wait_until_ready(redis_process, redis, polling())
    superuser = databases.Database(postgres.SUPERUSER, secrets.postgres)
    return Services(
        database_url=own.url(ports.LOOPBACK, cluster.port),
        superuser_url=superuser.url(ports.LOOPBACK, cluster.port),
        redis_url=redis.url,
        folder=folder,
        secrets=secrets,
    )


def _redis(folder: Path, account: Account | None, secrets: Secrets) -> redis_server.Redis:
    directory = folder / "redis"
    make_directory(directory, 0o700, (account.uid, account.gid) if account else None)
    binary = redis_server.binary_for(account, folder, say)
    return redis_server.Redis(binary, directory, ports.choose(), secrets.redis, account, keep=False)


def _cluster(folder: Path, account: Account | None, secrets: Secrets) -> postgres.Cluster:
    return postgres.Cluster(
        binaries=postgres.binaries_for(account, folder, lambda subject, what: None),
        data=folder / "postgres",
        port=ports.choose(),
        password=secrets.postgres,
        account=account,
        settings=postgres.THROWAWAY,
    )


def _settings(database_url: str, redis_url: str, secrets: Secrets) -> Settings:
    hosts = "127.0.0.1,localhost,testserver"
    return Settings(database_url, redis_url, secrets.secret_key, secrets.sealing_key, hosts)


def main(arguments: list[str]) -> int:
    options, command = _split(arguments)
    if not command or options - OPTIONS:
        complain(USAGE)
        return 2
    return keep(lambda notice: _attempt(options, command, notice), own_session=False)


def _split(arguments: list[str]) -> tuple[set[str], list[str]]:
    if "--" not in arguments:
        return set(arguments), []
    middle = arguments.index("--")
    return set(arguments[:middle]), arguments[middle + 1 :]


def _attempt(options: set[str], command: list[str], notice: Notice) -> int:
    try:
        with refusals_in_words(Path(tempfile.gettempdir())):
            return _run(options, command, notice)
    except EmbeddedError as error:
        complain("\n".join(part for part in (error.details, str(error)) if part))
        return 1


def _run(options: set[str], command: list[str], notice: Notice) -> int:
    extra: dict[str, str] = {}
    if "--programs" in options:
        machine.ensure_programs(say)
    if "--browser" in options:
        chromium = machine.ensure_chromium(say)
        if chromium is None:
            say("Chromium", "there is none, and only root could install it: the browser tests are NOT run")
            return 0
        extra["OPSDASH_TEST_CHROMIUM"] = str(chromium)
    if "--without-services" in options:
        return _perform(command, {**_placeholders(), **extra})
    with services() as started:
        if notice.wait(0):  # Ctrl-C while they were starting
            return INTERRUPTED
        return _perform(command, {**started.variables(), **extra})


def _placeholders() -> dict[str, str]:
    """Settings that can be read and reach no server."""
    return _settings(f"postgres://{NOWHERE}/none", f"redis://{NOWHERE}/0", new_secrets()).variables()


def _perform(command: list[str], variables: dict[str, str]) -> int:
    """Run the command in the foreground. Ctrl-C is for it; it ends, then its services do."""
    # What is set for a `make run` must not decide what is tested.
    theirs = {
        name: value
        for name, value in inherited(private_postgres=True).items()
        if not name.startswith("OPSDASH_") or name.startswith("OPSDASH_TEST_")
    }
    environment = {**theirs, **variables, "DJANGO_SETTINGS_MODULE": SETTINGS_MODULE}
    program = shutil.which(
        command[0], path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    )
    if program is None:
        complain(f"{command[0]} is neither in the virtual environment nor on PATH.")
        return 127
    process = subprocess.Popen([program, *command[1:]], cwd=CHECKOUT, env=environment)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: process.send_signal(number))
    own = children(os.getpid())
    while (status := process.poll()) is None:
        reap_adopted(own)
        time.sleep(POLL_SECONDS)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
