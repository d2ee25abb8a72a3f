"""Secrets are planted in every source, a real job runs, and every place is searched for them."""

import base64
import os
import re
import secrets
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from psycopg import sql

from dbops import launch
from dbops.access import Actor
from dbops.inspection import inspect_now
from dbops.models import AuditEvent, Job, Plan, Target, TargetVariable
from dbops.redaction import MASK
from dbops.rights import ALL
from tests.integration.conftest import PASSWORD, MakeTarget, default_of
from tests.integration.run.canary_project import write_project
from tests.integration.web import Web, sign_in, web_process
from tests.integration.worker import descendants_of, until, worker

pytestmark = pytest.mark.django_db(transaction=True)

# Every path by which a page leads on; acts are POST and are not followed.
LINK = re.compile(r"""(?:href|src|data-lines|data-search|data-download|live-url|hx-get)="(/[^"#]*)""")
COMMANDS = [
    ["status", "--json"],
    ["status"],
    ["jobs"],
    ["jobs", "--json"],
    ["workers", "--json"],
    ["plan", "canary", "--sql", "--diff"],
    ["plan", "canary", "--json"],
]
MOST_PAGES = 200


def canary(name: str) -> str:
    return f"cnry-{name}-{secrets.token_hex(8)}"


@dataclass
class Planted:
    """What must be found nowhere, by where it was planted."""

    values: dict[str, str] = field(default_factory=dict)

    def plant(self, name: str, value: str = "") -> str:
        self.values[name] = value or canary(name)
        return self.values[name]

    def forms(self) -> Iterator[tuple[str, str]]:
        """Each as it is, and as some program wrote it."""
        for name, value in self.values.items():
            data = value.encode()
            written = {value, quote(value, safe=""), data.hex(), repr(value)[1:-1]}
            # Without the letters that depend on what stands beside it.
            written |= {base64.b64encode(data).decode().rstrip("=")[:-2]}
            yield from ((name, form) for form in written if len(form) > 5)

    def found_in(self, text: str) -> list[str]:
        return sorted({name for name, form in self.forms() if form in text})


@dataclass
class Watched:
    """What was seen while the job ran."""

    command_lines: set[str] = field(default_factory=set)
    environments: set[str] = field(default_factory=set)
    messages: list[bytes] = field(default_factory=list)


@pytest.fixture
def planted() -> Planted:
    own = settings.DATABASES["default"]
    found = Planted()
    found.plant("own SECRET_KEY", settings.SECRET_KEY)
    found.plant("own sealing key", settings.SEALING_KEYS[0])
    found.plant("own database", own["PASSWORD"])
    found.plant("own redis", urlsplit(settings.REDIS_URL).password or "")
    for name in ("variable", "url", "env_file", "options", "document"):
        found.plant(name)
    found.plant("dsn", f"p@ss/{canary('dsn')}%:x")
    found.plant("aws", "AKIA" + secrets.token_hex(8).upper())
    found.plant("github", "ghp_" + secrets.token_hex(18))
    found.plant("own token", "opsdash_" + secrets.token_urlsafe(32))
    found.plant("private key", base64.b64encode(secrets.token_bytes(48)).decode())
    found.plant("settings dump", secrets.token_urlsafe(30))
    return found


@pytest.fixture
def dsn(planted: Planted) -> Iterator[str]:
    """Of a database whose owner's password is one of them."""
    name, root = f"canary_{secrets.token_hex(4)}", os.environ["TEST_POSTGRES_SUPERUSER_URL"]
    owner, password = sql.Identifier(name), sql.Literal(planted.values["dsn"])
    with psycopg.connect(root, autocommit=True) as server:
        server.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(owner, password))
        server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(owner, owner))
        parts = urlsplit(root)
        written = quote(planted.values["dsn"], safe="")
        yield f"postgres://{name}:{written}@{parts.hostname}:{parts.port}/{name}"
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(owner))
        server.execute(sql.SQL("DROP ROLE {}").format(owner))


@pytest.fixture
def target(make_target: MakeTarget, planted: Planted, dsn: str, tmp_path: Path) -> Target:
    values = planted.values
    env_file = tmp_path / "canary.env"
    env_file.write_text(f"SMTP_PASSWORD={values['env_file']}\n")
    project = write_project(tmp_path / "project", values)
    target = make_target(
        "canary", working_directory=str(project), python=[sys.executable], env_file=str(env_file)
    )
    declared = {
        "API_TOKEN": values["variable"],
        "DATABASE_URL": dsn,
        "ACCOUNT": f'{{"private_key": "{values["document"]}", "type": "account"}}',
        "OPTION_SECRET": values["options"],
    }
    for name, value in declared.items():
        variable = TargetVariable(target=target, name=name)
        variable.keep(value, secret=True)
        variable.save()
    target.variables.create(name="CACHE_URL", plain=f"redis://:{values['url']}@127.0.0.1:1/0")
    return target


def test_no_secret_is_found_anywhere(
    people: dict[str, User], target: Target, planted: Planted, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    worker_log, web_log = tmp_path / "worker.log", tmp_path / "web.log"
    with (
        worker(worker_log, TMPDIR=str(temporary)) as at_work,
        web_process(web_log, TMPDIR=str(temporary)) as site,
    ):
        signed_in_by_password(site, planted)
        with watching(at_work.pid, site.process.pid, os.getpid()) as watched:
            jobs = [run_to_its_end(target, people["superuser"], planted) for _ in range(2)]
        failed_sign_in(site, planted)
        sign_in(site, people["superuser"])
        planted.plant("session cookie", next(v for n, v in site.cookies.items() if "session" in n))
        planted.plant("csrf token", site.token)
        pages = crawl(site, [f"/jobs/{job.pk}/" for job in jobs])
        errors(site, pages)
        hits = [found for job in jobs for found in searched(site, job, planted)]
        output = {" ".join(command): told(command) for command in [*COMMANDS, again(target)]}
    said = "\n".join(lines_of(job) for job in jobs)
    # What was planted in the output came there, and what is none is readable.
    assert said.count(MASK) >= 20 and "ordinary words 2e18efb7d5a9d7a1" in said, said
    assert len(pages) > 25, sorted(pages)
    assert not hits, hits
    places = {
        **{f"row of {table}": text for table, text in every_row()},
        **{f"redis {key}": text for key, text in every_key()},
        **{
            f"message {number}": text.decode(errors="replace") for number, text in enumerate(watched.messages)
        },
        **{f"page {path}": text for path, text in pages.items()},
        **{f"command {command}": text for command, text in output.items()},
        **{log.name: log.read_text() for log in (worker_log, web_log)},
        **{str(file): file.read_text(errors="replace") for file in temporary.rglob("*") if file.is_file()},
        "command lines": "\n".join(watched.command_lines),
        "environments of targets": "\n".join(watched.environments),
    }
    leaks = {place: found for place, text in places.items() if (found := leaked(place, text, planted))}
    assert not leaks, "\n".join(f"{place}: {found}" for place, found in leaks.items())
    assert watched.command_lines and watched.messages and watched.environments


def leaked(place: str, text: str, planted: Planted) -> list[str]:
    found = planted.found_in(text)
    found += [name for name in planted.found_in(unescape(text)) if name not in found]
    if place in ("row of django_session", "row of dbops_signin"):
        # Both are told by the key of the session.
        found = [name for name in found if name != "session cookie"]
    if place == "row of dbops_targetvariable" or place.startswith("page /admin/dbops/target/"):
        # It was declared in the open, and who configures sees it there.
        found = [name for name in found if name != "url"]
    if place.startswith("page "):
        # A form carries its own token to whom it belongs.
        found = [name for name in found if name != "csrf token"]
    return found


def signed_in_by_password(site: Web, planted: Planted) -> None:
    planted.plant("password of a person", PASSWORD)
    page = site.get("/login/")
    (cookie,) = re.findall(r"(opsdash_csrf_\w+)=(\w+)", page.headers["set-cookie"])
    site.cookies, site.token = {cookie[0]: cookie[1]}, cookie[1]
    assert site.post("/login/", username="superuser", password=PASSWORD).status in (200, 302)


def failed_sign_in(site: Web, planted: Planted) -> None:
    site.post("/login/", username="superuser", password=planted.plant("mistyped password"))


def run_to_its_end(target: Target, person: User, planted: Planted) -> Job:
    inspect_now(target)
    actor = Actor(person, person.username, "127.0.0.1", ALL)
    reason = f"the key is {planted.values['github']}"
    job = launch.start(default_of(target), "migrate", {}, actor, key=uuid.uuid4(), reason=reason).job
    until(lambda: Job.objects.get(pk=job.pk).state in ("succeeded", "failed", "lost"), "the job ends", 60)
    launch.snapshot(default_of(target), actor)
    plan = launch.plan(default_of(target), "shop", "", actor)
    until(lambda: Plan.objects.get(pk=plan.pk).state in ("done", "failed"), "the plan is read", 60)
    return Job.objects.get(pk=job.pk)


def again(target: Target) -> list[str]:
    return ["run_job", target.name, "migrate", "--follow"]


@contextmanager
def watching(*processes: int) -> Iterator[Watched]:
    """What others on the machine see of these and their children, and what goes through Redis."""
    seen, over = Watched(), threading.Event()
    with (
        closing(redis.Redis.from_url(settings.REDIS_URL)) as client,
        closing(client.pubsub()) as listening,  # type: ignore[no-untyped-call]
    ):
        listening.psubscribe("*")

        def look() -> None:
            while not over.is_set():
                for pid in {one for process in processes for one in (process, *descendants_of(process))}:
                    look_at(pid, seen)
                while message := listening.get_message(timeout=0.01):
                    seen.messages += [message["data"]] if isinstance(message["data"], bytes) else []

        looking = threading.Thread(target=look)
        looking.start()
        try:
            yield seen
        finally:
            over.set()
            looking.join()


def look_at(pid: int, seen: Watched) -> None:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        seen.command_lines.add(words)
        # The agent's: our own processes have DATABASE_URL from whoever starts them.
        if "opsdash-agent" in words:
            seen.environments.add(Path(f"/proc/{pid}/environ").read_text(errors="replace"))


def crawl(site: Web, begin: list[str]) -> dict[str, str]:
    """Every page that is linked from the first, with what they hold."""
    known: dict[str, str] = {}
    waiting = ["/", "/jobs/", "/workers/", "/compare/", "/admin/", *begin]
    while waiting and len(known) < MOST_PAGES:
        path = unescape(waiting.pop(0))
        if path in known or path.startswith("/static/"):
            continue
        if "/stream/" in path:
            path += "?once=1"
        answer = site.get(path)
        known[path] = answer.text + str(answer.headers)
        if answer.headers.get("content-type", "").startswith("text/html"):
            waiting += LINK.findall(answer.text)
        if path.endswith("/lines/"):
            waiting.append(f"{path}?from=1&to=200")
    return known


def errors(site: Web, pages: dict[str, str]) -> None:
    for path in ("/nowhere/", "/jobs/0/", "/targets/canary/databases/none/plan/"):
        pages[path] = site.get(path).text
    pages["403"] = site.ask("POST", "/jobs/1/cancellation/", {}).text


def searched(site: Web, job: Job, planted: Planted) -> list[str]:
    """A search tells whether a line holds it, letter by letter."""
    paths = {name: f"/jobs/{job.pk}/search/?q={quote(value[:200])}" for name, value in planted.values.items()}
    return [name for name, path in paths.items() if '"count": 0' not in site.get(path).text]


def told(command: list[str]) -> str:
    out, errors = StringIO(), StringIO()
    with suppress(SystemExit):
        call_command(*command, stdout=out, stderr=errors)
    return out.getvalue() + errors.getvalue()


def lines_of(job: Job) -> str:
    return "\n".join(job.chunks.order_by("first").values_list("text", flat=True))


def every_row() -> Iterator[tuple[str, str]]:
    for table in connection.introspection.table_names():
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            yield table, "\n".join(str(row[0]) for row in cursor.fetchall())


def every_key() -> Iterator[tuple[str, str]]:
    with closing(redis.Redis.from_url(settings.REDIS_URL)) as client:
        for key in client.scan_iter():
            kind = client.type(key)
            reading: Any = {
                b"string": client.get,
                b"hash": client.hgetall,
                b"set": client.smembers,
                b"list": lambda name: client.lrange(name, 0, -1),
                b"zset": lambda name: client.zrange(name, 0, -1),
            }
            yield key.decode(), str(reading[kind](key)) if kind in reading else ""


def test_what_a_person_types_as_a_reason_is_kept_without_tokens(people: dict[str, User]) -> None:
    token = "ghp_" + secrets.token_hex(18)
    actor = Actor(people["staff"], "staff", "127.0.0.1", ALL)
    AuditEvent.objects.record("job.cancel", actor, reason=f"rotate {token}", arguments={"a": [token]})
    kept = AuditEvent.objects.get()
    assert token not in f"{kept.reason} {kept.details}"
    assert kept.reason == f"rotate {MASK}"
