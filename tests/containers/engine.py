"""Real containers, asked for by the docker command."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

IMAGE = "opsdash-test-target"
POSTGRES = "postgres:17"
PREFIX = f"remote-{secrets.token_hex(3)}"


def docker(*words: str, check: bool = True) -> str:
    """What it said; a failure of the engine's is a failure of the test, with its words."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"docker {' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return done.stdout.strip()


def why_no_engine() -> str:
    if shutil.which("docker") is None:
        return "there is no docker command here"
    done = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    return f"no Docker engine answers: {done.stderr.strip()[-200:]}" if done.returncode else ""


def build(folder: Path) -> None:
    docker("build", "--quiet", "--network", "host", "--tag", IMAGE, str(folder))


@dataclass(frozen=True)
class Place:
    """A target and its Postgres on a network of their own; no port is published. The name `shop-db` is known
    on that network only."""

    network: str
    shop: str
    postgres: str
    user: str
    password: str
    port: int

    @property
    def python(self) -> list[str]:
        return ["docker", "exec", "-i", self.shop, "python"]

    def url(self, database: str, host: str = "shop-db") -> str:
        return f"postgres://{self.user}:{self.password}@{host}:{self.port}/{database}"

    def put(self, tree: Path, to: str) -> str:
        docker("exec", self.shop, "mkdir", "-p", to)
        docker("cp", f"{tree}/.", f"{self.shop}:{to}")
        return to

    def psql(self, query: str, database: str = "postgres") -> str:
        words = ["psql", "-U", self.user, "-p", str(self.port), "-d", database, "-Atc", query]
        return docker("exec", self.postgres, *words)

    def programs(self) -> list[str]:
        """What runs in the target's container beside its first process, as the engine sees it."""
        lines = docker("top", self.shop, "-o", "pid,args").splitlines()[1:]
        return [line for line in lines if "sleep infinity" not in line]


@contextmanager
def place(
    name: str, *, user: str = "shop", password: str = "", port: int = 5432, one_host: bool = False
) -> Iterator[Place]:
    """`one_host`: the target's 127.0.0.1 is that of its Postgres."""
    label = f"{PREFIX}-{name}"
    password = password or secrets.token_hex(8)
    found = Place(f"{label}-net", f"{label}-shop", f"{label}-db", user, password, port)
    docker("network", "create", "--internal", found.network)
    try:
        secret = ["-e", f"POSTGRES_USER={user}", "-e", f"POSTGRES_PASSWORD={found.password}"]
        where = ["--network", found.network, "--network-alias"]
        run = ["run", "--detach", "--init"]
        docker(*run, "--name", found.postgres, *where, "shop-db", *secret, POSTGRES, "-c", f"port={port}")
        beside = ["--network", f"container:{found.postgres}"] if one_host else [*where, "shop-web"]
        docker(*run, "--name", found.shop, *beside, IMAGE)
        yield found
    finally:
        docker("rm", "--force", "--volumes", found.shop, found.postgres, check=False)
        docker("network", "rm", found.network, check=False)
