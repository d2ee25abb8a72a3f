"""Who gets into the API: every address by every token, and nothing without one."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver

from dbops.api.doors import Needs, Scope
from dbops.api.gate import gate
from dbops.api.urls import api
from dbops.models import ApiToken, AuditEvent, Job, Target, TargetDatabase, clock
from dbops.rights import Role
from tests.integration.calling import SCOPES, Caller, caller
from tests.integration.conftest import PASSWORD, MakeDatabase
from tests.integration.test_doors import plan_of

pytestmark = pytest.mark.django_db

# path: (method, the scope that it needs, the lowest role that may)
EXPECTED: dict[str, tuple[str, str, Role]] = {
    "openapi.json": ("get", "read", Role.VIEWER),
    "targets": ("get", "read", Role.VIEWER),
    "targets/{name}": ("get", "read", Role.VIEWER),
    "status": ("get", "read", Role.VIEWER),
    "targets/{name}/databases/{alias}/plan": ("get", "read", Role.VIEWER),
    "targets/{name}/databases/{alias}/plans/{plan_id}": ("get", "read", Role.VIEWER),
    "targets/{name}/databases/{alias}/jobs": ("post", "jobs:start", Role.OPERATOR),
    "jobs": ("get", "read", Role.VIEWER),
    "jobs/{job_id}": ("get", "read", Role.VIEWER),
    "jobs/{job_id}/lines": ("get", "read", Role.VIEWER),
    "jobs/{job_id}/cancel": ("post", "jobs:cancel", Role.OPERATOR),
}
OF_ONE = sorted(path for path in EXPECTED if "{" in path)
ANY = sorted(EXPECTED)


def address(path: str, job: Job) -> str:
    known = {
        "name": job.database.target.name,
        "alias": job.database.alias,
        "plan_id": plan_of(job) if job.database.pk and "plan_id" in path else job.pk,
        "job_id": job.pk,
    }
    return path.format(**known)


def ask(who: Caller, path: str, job: Job) -> Any:
    if EXPECTED[path][0] == "get":
        return who.get(address(path, job))
    body = {"operation": "migrate"} if path.endswith("jobs") else {}
    return who.post(address(path, job), body, **{"Idempotency-Key": "key-of-the-walk"})


def problem(response: Any) -> tuple[int, str]:
    assert response["Content-Type"] == "application/problem+json", response.content
    document = response.json()
    assert document["status"] == response.status_code
    assert document["detail"].endswith("."), document
    return response.status_code, document["type"].removeprefix("/api/problems/")


# What there is


def below_api() -> Iterator[URLPattern]:
    (room,) = [
        entry
        for entry in get_resolver().url_patterns
        for entry in (entry.url_patterns if isinstance(entry, URLResolver) else [entry])
        if isinstance(entry, URLResolver) and str(entry.pattern) == "api/"
    ]
    yield from _walk(room)


def _walk(resolver: URLResolver, prefix: str = "") -> Iterator[URLPattern]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from _walk(entry, prefix + str(entry.pattern))
        else:
            entry.full = prefix + re.sub(r"<(\w+:)?(\w+)>", r"{\2}", str(entry.pattern))  # type: ignore[attr-defined]
            yield entry


def operations() -> Iterator[tuple[str, Any]]:
    for router in api._get_bound_routers():
        for path, view in router.path_operations.items():
            for operation in view.operations:
                yield re.sub(r"{\w+:", "{", path).lstrip("/"), operation


def test_this_walk_knows_every_address() -> None:
    found = {pattern.full for pattern in below_api()}  # type: ignore[attr-defined]
    assert found == {f"v1/{path}" for path in EXPECTED} | {""}


def test_every_operation_says_its_scope_and_its_role() -> None:
    declared = {}
    for path, operation in operations():
        (door,) = operation.auth_callbacks
        assert isinstance(door, Needs), path
        (method,) = operation.methods
        declared[path] = (method.lower(), str(door.scope), door.role)
    assert declared == EXPECTED


def test_the_document_knows_every_operation(people: dict[str, User]) -> None:
    document = caller(people["viewer"]).get("openapi.json").json()
    told = {
        (path.removeprefix("/api/v1/"), method)
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert told == {(path, method) for path, (method, _, _) in EXPECTED.items() if path != "openapi.json"}


# Without a token that works


@pytest.mark.parametrize("path", ANY)
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}, {"Authorization": "Bearer nonsense"}],
    ids=["none", "basic", "empty", "nonsense"],
)
def test_without_a_token_nothing_is_answered(job: Job, path: str, headers: dict[str, str]) -> None:
    client = Client(headers=headers)
    response = getattr(client, EXPECTED[path][0])(f"/api/v1/{address(path, job)}")
    status, _ = problem(response)
    assert status == 401
    assert response["WWW-Authenticate"].startswith('Bearer realm="opsdash"')


@pytest.mark.parametrize("path", ANY)
def test_a_session_opens_nothing(people: dict[str, User], job: Job, path: str) -> None:
    client = Client()
    client.login(username="superuser", password=PASSWORD)
    response = getattr(client, EXPECTED[path][0])(f"/api/v1/{address(path, job)}")
    assert problem(response) == (401, "no-token")
    assert "Set-Cookie" not in response.headers


def test_another_sites_page_may_ask_with_a_token(people: dict[str, User]) -> None:
    """It has to know the token: no browser adds it by itself."""
    who = caller(people["viewer"])
    assert who.get("jobs", **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}).status_code == 200


def test_a_length_that_is_no_number_is_refused() -> None:
    request = RequestFactory().post("/api/v1/jobs")
    request.META["CONTENT_LENGTH"] = "²"
    answer: Any = gate(lambda _: HttpResponse())(request)
    assert answer.status_code == 413


def test_no_cookie_gets_behind_the_gate() -> None:
    seen = []

    def behind(request: HttpRequest) -> HttpResponse:
        seen.append(dict(request.COOKIES))
        return HttpResponse()

    request = RequestFactory(headers={"Cookie": "opsdash_session_1=stolen"}).get("/api/v1/jobs")
    assert request.COOKIES
    gate(behind)(request)
    gate(behind)(RequestFactory(headers={"Cookie": "a=b"}).get("/jobs/"))
    assert seen == [{}, {"a": "b"}]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, (403, "https-only")),
        (403, (403, "not-allowed")),
        (404, (404, "not-found")),
        (418, (400, "bad-request")),
        (502, (500, "failed")),
        (503, (503, "away")),
    ],
)
def test_whatever_a_layer_says_is_a_problem_behind_the_gate(status: int, expected: tuple[int, str]) -> None:
    def behind(request: HttpRequest) -> HttpResponse:
        return HttpResponse("<h1>Traceback: hunter2</h1>", status=status, headers={"Retry-After": "5"})

    answer: Any = gate(behind)(RequestFactory().get("/api/v1/jobs"))
    answer.json = lambda: json.loads(answer.content)
    assert problem(answer) == expected
    assert b"hunter2" not in answer.content and answer["Retry-After"] == "5"


@pytest.mark.parametrize("path", ANY)
def test_a_token_that_nobody_has_opens_nothing(people: dict[str, User], job: Job, path: str) -> None:
    who = caller(people["superuser"])
    who.text = who.text[:-1] + ("A" if who.text[-1] != "A" else "B")
    assert problem(ask(who, path, job)) == (401, "refused-token")


ENDS: dict[str, Callable[[Caller], object]] = {
    "revoked": lambda who: ApiToken.objects.filter(pk=who.token.pk).update(revoked_at=clock.now()),
    "expired": lambda who: ApiToken.objects.filter(pk=who.token.pk).update(
        created_at=clock.now() - timedelta(days=9), expires_at=clock.now() - timedelta(seconds=1)
    ),
    "may not sign in": lambda who: User.objects.filter(pk=who.token.owner_id).update(is_active=False),
    "no role": lambda who: User.objects.filter(pk=who.token.owner_id).update(
        is_superuser=False, is_staff=False
    ),
}


@pytest.mark.parametrize("path", ANY)
@pytest.mark.parametrize("why", sorted(ENDS))
def test_a_token_that_has_ended_opens_nothing(people: dict[str, User], job: Job, path: str, why: str) -> None:
    who = caller(people["superuser"])
    ENDS[why](who)
    response = ask(who, path, job)
    assert problem(response) == (401, "refused-token")
    assert why.split()[-1] in response.json()["detail"]


@pytest.mark.parametrize("path", ANY)
def test_a_token_of_somebody_who_lacks_a_required_second_factor_opens_nothing(
    people: dict[str, User], job: Job, path: str, settings: Any
) -> None:
    settings.DBOPS = {**settings.DBOPS, "REQUIRE_SECOND_FACTOR": 2}
    response = ask(caller(people["superuser"]), path, job)
    assert problem(response) == (401, "refused-token")
    assert "second factor" in response.json()["detail"]
    Authenticator.objects.create(user=people["superuser"], type=Authenticator.Type.TOTP, data={"secret": "x"})
    assert ask(caller(people["superuser"], name="other"), path, job).status_code != 401


@pytest.mark.parametrize("path", ANY)
def test_a_token_without_the_scope_is_refused(people: dict[str, User], job: Job, path: str) -> None:
    others = [scope for scope in SCOPES if scope != EXPECTED[path][1]]
    response = ask(caller(people["superuser"], others), path, job)
    assert problem(response) == (403, "out-of-scope")
    assert f'scope="{EXPECTED[path][1]}"' in response["WWW-Authenticate"]
    job.refresh_from_db()
    assert job.state == "queued" and Job.objects.count() == 1


@pytest.mark.parametrize("path", ANY)
@pytest.mark.parametrize("role", ["viewer", "operator", "staff", "superuser"])
def test_a_token_may_what_its_owner_may(people: dict[str, User], job: Job, path: str, role: str) -> None:
    response = ask(caller(people[role]), path, job)
    assert (response.status_code == 403) == (Role[role.upper()] < EXPECTED[path][2])
    assert response.status_code in (200, 202, 403, 409)


# What is not seen is not there


@pytest.mark.parametrize("path", OF_ONE)
def test_on_another_target_everything_is_as_if_it_were_not(
    people: dict[str, User], job: Job, make_database: MakeDatabase, path: str
) -> None:
    """Limited to one target; and the answer is the very one of an id that nothing has."""
    other = make_database("other")
    who = caller(people["superuser"], targets=[other.target])
    answer = ask(who, path, job)
    assert problem(answer) == (404, "not-found")
    Target.objects.filter(pk=job.database.target_id).update(name="renamed")
    missing = job_that_is_not(job)
    assert ask(who, path, missing).content == answer.content


def job_that_is_not(job: Job) -> Job:
    return Job(pk=987654321, database=TargetDatabase(target=Target(name="nowhere"), alias="default"))


@pytest.mark.parametrize("path", OF_ONE)
def test_on_a_target_that_its_owner_does_not_see_everything_is_as_if_it_were_not(
    job: Job, make_database: MakeDatabase, path: str
) -> None:
    other = make_database("other")
    group = Group.objects.create(name="others")
    group.grants.create(target=other.target, role="staff")
    person = User.objects.create_user("person")
    person.groups.add(group)
    assert problem(ask(caller(person), path, job)) == (404, "not-found")


def test_lists_hold_nothing_of_what_is_not_seen(
    people: dict[str, User], job: Job, make_database: MakeDatabase
) -> None:
    other = make_database("other")
    who = caller(people["superuser"], targets=[other.target])
    assert [target["name"] for target in who.get("targets").json()["targets"]] == ["other"]
    assert [row["target"] for row in who.get("status").json()["databases"]] == ["other"]
    assert who.get("status").json()["count"] == 1
    assert who.get("jobs").json()["jobs"] == []
    assert who.get("jobs?target=shop").json() == {"version": 1, "jobs": [], "next": None}


def test_a_limited_token_whose_targets_are_gone_sees_nothing(
    people: dict[str, User], make_database: MakeDatabase
) -> None:
    make_database()
    other = make_database("other")
    who = caller(people["superuser"], targets=[other.target])
    other.delete()
    other.target.delete()
    assert problem(who.get("targets")) == (401, "refused-token")


def test_a_role_on_one_target_is_one_there_alone(
    make_database: MakeDatabase, make_job: Callable[..., Job]
) -> None:
    shop, other = make_database("shop"), make_database("other")
    group = Group.objects.create(name="shops")
    group.grants.create(target=shop.target, role="viewer")
    group.grants.create(target=other.target, role="operator")
    person = User.objects.create_user("person")
    person.groups.add(group)
    who = caller(person)
    mine, theirs = make_job(other), make_job(shop)
    assert who.post(f"jobs/{mine.pk}/cancel").status_code == 202
    response = who.post(f"jobs/{theirs.pk}/cancel")
    assert problem(response) == (403, "not-allowed")
    assert "needs the role operator on shop" in response.json()["detail"]


# What is kept of refusals


def test_refused_acts_are_in_the_audit_trail(people: dict[str, User], job: Job) -> None:
    who = caller(people["viewer"])
    ask(who, "jobs/{job_id}/cancel", job)
    ask(caller(people["superuser"], ["read"]), "jobs/{job_id}/cancel", job)
    found = AuditEvent.objects.filter(act="refused").order_by("pk")
    assert [(event.actor, event.details["needs"]) for event in found] == [
        ("viewer (token ci)", "operator"),
        ("superuser (token ci)", "jobs:cancel"),
    ]


def test_a_token_that_has_ended_is_in_the_audit_trail_once_a_minute(
    people: dict[str, User], job: Job
) -> None:
    who = caller(people["superuser"])
    ENDS["revoked"](who)
    for _ in range(3):
        who.get("jobs")
    (event,) = AuditEvent.objects.filter(act="token.refused")
    assert (event.actor, event.reason) == ("superuser (token ci)", "This token was revoked.")
    ApiToken.objects.update(last_refused_at=clock.now() - timedelta(seconds=61))
    who.get("jobs")
    assert AuditEvent.objects.filter(act="token.refused").count() == 2


# Pages


@pytest.mark.parametrize("url", ["/", "/jobs/", "/tokens/", "/admin/"])
def test_pages_take_no_token(people: dict[str, User], url: str) -> None:
    who = caller(people["superuser"])
    assert Client(headers=who.headers).get(url).status_code == 302


@pytest.mark.parametrize("way", ["?token={0}", "?access_token={0}", "?Authorization=Bearer+{0}"])
def test_an_address_brings_no_token(people: dict[str, User], way: str) -> None:
    who = caller(people["superuser"])
    assert problem(Client().get("/api/v1/jobs" + way.format(who.text))) == (401, "no-token")


def test_no_other_site_is_answered(people: dict[str, User]) -> None:
    who = caller(people["superuser"])
    response = who.get("jobs", Origin="https://evil.example")
    assert not [name for name in response.headers if name.lower().startswith("access-control")]
    preflight = Client().options(
        "/api/v1/jobs",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert problem(preflight) == (405, "method")
    assert not [name for name in preflight.headers if name.lower().startswith("access-control")]


def test_scopes_are_those_of_the_model() -> None:
    assert set(SCOPES) == {str(scope) for scope in Scope}
