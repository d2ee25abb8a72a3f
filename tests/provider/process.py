"""Starts the provider, and tells opsdash of it."""

import json
import os
import secrets
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from embedded import ports
from tests.integration.worker import REPOSITORY, until

CLIENT = "opsdash"
PASSWORD = "there is a password"


@dataclass
class Provider:
    folder: Path
    port: int
    secret: str

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}/o"

    def people(self, **groups: Any) -> None:
        """name=[groups]; they all have the one password. Names are made at the start only."""
        told = {
            name: {"password": PASSWORD, "groups": listed, "email": f"{name}@example.org"}
            for name, listed in groups.items()
        }
        (self.folder / "people.json").write_text(json.dumps(told))

    def faults(self, **claims: Any) -> None:
        """Claims that its tokens have instead of the true ones."""
        (self.folder / "faults.json").write_text(json.dumps(claims))


@contextmanager
def provider(folder: Path, redirects: str, **people: Any) -> Iterator[Provider]:
    made = Provider(folder, ports.choose(), secrets.token_hex(16))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(pem)
    (folder / "secret").write_text(made.secret)
    (folder / "redirects").write_text(redirects)
    made.people(**people)
    with (folder / "provider.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.provider.site", str(folder), str(made.port)],
            cwd=REPOSITORY,
            env={"PATH": os.environ.get("PATH", "")},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: answers(made.port), f"the provider answers; see {folder}/provider.log")
        yield made
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ready/", timeout=2) as response:
        return bool(response.status == 200)
    return False
