"""The JSON API: it says what the commands say, starts a job once, answers every mistake with a problem."""

import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import OperationalError, connection, connections
from django.http import HttpRequest
from django.test import Client
from ninja import Schema
from openapi_spec_validator import validate

from dbops import launch, tasks
from dbops.access import Actor
from dbops.api import reading, schemas
from dbops.api.jobs import KEYS
from dbops.api.limits import Allowance, Follows
from dbops.api.problems import KINDS, Problem
from dbops.api.urls import api
from dbops.documents import job_document
from dbops.models import AuditEvent, Job, Target, TargetDatabase
from dbops.models.status import Status
from dbops.pages.plan import Shown, plan_page
from dbops.plan_document import plan_document
from dbops.rights import ALL, Rights, Role
from tests.integration.calling import Caller, caller
from tests.integration.conftest import MakeDatabase, MakeTarget
from tests.integration.planned import keep
from tests.integration.test_api_doors import EXPECTED, problem
from tests.integration.test_plan_pages import drops_total, inspected
from tests.integration.transcripts import record

pytestmark = pytest.mark.django_db
BLOG = "blog/databases/default"
KEY = "deploy-2026-11-30"


@pytest.fixture
def operator(people: dict[str, User]) -> Caller:
    return caller(people["operator"])


@pytest.fixture
def shop(make_database: MakeDatabase) -> TargetDatabase:
    """An inspection saw shop.0001 applied, 0002 not."""
    return inspected(make_database(vendor="postgresql", server_version="15.4"))


@pytest.fixture(autouse=True)
def nothing_is_published(monkeypatch: Any) -> None:
    """No worker is there to be told."""
    monkeypatch.setattr(tasks, "publish_job", lambda job: True)


def told(*words: str) -> Any:
    out = StringIO()
    with suppress(SystemExit):
        call_command(*words, "--json", stdout=out)
    return json.loads(out.getvalue())


# It says what the commands say


def test_status_is_that_of_the_command(operator: Caller, blog: Target) -> None:
    answer = operator.get("status").json()
    assert told("status") == {"version": 1, "databases": answer["databases"]}
    assert (answer["page"], answer["pages"], answer["count"]) == (1, 1, 1)
    assert answer["databases"][0]["statuses"][0]["state"] == "pending"


def test_a_target_holds_its_databases_as_status_says_them(operator: Caller, blog: Target) -> None:
    answer = operator.get("targets/blog").json()["target"]
    assert answer["databases"] == operator.get("status").json()["databases"]
    assert (answer["name"], answer["role"], answer["environment"]) == ("blog", "operator", "development")
    assert operator.get("targets").json()["targets"] == [answer]


def test_a_target_of_which_no_database_is_known_says_why(operator: Caller, make_target: MakeTarget) -> None:
    make_target("new")
    answer = operator.get("targets/new").json()["target"]
    assert answer["databases"] == []
    assert answer["statuses"] == operator.get("status").json()["databases"][0]["statuses"] != []


def test_a_plan_is_that_of_the_command(operator: Caller, blog: Target) -> None:
    answer = operator.get(f"targets/{BLOG}/plan").json()
    assert answer == told("plan", "blog")
    assert answer["read"]["fingerprint"] and answer["plan"][0]["sql"]
    by_id = operator.get(f"targets/{BLOG}/plans/{answer['read']['id']}").json()
    assert by_id["plan"] == answer["plan"]


def test_a_job_is_that_of_the_command(operator: Caller, make_job: Callable[..., Job]) -> None:
    job = make_job()
    answer = operator.get(f"jobs/{job.pk}").json()
    assert answer["job"]["created_at"]
    assert answer == json.loads(json.dumps(job_document(job)))
    listed = operator.get("jobs").json()["jobs"]
    assert listed == told("jobs")["jobs"]


def test_documents_have_the_shape_that_is_told(
    operator: Caller, blog: Target, make_job: Callable[..., Job]
) -> None:
    """Nothing is left out of a shape: what it does not know, a document does not have."""

    def strict(model: type[Schema], document: Any) -> None:
        assert (
            model.model_validate(document).model_dump(mode="json", exclude_unset=True).keys()
            == document.keys()
        )

    plan = operator.get(f"targets/{BLOG}/plan").json()
    strict(schemas.PlanDocument, plan)
    strict(schemas.MigrationEntry, plan["plan"][0])
    strict(schemas.OperationEntry, plan["plan"][0]["operations"][0])
    strict(schemas.Read, plan["read"])
    strict(schemas.TargetEntry, operator.get("targets/blog").json()["target"])
    strict(schemas.DatabaseEntry, operator.get("status").json()["databases"][0])
    strict(schemas.JobInFull, operator.get(f"jobs/{make_job().pk}").json()["job"])


def test_a_plan_with_a_finding_has_the_shape_that_is_told(operator: Caller, shop: TargetDatabase) -> None:
    plan = keep(shop, drops_total(), app="shop")
    document = operator.get(f"targets/shop/databases/default/plans/{plan.pk}").json()
    assert document == json.loads(json.dumps(plan_document(plan_page(ALL, plan, Shown()))))
    assert schemas.PlanDocument.model_validate(document).plan[0].findings


# Lists


def test_jobs_are_turned_over_by_the_last_one_seen(operator: Caller, make_job: Callable[..., Job]) -> None:
    one = make_job(changing=False)
    jobs = [one.pk, *(make_job(one.database, changing=False).pk for _ in range(4))]
    first = operator.get("jobs?limit=2").json()
    second = operator.get(f"jobs?limit=2&before={first['next']}").json()
    third = operator.get(f"jobs?limit=2&before={second['next']}").json()
    found = [job["id"] for page in (first, second, third) for job in page["jobs"]]
    assert found == sorted(jobs, reverse=True) and third["next"] is None


def test_jobs_are_chosen_by_target_alias_and_state(
    operator: Caller, make_job: Callable[..., Job], make_database: MakeDatabase
) -> None:
    shop = make_job(make_database("shop"))
    other = make_job(make_database("other", "replica"))
    Job.objects.move(other.pk, ["queued"], "cancelled")
    ids = {
        query: [job["id"] for job in operator.get(f"jobs?{query}").json()["jobs"]]
        for query in ("target=shop", "alias=replica", "state=active", "state=cancelled", "target=sho", "")
    }
    assert ids == {
        "target=shop": [shop.pk], "alias=replica": [other.pk], "state=active": [shop.pk],
        "state=cancelled": [other.pk], "target=sho": [], "": [other.pk, shop.pk],
    }  # fmt: skip


def test_status_is_searched_filtered_and_paged(operator: Caller, make_database: MakeDatabase) -> None:
    for name in ("one", "two", "three"):
        make_database(name)
    broken = make_database("four")
    broken.judge([Status("conflict", "Two leaves.")])
    broken.save()
    assert [row["target"] for row in operator.get("status?q=t").json()["databases"]] == ["three", "two"]
    assert operator.get("status?environment=production").json()["count"] == 0
    pages = [operator.get(f"status?page_size=3&page={number}").json() for number in (1, 2)]
    assert [page["pages"] for page in pages] == [2, 2]
    assert sorted(row["target"] for page in pages for row in page["databases"]) == [
        "four",
        "one",
        "three",
        "two",
    ]
    assert problem(operator.get("status?page_size=3&page=3")) == (404, "not-found")
    assert problem(operator.get("targets?page_size=3&page=3")) == (404, "not-found")


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "before=0", "state=none", "target=%00"])
def test_a_list_has_its_limits(operator: Caller, query: str) -> None:
    answer = operator.get(f"jobs?{query}")
    assert problem(answer) == (422, "invalid")
    assert answer.json()["errors"][0]["where"] == f"query.{query.partition('=')[0]}"


def test_a_list_asks_as_often_for_many_targets_as_for_few(
    operator: Caller, make_database: MakeDatabase, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        make_database(f"target-{number}")
    operator.get("targets")
    with django_assert_max_num_queries(12):
        assert len(operator.get("targets").json()["targets"]) == 20


# Start


def test_a_job_is_started_once_however_often_it_is_sent(
    operator: Caller, shop: TargetDatabase, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        first = operator.start(KEY, reason="release 7")
    again = operator.start(KEY, reason="release 7")
    assert (first.status_code, again.status_code) == (201, 200)
    job = Job.objects.get()
    assert first["Location"] == again["Location"] == f"/api/v1/jobs/{job.pk}"
    assert first.json()["job"]["id"] == again.json()["job"]["id"] == job.pk
    assert (job.asked_by_name, job.reason, job.arguments) == ("operator (token ci)", "release 7", {})
    event = AuditEvent.objects.get(act="job.migrate")
    assert (event.actor, event.reason, event.job_id) == ("operator (token ci)", "release 7", job.pk)


def test_a_job_is_found_by_its_key_whatever_has_changed_since(operator: Caller, shop: TargetDatabase) -> None:
    started = operator.start(KEY, app="shop").json()["job"]["id"]
    Job.objects.move(started, ["queued"], "cancelled")
    Target.objects.filter(pk=shop.target_id).update(allow_migrate=False)
    shop.target.inspections.all().delete()
    again = operator.start(KEY, app="shop")
    assert (again.status_code, again.json()["job"]["id"]) == (200, started)
    assert problem(operator.start("another-key"))[0] == 409


def test_another_token_of_the_same_owner_finds_the_job_too(
    people: dict[str, User], operator: Caller, shop: TargetDatabase
) -> None:
    first = operator.start(KEY)
    again = caller(people["operator"], name="rotated").start(KEY)
    assert (again.status_code, again.json()["job"]["id"]) == (200, first.json()["job"]["id"])


def test_a_key_is_its_owner_s_alone(people: dict[str, User], operator: Caller, shop: TargetDatabase) -> None:
    operator.start(KEY)
    theirs = caller(people["staff"]).start(KEY)
    assert problem(theirs) == (409, "conflict")
    assert theirs.json()["job"] == Job.objects.get().pk


@pytest.mark.parametrize("body", [{"app": "shop"}, {"reason": "another"}, {"plan": "f" * 64}], ids=str)
def test_a_key_that_comes_with_another_request_starts_nothing(
    operator: Caller, shop: TargetDatabase, body: dict[str, str]
) -> None:
    operator.start(KEY)
    assert problem(operator.start(KEY, **body)) == (422, "key-reused")
    assert Job.objects.count() == 1


def test_a_key_that_comes_for_another_database_starts_nothing(
    operator: Caller, shop: TargetDatabase, make_database: MakeDatabase
) -> None:
    make_database("other")
    operator.start(KEY)
    assert problem(operator.start(KEY, "other/databases/default")) == (422, "key-reused")


@pytest.mark.parametrize("key", ["", "short", "with blank", "x" * 201, "ümlaut-key"])
def test_a_start_needs_a_key(operator: Caller, shop: TargetDatabase, key: str) -> None:
    answer = operator.start(key)
    assert problem(answer) == (422, "invalid")
    assert "Idempotency-Key" in answer.json()["detail"]
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_that_send_one_key_at_once_one_starts_and_all_get_its_job(
    people: dict[str, User], make_database: MakeDatabase
) -> None:
    make_database()
    texts = [caller(people["operator"], name=f"token {number}") for number in range(8)]

    def send(who: Caller) -> tuple[int, int]:
        try:
            answer = who.start(KEY)
            return answer.status_code, answer.json()["job"]["id"]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(texts)) as pool:
        answers = list(pool.map(send, texts))
    job = Job.objects.get()
    assert sorted(answers) == [(200, job.pk)] * 7 + [(201, job.pk)]
    assert AuditEvent.objects.filter(act="job.migrate").count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_that_send_keys_of_their_own_at_once_one_starts(
    people: dict[str, User], make_database: MakeDatabase
) -> None:
    make_database()
    who = caller(people["operator"])

    def send(number: int) -> int:
        try:
            return int(who.start(f"key-number-{number}").status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(send, range(6))) == [201, *[409] * 5]
    assert Job.objects.count() == 1


def test_a_job_is_held_to_the_plan_that_was_seen(operator: Caller, shop: TargetDatabase) -> None:
    keep(shop, drops_total())
    seen = operator.get("targets/shop/databases/default/plan").json()["read"]["fingerprint"]
    operator.start(KEY, app="shop", migration="0001_initial", plan=seen)
    assert Job.objects.get().arguments == {"app": "shop", "migration": "0001_initial", "expected_plan": seen}


@pytest.mark.parametrize(
    "body",
    [{"app": "nowhere"}, {"app": "--settings=evil"}, {"app": "shop", "migration": "9999_none"}],
    ids=str,
)
def test_what_no_inspection_saw_is_not_started(
    operator: Caller, shop: TargetDatabase, body: dict[str, str]
) -> None:
    assert problem(operator.start(KEY, **body)) == (409, "unknown-migration")
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {"operation": "reset"},
        {"operation": "makemigrations"},
        {"app": ""},
        {"app": "a\x00b"},
        {"app": "\ud800"},
        {"migration": "0001_initial"},
        {"plan": "not a fingerprint"},
        {"plan": "f" * 64 + "\n"},
        {"reason": "x" * 501},
        {"reason": "\x00"},
        {"reason": 7},
        {"fake": True},
    ],
    ids=str,
)
def test_a_body_with_a_mistake_starts_nothing(
    operator: Caller, shop: TargetDatabase, body: dict[str, Any]
) -> None:
    answer = operator.start(KEY, **body)
    assert problem(answer) == (422, "invalid")
    assert all(one["where"].startswith("body") for one in answer.json()["errors"])
    assert not Job.objects.exists()


def test_where_migrate_is_not_allowed_the_reason_is_told(operator: Caller, shop: TargetDatabase) -> None:
    Target.objects.filter(pk=shop.target_id).update(allow_migrate=False)
    answer = operator.start(KEY)
    assert problem(answer) == (409, "conflict")
    assert "shop does not allow migrate jobs. Nothing was started." in answer.json()["detail"]


def test_the_door_of_all_jobs_looks_once_more(operator: Caller, shop: TargetDatabase) -> None:
    """Whatever an operation lets in."""
    actor = Actor(operator.token.owner, operator.token.whose, "", Rights(Role.VIEWER))
    with pytest.raises(launch.NotAllowedError):
        launch.start(shop, "migrate", {}, actor, key=uuid.uuid4())


# Cancel


def test_a_job_is_asked_to_stop(operator: Caller, make_job: Callable[..., Job]) -> None:
    job = make_job()
    answer = operator.post(f"jobs/{job.pk}/cancel")
    assert answer.status_code == 202
    assert answer.json()["job"]["state"] == "cancelled"
    again = operator.post(f"jobs/{job.pk}/cancel", {"reason": "surely"})
    assert again.status_code == 202
    assert again.json()["sentence"] == f"Job {job.pk} had cancelled already; there was nothing to cancel."


def test_a_cancel_needs_no_body(operator: Caller, make_job: Callable[..., Job]) -> None:
    url = f"/api/v1/jobs/{make_job().pk}/cancel"
    response = operator.client.generic("POST", url, headers=operator.headers)
    assert response.status_code == 202


# Lines


def test_lines_are_read_behind_a_number(operator: Caller, make_job: Callable[..., Job]) -> None:
    job = make_job(state="running")
    record(job, "one\ntwo\n", "three\n")
    answer = operator.get(f"jobs/{job.pk}/lines").json()
    assert [(line["number"], line["text"]) for line in answer["lines"]] == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
    ]
    assert (answer["next"], answer["last"], answer["ended"], answer["state"]) == (3, 3, False, "running")
    two = operator.get(f"jobs/{job.pk}/lines?after=1&limit=1").json()
    assert [line["text"] for line in two["lines"]] == ["two"] and two["next"] == 2
    none = operator.get(f"jobs/{job.pk}/lines?after=3").json()
    assert (none["lines"], none["next"], none["ended"]) == ([], 3, False)


def test_a_job_that_is_over_has_an_end(operator: Caller, make_job: Callable[..., Job]) -> None:
    job = make_job(state="running")
    record(job, "one\n", "two\n")
    Job.objects.move(job.pk, ["running"], "failed")
    first = operator.get(f"jobs/{job.pk}/lines?limit=1&wait=20").json()
    assert (first["ended"], first["next"]) == (False, 1)
    last = operator.get(f"jobs/{job.pk}/lines?after=1&wait=20").json()
    assert (last["ended"], last["next"], last["state"]) == (True, 2, "failed")
    assert operator.get(f"jobs/{job.pk}/lines?after=9&wait=20").json()["ended"]


def test_lines_that_are_not_kept_are_jumped_over(operator: Caller, make_job: Callable[..., Job]) -> None:
    job = make_job(state="running")
    record(job, "one\n", "two\n", "three\n")
    job.chunks.filter(first=2).delete()
    Job.objects.filter(pk=job.pk).update(gap_first=2, gap_last=2)
    answer = operator.get(f"jobs/{job.pk}/lines?after=1").json()
    assert [line["number"] for line in answer["lines"]] == [3]
    assert answer["gap"] == [2, 2]


# Problems


@pytest.mark.parametrize(
    "url", ["/api/", "/api/v1/", "/api/v1/jobs/", "/api/v2/jobs", "/api/v1/jobs/x", "/api/docs"]
)
def test_what_is_no_address_is_not_found(url: str, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert problem(Client().get(url)) == (404, "not-found")
        # schemathesis found that a form's token was asked for.
        assert problem(Client(enforce_csrf_checks=True).post(url)) == (404, "not-found")


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options", "trace"])
def test_another_method_is_refused(operator: Caller, method: str) -> None:
    answer = getattr(operator.client, method)("/api/v1/jobs", headers=operator.headers)
    assert problem(answer) == (405, "method")
    assert answer["Allow"] == "GET"


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        ('{"reason": "x"}', "text/plain", (415, "media-type")),
        ("reason=x", "application/x-www-form-urlencoded", (415, "media-type")),
        ("{", "application/json", (400, "bad-request")),
        ("[" * 30_000, "application/json", (400, "bad-request")),
        (b"\xff\xfe\x00", "application/json", (400, "bad-request")),
        ("[]", "application/json", (422, "invalid")),
        ("null", "application/json", (422, "invalid")),
        ('"text"', "application/json", (422, "invalid")),
        (json.dumps({"reason": "x" * 70_000}), "application/json", (413, "too-large")),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_body_that_is_none(
    operator: Caller,
    make_job: Callable[..., Job],
    body: Any,
    content_type: str,
    expected: tuple[int, str],
) -> None:
    job = make_job()
    answer = operator.client.post(
        f"/api/v1/jobs/{job.pk}/cancel", body, content_type=content_type, headers=operator.headers
    )
    assert problem(answer) == expected
    job.refresh_from_db()
    assert job.state == "queued"


def test_a_body_of_no_known_length_is_refused(operator: Caller, make_job: Callable[..., Job]) -> None:
    answer = operator.post(f"jobs/{make_job().pk}/cancel", **{"Transfer-Encoding": "chunked"})
    assert problem(answer) == (411, "no-length")


def test_what_was_sent_is_not_sent_back(operator: Caller, shop: TargetDatabase) -> None:
    """It may be a secret in the wrong place."""
    answer = operator.start(KEY, plan="hunter2-hunter2", reason=["hunter2-hunter2"])
    assert problem(answer) == (422, "invalid")
    assert "hunter2" not in answer.content.decode()


def test_a_mistake_of_ours_tells_nothing_of_itself(operator: Caller, monkeypatch: Any, settings: Any) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(reading, "all_there_is", fail)
    for debug in (False, True):
        settings.DEBUG = debug
        answer = operator.get("targets")
        assert problem(answer) == (500, "failed")
        assert "hunter2" not in answer.content.decode() and "Traceback" not in answer.content.decode()


@pytest.mark.parametrize("where", ["all_there_is", "target_or_404"])
def test_where_our_database_is_away_it_says_so(operator: Caller, monkeypatch: Any, where: str) -> None:
    def fail(*arguments: object) -> None:
        raise OperationalError("connection refused to 10.0.0.1")

    monkeypatch.setattr(reading, where, fail)
    answer = operator.get("targets" if where == "all_there_is" else "targets/shop")
    assert problem(answer) == (503, "away")
    assert answer["Retry-After"] == "5" and "10.0.0.1" not in answer.content.decode()


@pytest.mark.parametrize("reason", ["CI: pass=hunter2-hunter2", "see opsdash_" + "a" * 43])
def test_a_reason_in_which_something_is_masked_is_the_same_when_it_is_sent_again(
    operator: Caller, shop: TargetDatabase, reason: str
) -> None:
    first = operator.start("release-7", reason=reason)
    again = operator.start("release-7", reason=reason)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first["Location"] == again["Location"] and Job.objects.count() == 1
    assert problem(operator.start("release-7", reason="another")) == (422, "key-reused")


def test_no_form_takes_a_key_of_the_api(operator: Caller, shop: TargetDatabase) -> None:
    """Whoever knows how they are made could otherwise occupy another's."""
    taken = uuid.uuid5(KEYS, f"{operator.token.owner_id}:release-7")
    client = Client()
    client.force_login(operator.token.owner)
    form = client.post("/targets/shop/databases/default/migrate/", {"key": str(taken), "reason": ""})
    assert form.status_code == 422 and not Job.objects.exists()
    assert operator.start("release-7").status_code == 201


def test_what_asks_too_much_of_our_database_is_told_so(operator: Caller, monkeypatch: Any) -> None:
    def fail(*arguments: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '10ms'")
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(reading, "all_there_is", fail)
    answer = operator.get("targets")
    assert problem(answer) == (503, "too-long")
    assert "OPSDASH_QUERY_TIMEOUT_MS" in answer.json()["detail"]


def test_a_host_that_is_not_ours_is_a_problem_too(operator: Caller) -> None:
    assert problem(operator.get("jobs", Host="evil.example")) == (400, "bad-request")


def test_by_http_it_is_refused_where_pages_are_led_to_https(operator: Caller, settings: Any) -> None:
    """A redirect would have the token sent in the open again and again."""
    settings.SECURE_SSL_REDIRECT = True
    answer = operator.get("jobs")
    assert problem(answer) == (403, "https-only")
    assert "Location" not in answer.headers


def test_nothing_of_it_is_cached(operator: Caller, make_job: Callable[..., Job]) -> None:
    job = make_job()
    for path in (
        "jobs",
        "targets",
        "status",
        f"jobs/{job.pk}",
        f"jobs/{job.pk}/lines",
        "openapi.json",
        "jobs/0",
    ):
        assert operator.get(path)["Cache-Control"] == "no-store", path


def test_every_problem_is_in_the_manual(settings: Any) -> None:
    manual = (settings.BASE_DIR / "docs" / "api.md").read_text()
    assert [kind.name for kind in KINDS if f"| `{kind.name}` | {int(kind.status)} |" not in manual] == []


# The document


def test_the_document_is_valid(operator: Caller) -> None:
    document = operator.get("openapi.json").json()
    validate(document)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            scope = EXPECTED[path.removeprefix("/api/v1/")][1]
            assert operation["security"] == [{"token": [scope]}], (path, method)
            assert f"Scope `{scope}`" in operation["description"]
            problems = {
                status: answer["content"]
                for status, answer in operation["responses"].items()
                if int(status) >= 400
            }
            assert {"401", "403", "404", "422", "429", "500", "503"} <= set(problems)
            assert all(list(content) == ["application/problem+json"] for content in problems.values())


def test_an_operation_without_a_door_opens_to_nobody(operator: Caller) -> None:
    with pytest.raises(AssertionError):
        api.auth[0](HttpRequest())  # type: ignore[index]


# Limits


def test_who_asks_too_often_waits_with_every_token(
    operator: Caller, people: dict[str, User], settings: Any
) -> None:
    settings.DBOPS = {**settings.DBOPS, "API_REQUESTS_A_MINUTE": 3}
    answers = [operator.get("jobs") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert problem(answers[3]) == (429, "too-many")
    assert 1 <= int(answers[3]["Retry-After"]) <= 21
    assert caller(people["operator"], name="another").get("jobs").status_code == 429
    assert caller(people["viewer"]).get("jobs").status_code == 200


def test_an_allowance_trickles_in_again(settings: Any, monkeypatch: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "API_REQUESTS_A_MINUTE": 60}
    now = [0.0]
    monkeypatch.setattr("dbops.api.limits.monotonic", lambda: now[0])
    allowance = Allowance()
    for _ in range(60):
        allowance.take(1)
    with pytest.raises(Problem) as refused:
        allowance.take(1)
    assert refused.value.headers == {"Retry-After": "1"}
    now[0] = 2.0
    allowance.take(1)
    allowance.take(1)
    with pytest.raises(Problem):
        allowance.take(1)


def test_a_person_follows_so_many_jobs_at_once(settings: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "API_FOLLOWS": 2}
    follows = Follows()
    with follows.enter(1):
        with follows.enter(1):
            with pytest.raises(Problem), follows.enter(1):
                pass
            with follows.enter(2):
                pass
        with follows.enter(1):
            pass
    assert follows._open == {}
