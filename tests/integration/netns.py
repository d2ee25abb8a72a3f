"""Another "host": a network namespace with a line to this one, which can be cut. Needs root and iproute2."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

CHUNK = 65536


def why_not() -> str:
    """Why no namespace can be made here; "" where one can."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    name = f"ops-{secrets.token_hex(3)}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"no network namespace can be made here: {tried.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return ""


@dataclass(frozen=True)
class Elsewhere:
    """`here` and `there`: the addresses of the two ends of the line."""

    name: str
    here: str
    there: str

    @property
    def words(self) -> list[str]:
        """What stands before a command that is to run there."""
        return ["ip", "netns", "exec", self.name]

    def cut(self) -> None:
        """A black hole: what is sent is lost, and nobody is told."""
        ip("netns", "exec", self.name, "ip", "link", "set", "line", "down")

    def mend(self) -> None:
        ip("netns", "exec", self.name, "ip", "link", "set", "line", "up")


@contextmanager
def elsewhere() -> Iterator[Elsewhere]:
    mark = secrets.token_hex(3)
    name, line = f"ops-{mark}", f"ops{mark}"
    # Of the block that is set aside for tests: RFC 2544.
    net = f"198.18.{secrets.randbelow(256)}.{4 * secrets.randbelow(64)}"
    base, last = net.rsplit(".", 1)
    here, there = f"{base}.{int(last) + 1}", f"{base}.{int(last) + 2}"
    ip("netns", "add", name)
    try:
        ip("link", "add", line, "type", "veth", "peer", "name", "line", "netns", name)
        ip("address", "add", f"{here}/30", "dev", line)
        ip("link", "set", line, "up")
        inside = ("netns", "exec", name, "ip")
        ip(*inside, "address", "add", f"{there}/30", "dev", "line")
        for device in ("line", "lo"):
            ip(*inside, "link", "set", device, "up")
        yield Elsewhere(name, here, there)
    finally:
        # The line goes with its end in there.
        ip("netns", "delete", name)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


Line = tuple[str, int, str, int]


@contextmanager
def relays(*lines: Line, through: Sequence[str] = ()) -> Iterator["subprocess.Popen[bytes]"]:
    """Each (host, port, to host, to port): who connects to the one talks with the other."""
    argv = [*through, sys.executable, __file__, *(str(word) for line in lines for word in line)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"listens\n"
        try:
            yield process
        finally:
            process.kill()


def serve(words: Sequence[str]) -> None:
    quads = [words[start : start + 4] for start in range(0, len(words), 4)]
    listeners = [(socket.create_server((host, int(port))), (to, int(at))) for host, port, to, at in quads]
    for line in listeners:
        threading.Thread(target=relay, args=line).start()
    os.write(1, b"listens\n")


def relay(listener: socket.socket, to: tuple[str, int]) -> None:
    while True:
        near, _ = listener.accept()
        far = socket.create_connection(to)
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=carry, args=(source, sink), daemon=True).start()


def carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    serve(sys.argv[1:])
