"""Where what outlives a start is kept: one directory a checkout, its lock and its secrets."""

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import string
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from embedded.errors import ChoiceError, MachineError

CHECKOUT = Path(__file__).resolve().parent.parent
SYSTEM_WIDE = Path("/var/lib/opsdash")
PEOPLE = ("superuser", "staff", "operator", "viewer")
DEMO_DATABASES = ("shop_staging", "shop_production")
LEGIBLE = "".join(sorted(set(string.ascii_lowercase + string.digits) - set("0o1li")))


@dataclass(frozen=True)
class State:
    """The paths below one state directory. Nothing here touches the disk."""

    root: Path

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.json"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"

    @property
    def roster(self) -> Path:
        return self.root / "processes.json"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def redis(self) -> Path:
        return self.root / "redis"

    @property
    def demo(self) -> Path:
        return self.root / "demo"

    @property
    def run(self) -> Path:
        """Sockets of the processes of opsdash."""
        return self.root / "run"


@dataclass(frozen=True)
class Secrets:
    """Made once, kept in a file that only its owner reads. A repr shows none of them."""

    postgres: str = field(repr=False)
    opsdash: str = field(repr=False)
    redis: str = field(repr=False)
    secret_key: str = field(repr=False)
    sealing_key: str = field(repr=False)
    demo: dict[str, str] = field(repr=False)
    people: dict[str, str] = field(repr=False)


def locate(checkout: Path = CHECKOUT, euid: int | None = None) -> State:
    """The state of a checkout: in the checkout; for root below /var/lib, where a system user can reach it."""
    if (os.geteuid() if euid is None else euid) != 0:
        return State(checkout / ".state")
    mark = hashlib.sha256(os.fsencode(checkout)).hexdigest()[:8]
    return State(SYSTEM_WIDE / f"{checkout.name}-{mark}")


def create(state: State) -> None:
    """Make the directories that are missing. Only directories made here get an owner or a mode."""
    as_root = os.geteuid() == 0
    if as_root and state.root.parent == SYSTEM_WIDE:
        make_directory(SYSTEM_WIDE, 0o755)
    # As root others may pass through (not look in): the servers' system user has its own directories below.
    make_directory(state.root, 0o711 if as_root else 0o700)
    for directory in (state.logs, state.demo, state.run):
        make_directory(directory, 0o700)


def make_directory(path: Path, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Make one directory with exactly this mode and owner; one that is there is left as it is."""
    try:
        path.mkdir()
    except FileExistsError:
        return
    if owner is not None:
        os.chown(path, *owner)
    path.chmod(mode)


@contextlib.contextmanager
def locked(state: State) -> Iterator[None]:
    """Hold the state directory alone. The kernel keeps the lock, so it ends with its holders in any case."""
    descriptor = os.open(state.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode().strip() or "unknown"
        os.close(descriptor)
        raise ChoiceError(
            f"opsdash already runs from this checkout (process {holder}): use that one, or end it with "
            f"`kill {holder}`. A second one needs a checkout of its own."
        ) from None
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def load_secrets(state: State) -> Secrets:
    """The secrets of this state directory, made now if it is new."""
    if state.secrets.exists():
        return _read_secrets(state)
    if (state.postgres / "PG_VERSION").exists():
        raise MachineError(
            f"{state.secrets} is gone, and with it the passwords of the databases in {state.postgres}: "
            "put it back, or remove the databases too with `make clean-state`."
        )
    made = new_secrets()
    write_private(state.secrets, json.dumps(asdict(made), indent=1))
    return made


def _read_secrets(state: State) -> Secrets:
    try:
        return Secrets(**json.loads(state.secrets.read_text()))
    except (ValueError, TypeError) as error:
        raise MachineError(
            f"{state.secrets} cannot be read as this version wrote it: put back a good copy, or start anew "
            "with `make clean-state`."
        ) from error


def new_secrets() -> Secrets:
    """Fresh random values for everything that needs one."""
    return Secrets(
        postgres=secrets.token_urlsafe(24),
        opsdash=secrets.token_urlsafe(24),
        redis=secrets.token_urlsafe(24),
        secret_key=secrets.token_urlsafe(50),
        sealing_key=base64.urlsafe_b64encode(os.urandom(32)).decode(),
        demo={name: secrets.token_urlsafe(24) for name in DEMO_DATABASES},
        people={name: _legible_password() for name in PEOPLE},
    )


def _legible_password() -> str:
    """Four groups of four signs without look-alikes: 79 bits that can be typed from a screen."""
    return "-".join("".join(secrets.choice(LEGIBLE) for _ in range(4)) for _ in range(4))


def write_private(path: Path, text: str, owner: tuple[int, int] | None = None) -> None:
    """Write a file that others can never read, and that is the old or the new one after a crash."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        if owner is not None:
            os.fchown(descriptor, *owner)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)


def read_ports(state: State) -> dict[str, int]:
    """The ports of the last start, so that they can be kept; empty if unknown."""
    try:
        kept = json.loads(state.ports.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return (
        {name: port for name, port in kept.items() if isinstance(port, int)} if isinstance(kept, dict) else {}
    )
