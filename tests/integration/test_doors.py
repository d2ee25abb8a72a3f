"""Who gets in: every URL by every role, every change by POST with a token, GET changes nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from dbops.models import AuditEvent, Inspection, Job, Plan, Target, TargetDatabase, clock
from dbops.rights import Role
from tests.integration.conftest import ALICE, PASSWORD

pytestmark = pytest.mark.django_db

# url name: (arguments, the lowest role that may, method)
EXPECTED: dict[str, tuple[Callable[[Job], list[Any]], Role, str]] = {
    "overview": (lambda job: [], Role.VIEWER, "get"),
    "target": (lambda job: [job.database.target.name], Role.VIEWER, "get"),
    "inspections": (lambda job: [job.database.target.name], Role.OPERATOR, "post"),
    "migrate": (lambda job: [job.database.target.name, job.database.alias], Role.OPERATOR, "get"),
    "migration": (
        lambda job: [job.database.target.name, job.database.alias, "shop", "0001_initial"],
        Role.VIEWER,
        "get",
    ),
    "graph": (lambda job: [job.database.target.name, job.database.alias], Role.VIEWER, "get"),
    "newest_plan": (lambda job: [job.database.target.name, job.database.alias], Role.VIEWER, "get"),
    "plans": (lambda job: [job.database.target.name, job.database.alias], Role.OPERATOR, "post"),
    "plan": (lambda job: [job.database.target.name, job.database.alias, plan_of(job)], Role.VIEWER, "get"),
    "compare": (lambda job: [], Role.VIEWER, "get"),
    "snapshots": (lambda job: [], Role.OPERATOR, "post"),
    "jobs": (lambda job: [], Role.VIEWER, "get"),
    "job": (lambda job: [job.pk], Role.VIEWER, "get"),
    "again": (lambda job: [job.pk], Role.OPERATOR, "get"),
    "waiting": (lambda job: [job.pk], Role.VIEWER, "get"),
    "workers": (lambda job: [], Role.VIEWER, "get"),
    "audit": (lambda job: [], Role.STAFF, "get"),
    "audit_event": (lambda job: [event_of(job)], Role.STAFF, "get"),
    "audit_export": (lambda job: [], Role.STAFF, "post"),
    "cancellation": (lambda job: [job.pk], Role.OPERATOR, "post"),
    "resolution": (lambda job: [job.pk], Role.STAFF, "post"),
    "session_cancellation": (lambda job: [job.pk, 4242], Role.STAFF, "get"),
    "session_termination": (lambda job: [job.pk, 4242], Role.STAFF, "get"),
    "record": (lambda job: [job.pk], Role.STAFF, "get"),
    "invalid_index": (lambda job: [job.pk], Role.STAFF, "get"),
    "makemigrations": (lambda job: [job.database.target.name], Role.STAFF, "get"),
    "merge": (lambda job: [job.database.target.name], Role.STAFF, "get"),
    "transcript": (lambda job: [job.pk], Role.VIEWER, "get"),
    "lines": (lambda job: [job.pk], Role.VIEWER, "get"),
    "search": (lambda job: [job.pk], Role.VIEWER, "get"),
    "job_stream": (lambda job: [job.pk], Role.VIEWER, "get"),
    "account": (lambda job: [], Role.NOBODY, "get"),
    "own_sessions": (lambda job: [], Role.NOBODY, "post"),
    "password": (lambda job: [], Role.NOBODY, "get"),
    "second_factor": (lambda job: [], Role.NOBODY, "get"),
    "second_factor_off": (lambda job: [], Role.NOBODY, "post"),
    "recovery_codes": (lambda job: [], Role.NOBODY, "post"),
    "confirmation": (lambda job: [], Role.NOBODY, "get"),
    "provider_confirmation": (lambda job: [], Role.NOBODY, "get"),
    "tokens": (lambda job: [], Role.VIEWER, "get"),
    "new_token": (lambda job: [], Role.VIEWER, "get"),
    "token_revocation": (lambda job: [4242], Role.NOBODY, "post"),
}
# What is below /api/ is walked in test_api_doors.
OPEN = {"login", "logout", "mfa_authenticate", "provider_sign_in", "provider_back", "nothing_here"}
# In front of the admin's own, without names.
INSTEAD_OF_ADMIN = {None}
# What the job's state or the missing reason refuses was let in: its own tests are about that.
LET_IN = {
    "migration": (404,),
    "snapshots": (422,),
    "audit_export": (422,),
    "resolution": (422,),
    "lines": (400,),
    "search": (400,),
    "record": (404,),
    "provider_confirmation": (404,),
    "invalid_index": (404,),
    "token_revocation": (404,),
}
ROLES = ["nobody", "viewer", "operator", "staff", "superuser"]


def event_of(job: Job) -> int:
    """One of this target."""
    found = AuditEvent.objects.filter(act="target.inspect").first()
    return (found or AuditEvent.objects.record("target.inspect", ALICE, target=job.database)).pk


def plan_of(job: Job) -> int:
    """One that is asked for already."""
    plan = Plan.objects.filter(database=job.database).first()
    return (plan or Plan.objects.create(database=job.database, published_at=clock.now())).pk


def patterns(resolver: URLResolver | None = None) -> Iterator[URLPattern]:
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            yield from patterns(entry)
        else:
            yield entry


def ours() -> list[URLPattern]:
    return [
        p for p in patterns() if p.callback.__module__.startswith(("dbops.", "django.contrib.auth.views"))
    ]


def signed_in(name: str) -> Client:
    client = Client()
    assert client.login(username=name, password=PASSWORD)
    return client


def status_of(client: Client, job: Job, name: str) -> int:
    arguments, _, method = EXPECTED[name]
    response = getattr(client, method)(reverse(name, args=arguments(job)))
    response.close()
    return int(response.status_code)


def test_this_walk_knows_every_url() -> None:
    assert {pattern.name for pattern in ours()} == set(EXPECTED) | OPEN | INSTEAD_OF_ADMIN


def test_every_view_says_which_role_it_needs() -> None:
    declared = {p.name: getattr(p.callback, "needed_role", None) for p in ours() if p.name in EXPECTED}
    assert declared == {name: role for name, (_, role, _) in EXPECTED.items()}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_anonymous_use_is_refused(job: Job, name: str) -> None:
    arguments, _, method = EXPECTED[name]
    url = reverse(name, args=arguments(job))
    response = getattr(Client(), method)(url)
    assert response.status_code == 302
    assert response["Location"].startswith("/login/")


@pytest.mark.parametrize(
    ("referer", "after_login"),
    [
        ("http://testserver/jobs/7/", "/jobs/7/"),
        ("http://evil.example/jobs/7/", "/"),
        ("//evil.example/", "/"),
        ("", "/"),
    ],
)
def test_an_act_after_signing_out_leads_back_to_its_page_and_not_to_its_address(
    job: Job, referer: str, after_login: str
) -> None:
    response = Client().post(reverse("cancellation", args=[job.pk]), headers={"Referer": referer})
    assert response["Location"] == f"/login/?next={after_login}"


def test_an_anonymous_stream_gets_401_instead_of_a_login_page(job: Job) -> None:
    response = Client().get(reverse("job_stream", args=[job.pk]), headers={"Accept": "text/event-stream"})
    assert response.status_code == 401


def test_an_anonymous_htmx_request_is_sent_to_the_login_as_a_whole_page(job: Job) -> None:
    response = Client().get(reverse("overview"), headers={"HX-Request": "true"})
    assert response["HX-Redirect"].startswith("/login/")


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - {"job_stream"}))
@pytest.mark.parametrize("role", ROLES)
def test_a_url_opens_to_its_role_and_those_above(
    people: dict[str, User], job: Job, name: str, role: str
) -> None:
    allowed = Role[role.upper()] >= EXPECTED[name][1]
    status = status_of(signed_in(role), job, name)
    assert (status != 403) == allowed
    assert not allowed or status in LET_IN.get(name, (200, 302))


@pytest.mark.parametrize("role", ROLES)
def test_the_stream_opens_to_viewers_and_those_above(people: dict[str, User], job: Job, role: str) -> None:
    Job.objects.filter(pk=job.pk).update(state="cancelled", finished_at=job.created_at)
    assert (status_of(signed_in(role), job, "job_stream") == 200) == (role != "nobody")


def test_a_deactivated_person_is_signed_out_at_once(people: dict[str, User], job: Job) -> None:
    client = signed_in("operator")
    User.objects.filter(username="operator").update(is_active=False)
    assert client.get(reverse("overview")).status_code == 302


def test_a_refusal_says_which_role_is_missing(people: dict[str, User], job: Job) -> None:
    response = signed_in("viewer").get(reverse("migrate", args=[job.database.target.name, "default"]))
    assert "This needs the role operator; viewer is viewer. Nothing was done." in response.content.decode()


@pytest.mark.parametrize("name", sorted(n for n, (_, _, method) in EXPECTED.items() if method == "post"))
def test_an_act_is_not_done_by_get(people: dict[str, User], job: Job, name: str) -> None:
    assert signed_in("superuser").get(reverse(name, args=EXPECTED[name][0](job))).status_code == 405


@pytest.mark.parametrize(
    "name",
    [
        "inspections",
        "cancellation",
        "resolution",
        "migrate",
        "plans",
        "record",
        "invalid_index",
        "merge",
        "new_token",
    ],
)
def test_an_act_without_the_token_of_the_session_is_refused(
    people: dict[str, User], job: Job, name: str
) -> None:
    client = Client(enforce_csrf_checks=True)
    client.login(username="superuser", password=PASSWORD)
    response = client.post(reverse(name, args=EXPECTED[name][0](job)))
    assert response.status_code == 403
    assert (
        "The form did not carry the token of your session, so nothing was done." in response.content.decode()
    )
    job.refresh_from_db()
    assert job.state == "queued"


@pytest.mark.django_db(transaction=True)
def test_reading_every_page_changes_no_row(people: dict[str, User], job: Job) -> None:
    client = signed_in("superuser")
    plan_of(job)
    event_of(job)
    rows = [Target, TargetDatabase, Job, Inspection, Plan, AuditEvent]

    def contents() -> list[Any]:
        return [list(model._default_manager.order_by("pk").values()) for model in rows]

    before = contents()
    for name, (_, _, method) in EXPECTED.items():
        if method == "get" and name != "job_stream":
            status_of(client, job, name)
    assert contents() == before


@pytest.mark.parametrize(
    "url",
    [
        "/jobs/99999/",
        "/jobs/99999/transcript.txt",
        "/jobs/99999/lines/",
        "/jobs/99999/stream/",
        "/jobs/x/",
        "/targets/none/",
        "/targets/a%00b/",
        "/targets/a b/",
        "/targets/shop%0A/",
        "/targets/a%00b/databases/default/migrate/",
        "/targets/shop/databases/a%00b/migrate/",
        "/targets/shop/databases/none/migrate/",
        "/targets/shop/databases/none/plan/",
        "/targets/shop/databases/default/plans/99999/",
    ],
)
def test_what_does_not_exist_is_not_found(people: dict[str, User], url: str) -> None:
    assert signed_in("superuser").get(url).status_code == 404


def test_the_login_does_not_redirect_elsewhere(people: dict[str, User]) -> None:
    response = Client().post(
        "/login/?next=https://evil.example/", {"username": "viewer", "password": PASSWORD}
    )
    assert response["Location"] == "/"


def test_a_person_signs_out_by_post_only(people: dict[str, User]) -> None:
    client = signed_in("viewer")
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/").status_code == 302
    assert client.get("/").status_code == 302


@pytest.mark.parametrize("role", ["nobody", "viewer", "operator"])
def test_the_configuration_is_closed_to_others_than_staff(people: dict[str, User], role: str) -> None:
    assert signed_in(role).get("/admin/").status_code == 302


def test_the_configuration_refuses_anonymous_use_on_every_url() -> None:
    admin = next(entry for entry in get_resolver().url_patterns if str(entry.pattern) == "admin/")
    assert isinstance(admin, URLResolver)
    walked = 0
    for url in (f"/admin/{pattern.pattern}" for pattern in patterns(admin)):
        if "<" not in url and "(" not in url and url not in ("/admin/login/", "/admin/logout/"):
            response = Client().get(url)
            assert response.status_code == 302 and "login" in response["Location"], url
            walked += 1
    assert walked >= 5


def test_staff_who_is_no_superuser_configures_nothing(people: dict[str, User]) -> None:
    assert signed_in("staff").get("/admin/dbops/target/").status_code == 403


async def test_the_process_answers_livez_without_any_io(django_assert_num_queries: Any) -> None:
    response = await AsyncClient().get("/livez")
    assert (response.status_code, response.content) == (200, b"ok\n")


@pytest.mark.parametrize("host", ["testserver", "10.0.3.7", "another.example.org"])
def test_livez_answers_whatever_name_it_is_asked_by_and_asks_no_database(
    django_assert_num_queries: Any, host: str
) -> None:
    with django_assert_num_queries(0):
        assert Client().get("/livez", headers={"host": host}).status_code == 200


def test_livez_answers_by_http_where_all_else_is_https_only(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get("/livez").status_code == 200
    assert Client().get("/login/").status_code == 301


def test_every_page_forbids_scripts_of_others_and_frames(people: dict[str, User], job: Job) -> None:
    client = signed_in("superuser")
    for url in ["/", "/login/", f"/jobs/{job.pk}/", "/jobs/", "/admin/", "/targets/shop/", "/nowhere/"]:
        response = client.get(url)
        policy = response["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy, url
        assert "unsafe" not in policy
        assert response["X-Frame-Options"] == "DENY"
        assert response["X-Content-Type-Options"] == "nosniff"
