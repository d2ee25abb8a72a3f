"""Where somebody is signed in: seen, ended one by one or all at once; and one's own password."""

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db.migrations import RunPython
from django.db.models import F
from django.test import Client
from django.utils import timezone

from dbops.models import AuditEvent, Job, SignIn, clock
from dbops.rights import Role, rights_now
from dbops.signing import sessions
from dbops.views.account import name_of
from tests.integration.conftest import PASSWORD
from tests.integration.signing import grow_old, signed_in, type_password

pytestmark = pytest.mark.django_db

Two = tuple[Client, Client]
NEW = "a much better battery"


def key_of(client: Client) -> str:
    return client.session.session_key or ""


def name_at(client: Client) -> str:
    return name_of(SignIn.objects.get(pk=key_of(client)))


def role_at(client: Client, person: User) -> Role:
    return rights_now([(person.pk, key_of(client))])[(person.pk, key_of(client))].highest


def at(address: str, browser: str) -> Client:
    return Client(REMOTE_ADDR=address, HTTP_USER_AGENT=browser)


@pytest.fixture
def two(people: dict[str, User]) -> tuple[Client, Client]:
    here, there = at("192.0.2.1", "Firefox on a desk"), at("2001:db8::5", "<b>Chrome</b> on a phone")
    for client in (here, there):
        assert type_password(client, "viewer").status_code == 302
    return here, there


def test_all_of_them_are_listed_and_nobody_elses(people: dict[str, User], two: Two) -> None:
    signed_in("operator", HTTP_USER_AGENT="somebody else's")
    page = two[0].get("/account/").content.decode()
    for words in ("192.0.2.1", "Firefox on a desk", "2001:db8::5", "&lt;b&gt;Chrome&lt;/b&gt; on a phone"):
        assert words in page
    assert page.count("this one") == 1 and "somebody else" not in page
    assert key_of(two[0]) not in page and key_of(two[1]) not in page


def test_one_is_ended_and_what_it_had_open_with_it(
    people: dict[str, User], two: tuple[Client, Client]
) -> None:
    here, there = two
    assert role_at(there, people["viewer"]) == Role.VIEWER
    here.post("/account/sessions/", {"session": name_at(there)})
    assert role_at(there, people["viewer"]) == Role.NOBODY
    assert there.get("/").status_code == 302 and here.get("/").status_code == 200
    event = AuditEvent.objects.get(act="sessions.end")
    assert (event.actor, event.details) == ("viewer", {"ended": 1})


def test_all_others_are_ended_at_once(people: dict[str, User], two: Two) -> None:
    another = signed_in("operator")
    two[0].post("/account/sessions/", {"others": "1"})
    assert [client.get("/").status_code for client in (*two, another)] == [200, 302, 200]


def test_nobody_ends_somebody_elses(people: dict[str, User], two: Two) -> None:
    other = signed_in("operator")
    for named in (name_at(two[1]), key_of(two[1]), "", "%"):
        other.post("/account/sessions/", {"session": named})
    assert two[1].get("/").status_code == 200
    assert not AuditEvent.objects.filter(act="sessions.end").exists()


def test_the_own_one_is_ended_by_signing_out_only(two: tuple[Client, Client]) -> None:
    two[0].post("/account/sessions/", {"session": name_at(two[0])})
    assert two[0].get("/").status_code == 200
    two[0].post("/logout/")
    assert SignIn.objects.count() == 1


def test_a_new_password_ends_all_others_and_keeps_this_one(
    people: dict[str, User], two: tuple[Client, Client]
) -> None:
    here, there = two
    before, old = SignIn.objects.get(pk=key_of(here)), role_at(there, people["viewer"])
    sent = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    assert here.post("/account/password/", sent)["Location"] == "/account/"
    people["viewer"].refresh_from_db()
    assert people["viewer"].check_password(NEW) and old == Role.VIEWER
    assert here.get("/").status_code == 200 and there.get("/").status_code == 302
    assert key_of(here) != before.pk and SignIn.objects.get().since == before.since
    assert AuditEvent.objects.filter(act="password.change", actor="viewer").count() == 1
    assert NEW not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"old_password": "wrong"}, "Your old password was entered incorrectly"),
        ({"new_password1": "short", "new_password2": "short"}, "at least 12 characters"),
        ({"new_password1": "1q2w3e4r5t6y", "new_password2": "1q2w3e4r5t6y"}, "too common"),
        ({"new_password1": "superuser123", "new_password2": "superuser123"}, "too similar"),
        ({"new_password2": "another good battery"}, "didn’t match"),
    ],
)
def test_a_bad_password_is_not_taken(people: dict[str, User], sent: dict[str, str], words: str) -> None:
    right = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    answer = signed_in("superuser").post("/account/password/", {**right, **sent})
    assert answer.status_code == 422 and words in answer.content.decode()
    people["superuser"].refresh_from_db()
    assert people["superuser"].check_password(PASSWORD)


def test_the_old_password_is_not_guessed_there(people: dict[str, User]) -> None:
    client = signed_in("viewer")
    sent = {"old_password": "wrong", "new_password1": NEW, "new_password2": NEW}
    assert [client.post("/account/password/", sent).status_code for _ in range(6)] == [422] * 5 + [429]


def use_long_ago(client: Client, minutes: int) -> None:
    SignIn.objects.filter(pk=key_of(client)).update(seen_at=F("seen_at") - timedelta(minutes=minutes))
    sessions._seen.clear()


def test_a_session_that_nobody_uses_ends_where_a_knob_says_so(people: dict[str, User], settings: Any) -> None:
    client = signed_in("viewer")
    use_long_ago(client, 100)
    assert client.get("/").status_code == 200, "by default there is no such limit"
    settings.DBOPS = {**settings.DBOPS, "SESSION_IDLE_MINUTES": 30}
    use_long_ago(client, 29)
    assert client.get("/").status_code == 200
    use_long_ago(client, 32)
    assert client.get("/jobs/")["Location"] == "/login/?next=/jobs/"
    assert not Session.objects.filter(pk=key_of(client)).exists()


def pass_by(client: Client, seconds: float) -> None:
    moved = F("seen_at") - timedelta(seconds=seconds)
    SignIn.objects.filter(pk=key_of(client)).update(seen_at=moved)
    sessions._seen[key_of(client)] -= seconds


@pytest.mark.parametrize("minutes", [1, 2])
def test_a_click_that_was_not_written_down_counts_too(
    people: dict[str, User], settings: Any, minutes: int
) -> None:
    settings.DBOPS = {**settings.DBOPS, "SESSION_IDLE_MINUTES": minutes}
    client = signed_in("viewer")
    pass_by(client, 50)
    assert client.get("/").status_code == 200
    pass_by(client, 60 * minutes - 10)
    sessions.sweep()
    assert client.get("/").status_code == 200


def test_a_page_that_refreshes_itself_is_no_use_of_a_session(people: dict[str, User], settings: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "SESSION_IDLE_MINUTES": 30}
    client = signed_in("viewer")
    use_long_ago(client, 32)
    client.get("/", headers={"HX-Request": "true"})
    sessions.sweep()
    assert client.get("/").status_code == 302


def test_what_has_run_out_is_swept_away_and_nothing_else(people: dict[str, User]) -> None:
    client, over = signed_in("viewer"), signed_in("operator")
    Session.objects.filter(pk=key_of(over)).update(expire_date=F("expire_date") - timedelta(days=2))
    sessions.sweep()
    assert client.get("/").status_code == 200
    assert list(SignIn.objects.values_list("pk", flat=True)) == [key_of(client)]


def test_sessions_of_before_there_was_a_list_of_them_are_ended_by_the_upgrade(
    people: dict[str, User],
) -> None:
    client = signed_in("viewer")
    SignIn.objects.all().delete()
    upgrade = import_module("dbops.migrations.0019_signing_in")
    code = [each.code for each in upgrade.Migration.operations if isinstance(each, RunPython)]
    assert code == [upgrade.end_all_sessions]
    upgrade.end_all_sessions(apps, None)
    assert client.get("/").status_code == 302


def test_a_session_of_before_this_version_is_listed_once_it_is_used(people: dict[str, User]) -> None:
    client = signed_in("viewer")
    SignIn.objects.all().delete()
    sessions._seen.clear()
    assert "this one" in client.get("/account/").content.decode()


def test_ones_own_sessions_end_without_a_confirmation(
    people: dict[str, User], two: tuple[Client, Client]
) -> None:
    grow_old(two[0])
    two[0].post("/account/sessions/", {"others": "1"})
    assert two[1].get("/").status_code == 302


@pytest.mark.parametrize("headers", [{"HX-Request": "true"}, {"Accept": "text/event-stream"}, {}])
def test_a_session_that_nobody_uses_does_no_act(
    people: dict[str, User], settings: Any, make_job: Callable[..., Job], headers: dict[str, str]
) -> None:
    """What keeps a page current may go on; an act is somebody's."""
    settings.DBOPS = {**settings.DBOPS, "SESSION_IDLE_MINUTES": 5}
    job, client = make_job(), signed_in("operator")
    SignIn.objects.update(seen_at=clock.now() - timedelta(hours=3))
    sessions._seen.clear()
    client.post(f"/jobs/{job.pk}/cancellation/", headers=headers)
    job.refresh_from_db()
    assert job.state == "queued"


def test_a_login_lasts_its_hours_whatever_is_done_meanwhile(
    people: dict[str, User], monkeypatch: Any
) -> None:
    client = signed_in("viewer")
    end = Session.objects.get(pk=client.session.session_key).expire_date
    later = timezone.now() + timedelta(hours=2)
    monkeypatch.setattr("django.utils.timezone.now", lambda: later)
    client.post("/account/confirmation/", {"password": PASSWORD})
    client.get("/account/second-factor/")
    assert abs(Session.objects.get(pk=client.session.session_key).expire_date - end) < timedelta(seconds=5)
