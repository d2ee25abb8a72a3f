"""A real web process and a real worker, and what is sent to them raw."""

import base64
import json
import pickle
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction

from tests.integration.conftest import MakeTarget
from tests.integration.web import Web, sign_in, web_process
from tests.integration.worker import until, worker

pytestmark = pytest.mark.django_db(transaction=True)
TOO_LARGE = 1_000_001


@pytest.fixture(scope="module")
def process(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with web_process(
        tmp_path_factory.mktemp("web") / "web.log", port=0, OPSDASH_QUERY_TIMEOUT_MS="300"
    ) as site:
        yield site


@pytest.fixture
def site(people: dict[str, User], process: Web) -> Web:
    sign_in(process, people["superuser"])
    return process


def told(site: Web, *pieces: bytes) -> bytes:
    """The first line of the answer to what is sent raw; b"" where the connection was closed without one."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as client:
        try:
            for piece in pieces:
                client.sendall(piece)
            return client.recv(65536).split(b"\r\n")[0]
        except (BrokenPipeError, ConnectionResetError):
            return b""


def alive(site: Web) -> bool:
    return b" 200" in told(site, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")


def request(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def test_a_large_body_is_refused_before_it_is_read(site: Web) -> None:
    announced = request("/login/", f"Content-Length: {TOO_LARGE}", method="POST")
    assert b" 413" in told(site, announced)
    # For nobody, at an address that there is not, by a method that takes no body, as at a stream.
    assert b" 413" in told(site, request("/nowhere/", "Content-Length: 99999999999", method="PUT"))
    assert b" 413" in told(site, request("/jobs/1/stream/", f"Content-Length: {TOO_LARGE}"))
    assert alive(site)


def test_a_body_without_a_length_is_cut_where_it_is_too_large(site: Web) -> None:
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    pieces = [request("/login/", "Transfer-Encoding: chunked", method="POST"), *[piece] * 40]
    assert told(site, *pieces).split(b" ")[1:2] in ([], [b"413"])
    assert alive(site)


def test_what_is_allowed_is_let_through(site: Web) -> None:
    assert site.post("/audit/export/", format="nothing").status == 422
    assert site.post("/audit/export/", format="csv", q="x" * 900_000).status == 422


@pytest.mark.parametrize(
    "sent",
    [
        request("/?q=" + "x" * 5000),
        request("/", "X-Long: " + "x" * 9000),
        request("/", *(f"X-{number}: 1" for number in range(150))),
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["line", "field", "fields", "hosts", "smuggling", "tls"],
)
def test_a_request_that_is_too_large_or_ambiguous_is_refused(site: Web, sent: bytes) -> None:
    assert told(site, sent, b"\r\n\r\n").split(b" ")[1:2] in ([], [b"400"], [b"414"], [b"431"], [b"501"])
    assert alive(site)


@pytest.mark.parametrize("target", ["http://evil.example/login/", "//evil.example/login/"])
def test_an_absolute_address_is_no_way_to_another_name(site: Web, target: str) -> None:
    """The Host of the request counts, and nothing of the answer is built from either."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as client:
        client.sendall(request(target, "Connection: close"))
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    head = answer.split(b"\r\n\r\n")[0]
    assert b"evil.example" not in head
    assert b'href="http://evil' not in answer and b'action="http://evil' not in answer
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as client:
        client.sendall(
            b"GET http://localhost/login/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        )
        assert b" 400 " in client.recv(65536)


def test_many_clients_that_never_finish_hold_up_nobody(site: Web) -> None:
    slow = [socket.create_connection(("127.0.0.1", site.port), timeout=20) for _ in range(200)]
    try:
        for client in slow:
            client.sendall(b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\nX-")
        assert alive(site)
        assert site.get("/jobs/").status == 200
    finally:
        for client in slow:
            client.close()


def test_a_statement_of_a_page_has_a_limit(site: Web, make_target: MakeTarget) -> None:
    """A lock keeps it; the page says what happened, and the connection serves the next one."""
    make_target()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE dbops_auditevent IN ACCESS EXCLUSIVE MODE")
        answer = site.get("/audit/")
    assert answer.status == 503 and "This was stopped" in answer.text
    assert site.get("/audit/").status == 200


# Messages


class Exploit:
    """What unpickling it would do."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.write_text, (self.mark, "ran")


def message(task: str, body: bytes, content_type: str) -> str:
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "binary" if "python" in content_type else "utf-8",
            "content-type": content_type,
            "headers": {"lang": "py", "task": task, "id": str(uuid.uuid4()), "argsrepr": ""},
            "properties": {
                "delivery_info": {"exchange": "", "routing_key": "jobs"},
                "delivery_tag": str(uuid.uuid4()),
                "body_encoding": "base64",
                "delivery_mode": 2,
                "priority": 0,
            },
        }
    )  # fmt: skip


def call_of(*arguments: Any) -> bytes:
    return json.dumps([arguments, {}, {}]).encode()


def test_messages_that_anybody_with_the_broker_can_write_run_nothing_but_our_tasks(tmp_path: Path) -> None:
    """Pickles and YAML are refused, unknown tasks as well, and what is no number of a row changes nothing.
    The worker lives on and takes what comes next."""
    broker, log, mark = redis.Redis.from_url(settings.REDIS_URL), tmp_path / "worker.log", tmp_path / "mark"
    queue = "opsdash:celery:jobs"
    exploit = pickle.dumps([(Exploit(mark),), {}, {}])
    with worker(log, "jobs") as process:
        broker.lpush(queue, message("dbops.run_job", exploit, "application/x-python-serialize"))
        yaml = f"!!python/object/apply:os.system ['touch {mark}']".encode()
        broker.lpush(queue, message("dbops.run_job", yaml, "application/x-yaml"))
        broker.lpush(queue, message("os.system", call_of(f"touch {mark}"), "application/json"))
        until(lambda: b"os.system" in log.read_bytes(), "the unknown task is told of")
        for arguments in (["1; DROP TABLE dbops_job"], [{"pk": 1}], ["--settings=evil"], [2**70], [], [1, 2]):
            broker.lpush(queue, message("dbops.run_job", call_of(*arguments), "application/json"))
        last = message("dbops.run_job", call_of(987654), "application/json")
        broker.lpush(queue, last)
        told = f"{json.loads(last)['headers']['id']}] succeeded".encode()
        until(lambda: told in log.read_bytes(), "it takes what comes next")
        assert process.poll() is None
        text = log.read_text()
        assert "ContentDisallowed" in text or "Refusing to deserialize" in text
    assert not mark.exists()
