"""Tokens: made by a form or a command, shown once, kept as a hash, never more than their owner."""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client

from dbops import tokens
from dbops.models import ApiToken, AuditEvent, Job, clock
from dbops.redaction import MASK, Redactor
from dbops.rights import NONE, Rights, Role
from dbops.tokens import SHAPE, CannotMakeError, make, rights_with
from tests.integration.calling import SCOPES, SHELL, caller
from tests.integration.conftest import PASSWORD, MakeDatabase, MakeTarget
from tests.integration.signing import grow_old

pytestmark = pytest.mark.django_db


def signed_in(name: str) -> Client:
    client = Client()
    assert client.login(username=name, password=PASSWORD)
    return client


def form(**fields: Any) -> dict[str, Any]:
    return {"name": "ci", "scopes": ["read"], "days": "30", **fields}


def shown_in(page: str) -> list[str]:
    return re.findall(r"opsdash_[A-Za-z0-9_-]{43}", page)


# Made


def test_a_token_is_shown_once_and_kept_as_a_hash(people: dict[str, User]) -> None:
    client = signed_in("viewer")
    response = client.post("/tokens/new/", form())
    assert response.status_code == 201
    assert response["Cache-Control"].startswith("max-age=0, no-cache, no-store")
    (text,) = shown_in(response.content.decode())
    token = ApiToken.objects.get()
    assert token.digest == hashlib.sha256(text.encode()).hexdigest()
    assert shown_in(client.get("/tokens/").content.decode()) == []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE %s", [f"%{text}%"])
            assert cursor.fetchone() == (0,), table


def test_none_is_made_without_a_confirmation_of_a_moment_ago(people: dict[str, User]) -> None:
    client = signed_in("viewer")
    grow_old(client, 301)
    response = client.post("/tokens/new/", form())
    assert response.status_code == 302 and response["Location"].startswith("/account/confirmation/")
    assert not ApiToken.objects.exists()


def test_what_it_may_and_when_it_ends_is_chosen(people: dict[str, User], make_target: MakeTarget) -> None:
    shop = make_target("shop")
    make_target("other")
    chosen = form(scopes=["read", "jobs:start"], days="7", targets=["shop"])
    signed_in("operator").post("/tokens/new/", chosen)
    token = ApiToken.objects.get()
    assert token.scopes == ["jobs:start", "read"]
    assert token.is_limited and list(token.targets.all()) == [shop]
    assert timedelta(days=6) < token.expires_at - clock.now() <= timedelta(days=7)
    event = AuditEvent.objects.get(act="token.create")
    assert (event.actor, event.details["name"], event.details["targets"]) == ("operator", "ci", ["shop"])
    assert event.details["scopes"] == ["jobs:start", "read"]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "x" * 41},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"days": "0"},
        {"days": "91"},
        {"days": ""},
        {"targets": ["nowhere"]},
    ],
    ids=str,
)
def test_a_form_with_a_mistake_makes_none(people: dict[str, User], fields: dict[str, Any]) -> None:
    response = signed_in("viewer").post("/tokens/new/", form(**fields))
    assert response.status_code == 422
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "   ", "\u202e"])
def test_a_name_that_cannot_be_read_makes_none(people: dict[str, User], name: str) -> None:
    assert signed_in("viewer").post("/tokens/new/", form(name=name)).status_code in (409, 422)
    with pytest.raises(CannotMakeError):
        make(people["viewer"], name, ["read"], 1, SHELL)
    assert not ApiToken.objects.exists()


def test_only_targets_that_one_sees_can_be_chosen(make_database: MakeDatabase, db: None) -> None:
    shop = make_database("shop")
    make_database("unseen-one")
    group = Group.objects.create(name="shops")
    group.grants.create(target=shop.target, role="viewer")
    User.objects.create_user("person", password=PASSWORD).groups.add(group)
    client = signed_in("person")
    assert "unseen-one" not in client.get("/tokens/new/").content.decode()
    assert client.post("/tokens/new/", form(targets=["unseen-one"])).status_code == 422


def test_the_longest_life_is_a_knob(people: dict[str, User], settings: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "TOKEN_MAX_DAYS": 5}
    assert signed_in("viewer").post("/tokens/new/", form(days="6")).status_code == 422
    with pytest.raises(CannotMakeError, match="1 to 5 days"):
        make(people["viewer"], "ci", ["read"], 6, SHELL)
    assert make(people["viewer"], "ci", ["read"], 5, SHELL)


def test_of_one_owner_a_name_works_once(people: dict[str, User]) -> None:
    first = caller(people["viewer"])
    response = signed_in("viewer").post("/tokens/new/", form())
    assert response.status_code == 409
    assert "viewer has a token ci already. Nothing was made." in response.content.decode()
    caller(people["operator"])
    tokens.revoke(first.token, SHELL)
    assert signed_in("viewer").post("/tokens/new/", form()).status_code == 201


def test_two_tokens_are_never_the_same(people: dict[str, User]) -> None:
    texts = {tokens.new_text() for _ in range(1000)}
    assert len(texts) == 1000
    assert all(SHAPE.fullmatch(text) for text in texts)


def test_its_text_is_in_no_repr(people: dict[str, User]) -> None:
    made = make(people["viewer"], "ci", ["read"], 1, SHELL)
    assert shown_in(repr(made)) == shown_in(repr(made.token)) == []


@pytest.mark.parametrize(
    "around", ["{}", "Authorization: Bearer {}", "TOKEN='{}'\nnext", "https://x:y@h/?t={}&u"]
)
def test_where_a_target_prints_one_it_is_masked(around: str) -> None:
    text = around.format(tokens.new_text())
    for cleaned in (Redactor(()).clean(text), Redactor(()).in_lines(text)):
        assert shown_in(cleaned) == [] and MASK in cleaned


@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": ["everything"]},
        {"scopes": []},
        {"expires_at": datetime(2000, 1, 1, tzinfo=UTC)},
    ],
    ids=["unknown scope", "none", "ends before it begins"],
)
def test_the_database_itself_keeps_no_wrong_token(people: dict[str, User], wrong: dict[str, Any]) -> None:
    token = caller(people["viewer"]).token
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiToken.objects.filter(pk=token.pk).update(**wrong)


def test_nobody_without_a_role_has_a_token(people: dict[str, User]) -> None:
    assert signed_in("nobody").get("/tokens/").status_code == 403
    assert signed_in("nobody").post("/tokens/new/", form()).status_code == 403


# Narrowed


@pytest.mark.parametrize(
    ("scopes", "most"),
    [(["read"], Role.VIEWER), (["read", "jobs:cancel"], Role.OPERATOR), (SCOPES, Role.OPERATOR)],
    ids=str,
)
def test_no_token_has_a_higher_role_than_its_scopes_need(
    people: dict[str, User], scopes: list[str], most: Role
) -> None:
    assert rights_with(caller(people["superuser"], scopes).token) == Rights(most)


def test_rights_are_those_of_the_owner_now_on_the_chosen_targets(
    make_database: MakeDatabase, db: None
) -> None:
    shop, other, hidden = make_database("shop"), make_database("other"), make_database("unseen-one")
    group = Group.objects.create(name="shops")
    for database, role in ((shop, "viewer"), (other, "staff")):
        group.grants.create(target=database.target, role=role)
    person = User.objects.create_user("person")
    person.groups.add(group)
    token = caller(person, targets=[shop.target, hidden.target]).token
    assert rights_with(token) == Rights(Role.NOBODY, ((shop.target_id, Role.VIEWER),))
    every = rights_with(caller(person, name="every").token)
    assert every.on(other.target_id) == Role.OPERATOR and not every.sees(hidden.target_id)
    group.grants.all().delete()
    assert rights_with(ApiToken.objects.get(pk=token.pk)) == NONE


# Used


def test_when_it_was_used_is_written_once_a_minute(people: dict[str, User]) -> None:
    who = caller(people["viewer"])
    who.client.defaults["REMOTE_ADDR"] = "192.0.2.7"
    who.get("jobs")
    first = ApiToken.objects.get()
    assert first.last_used_at and first.last_used_address == "192.0.2.7"
    who.get("jobs")
    assert ApiToken.objects.get().last_used_at == first.last_used_at
    ApiToken.objects.update(last_used_at=clock.now() - timedelta(seconds=61))
    who.get("jobs")
    used = ApiToken.objects.get().last_used_at
    assert used and used > first.last_used_at


def test_an_unknown_token_is_told_to_the_log_without_its_text(people: dict[str, User], caplog: Any) -> None:
    who = caller(people["viewer"])
    who.token.delete()
    assert who.get("jobs").status_code == 401
    assert "came with a token that nobody has" in caplog.text
    assert who.text not in caplog.text
    assert AuditEvent.objects.filter(act="token.refused").count() == 0


def test_a_person_who_is_deleted_leaves_no_token(people: dict[str, User]) -> None:
    who = caller(people["viewer"])
    people["viewer"].delete()
    assert who.get("jobs").status_code == 401


# Listed and revoked


def test_a_person_sees_and_revokes_their_own_alone(people: dict[str, User]) -> None:
    mine, theirs = caller(people["viewer"], name="mine"), caller(people["operator"], name="theirs")
    client = signed_in("viewer")
    page = client.get("/tokens/").content.decode()
    assert "mine" in page and "theirs" not in page
    assert client.post(f"/tokens/{theirs.token.pk}/revocation/").status_code == 404
    assert client.post("/tokens/999999/revocation/").status_code == 404
    assert theirs.get("jobs").status_code == 200
    assert client.post(f"/tokens/{mine.token.pk}/revocation/").status_code == 302
    assert mine.get("jobs").status_code == 401
    event = AuditEvent.objects.get(act="token.revoke")
    assert (event.actor, event.details["owner"]) == ("viewer", "viewer")


def test_a_superuser_sees_and_revokes_all(people: dict[str, User]) -> None:
    theirs = caller(people["operator"], name="theirs")
    client = signed_in("superuser")
    assert "theirs" in client.get("/tokens/").content.decode()
    client.post(f"/tokens/{theirs.token.pk}/revocation/")
    theirs.token.refresh_from_db()
    assert (theirs.token.revoked_by, theirs.get("jobs").status_code) == ("superuser", 401)


def test_who_lost_their_role_revokes_their_own_all_the_same(people: dict[str, User]) -> None:
    mine = caller(people["viewer"])
    people["viewer"].groups.clear()
    answer = signed_in("viewer").post(f"/tokens/{mine.token.pk}/revocation/")
    mine.token.refresh_from_db()
    assert answer["Location"] == "/account/" and mine.token.revoked_by == "viewer"


def test_anothers_is_not_revoked_by_whoever_finds_an_open_browser(people: dict[str, User]) -> None:
    theirs, own = caller(people["operator"], name="theirs"), caller(people["superuser"], name="own")
    client = signed_in("superuser")
    grow_old(client)
    for one, there in ((theirs, "/account/confirmation/?next=%2F"), (own, "/tokens/")):
        assert client.post(f"/tokens/{one.token.pk}/revocation/")["Location"] == there
        one.token.refresh_from_db()
    assert theirs.token.revoked_at is None and own.token.revoked_at


def test_a_token_is_revoked_once(people: dict[str, User]) -> None:
    token = caller(people["viewer"]).token
    assert "revoked already" not in tokens.revoke(token, SHELL)
    assert "revoked already" in tokens.revoke(token, SHELL)
    assert AuditEvent.objects.filter(act="token.revoke").count() == 1


def test_the_page_asks_as_often_for_many_tokens_as_for_few(
    people: dict[str, User], make_target: MakeTarget, django_assert_max_num_queries: Any
) -> None:
    shop = make_target("shop")
    for number in range(20):
        caller(people["superuser"], name=f"token {number}", targets=[shop])
    client = signed_in("superuser")
    with django_assert_max_num_queries(10):
        client.get("/tokens/")


# From a shell


def run(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_a_token_is_made_listed_and_revoked_from_a_shell(
    people: dict[str, User], make_target: MakeTarget
) -> None:
    make_target("shop")
    words = ["operator", "ci", "--scope", "read", "--scope", "jobs:start", "--target", "shop", "--days", "7"]
    text = run("create_token", *words).strip()
    assert SHAPE.fullmatch(text)
    event = AuditEvent.objects.get(act="token.create")
    assert event.actor.startswith("shell:") and event.details["owner"] == "operator"
    listed = json.loads(run("tokens", "--json"))["tokens"]
    assert [(one["name"], one["owner"], one["targets"]) for one in listed] == [("ci", "operator", ["shop"])]
    assert "operator (token ci)" in run("tokens") and text not in run("tokens")
    assert "revoked" in run("revoke_token", str(listed[0]["id"]))
    assert ApiToken.objects.get().revoked_at


def test_a_document_of_a_new_token_holds_its_text(people: dict[str, User]) -> None:
    document = json.loads(run("create_token", "viewer", "ci", "--scope", "read", "--json"))
    assert SHAPE.fullmatch(document["text"]) and document["token"]["name"] == "ci"


def test_as_a_user_the_shell_makes_and_sees_their_tokens_alone(people: dict[str, User]) -> None:
    caller(people["operator"], name="theirs")
    with pytest.raises(SystemExit):
        run("create_token", "operator", "more", "--scope", "read", "--as", "viewer")
    assert SHAPE.fullmatch(run("create_token", "viewer", "mine", "--scope", "read", "--as", "viewer").strip())
    assert "theirs" not in run("tokens", "--as", "viewer")
    with pytest.raises(CommandError):
        run("revoke_token", str(ApiToken.objects.get(name="theirs").pk), "--as", "viewer")


@pytest.mark.parametrize(
    "words",
    [
        ["create_token", "nobody-of-that-name", "ci", "--scope", "read"],
        ["create_token", "viewer", "ci", "--scope", "read", "--target", "nowhere"],
        ["revoke_token", "999999"],
    ],
    ids=str,
)
def test_a_name_that_does_not_exist_is_told(people: dict[str, User], words: list[str]) -> None:
    with pytest.raises(CommandError, match=r"Nothing was (made|done)\."):
        run(*words)


def test_who_acted_is_named_with_the_token(people: dict[str, User], make_job: Callable[..., Job]) -> None:
    job = make_job()
    caller(people["operator"]).post(f"jobs/{job.pk}/cancel", {"reason": "enough"})
    job.refresh_from_db()
    assert job.cancel_asked_by == "operator (token ci)"
    event = AuditEvent.objects.get(act="job.cancel")
    assert (event.actor, event.actor_id, event.reason) == (
        "operator (token ci)",
        people["operator"].pk,
        "enough",
    )
