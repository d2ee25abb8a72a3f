"""Second factors: an app on a phone, codes for when it is lost, and who must have one."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from dbops import sealing
from dbops.models import AuditEvent, Job
from tests.integration.conftest import PASSWORD
from tests.integration.signing import (
    GROUP,
    code_of,
    grow_old,
    is_in,
    next_code,
    sealed_in,
    set_up,
    signed_in,
    type_password,
)

pytestmark = pytest.mark.django_db


def test_it_is_set_up_by_a_picture_or_a_text_and_a_code_of_it(people: dict[str, User]) -> None:
    client = signed_in("viewer")
    page = client.get("/account/second-factor/").content.decode()
    assert re.search(r'<img class="qr" src="data:image/svg\+xml;base64,[A-Za-z0-9+/=]+"', page)
    wrong = client.post("/account/second-factor/", {"code": "000000"})
    assert wrong.status_code == 422 and "This code is not right" in wrong.content.decode()
    assert not Authenticator.objects.exists()
    secret, codes = set_up(client)
    assert len(codes) == len(set(codes)) == 10
    assert "Recovery codes left: <strong>10</strong>" in client.get("/account/").content.decode()
    assert client.get("/account/second-factor/")["Location"] == "/account/"
    assert secret not in client.get("/account/").content.decode()


def test_neither_secret_nor_codes_lie_open_in_the_database(people: dict[str, User]) -> None:
    client = signed_in("viewer")
    secret, codes = set_up(client)
    secret = secret.replace(" ", "")
    rows = str(list(Authenticator.objects.values())) + str(dict(client.session))
    assert secret not in rows and not [code for code in codes if code in rows]
    assert sealing.unseal(Authenticator.objects.get(type="totp").data["secret"]) == secret


def test_the_password_alone_does_not_sign_in_any_more(people: dict[str, User]) -> None:
    secret, _ = set_up(signed_in("viewer"))
    client = Client()
    answer = type_password(client, "viewer", next="/jobs/")
    assert answer["Location"] == "/login/code/" and not is_in(client)
    assert client.get("/").status_code == 302 and not is_in(client)
    wrong = client.post("/login/code/", {"code": "000000"})
    assert (
        wrong.status_code == 422 and "This code is not right" in wrong.content.decode() and not is_in(client)
    )
    key = client.session.session_key
    assert client.post("/login/code/", {"code": next_code(secret)})["Location"] == "/jobs/"
    assert is_in(client) and client.session.session_key != key
    assert AuditEvent.objects.filter(act="sign_in").last() is not None
    event = AuditEvent.objects.filter(act="sign_in").order_by("id").last()
    assert event and event.details == {"by": ["password", "mfa"]}


def test_a_code_signs_in_once(people: dict[str, User]) -> None:
    secret, codes = set_up(signed_in("viewer"))
    for code in (next_code(secret), codes[0]):
        for is_first in (True, False):
            client = Client()
            type_password(client, "viewer")
            client.post("/login/code/", {"code": code})
            assert is_in(client) == is_first
    assert "Recovery codes left: <strong>8</strong>" in _page_of_viewer(codes[1])


def _page_of_viewer(code: str) -> str:
    client = Client()
    type_password(client, "viewer")
    client.post("/login/code/", {"code": code})
    return client.get("/account/").content.decode()


def _switch_off(owner: Client) -> None:
    User.objects.filter(username="viewer").update(is_active=False)


def _new_password(owner: Client) -> None:
    new = "a much better battery"
    owner.post("/account/password/", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})


def _by_another_hand(owner: Client) -> None:
    user = User.objects.get(username="viewer")
    user.set_password("a much better battery")
    user.save()


def _end_others(owner: Client) -> None:
    owner.post("/account/sessions/", {"others": "1"})


@pytest.mark.parametrize("end", [_switch_off, _new_password, _by_another_hand, _end_others])
def test_what_ends_logins_ends_those_that_wait_for_their_code(
    people: dict[str, User], end: Callable[[Client], None]
) -> None:
    owner = signed_in("viewer")
    secret, _ = set_up(owner)
    waiting = Client()
    type_password(waiting, "viewer")
    assert waiting.get("/login/code/").status_code == 200
    before = AuditEvent.objects.filter(act="sign_in").count()
    end(owner)
    answer = waiting.post("/login/code/", {"code": next_code(secret)}, follow=True)
    assert answer.redirect_chain == [("/login/", 302)] and not is_in(waiting)
    assert "was ended meanwhile. Nobody is signed in." in answer.content.decode()
    assert AuditEvent.objects.filter(act="sign_in").count() == before
    assert waiting.get("/login/code/")["Location"] == "/login/", "it is gone"


def test_it_is_set_up_once_however_many_do_it_at_once(people: dict[str, User], monkeypatch: Any) -> None:
    """In two tabs: elsewhere nobody is signed in any more by then."""
    client = signed_in("viewer")
    page = client.get("/account/second-factor/").content.decode()
    found = re.search(r'id="secret">([A-Z2-7 ]+)<', page)
    assert found
    set_up(client)
    kept = list(Authenticator.objects.order_by("pk").values())
    monkeypatch.setattr("dbops.views.account.factors.has", lambda user: False)
    sent = {"code": code_of(found[1]), "sealed": sealed_in(page)}
    assert client.post("/account/second-factor/", sent)["Location"] == "/account/"
    assert list(Authenticator.objects.order_by("pk").values()) == kept
    assert AuditEvent.objects.filter(act="second_factor.on").count() == 1


def test_codes_are_guessed_a_few_times_only_whoever_guesses(people: dict[str, User]) -> None:
    secret, codes = set_up(signed_in("viewer"))
    for number in range(5):
        client = Client()
        type_password(client, "viewer", REMOTE_ADDR=f"192.0.2.{number}")
        client.post("/login/code/", {"code": "000000"}, REMOTE_ADDR=f"192.0.2.{number}")
    client = Client()
    type_password(client, "viewer")
    for code in (next_code(secret), codes[0]):
        answer = client.post("/login/code/", {"code": code})
        assert (
            answer.status_code == 429 and "Wait some minutes" in answer.content.decode() and not is_in(client)
        )
    call_command("lift_limits", "--name", "viewer")
    client.post("/login/code/", {"code": codes[0]})
    assert is_in(client)


def test_new_recovery_codes_are_shown_once_and_end_the_old_ones(people: dict[str, User]) -> None:
    client = signed_in("viewer")
    _, old = set_up(client)
    page = client.post("/account/recovery-codes/").content.decode()
    new = re.findall(r"<li><code>(\d{8})</code></li>", page)
    assert len(new) == 10 and not set(new) & set(old)
    assert client.get("/account/recovery-codes/").status_code == 405
    for code, is_right in ((old[0], False), (new[0], True)):
        other = Client()
        type_password(other, "viewer")
        other.post("/login/code/", {"code": code})
        assert is_in(other) == is_right


@pytest.mark.parametrize("path", ["/account/second-factor/off/", "/account/recovery-codes/"])
def test_it_is_not_switched_off_by_whoever_finds_an_open_browser(people: dict[str, User], path: str) -> None:
    client = signed_in("viewer")
    set_up(client)
    grow_old(client)
    before = list(Authenticator.objects.values())
    answer = client.post(path, headers={"Referer": "http://testserver/account/"})
    assert answer["Location"] == "/account/confirmation/?next=%2Faccount%2F"
    assert list(Authenticator.objects.values()) == before


def test_it_is_switched_off_with_its_codes(people: dict[str, User]) -> None:
    client = signed_in("viewer")
    set_up(client)
    client.post("/account/second-factor/off/")
    assert not Authenticator.objects.exists()
    other = Client()
    type_password(other, "viewer")
    assert is_in(other)
    acts = list(AuditEvent.objects.order_by("id").values_list("act", flat=True))
    assert acts == ["sign_in", "second_factor.on", "second_factor.off", "sign_in"]


@pytest.mark.parametrize(
    ("wanted", "concerned"),
    [(0, []), (1, ["staff", "superuser"]), (2, ["nobody", "viewer", "operator", "staff", "superuser"])],
)
def test_who_must_have_one_is_sent_to_set_it_up(
    people: dict[str, User], settings: Any, wanted: int, concerned: list[str]
) -> None:
    settings.DBOPS = {**settings.DBOPS, "REQUIRE_SECOND_FACTOR": wanted}
    sent = [
        name
        for name in people
        if signed_in(name).get("/").headers.get("Location") == "/account/second-factor/"
    ]
    assert sent == concerned


def test_who_must_have_one_can_do_nothing_else_before(
    people: dict[str, User], settings: Any, make_job: Callable[..., Job]
) -> None:
    settings.DBOPS = {**settings.DBOPS, "REQUIRE_SECOND_FACTOR": 1}
    job = make_job()
    client = signed_in("superuser")
    there = "/account/second-factor/"
    for path in [
        "/",
        "/jobs/",
        f"/jobs/{job.pk}/transcript.txt",
        "/admin/",
        "/admin/auth/user/",
        "/account/password/",
    ]:
        assert client.get(path)["Location"] == there, path
    stream = client.get(reverse("job_stream", args=[job.pk]), headers={"Accept": "text/event-stream"})
    assert stream.status_code == 403
    assert client.get("/", headers={"HX-Request": "true"})["HX-Redirect"] == there
    assert client.post(reverse("cancellation", args=[job.pk]))["Location"] == there
    assert client.post("/admin/auth/group/add/", GROUP)["Location"] == there
    job.refresh_from_db()
    assert job.state == "queued"
    assert client.get("/account/").status_code == 200
    set_up(client)
    assert client.get("/").status_code == 200
    assert client.post("/account/second-factor/off/").status_code == 403
    assert Authenticator.objects.exists()
    assert client.post("/logout/").status_code == 302


def test_a_lost_phone_is_reset_from_the_shell(people: dict[str, User], capsys: Any) -> None:
    client = signed_in("viewer")
    set_up(client)
    call_command("reset_second_factor", "viewer", "--reason", "phone in the river")
    assert "The second factor of viewer is reset." in capsys.readouterr().out
    assert client.get("/").status_code == 302, "every session has ended"
    other = Client()
    type_password(other, "viewer")
    assert is_in(other)
    event = AuditEvent.objects.get(act="second_factor.reset")
    assert event.actor.startswith("shell:") and event.reason == "phone in the river"
    assert event.details == {"person": "viewer", "had": True}
    with pytest.raises(CommandError, match="There is no person nobody-at-all. Nothing was done."):
        call_command("reset_second_factor", "nobody-at-all")


def test_secrets_of_second_factors_are_sealed_anew_with_all_others(
    people: dict[str, User], settings: Any
) -> None:
    secret, codes = set_up(signed_in("viewer"))
    new = Fernet.generate_key().decode()
    settings.SEALING_KEYS = [new, *settings.SEALING_KEYS]
    call_command("rotate_secrets")
    settings.SEALING_KEYS = [new]
    for code in (next_code(secret), codes[0]):
        client = Client()
        type_password(client, "viewer")
        client.post("/login/code/", {"code": code})
        assert is_in(client)


def test_a_sealing_key_that_is_gone_is_a_sentence(people: dict[str, User], settings: Any) -> None:
    client = signed_in("viewer")
    secret, _ = set_up(client)
    settings.SEALING_KEYS = [Fernet.generate_key().decode()]
    other = Client()
    type_password(other, "viewer")
    answer = other.post("/login/code/", {"code": next_code(secret)})
    assert answer.status_code == 500 and "Put the key that sealed it back" in answer.content.decode()
    assert not is_in(other)
    assert client.get("/account/").status_code == 200


def test_the_second_factor_of_somebody_is_nowhere_in_the_admin(people: dict[str, User]) -> None:
    set_up(signed_in("viewer"))
    client = signed_in("superuser")
    assert client.get("/admin/mfa/authenticator/").status_code == 404
    assert client.get("/admin/account/emailaddress/").status_code == 404
    assert PASSWORD not in client.get("/admin/").content.decode()


@pytest.mark.parametrize("required", [0, 2])
def test_sessions_that_never_showed_a_code_end_when_one_is_set_up(
    people: dict[str, User], settings: Any, required: int
) -> None:
    settings.DBOPS = {**settings.DBOPS, "REQUIRE_SECOND_FACTOR": required}
    thief, owner = signed_in("viewer"), signed_in("viewer")
    set_up(owner)
    assert thief.get("/")["Location"].startswith("/login/")
    assert owner.get("/").status_code == 200


def test_what_is_proven_is_the_secret_of_the_page_and_of_this_person(people: dict[str, User]) -> None:
    mine, other = signed_in("viewer"), signed_in("operator")
    theirs = other.get("/account/second-factor/").content.decode()
    secret = re.search(r'id="secret">([A-Z2-7 ]+)<', theirs)
    assert secret
    sent = {"code": code_of(secret[1]), "sealed": sealed_in(theirs)}
    for wrong in (sent, {**sent, "sealed": "x"}, {"code": sent["code"]}):
        assert mine.post("/account/second-factor/", wrong).status_code == 422
    assert not Authenticator.objects.exists()
    assert other.post("/account/second-factor/", sent).status_code == 200
