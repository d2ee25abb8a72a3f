"""What every answer says of itself, whatever it is: no script but ours, no frame, no guessing of types."""

import re
from html import unescape
from typing import Any

import pytest
from django.conf import settings as ours
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import AsyncClient, Client

from dbops.models import Job, TranscriptChunk
from dbops.views import overview
from tests.integration.conftest import MakeDatabase

pytestmark = pytest.mark.django_db

PAGES = [
    "/", "/login/", "/jobs/", "/jobs/{job}/", "/targets/shop/", "/admin/", "/admin/login/", "/nowhere/",
    "/admin/nowhere/", "/jobs/{job}/lines/?from=1&to=2", "/jobs/{job}/lines/?from=x", "/targets/none/",
    "/jobs/{job}/search/?q=x", "/jobs/{job}/search/", "/static/css/opsdash.css", "/static/nowhere.css",
    "/logout/", "/jobs/{job}/cancellation/",
]  # fmt: skip


@pytest.fixture
def job(make_job: Any, make_database: MakeDatabase) -> Job:
    job: Job = make_job(make_database(), state="running", last_line=1)
    TranscriptChunk.objects.create(job=job, first=1, last=1, text="<script>1</script>", at=job.created_at)
    return job


@pytest.fixture
def person(people: dict[str, User]) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(people["superuser"])
    return client


def is_safe(response: Any, path: str) -> None:
    policy = response["Content-Security-Policy"]
    directives = {name: words for name, *words in (part.split() for part in policy.split(";"))}
    assert directives["default-src"] == ["'none'"], path
    assert directives["script-src"] == directives["style-src"] == ["'self'"], path
    assert directives["base-uri"] == directives["frame-ancestors"] == ["'none'"], path
    assert directives["form-action"] == ["'self'"], path
    said = {word for words in directives.values() for word in words}
    assert said <= {"'none'", "'self'", "data:"}, path
    assert "data:" not in directives["script-src"]
    assert response["X-Content-Type-Options"] == "nosniff", path
    if path.startswith("/static/"):
        return
    assert response["X-Frame-Options"] == "DENY", path
    assert response["Referrer-Policy"] == "same-origin", path
    assert response["Cross-Origin-Opener-Policy"] == "same-origin", path


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_allows_no_script_but_ours(person: Client, job: Job, path: str) -> None:
    response = person.get(path.format(job=job.pk))
    is_safe(response, path)
    assert "text/html" not in response["Content-Type"] or "/lines/" not in path


@pytest.mark.parametrize("path", ["/", "/jobs/", "/login/", "/nowhere/"])
def test_so_does_what_is_told_to_nobody(path: str) -> None:
    is_safe(Client().get(path), path)


@pytest.mark.parametrize("problem", [ValueError("<script>"), OperationalError("the server closed <script>")])
def test_so_does_a_mistake_of_ours_and_a_database_that_is_away(
    person: Client, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise problem

    monkeypatch.setattr(overview, "overview_page", fails)
    response = person.get("/")
    assert response.status_code in (500, 503)
    is_safe(response, "/")
    assert b"<script>" not in response.content


def test_so_does_a_form_without_its_token(people: dict[str, User], job: Job) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people["superuser"])
    response = client.post(f"/jobs/{job.pk}/cancellation/")
    assert response.status_code == 403
    is_safe(response, "403")


@pytest.mark.django_db(transaction=True)
async def test_a_download_is_a_file_of_plain_text_whatever_it_holds(
    people: dict[str, User], job: Job
) -> None:
    client = AsyncClient()
    await client.aforce_login(people["superuser"])
    response = await client.get(f"/jobs/{job.pk}/transcript.txt")
    is_safe(response, "transcript.txt")
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["Content-Disposition"] == f'attachment; filename="opsdash-job-{job.pk}.txt"'


def test_a_document_is_json_and_is_not_kept(person: Client, job: Job) -> None:
    for path in ("lines/?from=1&to=2", "search/?q=script"):
        response = person.get(f"/jobs/{job.pk}/{path}")
        assert response["Content-Type"] == "application/json"
        assert response["Cache-Control"] == "no-store"


def test_no_page_may_be_read_by_another_origin(person: Client, job: Job) -> None:
    for path in PAGES:
        response = person.get(path.format(job=job.pk), headers={"Origin": "https://evil.example"})
        assert not [name for name in response.headers if name.lower().startswith("access-control-")], path


def test_htmx_runs_no_code_of_a_page_and_asks_no_other_host(person: Client) -> None:
    page = unescape(person.get("/").content.decode())
    found = re.search(r"name=\"htmx-config\" content='(.*?)'>", page, re.DOTALL)
    assert found
    config = found[1]
    for name, value in (
        ("allowEval", "false"),
        ("allowScriptTags", "false"),
        ("selfRequestsOnly", "true"),
        ("includeIndicatorStyles", "false"),
        ("historyCacheSize", "0"),
    ):
        assert re.search(rf'"{name}":\s*{value}', config), name


def test_nothing_within_a_transcript_is_for_htmx(person: Client, job: Job) -> None:
    page = person.get(f"/jobs/{job.pk}/").content.decode()
    assert re.search(r'<div id="transcript"[^>]* hx-disable', page)


def test_no_template_has_a_script_or_a_style_or_a_handler_of_its_own() -> None:
    """A policy that forbids them would only break the page."""
    files = list((ours.BASE_DIR / "templates").rglob("*.html"))
    assert len(files) > 50
    for file in files:
        text = file.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", text), file
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=[\"']|javascript:", text), file
        assert not re.search(r"\|\s*safe\b|autoescape off|hx-on|hx-vals=['\"]js:", text), file
        assert not re.search(r"(?:src|href|action)=[\"'](?:https?:)?//", text), file
