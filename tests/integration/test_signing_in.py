"""Who signs in, and how often one may try. No answer tells who exists, and no address leads elsewhere."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.test import Client
from django.urls import NoReverseMatch, get_resolver, reverse

from dbops.models import AuditEvent, Counter
from tests.integration.conftest import PASSWORD
from tests.integration.signing import is_in, signed_in, type_password

pytestmark = pytest.mark.django_db

WAIT = "Too many failed tries."


def words(response: Any) -> str:
    """The page without what is another one each time."""
    return re.sub(
        r'[A-Za-z0-9]{64}|data-server-now="[^"]*"|name="username" value="[^"]*"', "", html_of(response)
    )


def html_of(response: Any) -> str:
    return str(response.content.decode())


def acts() -> list[tuple[str, str]]:
    return list(AuditEvent.objects.order_by("id").values_list("act", "actor"))


def fail(client: Client, name: str, times: int, **more: Any) -> None:
    for _ in range(times):
        type_password(client, name, "a wrong one", **more)


def test_the_key_of_the_session_is_another_one_behind_the_sign_in(people: dict[str, User]) -> None:
    client = Client()
    session = client.session
    session["planted"] = True
    session.save()
    assert type_password(client, "viewer").status_code == 302
    assert client.session["planted"] and client.session.session_key != session.session_key
    assert not Session.objects.filter(pk=session.session_key).exists()


def test_nothing_tells_who_exists(people: dict[str, User]) -> None:
    User.objects.create_user("asleep", password=PASSWORD, is_active=False)
    answers = [
        type_password(Client(), name, password)
        for name, password in [("viewer", "wrong"), ("nobody-at-all", PASSWORD), ("asleep", PASSWORD)]
    ]
    assert {answer.status_code for answer in answers} == {200}
    assert len({words(answer) for answer in answers}) == 1
    assert "Please enter a correct username and password" in words(answers[0])


@pytest.mark.parametrize("name", ["viewer", "nobody-at-all"])
def test_a_name_that_failed_too_often_must_wait_whoever_it_is(people: dict[str, User], name: str) -> None:
    fail(Client(), name, 5)
    answer = type_password(Client(), name)
    assert answer.status_code == 429
    assert WAIT in answer.content.decode() and "Wait some minutes" in answer.content.decode()
    assert type_password(Client(), "operator").status_code == 302, "another name is not concerned"


def test_a_name_is_the_same_name_however_it_is_written(people: dict[str, User]) -> None:
    for written in ("viewer", "VIEWER", " viewer", "Viewer ", "vieweR"):
        fail(Client(), written, 1)
    assert type_password(Client(), "viewer").status_code == 429


def test_an_address_that_failed_too_often_must_wait_whatever_it_claims_to_be(people: dict[str, User]) -> None:
    for number in range(20):
        fail(Client(), f"name{number}", 1, REMOTE_ADDR="192.0.2.9")
    forged = {"HTTP_X_FORWARDED_FOR": "198.51.100.1"}
    assert type_password(Client(), "viewer", REMOTE_ADDR="192.0.2.9", **forged).status_code == 429
    assert type_password(Client(), "viewer", REMOTE_ADDR="192.0.2.10").status_code == 302


def test_behind_a_proxy_of_ours_the_address_is_the_one_that_it_saw(
    people: dict[str, User], settings: Any
) -> None:
    settings.DBOPS = {**settings.DBOPS, "TRUSTED_PROXIES": 1}
    for number in range(20):
        header = f"203.0.113.{number}, 192.0.2.9"
        fail(Client(), f"name{number}", 1, HTTP_X_FORWARDED_FOR=header)
    assert type_password(Client(), "viewer", HTTP_X_FORWARDED_FOR="192.0.2.9").status_code == 429
    assert type_password(Client(), "viewer", HTTP_X_FORWARDED_FOR="192.0.2.10").status_code == 302


def test_a_right_password_in_between_does_not_undo_the_failures(people: dict[str, User]) -> None:
    for number in range(20):
        fail(Client(), f"name{number}", 1)
        assert number or type_password(Client(), "viewer").status_code == 302
    assert type_password(Client(), "viewer").status_code == 429


def test_the_counters_are_in_our_database_so_that_every_web_process_knows_them(
    people: dict[str, User],
) -> None:
    fail(Client(), "viewer", 5)
    assert Counter.objects.filter(key__contains="login_failed").count() == 2
    Counter.objects.all().delete()
    assert type_password(Client(), "viewer").status_code == 302


def test_somebody_signs_in_while_redis_is_away(people: dict[str, User], settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    fail(Client(), "viewer", 1)
    assert type_password(Client(), "viewer").status_code == 302


def test_without_our_database_the_sign_in_says_so(people: dict[str, User], monkeypatch: Any) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("the server closed the connection unexpectedly")

    monkeypatch.setattr("dbops.signing.adapters.authenticate", away)
    answer = type_password(Client(raise_request_exception=False), "viewer")
    assert answer.status_code == 503
    assert "own database" in answer.content.decode()


def test_whoever_is_in_stays_in_while_the_name_must_wait(people: dict[str, User]) -> None:
    client = signed_in("viewer")
    fail(Client(), "viewer", 6)
    assert client.get("/").status_code == 200
    assert client.post("/account/confirmation/", {"password": PASSWORD}).status_code == 302


def test_a_limit_is_lifted_from_the_shell_for_a_name_or_an_address(
    people: dict[str, User], capsys: Any
) -> None:
    fail(Client(), "viewer", 6)
    call_command("lift_limits", "--name", "viewer")
    assert type_password(Client(), "viewer").status_code == 302
    for number in range(20):
        fail(Client(), f"name{number}", 1, REMOTE_ADDR="2001:db8::7")
    assert type_password(Client(), "viewer", REMOTE_ADDR="2001:db8::8").status_code == 429, "one network"
    call_command("lift_limits", "--address", "2001:db8::7")
    assert type_password(Client(), "viewer", REMOTE_ADDR="2001:db8::7").status_code == 302
    assert AuditEvent.objects.filter(act="limits.lift").count() == 2
    with pytest.raises(CommandError, match="Say whose"):
        call_command("lift_limits")


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example/",
        "\\\\evil.example/",
        "https://evil.example/",
        "https:evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "\thttps://evil.example/",
        "/\r\nSet-Cookie: x=1",
        "http://testserver@evil.example/",
        "https://testserver.evil.example/",
    ],
)
def test_no_address_leads_elsewhere(people: dict[str, User], wanted: str) -> None:
    client = Client()
    answers = [
        type_password(Client(), "viewer", next=wanted),
        client.get("/admin/login/", {"next": wanted}),
    ]
    client = signed_in("viewer")
    answers.append(client.get("/login/", {"next": wanted}))
    answers.append(client.post("/account/confirmation/", {"password": PASSWORD, "next": wanted}))
    for answer in answers:
        place = answer["Location"]
        assert place.startswith("/") and not place.startswith(("//", "/\\")), place
        assert "evil" not in place and "\n" not in place
        assert "Set-Cookie" not in answer.headers


def test_a_page_of_ours_is_come_back_to(people: dict[str, User]) -> None:
    assert type_password(Client(), "viewer", next="/jobs/?state=failed")["Location"] == "/jobs/?state=failed"


def test_the_trail_knows_who_came_and_went_but_no_name_that_nobody_has(people: dict[str, User]) -> None:
    client = signed_in("viewer")
    client.post("/logout/")
    fail(Client(), "viewer", 1)
    fail(Client(), PASSWORD, 7)
    assert acts() == [
        ("sign_in", "viewer"),
        ("sign_out", "viewer"),
        ("sign_in.failed", "viewer"),
        *[("sign_in.failed", "unknown")] * 5,
        ("sign_in.limited", "unknown"),
    ]
    event = AuditEvent.objects.filter(act="sign_in").get()
    assert (event.address, event.details, event.actor_id) == (
        "127.0.0.1",
        {"by": ["password"]},
        people["viewer"].pk,
    )
    assert PASSWORD not in str(list(AuditEvent.objects.values()))


def test_a_typed_name_is_in_no_counter(people: dict[str, User]) -> None:
    fail(Client(), "hunter2-in-the-wrong-field", 6)
    assert Counter.objects.exists() and not Counter.objects.filter(key__contains="hunter2").exists()


@pytest.mark.parametrize("wanted", ["/admin/", "/admin/dbops/target/?q=shop"])
def test_the_admin_has_no_way_in_of_its_own(people: dict[str, User], wanted: str) -> None:
    answer = Client().get("/admin/login/", {"next": wanted})
    assert answer["Location"] == f"{reverse('login')}?next={wanted.replace('?', '%3F').replace('=', '%3D')}"
    asked = Client().post("/admin/login/", {"username": "superuser", "password": PASSWORD})
    assert asked["Location"].startswith("/login/") and not asked.cookies


def test_who_may_not_configure_is_told_so_and_not_sent_in_a_circle(people: dict[str, User]) -> None:
    client = signed_in("viewer")
    answer = client.get("/admin/", follow=True)
    assert answer.status_code == 403
    assert "The configuration needs the role staff; viewer has not got it." in answer.content.decode()


def test_the_admin_changes_ones_own_password_where_all_do(people: dict[str, User]) -> None:
    assert signed_in("superuser").get("/admin/password_change/")["Location"] == "/account/password/"


@pytest.mark.parametrize(
    "path",
    [
        "/signup/", "/accounts/", "/accounts/login/", "/accounts/signup/", "/account/signup/", "/2fa/",
        "/password/reset/", "/account/inactive/", "/login/code/confirm/", "/confirm-email/x/", "/mfa/",
        "/account/email/",
        "/account/2fa/webauthn/", "/account/recovery-codes/download/", "/reauthenticate/",
    ],
)  # fmt: skip
def test_nothing_of_the_library_is_there_that_is_not_wanted(people: dict[str, User], path: str) -> None:
    assert signed_in("superuser").get(path).status_code == 404


@pytest.mark.parametrize(
    "name",
    [
        "account_signup",
        "account_reset_password",
        "account_email",
        "mfa_index",
        "mfa_add_webauthn",
        "account_login",
    ],
)
def test_no_url_of_the_library_has_a_name_here(name: str) -> None:
    with pytest.raises(NoReverseMatch):
        reverse(name)


def test_every_link_of_the_pages_of_signing_in_leads_somewhere(people: dict[str, User]) -> None:
    client = signed_in("superuser")
    pages = ["/account/", "/account/password/", "/account/second-factor/", "/account/confirmation/"]
    for page in pages:
        links = re.findall(r'<a [^>]*href="(/[^"]*)"', client.get(page).content.decode())
        assert links
        for link in links:
            assert client.get(link).status_code == 200, f"{link} of {page}"
    assert len(get_resolver().url_patterns) > 1


def test_a_locked_out_person_is_not_signed_in_by_the_page_of_the_code(people: dict[str, User]) -> None:
    client = Client()
    assert client.get("/login/code/")["Location"] == "/login/"
    assert client.post("/login/code/", {"code": "123456"})["Location"] == "/login/"
    assert not is_in(client)


def test_who_may_configure_is_led_there_by_the_login_of_the_admin(people: dict[str, User]) -> None:
    for name in ("staff", "superuser"):
        assert signed_in(name).get("/admin/login/?next=/admin/")["Location"] == "/admin/"
    assert signed_in("operator").get("/admin/login/").status_code == 403
