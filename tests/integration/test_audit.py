"""The audit trail: acts refused by role stand there, from where they came, and nothing takes a row away."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import InternalError, ProgrammingError, connection, transaction
from django.test import Client, RequestFactory

from dbops.access import check, client_address
from dbops.models import AuditEvent, Job
from dbops.rights import Role
from tests.integration.conftest import ALICE, PASSWORD, MakeDatabase

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
