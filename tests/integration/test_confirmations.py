"""Dangerous acts need somebody who said a moment ago who they are."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from dbops import confirming
from dbops.models import AuditEvent, Job
from dbops.rights import Role
from tests.integration.conftest import PASSWORD
from tests.integration.signing import (
    GROUP,
    code_of,
    grow_old,
    next_code,
    sealed_in,
    set_up,
    signed_in,
    type_password,
)
from tests.integration.test_doors import EXPECTED, ours

pytestmark = pytest.mark.django_db

DANGEROUS = sorted(name for name, (_, role, _) in EXPECTED.items() if role >= Role.STAFF)
OF_ONES_ACCOUNT = ["password", "second_factor", "second_factor_off", "recovery_codes", "new_token"]
# Nothing can be sent there.
ONLY_LOOKED_AT = {"audit", "audit_event"}
HERE = {"Referer": "http://testserver/jobs/7/?step=2"}
CONFIRM = "/account/confirmation/?next=%2Fjobs%2F7%2F%3Fstep%3D2"


@pytest.fixture
def job(make_job: Callable[..., Job]) -> Job:
    return make_job()


def url_of(name: str, job: Job) -> str:
    return reverse(name, args=EXPECTED[name][0](job))


def rows() -> list[Any]:
    models = [Job, AuditEvent, User, Group]
    return [list(model._default_manager.order_by("pk").values()) for model in models]


def test_every_view_that_needs_staff_needs_a_confirmation_by_itself() -> None:
    asking = {p.name for p in ours() if getattr(p.callback, "needs_confirmation", False)}
    assert asking == set(DANGEROUS) | set(OF_ONES_ACCOUNT)


@pytest.mark.parametrize("name", sorted({*DANGEROUS, *OF_ONES_ACCOUNT} - ONLY_LOOKED_AT))
def test_an_act_is_not_done_for_whoever_finds_an_open_browser(
    people: dict[str, User], job: Job, name: str
) -> None:
    client = signed_in("superuser")
    grow_old(client)
    before = rows()
    answer = client.post(url_of(name, job), {"reason": "because"}, headers=HERE)
    assert answer["Location"] == CONFIRM
    page = client.get(CONFIRM).content.decode()
    assert "Nothing was done. This needs to know that it is you" in page
    assert rows() == before


@pytest.mark.parametrize("name", DANGEROUS)
def test_who_has_just_signed_in_is_not_asked(people: dict[str, User], job: Job, name: str) -> None:
    answer = signed_in("superuser").post(url_of(name, job), {}, headers=HERE)
    assert answer.headers.get("Location") != CONFIRM


def test_by_htmx_the_whole_page_is_left(people: dict[str, User], job: Job) -> None:
    client = signed_in("staff")
    grow_old(client)
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/jobs/7/?step=2"}
    answer = client.post(url_of("resolution", job), headers=headers)
    assert answer["HX-Redirect"] == CONFIRM


def test_a_stream_is_told_what_it_needs(people: dict[str, User], job: Job) -> None:
    client = signed_in("staff")
    grow_old(client)
    answer = client.post(url_of("resolution", job), headers={"Accept": "text/event-stream"})
    assert answer.status_code == 403
    assert answer.content.decode().startswith("Nothing was done. This needs to know that it is you")


def test_behind_the_confirmation_is_the_page_and_the_act_is_not_done_by_itself(
    people: dict[str, User], job: Job
) -> None:
    Job.objects.filter(pk=job.pk).update(state="lost")
    client = signed_in("staff")
    grow_old(client)
    page = reverse("job", args=[job.pk])
    client.post(
        url_of("resolution", job), {"reason": "seen"}, headers={"Referer": f"http://testserver{page}"}
    )
    answer = client.post("/account/confirmation/", {"password": PASSWORD, "next": page}, follow=True)
    assert answer.redirect_chain == [(page, 302)]
    assert "Nothing was sent for you meanwhile" in answer.content.decode()
    job.refresh_from_db()
    assert job.state == "lost"
    client.post(url_of("resolution", job), {"reason": "seen"})
    job.refresh_from_db()
    assert job.state != "lost"
    acts = list(AuditEvent.objects.order_by("id").values_list("act", flat=True))
    assert acts[:2] == ["sign_in", "confirmation"]


def test_a_code_of_the_second_factor_confirms_too(people: dict[str, User], job: Job) -> None:
    client = signed_in("staff")
    secret, codes = set_up(client)
    for code in (next_code(secret), codes[0]):
        grow_old(client)
        assert client.post("/account/confirmation/", {"code": code, "next": "/jobs/"})["Location"] == "/jobs/"
        assert client.post(url_of("resolution", job), headers=HERE).status_code == 422
    grow_old(client)
    assert client.post("/account/confirmation/", {"code": codes[0]}).status_code == 422


def test_wrong_passwords_confirm_nothing_and_must_wait_in_the_end(people: dict[str, User], job: Job) -> None:
    client = signed_in("staff")
    grow_old(client)
    for _ in range(5):
        answer = client.post("/account/confirmation/", {"password": "wrong"})
        assert answer.status_code == 422 and "This is not your password." in answer.content.decode()
    answer = client.post("/account/confirmation/", {"password": PASSWORD})
    assert answer.status_code == 429 and "Wait some minutes" in answer.content.decode()
    assert client.post(url_of("resolution", job), headers=HERE)["Location"] == CONFIRM
    assert client.get("/").status_code == 200
    assert AuditEvent.objects.filter(act="confirmation.failed", actor="staff").count() == 5


NEW = "a much better battery"
WRONG = {
    "password": ("/account/confirmation/", {"password": "wrong"}),
    "code": ("/account/confirmation/", {"code": "000000"}),
    "old password": (
        "/account/password/",
        {"old_password": "wrong", "new_password1": NEW, "new_password2": NEW},
    ),
    "code of a set-up": ("/account/second-factor/", {"code": "000000"}),
}


@pytest.mark.parametrize("by", WRONG)
def test_a_wrong_try_of_who_is_signed_in_is_audited_as_that(people: dict[str, User], by: str) -> None:
    client = signed_in("staff")
    if by == "code":
        set_up(client)
    path, sent = WRONG[by]
    assert [client.post(path, sent).status_code for _ in range(6)] == [422] * 5 + [429]
    events = list(AuditEvent.objects.filter(actor="staff").values_list("act", "details__by"))
    assert events.count(("confirmation.failed", by)) == 5
    assert not [act for act, _ in events if act == "sign_in.failed"]
    assert AuditEvent.objects.filter(act="sign_in.limited", actor="staff").count() == 1


def test_a_weak_new_password_behind_the_right_old_one_is_no_failed_try(people: dict[str, User]) -> None:
    client = signed_in("staff")
    sent = {"old_password": PASSWORD, "new_password1": "short", "new_password2": "short"}
    assert {client.post("/account/password/", sent).status_code for _ in range(6)} == {422}
    assert not AuditEvent.objects.filter(act="confirmation.failed").exists()


def test_who_is_signed_in_says_who_they_are_whoever_fails_at_their_address(people: dict[str, User]) -> None:
    client = signed_in("staff")
    page = client.get("/account/second-factor/").content.decode()
    for number in range(21):
        type_password(Client(), f"nobody{number}", "wrong")
    assert type_password(Client(), "viewer").status_code == 429
    assert client.post("/account/confirmation/", {"password": PASSWORD}).status_code == 302
    secret = re.findall(r'id="secret">([A-Z2-7 ]+)<', page)[0]
    sent = {"code": code_of(secret), "sealed": sealed_in(page)}
    assert client.post("/account/second-factor/", sent).status_code == 200
    assert client.post("/account/confirmation/", {"code": next_code(secret)}).status_code == 302
    sent = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    assert client.post("/account/password/", sent).status_code == 302


@pytest.mark.parametrize("field", ["password", "code"])
def test_the_limit_of_confirmations_is_lifted_with_those_of_the_name(
    people: dict[str, User], field: str
) -> None:
    client = signed_in("staff")
    set_up(client)
    tries = [client.post("/account/confirmation/", {field: "000000"}).status_code for _ in range(6)]
    assert tries == [422] * 5 + [429]
    call_command("lift_limits", "--name", "staff")
    assert client.post("/account/confirmation/", {"password": PASSWORD}).status_code == 302


def test_what_operators_do_needs_none(people: dict[str, User], job: Job) -> None:
    client = signed_in("operator")
    grow_old(client)
    assert client.post(url_of("cancellation", job), headers=HERE)["Location"] == reverse("job", args=[job.pk])


@pytest.mark.parametrize(
    "path", ["/admin/auth/group/add/", "/admin/auth/user/1/password/", "/admin/dbops/target/"]
)
def test_the_configuration_is_not_changed_without_one(people: dict[str, User], path: str) -> None:
    client = signed_in("superuser")
    grow_old(client)
    before = rows()
    answer = client.post(path, GROUP, headers={"Referer": f"http://testserver{path}"})
    assert answer["Location"].startswith("/account/confirmation/")
    assert rows() == before
    assert client.get("/admin/auth/group/add/").status_code == 200
    client.post("/account/confirmation/", {"password": PASSWORD})
    client.post("/admin/auth/group/add/", GROUP)
    assert Group.objects.filter(name="mine").exists()


@pytest.mark.parametrize(
    "moment",
    [
        None,
        "now",
        5,
        {},
        {"user": "1"},
        {"at": 1e12},
        {"user": "USER", "at": None},
        {"user": "USER", "at": "9999999999"},
        {"user": "USER", "at": float("inf")},
        {"user": "USER", "at": float("nan")},
        {"user": "USER", "at": 9999999999.0},
        {"user": "USER", "at": -1.0},
        {"user": "another", "at": "NOW"},
    ],
)
def test_a_moment_that_is_forged_or_of_somebody_else_is_none(
    people: dict[str, User], job: Job, moment: Any
) -> None:
    client = signed_in("staff")
    session = client.session
    now = session[confirming.MOMENT]["at"]
    if isinstance(moment, dict):
        filled = {"USER": str(people["staff"].pk), "NOW": now}
        moment = {
            name: filled.get(value, value) if isinstance(value, str) else value
            for name, value in moment.items()
        }
    session[confirming.MOMENT] = moment
    session.save()
    assert client.post(url_of("resolution", job), headers=HERE)["Location"] == CONFIRM


def test_how_long_a_confirmation_holds_is_a_knob(people: dict[str, User], job: Job, settings: Any) -> None:
    client = signed_in("staff")
    grow_old(client, 290)
    assert client.post(url_of("resolution", job), headers=HERE).status_code == 422
    settings.DBOPS = {**settings.DBOPS, "REAUTH_S": 60}
    assert client.post(url_of("resolution", job), headers=HERE)["Location"] == CONFIRM


def test_nobody_carries_a_confirmation_over_to_another_person(people: dict[str, User], job: Job) -> None:
    client = signed_in("superuser")
    kept = client.session[confirming.MOMENT]
    client.post("/logout/")
    assert confirming.MOMENT not in client.session
    client.force_login(people["staff"])
    session = client.session
    session[confirming.MOMENT] = kept
    session.save()
    assert client.post(url_of("resolution", job), headers=HERE)["Location"] == CONFIRM


def test_a_person_without_password_and_second_factor_is_told_whom_to_ask(people: dict[str, User]) -> None:
    client = Client()
    people["staff"].set_unusable_password()
    people["staff"].save()
    client.force_login(people["staff"])
    assert "There is no way to confirm it" in client.get("/account/confirmation/").content.decode()
    assert client.post("/account/confirmation/", {"password": "x"}).status_code == 422
