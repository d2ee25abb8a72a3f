"""A real web process, as `make run` starts it, on the database of the test; and a browser's half of HTTP."""

import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from embedded import ports
from tests.integration.worker import REPOSITORY, test_environment, until

# More than the pool of the web process waits for a connection.
PATIENCE_S = 30


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Web:
    """Signed in as one person."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path
    token: str = ""
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers)

    def post(self, path: str, **data: str) -> Answer:
        body = urlencode({**data, "csrfmiddlewaretoken": self.token})
        return self.ask("POST", path, {"Content-Type": "application/x-www-form-urlencoded"}, body)

    def ask(self, method: str, path: str, headers: dict[str, str], body: str | None = None) -> Answer:
        connection = self.connect(method, path, headers, body)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, text)

    def connect(
        self, method: str, path: str, headers: dict[str, str], body: str | None = None
    ) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection.request(method, path, body, {**headers, "Cookie": cookies})
        return connection

    @contextmanager
    def stream(self, path: str) -> Iterator[Iterator[tuple[str, Any]]]:
        """Events as they come: (name, document)."""
        connection = self.connect("GET", path, {"Accept": "text/event-stream"})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        try:
            yield events(response)
        finally:
            response.close()
            connection.close()


def events(lines: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in lines:
        text = line.decode().rstrip("\n")
        if text.startswith("event: "):
            name = text.removeprefix("event: ")
        elif text.startswith("data: "):
            yield name, json.loads(text.removeprefix("data: "))


@contextmanager
def web(log: Path, person: User, *, port: int = 0, **env: str) -> Iterator[Web]:
    with web_process(log, port=port, **env) as site:
        sign_in(site, person)
        yield site


@contextmanager
def web_process(log: Path, *, port: int = 0, **env: str) -> Iterator[Web]:
    """Nobody is signed in."""
    port = port or ports.choose()
    argv = ["gunicorn", "-k", "opsdash.worker.Worker", "--bind", f"127.0.0.1:{port}", "--no-control-socket"]
    argv += ["--graceful-timeout", "3"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *argv, "opsdash.asgi:application"],
            cwd=REPOSITORY,
            # Tests have crowds of viewers who are one person in many browsers.
            env=test_environment(**{"OPSDASH_SECURE": "0", "OPSDASH_STREAMS_PER_USER": "2000", **env}),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: answers(port), f"the web process answers; see {log}")
        yield Web(port, process, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def sign_in(site: Web, person: User) -> None:
    """The names of the cookies carry the database's, as the web process knows it."""
    site.cookies = {}
    cookie = SimpleCookie(site.get("/login/").headers["set-cookie"])
    (token,) = cookie.values()
    client = Client()
    client.force_login(person)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    site.token = token.value
    site.cookies = {token.key: token.value, token.key.replace("_csrf_", "_session_"): session}


def answers(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=2) as response:
        return bool(response.status == 200)
    return False
