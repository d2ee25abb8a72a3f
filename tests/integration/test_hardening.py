"""What a browser, another site, or a parameter may not do to opsdash; each class of FACTS has its test."""

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings as own_settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse

from dbops.models import AuditEvent, Grant, Job, Plan, SessionEnding, TargetDatabase, clock
from dbops.rights import Rights, Role
from dbops.transcript.live import heard
from dbops.views import viewers as viewing
from dbops.views.places import Download, TooManyError, searches
from tests.integration.conftest import PASSWORD, MakeDatabase
from tests.integration.test_doors import EXPECTED, event_of, plan_of

pytestmark = pytest.mark.django_db
GET_URLS = sorted(name for name, (_, _, method) in EXPECTED.items() if method == "get")
POST_URLS = sorted(
    {name for name, (_, _, method) in EXPECTED.items() if method == "post"}
    | {"migrate", "again", "session_cancellation", "session_termination", "record", "invalid_index",
       "makemigrations", "merge"}
)  # fmt: skip
PARAMETERS = (
    "page", "q", "environment", "status", "sort", "a", "b", "diff", "show", "state", "from", "to", "after",
    "case", "once", "app", "size", "before", "who", "act", "target", "job", "outcome", "since", "until",
    "next",
)  # fmt: skip
HOSTILE = {
    "bigint": str(2**63),
    "endless": "9" * 5000,
    "negative": "-1",
    "fraction": "1e308",
    "nul": "a\0b",
    "url": "http://169.254.169.254/latest/",
    "dsn": "postgres://mallory:x@203.0.113.7:5432/x",
    "pattern": "%_\\" * 60,
    "long": "x" * 8000,
    "digits": "١٢٣",
    "list": "[]{}'\"<script>",
}


@pytest.fixture
def superuser(people: dict[str, User]) -> Client:
    return signed_in("superuser")


def signed_in(name: str, **more: Any) -> Client:
    client = Client(raise_request_exception=False, **more)
    client.login(username=name, password=PASSWORD)
    return client


def url_of(job: Job, name: str) -> str:
    return reverse(name, args=EXPECTED[name][0](job))


def contents() -> dict[str, Any]:
    """Every row of every table."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found = {}
        for (table,) in cursor.fetchall():
            cursor.execute(
                f"SELECT count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM \"{table}\" t"
            )
            found[table] = cursor.fetchone()
        return found


# CSRF


@pytest.mark.django_db(transaction=True)
def test_no_address_changes_anything_when_it_is_only_looked_at(superuser: Client, job: Job) -> None:
    plan_of(job)
    urls = [url_of(job, name) for name in EXPECTED if name != "job_stream"]
    urls += ["/logout/", "/admin/", "/admin/dbops/target/", "/admin/auth/user/", "/admin/auth/user/add/"]
    urls += [
        f"/admin/dbops/target/{job.database.target_id}/{act}/" for act in ("change", "delete", "history")
    ]
    before = contents()
    for url in urls:
        for ask in (superuser.get, superuser.head, superuser.options):
            ask(url).close()
    assert contents() == before


@pytest.mark.parametrize("name", POST_URLS)
@pytest.mark.parametrize("token", ["none", "foreign", "header"])
def test_a_form_without_the_token_of_its_own_session_does_nothing(
    people: dict[str, User], job: Job, name: str, token: str
) -> None:
    client, other = signed_in("superuser", enforce_csrf_checks=True), signed_in("staff")
    other.get("/")
    client.get("/")
    foreign = other.cookies[own_settings.CSRF_COOKIE_NAME].value
    data = {"csrfmiddlewaretoken": foreign} if token == "foreign" else {}
    headers = {"X-CSRFToken": foreign} if token == "header" else {}
    plan_of(job)
    response_url, before = url_of(job, name), contents()
    response = client.post(response_url, data, headers=headers)
    assert response.status_code == 403
    assert "did not carry the token of your session, so nothing was done" in response.content.decode()
    changed = {table for table, rows in contents().items() if rows != before[table]}
    assert changed == {"dbops_auditevent"}


def test_a_form_of_another_origin_is_refused_even_with_the_token(people: dict[str, User], job: Job) -> None:
    client = signed_in("superuser", enforce_csrf_checks=True)
    client.get("/")
    data = {"csrfmiddlewaretoken": client.cookies[own_settings.CSRF_COOKIE_NAME].value}
    url = f"/jobs/{job.pk}/cancellation/"
    assert client.post(url, data, headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.post(url, data, headers={"Origin": "http://testserver"}).status_code == 302


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    ("method", "path", "mode", "dest"),
    [
        ("post", "/jobs/{}/cancellation/", "navigate", "document"),
        ("post", "/jobs/{}/cancellation/", "cors", "empty"),
        ("get", "/jobs/{}/stream/", "cors", "empty"),
        ("get", "/jobs/{}/lines/?from=1&to=2", "no-cors", "script"),
        ("get", "/jobs/{}/transcript.txt", "no-cors", "image"),
        ("get", "/", "navigate", "iframe"),
        ("get", "/jobs/", "no-cors", "empty"),
    ],
)
def test_what_another_site_s_page_asks_for_is_refused(
    superuser: Client, job: Job, site: str, method: str, path: str, mode: str, dest: str
) -> None:
    said = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
    response = getattr(superuser, method)(path.format(job.pk), headers=said)
    assert (
        response.status_code == 403 and "A page of another site asked for this" in response.content.decode()
    )
    job.refresh_from_db()
    assert job.state == "queued"
    kept = AuditEvent.objects.filter(act="refused")
    reasons = ["A page of another site asked for this" in event.reason for event in kept]
    assert reasons == ([True] if method == "post" else [])


def test_a_link_from_another_site_and_a_program_are_no_attack(superuser: Client, job: Job) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert superuser.get(f"/jobs/{job.pk}/", headers=link).status_code == 200
    assert superuser.get(f"/jobs/{job.pk}/").status_code == 200
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    assert superuser.post(f"/jobs/{job.pk}/cancellation/", headers=own).status_code == 302


def test_cookies_are_kept_from_scripts_and_other_sites(people: dict[str, User]) -> None:
    client = Client()
    client.get("/login/")
    client.post("/login/", {"username": "viewer", "password": PASSWORD})
    for name in (own_settings.SESSION_COOKIE_NAME, own_settings.CSRF_COOKIE_NAME):
        cookie = client.cookies[name]
        assert (cookie["httponly"], cookie["samesite"], cookie["domain"]) == (True, "Lax", "")


# IDOR: numbers of something else


@pytest.fixture
def other(make_job: Callable[..., Job], make_database: MakeDatabase) -> Job:
    session = {"pid": 4242, "backend_start": "x", "state": "active", "transaction_start": "y"}
    waits = {"waits": [{"blockers": [session]}]}
    return make_job(make_database("other"), state="running", started_at=clock.now(), lock_wait=waits)


def test_the_session_in_another_job_s_way_is_not_this_one_s(superuser: Client, job: Job, other: Job) -> None:
    Job.objects.filter(pk=job.pk).update(state="running", started_at=clock.now())
    sent = {"backend_start": "x", "transaction_start": "y", "reason": "why"}
    for act in ("termination", "cancellation"):
        response = superuser.post(f"/jobs/{job.pk}/sessions/4242/{act}/", sent)
        assert response.status_code == 409 and "is not in the way of job" in response.content.decode()
    assert not SessionEnding.objects.exists()


def test_a_plan_of_another_database_is_not_found_under_this_one(
    superuser: Client, job: Job, make_database: MakeDatabase
) -> None:
    plan = plan_of(job)
    for database in (make_database("other"), make_database("shop", "second")):
        url = f"/targets/{database.target.name}/databases/{database.alias}/plans/{plan}/"
        assert superuser.get(url).status_code == 404


def test_ids_of_what_is_not_seen_are_as_if_there_were_nothing(
    people: dict[str, User], job: Job, other: Job
) -> None:
    """Its jobs, sessions and plans: the answers for a number that nothing has."""
    group = people["operator"].groups.create(name="team")
    Grant.objects.create(group=group, target=job.database.target, role="staff")
    people["operator"].groups.set([group])
    client = signed_in("operator")
    hidden = Plan.objects.create(database=other.database, published_at=clock.now())
    for path in (
        f"/jobs/{other.pk}/sessions/4242/termination/",
        f"/targets/other/databases/default/plans/{hidden.pk}/",
    ):
        assert client.get(path).status_code == 404
        nothing = path.replace(f"/{other.pk}/", "/999999/").replace("other", "nothing")
        assert client.get(nothing).status_code == 404
    response = client.post("/compare/snapshots/", {"a": "other/default", "b": "shop/default"})
    assert response.status_code == 422
    assert not AuditEvent.objects.filter(act="snapshot.ask").exists()


# Frames, hosts, sessions


@pytest.mark.parametrize(
    "path",
    ["/", "/login/", "/nowhere/", "/livez", "/static/css/opsdash.css", "/jobs/x/", "/admin/", "/jobs/",
     "/audit/", "/admin/dbops/target/"],
)  # fmt: skip
@pytest.mark.parametrize("who", ["superuser", "viewer", ""])
def test_every_response_says_who_may_embed_and_keep_it(people: dict[str, User], path: str, who: str) -> None:
    client = signed_in(who) if who else Client()
    for response in (client.get(path), client.post(path)):
        assert response["X-Frame-Options"] == "DENY"
        assert response["Cross-Origin-Resource-Policy"] == "same-origin"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Referrer-Policy"] == "same-origin"
        assert "camera=()" in response["Permissions-Policy"]
        if not path.startswith(("/static/", "/livez")):
            assert "frame-ancestors 'none'" in response["Content-Security-Policy"]
            assert response["Cross-Origin-Opener-Policy"] == "same-origin"
            assert "no-store" in response["Cache-Control"]


def test_errors_say_it_too(superuser: Client, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **kwargs: Any) -> None:
        raise ValueError

    monkeypatch.setattr("dbops.views.workers.workers_page", fails)
    responses = {
        500: superuser.get("/workers/"),
        400: superuser.get("/", headers={"host": "evil.example"}),
        405: superuser.get("/logout/"),
        422: superuser.get("/audit/?size=x"),
    }
    for status, response in responses.items():
        assert (response.status_code, response["X-Frame-Options"]) == (status, "DENY")
        assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "localhost:80@evil.example", "a b", ""]
)
def test_a_name_that_is_not_ours_is_refused(people: dict[str, User], host: str, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["ops.example.org"]
    response = Client(raise_request_exception=False).get("/login/", headers={"host": host})
    assert response.status_code == 400
    forwarded = {
        "host": "ops.example.org",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "host=evil.example",
    }
    response = Client().get("/login/", headers=forwarded)
    assert response.status_code == 200 and "evil.example" not in response.content.decode()


def test_no_page_and_no_redirect_is_built_from_the_name_that_it_is_asked_by(
    superuser: Client, job: Job, settings: Any
) -> None:
    """Also where any name is allowed."""
    settings.ALLOWED_HOSTS = ["*"]
    plan_of(job)
    asked = {"host": "evil.example", "X-Forwarded-Host": "evil.example"}
    for client in (superuser, Client()):
        for name in set(GET_URLS) - {"job_stream"}:
            response = client.get(url_of(job, name), headers=asked)
            assert "evil.example" not in response.get("Location", "")
            content = b"" if response.streaming else response.content
            assert b"evil.example" not in content, name
    for name in POST_URLS:
        response = superuser.post(url_of(job, name), {"csrfmiddlewaretoken": "x"}, headers=asked)
        assert "evil.example" not in response.get("Location", "")


def test_a_session_gets_a_new_key_when_somebody_signs_in(people: dict[str, User]) -> None:
    name = own_settings.SESSION_COOKIE_NAME
    planted, client = signed_in("viewer").cookies[name].value, Client()
    client.cookies[name] = planted
    client.post("/login/", {"username": "viewer", "password": PASSWORD})
    assert client.cookies[name].value == planted, "who is signed in as the same person already stays"
    client = Client()
    client.cookies[name] = "a" * 32
    client.post("/login/", {"username": "viewer", "password": PASSWORD})
    assert client.cookies[name].value != "a" * 32
    client = Client()
    client.cookies[name] = planted
    client.logout()
    client.cookies[name] = planted
    client.post("/login/", {"username": "operator", "password": PASSWORD})
    assert client.cookies[name].value != planted


# What is sent


def test_no_file_is_taken_anywhere(people: dict[str, User], job: Job) -> None:
    superuser = signed_in("superuser", enforce_csrf_checks=True)
    superuser.get("/")
    plan_of(job)
    event_of(job)
    before = contents()
    for name in [*POST_URLS, "overview"]:
        sent = {"reason": "x", "file": SimpleUploadedFile("shell.php", b"<?php", "text/html")}
        response = superuser.post(url_of(job, name), sent)
        assert response.status_code == 400, name
    assert superuser.post("/login/", {"f": SimpleUploadedFile("a", b"a")}).status_code == 400
    assert contents() == before


def test_a_form_of_thousands_of_fields_is_refused(superuser: Client, job: Job) -> None:
    sent = "&".join(f"f{number}=1" for number in range(1001))
    response = superuser.post(
        f"/jobs/{job.pk}/cancellation/", sent, content_type="application/x-www-form-urlencoded"
    )
    assert response.status_code == 400
    job.refresh_from_db()
    assert job.state == "queued"


# Parameters


@pytest.mark.parametrize("kind", sorted(HOSTILE))
@pytest.mark.django_db(transaction=True)
def test_no_parameter_breaks_a_page_or_makes_it_large_or_reaches_out(
    superuser: Client, job: Job, kind: str
) -> None:
    """Every address with every parameter that any of them reads, at once; nothing is connected to but our
    own servers, as the interpreter itself reports it. An address is no longer than gunicorn takes it."""
    plan_of(job)
    query = urlencode(dict.fromkeys(PARAMETERS, HOSTILE[kind][:140]))
    with connections_seen() as seen:
        for name in set(GET_URLS) - {"job_stream"}:
            response = superuser.get(f"{url_of(job, name)}?{query}")
            assert response.status_code < 500, name
            assert response.streaming or len(response.content) < 500_000, name
        for name in POST_URLS:
            response = superuser.post(
                url_of(job, name), dict.fromkeys((*PARAMETERS, "reason", "plan"), HOSTILE[kind])
            )
            assert response.status_code < 500, name
    redis = own_settings.REDIS_URL
    ours = {str(connection.settings_dict["PORT"])}
    assert {str(port) for _, port in seen if f":{port}" not in redis} <= ours, seen
    assert not {host for host, _ in seen} & {"169.254.169.254", "203.0.113.7"}


@contextmanager
def connections_seen() -> Iterator[set[tuple[str, int]]]:
    HEARD.clear()
    if not HOOKED:
        HOOKED.append(True)
        sys.addaudithook(_hear)
    yield HEARD


HEARD: set[tuple[str, int]] = set()
HOOKED: list[bool] = []


def _hear(event: str, arguments: Any) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        HEARD.add(tuple(arguments[1][:2]))
    elif event == "socket.getaddrinfo":
        HEARD.add((str(arguments[0]), int(arguments[1] or 0)))


@pytest.mark.parametrize("number", [2**31, 2**63 - 1, 2**63, 2**64, 10**30, "9" * 5000])
@pytest.mark.parametrize(
    "path",
    ["/jobs/{}/", "/jobs/{}/lines/?from=1&to=2", "/jobs/{}/search/?q=x", "/jobs/{}/stream/",
     "/jobs/{}/again/", "/targets/shop/databases/default/plans/{}/", "/audit/{}/",
     "/jobs/1/sessions/{}/termination/"],
)  # fmt: skip
def test_a_number_that_no_row_can_have_is_not_found(
    superuser: Client, job: Job, path: str, number: Any
) -> None:
    assert superuser.get(path.format(number)).status_code == 404


# How much one person may have at a time


def test_one_person_has_so_many_streams_over_all_sessions(settings: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "STREAMS_PER_USER": 3, "STREAMS_PER_SESSION": 2}
    everybody, rights = viewing.Viewers(), Rights(Role.VIEWER)
    ann = [viewing.Viewer(1, f"session {number}", rights) for number in range(4)]
    everybody._open.update(ann[:3])
    assert everybody.why_too_many(ann[2]) == ""
    everybody._open.add(ann[3])
    assert everybody.why_too_many(ann[3]) == "many pages of yours are open"
    bob = viewing.Viewer(2, "another", rights)
    everybody._open.add(bob)
    assert everybody.why_too_many(bob) == ""
    tabs = [viewing.Viewer(2, "another", rights) for _ in range(2)]
    everybody._open.update(tabs)
    assert everybody.why_too_many(bob) == "many pages of this browser are open"


def test_one_person_has_so_many_downloads_on_their_way(
    settings: Any, people: dict[str, User], job: Job
) -> None:
    settings.DBOPS = {**settings.DBOPS, "DOWNLOADS_PER_USER": 1}

    async def parts() -> Any:
        yield "x"

    viewer = people["viewer"]
    first = Download(viewer.pk).of(parts())
    response = signed_in("viewer").get(f"/jobs/{job.pk}/transcript.txt")
    assert response.status_code == 429
    assert "1 downloads of yours are on their way, and go on." in response.content.decode()
    Download(viewer.pk + 1).of(parts())
    first.close()
    forgotten = Download(viewer.pk).of(parts())
    with pytest.raises(TooManyError):
        Download(viewer.pk).of(parts())
    del forgotten
    Download(viewer.pk).of(parts()).close()


def test_one_person_has_so_many_searches_at_work(settings: Any, people: dict[str, User], job: Job) -> None:
    settings.DBOPS = {**settings.DBOPS, "SEARCHES_PER_USER": 1}
    client, url = signed_in("viewer"), f"/jobs/{job.pk}/search/?q=x"
    with searches.one(people["viewer"].pk):
        response = client.get(url)
        assert response.status_code == 429
        assert response.content.decode().startswith(
            "1 searches of yours are still at work. Nothing was looked for."
        )
        assert signed_in("operator").get(url).status_code == 200
    assert client.get(url).status_code == 200


def test_a_search_ends_after_its_time_with_a_sentence(
    settings: Any, people: dict[str, User], job: Job
) -> None:
    settings.DBOPS = {**settings.DBOPS, "QUERY_TIMEOUT_MS": 0}
    job.chunks.create(first=1, last=1, text="x", at=clock.now())
    response = signed_in("viewer").get(f"/jobs/{job.pk}/search/?q=x")
    assert response.status_code == 503
    assert response.content.decode().startswith(
        "The search was stopped after 0 seconds, the limit, at line 1."
    )


# Deserialisation

CODE = [
    path
    for folder in ("dbops", "opsdash", "embedded")
    for path in sorted((Path(own_settings.BASE_DIR) / folder).rglob("*.py"))
]
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "jsonpickle"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
# The agent's own modules, which the worker sends through the pipe that starts the target's Python; and the
# launcher that the target's declaration names, run as Python itself would.
MAY_RUN_CODE = {"dbops/agent/bootstrap.py", "dbops/agent/launch.py", "dbops/target/bundle.py"}


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(own_settings.BASE_DIR)))
def test_no_code_of_ours_makes_objects_or_code_of_what_it_reads(path: Path) -> None:
    tree, name = ast.parse(path.read_text()), str(path.relative_to(own_settings.BASE_DIR))
    imported = {
        alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & FORBIDDEN_MODULES
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert name in MAY_RUN_CODE or not called & FORBIDDEN_CALLS


@pytest.mark.parametrize(
    "message",
    [
        b"", b"{", b"\xff", b"[]", b"5", b"null", b"{}", b'{"kind": "lines"}',
        b'{"kind": "lines", "first": "x", "at": 0, "lines": ["a"], "gap": null}',
        b'{"kind": "lines", "first": 1, "at": 0, "lines": 5, "gap": null}',
        b'{"kind": "lines", "first": 1, "at": 0, "lines": [5], "gap": null}',
        b'{"kind": "lines", "first": 1, "at": 1e300, "lines": ["a"], "gap": null}',
        b'{"kind": "lines", "first": 1, "at": 0, "lines": ["a"], "gap": ["x", 2]}',
        b'{"kind": "lines", "first": 1, "at": 0, "lines": ["a"], "gap": [1]}',
        b'{"kind": "tail", "after": "x", "text": "a"}', b'{"kind": "tail", "after": 1, "text": {}}',
    ],
)  # fmt: skip
def test_what_is_no_message_of_the_live_tail_is_not_believed(message: bytes) -> None:
    assert heard(message) is None


def test_sessions_and_messages_are_json(settings: Any) -> None:
    assert settings.SESSION_SERIALIZER == "django.contrib.sessions.serializers.JSONSerializer"
    assert settings.CELERY["accept_content"] == ["json"] and settings.CELERY["task_serializer"] == "json"


def test_every_address_of_a_target_database_is_walked_here(job: Job) -> None:
    assert isinstance(job.database, TargetDatabase)
    assert {*GET_URLS, *POST_URLS} == set(EXPECTED)
