"""The audit trail: acts refused by role stand there, from where they came, and nothing takes a row away."""

import uuid
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.db import InternalError, ProgrammingError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.test import Client, RequestFactory

from dbops import launch
from dbops.access import check, client_address
from dbops.declare import declare
from dbops.execute import execute
from dbops.models import AuditEvent, Job, Target
from dbops.redaction import MASK
from dbops.rights import Role
from tests.integration.conftest import ALICE, PASSWORD, MakeDatabase, MakeTarget, default_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(people: dict[str, User]) -> Client:
    client = Client()
    client.login(username="viewer", password=PASSWORD)
    return client


# Refused by role


def test_an_act_refused_by_role_is_an_audit_event(viewer: Client, make_database: MakeDatabase) -> None:
    make_database()
    url = "/targets/shop/databases/default/migrate/"
    assert viewer.post(url, REMOTE_ADDR="192.0.2.7").status_code == 403
    event = AuditEvent.objects.get()
    assert (event.act, event.actor, event.address) == ("refused", "viewer", "192.0.2.7")
    assert event.actor_id == User.objects.get(username="viewer").pk
    assert event.details == {"url": "migrate", "path": url, "needs": "operator", "has": "viewer"}
    assert not Job.objects.exists()


def test_a_person_without_any_role_is_named_too(people: dict[str, User]) -> None:
    client = Client()
    client.login(username="nobody", password=PASSWORD)
    assert client.post("/jobs/1/cancellation/").status_code == 403
    assert AuditEvent.objects.get().details["has"] == "nobody"


def test_a_page_refused_by_role_is_no_act(viewer: Client, make_database: MakeDatabase) -> None:
    make_database()
    assert viewer.get("/targets/shop/databases/default/migrate/").status_code == 403
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("name", ["%00", "%F0%9F%90%98", "x" * 3000, "%0d%0aforged", "%ed%a0%80"], ids=len)
def test_a_strange_path_can_be_kept(people: dict[str, User], name: str) -> None:
    request: Any = RequestFactory().post(f"/targets/{name}/")
    request.user = people["viewer"]
    with pytest.raises(PermissionDenied):
        check(request, Role.OPERATOR)
    path = AuditEvent.objects.get().details["path"]
    assert path.startswith("/targets/") and path.isascii() and path.isprintable()


# From where


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, None, "10.0.0.1"),
        (0, "192.0.2.1", "10.0.0.1"),
        (1, "192.0.2.1", "192.0.2.1"),
        (1, "6.6.6.6, 192.0.2.1", "192.0.2.1"),
        (2, "6.6.6.6, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
        (2, "192.0.2.1,10.0.0.2", "192.0.2.1"),
        (1, " 2001:db8::1 ", "2001:db8::1"),
        # It did not pass all the proxies: only who spoke to us is certain.
        (2, "192.0.2.1", "10.0.0.1"),
        (1, None, "10.0.0.1"),
        (1, "", "10.0.0.1"),
        (1, "<script>", "10.0.0.1"),
        (1, "unknown", "10.0.0.1"),
        (1, "fe80::1%" + "x" * 500, "10.0.0.1"),
    ],
)
def test_the_address_is_the_one_that_the_outermost_proxy_saw(
    settings: Any, proxies: int, forwarded: str | None, expected: str
) -> None:
    settings.DBOPS = {**settings.DBOPS, "TRUSTED_PROXIES": proxies}
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR="10.0.0.1")
    assert client_address(request) == expected


def test_behind_a_proxy_acts_and_configuration_name_the_person_s_address(
    settings: Any, people: dict[str, User], make_database: MakeDatabase
) -> None:
    settings.DBOPS = {**settings.DBOPS, "TRUSTED_PROXIES": 1}
    make_database()
    client = Client(headers={"X-Forwarded-For": "192.0.2.9"})
    client.login(username="superuser", password=PASSWORD)
    client.post("/targets/shop/inspections/")
    no_grants = {"grants-TOTAL_FORMS": "0", "grants-INITIAL_FORMS": "0"}
    client.post("/admin/auth/group/add/", {"name": "more", **no_grants})
    addresses = dict(AuditEvent.objects.values_list("act", "address"))
    assert addresses == {"target.inspect": "192.0.2.9", "group.create": "192.0.2.9"}


# For ever


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE dbops_auditevent SET actor = 'bob'",
        "DELETE FROM dbops_auditevent",
        "TRUNCATE dbops_auditevent",
        "TRUNCATE dbops_target, dbops_auditevent CASCADE",
    ],
)
def test_the_database_itself_keeps_every_row(statement: str) -> None:
    AuditEvent.objects.record("target.inspect", ALICE)
    with transaction.atomic(), connection.cursor() as cursor:
        # The tests empty every table behind them (tests/conftest.py); here it stands as in production.
        cursor.execute("ALTER TABLE dbops_auditevent ENABLE TRIGGER audit_is_never_truncated")
    refused = pytest.raises((InternalError, ProgrammingError), match="the audit trail is append only")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert AuditEvent.objects.get().actor == "alice"


@pytest.mark.django_db(transaction=True)
def test_what_earlier_versions_wrote_gets_its_outcome_and_its_target(make_database: MakeDatabase) -> None:
    database = make_database()
    executor = MigrationExecutor(connection)
    (own,) = [node for node in executor.loader.graph.nodes if node[1].endswith("_audit_log")]
    (before,) = [node for node in executor.loader.get_migration(*own).dependencies if node[0] == "dbops"]
    newest = executor.loader.graph.leaf_nodes()
    executor.migrate([before])
    acts = ["refused", "job.migrate.refused", "job.migrate", "user.change", "target.change"]
    targets = ["", "shop/default", "shop/default", "shop", "gone"]
    try:
        with connection.cursor() as cursor:
            insert = (
                "INSERT INTO dbops_auditevent (at, actor, act, target, address, reason, details) "
                "VALUES (now(), 'bob', %s, %s, '', '', '{}')"
            )
            cursor.executemany(insert, list(zip(acts, targets, strict=True)))
    finally:
        MigrationExecutor(connection).migrate(newest)
    shop = database.target_id
    told = AuditEvent.objects.order_by("pk").values_list("act", "outcome", "target_id")
    outcomes = ["refused", "refused", "done", "done", "done"]
    assert list(told) == list(zip(acts, outcomes, [None, shop, shop, None, None], strict=True))


# Before and after


def test_a_change_of_a_target_is_kept_field_by_field_and_its_secrets_only_as_changed(
    people: dict[str, User], make_target: MakeTarget
) -> None:
    target = make_target("shop", label="Shop")
    for name, value in (("TOKEN", "old-secret-1"), ("OTHER", "old-secret-2"), ("GONE", "old-secret-3")):
        variable = target.variables.model(target=target, name=name)
        variable.keep(value, secret=True)
        variable.save()
    target.variables.create(name="URL", plain="postgres://shop:hunter22@db/shop")
    by_name = {variable.name: variable.pk for variable in target.variables.all()}
    names = ["TOKEN", "OTHER", "GONE", "URL"]
    rows = {
        f"variables-{number}-{field}": value
        for number, name in enumerate(names)
        for field, value in {"id": by_name[name], "target": target.pk, "name": name}.items()
    }
    client = Client()
    client.login(username="superuser", password=PASSWORD)
    sent = {
        "name": "shop", "label": "Store", "environment": "staging",
        "python": "/nowhere/python -X new-secret-1", "launcher": "manage.py",
        "queue": "jobs", "allow_migrate": "on", **rows,
        "grants-TOTAL_FORMS": 1, "grants-INITIAL_FORMS": 0,
        "grants-0-group": Group.objects.get(name="viewers").pk, "grants-0-role": "staff",
        "variables-TOTAL_FORMS": 4, "variables-INITIAL_FORMS": 4,
        "variables-0-is_secret": "on", "variables-0-value": "new-secret-1",
        "variables-1-is_secret": "on", "variables-1-value": "",
        "variables-2-is_secret": "on", "variables-2-DELETE": "on",
        "variables-3-value": "postgres://shop:hunter23@db/store",
    }  # fmt: skip
    response = client.post(f"/admin/dbops/target/{target.pk}/change/", sent)
    assert response.status_code == 302, response.context["errors"]
    event = AuditEvent.objects.get(act="target.change")
    assert event.target_id == target.pk
    assert event.before == {
        "label": "Shop", "environment": "development", "python": ["/nowhere/python"], "granted": [],
        "variable TOKEN": "a secret", "variable GONE": "a secret", "variable URL": f"postgres://shop:{MASK}@db/shop",
    }  # fmt: skip
    assert event.after == {
        "label": "Store", "environment": "staging", "python": ["/nowhere/python", "-X", MASK],
        "granted": ["staff to viewers"],
        "variable TOKEN": "another secret", "variable URL": f"postgres://shop:{MASK}@db/store",
    }  # fmt: skip


def test_who_got_which_role_and_that_a_password_changed_is_kept(people: dict[str, User]) -> None:
    client, viewer = Client(), people["viewer"]
    client.login(username="superuser", password=PASSWORD)
    operators = Group.objects.get(name="operators")
    joined = f"{viewer.date_joined:%Y-%m-%d}", f"{viewer.date_joined:%H:%M:%S}"
    sent = {
        "username": "viewer", "is_active": "on", "is_staff": "on", "groups": [operators.pk],
        "date_joined_0": joined[0], "date_joined_1": joined[1],
    }  # fmt: skip
    response = client.post(f"/admin/auth/user/{viewer.pk}/change/", sent)
    assert response.status_code == 302, response.context["errors"]
    event = AuditEvent.objects.get(act="user.change")
    assert (event.before, event.after) == (
        {"is_staff": False, "groups": ["viewers"]},
        {"is_staff": True, "groups": ["operators"]},
    )
    new = {
        "password1": "another long password",
        "password2": "another long password",
        "usable_password": "true",
    }
    assert client.post(f"/admin/auth/user/{viewer.pk}/password/", new).status_code == 302
    event = AuditEvent.objects.get(act="user.change", before__has_key="password")
    assert (event.before, event.after) == ({"password": "a secret"}, {"password": "another secret"})
    assert client.post(f"/admin/auth/user/{viewer.pk}/delete/", {"post": "yes"}).status_code == 302
    event = AuditEvent.objects.get(act="user.delete")
    assert event.before and event.before["username"] == "viewer" and event.after is None


def test_what_a_declaration_changes_is_kept() -> None:
    told = {"python": "python", "env": {"A": "1"}, "secret_env": {"KEY": "canary-4711"}}
    declare("shop", told, ALICE)
    declare("shop", told, ALICE)
    declare("shop", {**told, "label": "Shop", "env": {}, "secret_env": {"KEY": "canary-4712"}}, ALICE)
    first, second = AuditEvent.objects.order_by("pk")
    assert first.after and (first.act, first.before, first.after["variable KEY"]) == (
        "target.create",
        None,
        "a secret",
    )
    assert second.before == {"label": "", "variable A": "1", "variable KEY": "a secret"}
    assert second.after == {"label": "Shop", "variable KEY": "another secret"}
    assert second.target_id == Target.objects.get().pk


# How a job ended


def end_of(job: Job) -> AuditEvent:
    return AuditEvent.objects.get(act=f"job.{job.operation}.end", job_id=job.pk)


@pytest.mark.django_db(transaction=True)
def test_a_job_s_end_is_an_event_with_what_was_to_apply_before_and_after(blog: Target) -> None:
    database = default_of(blog)
    started = launch.start(database, "migrate", {}, ALICE, key=uuid.uuid4(), reason="release").job
    asked = AuditEvent.objects.get(act="job.migrate")
    execute(started.pk, "w1")
    end = end_of(started)
    assert (end.outcome, end.actor, end.address, end.target_id) == (
        "done",
        "alice",
        started.asked_from,
        blog.pk,
    )
    assert asked.before and end.before and end.after
    assert asked.before["pending"] == end.before["pending"] == end.after["recorded"] != []
    assert end.after["pending"] == []
    started.refresh_from_db()
    assert end.reason == started.outcome


@pytest.mark.django_db(transaction=True)
def test_a_job_that_its_worker_refused_is_a_refusal(blog: Target) -> None:
    stale = launch.start(
        default_of(blog), "migrate", {"expected_plan": "0" * 64}, ALICE, key=uuid.uuid4()
    ).job
    execute(stale.pk, "w1")
    end = end_of(stale)
    assert (end.outcome, end.details["state"], end.details["error"]) == ("refused", "failed", "PlanChanged")
    assert end.before and end.after and end.before["pending"] == end.after["pending"] != []


def test_a_job_that_nobody_began_ends_with_its_cancel(make_job: Any) -> None:
    job = make_job()
    launch.cancel(job, ALICE, "not today")
    event = AuditEvent.objects.get(act="job.cancel")
    assert (event.before, event.after, event.outcome) == ({"state": "queued"}, {"state": "cancelled"}, "done")
    assert (end_of(job).outcome, end_of(job).details["state"]) == ("failed", "cancelled")
    launch.cancel(job, ALICE, "again")
    assert AuditEvent.objects.filter(act="job.cancel").first().outcome == "refused"  # type: ignore[union-attr]
    end_of(job)


def test_a_lost_job_that_staff_resolved_has_one_end(make_job: Any) -> None:
    job = make_job(state="lost")
    launch.resolve(job, ALICE, "the server was reinstalled")
    event = AuditEvent.objects.get(act="job.resolve")
    assert (event.before, event.after) == ({"state": "lost"}, {"state": "failed"})
    assert "the server was reinstalled" in end_of(job).reason
    with pytest.raises(launch.RefusedError):
        launch.resolve(job, ALICE, "again")
    refused = AuditEvent.objects.get(act="job.resolve.refused")
    assert (refused.outcome, refused.before, refused.after) == (
        "refused",
        {"state": "failed"},
        {"state": "failed"},
    )
    end_of(job)


# Refused by others than roles


def test_a_form_without_its_token_is_kept_as_refused(people: dict[str, User], make_job: Any) -> None:
    job, client = make_job(), Client(enforce_csrf_checks=True)
    client.login(username="operator", password=PASSWORD)
    response = client.post(f"/jobs/{job.pk}/cancellation/")
    assert response.status_code == 403 and "operator" in response.content.decode()
    event = AuditEvent.objects.get()
    assert (event.act, event.outcome, event.actor) == ("refused", "refused", "operator")
    assert event.reason.startswith("CSRF: ") and event.details["url"] == "cancellation"


def test_what_the_configuration_refuses_by_its_own_rules_is_kept(people: dict[str, User]) -> None:
    client = Client()
    client.login(username="staff", password=PASSWORD)
    assert client.post("/admin/auth/user/add/", {"username": "mallory"}).status_code == 403
    event = AuditEvent.objects.get()
    assert (event.act, event.actor, event.details["path"]) == ("refused", "staff", "/admin/auth/user/add/")
    assert client.get("/admin/auth/user/add/").status_code == 403
    assert AuditEvent.objects.count() == 1


def test_who_is_not_signed_in_writes_nothing_into_the_audit_trail(db: None) -> None:
    assert (
        Client(enforce_csrf_checks=True).post("/login/", {"username": "x", "password": "y"}).status_code
        == 403
    )
    assert not AuditEvent.objects.exists()


def test_rotating_the_keys_is_kept(db: None) -> None:
    call_command("rotate_secrets", stdout=StringIO())
    assert AuditEvent.objects.get().act == "secrets.rotate"
