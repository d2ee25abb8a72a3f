"""Ports on the loopback interface: is one free, who holds it, choose one."""

import contextlib
import errno
import random
import re
import socket
from pathlib import Path

from embedded.errors import ChoiceError

LOOPBACK = "127.0.0.1"
# Below the range from which the kernel takes the ports of outgoing connections (32768 and up by default): a
# port kept across starts would sooner or later be held by such a connection.
PRIVATE_PORTS = range(20000, 32000)
LISTENING = "0A"


def parse_port(text: str) -> int:
    """The number in PORT=..., or ChoiceError."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ChoiceError(
            f"PORT={text} is not a port: give a whole number from 1 to 65535, as in `make run PORT=8001`."
        )
    return int(text)


def require_free(port: int) -> None:
    """Raise ChoiceError, naming the holder where it can be seen, if PORT cannot be listened on."""
    reason = _why_not(port)
    if reason == errno.EACCES:
        raise ChoiceError(f"Port {port} needs root: choose one from 1024 up, as in `make run PORT=8000`.")
    if reason is not None:
        raise ChoiceError(
            f"Port {port} is taken{_by_whom(port)}: nothing was started. "
            f"Choose another one, as in `make run PORT={port + 1}`."
        )


def choose(wish: int | None = None, apart_from: int | None = None) -> int:
    """`wish` if it is free, else a free port that is not likely to be taken soon."""
    if wish is not None and wish != apart_from and _why_not(wish) is None:
        return wish
    for port in random.sample(PRIVATE_PORTS, k=200):
        if port != apart_from and _why_not(port) is None:
            return port
    raise ChoiceError("No free port was found on 127.0.0.1 between 20000 and 32000.")


def _why_not(port: int) -> int | None:
    """The errno of binding to `port`, or None if it can be had."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return error.errno
    return None


def _by_whom(port: int) -> str:
    inodes = {row[9] for row in _listening_rows() if int(row[1].rpartition(":")[2], 16) == port}
    sockets = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        if sockets & set(_open_files(process)):
            return f" by process {process.name} ({_command_name(process)})"
    return ""


def _listening_rows() -> list[list[str]]:
    rows: list[list[str]] = []
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            rows += [line.split() for line in table.read_text().splitlines()[1:]]
    return [row for row in rows if row[3] == LISTENING]


def _open_files(process: Path) -> list[str]:
    files = []
    with contextlib.suppress(OSError):  # another user's process, or one that has just ended
        for file in (process / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                files.append(str(file.readlink()))
    return files


def _command_name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "ended meanwhile"
