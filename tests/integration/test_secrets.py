"""Secrets at rest: sealed, rotated, never shown again."""

import re
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client

from dbops.models import AuditEvent, Target, TargetVariable
from dbops.sealing import CannotUnsealError, seal, unseal
from dbops.target.address_of import address_of, secrets_of
from tests.integration.conftest import PASSWORD, MakeTarget

CANARY = "canary-4711-secret"


@pytest.fixture
def target(make_target: MakeTarget) -> Target:
    target = make_target("shop")
    variable = TargetVariable(target=target, name="API_TOKEN")
    variable.keep(CANARY, secret=True)
    variable.save()
    return target


@pytest.fixture
def superuser(people: dict[str, User]) -> Client:
    client = Client()
    client.login(username="superuser", password=PASSWORD)
    return client


def test_what_is_sealed_is_unsealed_and_looks_different() -> None:
    assert unseal(seal(CANARY)) == CANARY
    assert CANARY not in seal(CANARY)


def test_a_second_key_unseals_and_the_first_one_seals(settings: Any) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.SEALING_KEYS = [old]
    sealed = seal(CANARY)
    settings.SEALING_KEYS = [new, old]
    assert unseal(sealed) == CANARY
    fresh = seal(CANARY)
    settings.SEALING_KEYS = [new]
    assert unseal(fresh) == CANARY
    with pytest.raises(CannotUnsealError, match="Put the key that sealed it back into OPSDASH_SEALING_KEYS"):
        unseal(sealed)


def test_rotation_seals_everything_with_the_first_key(target: Target, settings: Any) -> None:
    new = Fernet.generate_key().decode()
    target.databases.create(alias="default", sealed_connection=seal("{}"))
    settings.SEALING_KEYS = [new, *settings.SEALING_KEYS]
    out = StringIO()
    call_command("rotate_secrets", stdout=out)
    words = "1 variables, 1 connections, 0 second factors and sets of codes."
    assert out.getvalue() == f"Sealed anew: {words}\n"
    settings.SEALING_KEYS = [new]
    assert target.variables.get().value == CANARY
    assert unseal(target.databases.get().sealed_connection) == "{}"


def test_the_row_holds_no_plain_secret(target: Target) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT dbops_targetvariable::text FROM dbops_targetvariable")
        assert CANARY not in str(cursor.fetchall())


def test_a_secret_in_the_open_is_refused_by_the_database(target: Target) -> None:
    with pytest.raises(IntegrityError, match="secret_variable_is_sealed"), transaction.atomic():
        target.variables.create(name="OTHER", is_secret=True, plain=CANARY)


def test_no_repr_shows_a_secret(target: Target) -> None:
    variable = target.variables.get()
    for thing in (variable, target, address_of(target), str(variable)):
        assert CANARY not in repr(thing)


def test_everything_that_must_be_masked_is_known(target: Target) -> None:
    target.variables.create(name="CACHE_URL", plain="redis://:p%40ss-word@cache/0")
    target.databases.create(alias="default", sealed_connection=seal('{"password": "database-pass"}'))
    assert secrets_of(target) == {CANARY, "p@ss-word", "p%40ss-word", "database-pass"}


def test_a_reference_is_masked_as_its_value_is(target: Target, monkeypatch: Any) -> None:
    monkeypatch.setenv("TOKEN_OF_THE_WORKER", "referenced-value")
    variable = TargetVariable(target=target, name="OTHER")
    variable.keep("${TOKEN_OF_THE_WORKER}", secret=True)
    variable.save()
    assert "referenced-value" in secrets_of(target)


def test_an_environment_that_cannot_be_completed_still_hides_what_is_sealed(target: Target) -> None:
    target.variables.create(name="OTHER", plain="${NOBODY_SETS_THIS}")
    assert secrets_of(target) == {CANARY}


# The configuration pages


def form(target: Target, **variable: str) -> dict[str, str]:
    row = target.variables.get()
    return {
        "name": "shop",
        "environment": "development",
        "python": "'/srv/my shop/bin/python' -X utf8",
        "launcher": "manage.py",
        "aliases": "",
        "queue": "jobs",
        "grants-TOTAL_FORMS": "0",
        "grants-INITIAL_FORMS": "0",
        "variables-TOTAL_FORMS": "1",
        "variables-INITIAL_FORMS": "1",
        "variables-0-id": str(row.pk),
        "variables-0-target": str(target.pk),
        "variables-0-name": row.name,
        **variable,
    }


def url(target: Target) -> str:
    return f"/admin/dbops/target/{target.pk}/change/"


def test_the_form_does_not_show_a_secret(superuser: Client, target: Target) -> None:
    assert CANARY not in superuser.get(url(target)).content.decode()


def test_a_secret_left_empty_is_kept(superuser: Client, target: Target) -> None:
    response = superuser.post(
        url(target), form(target, **{"variables-0-is_secret": "on", "variables-0-value": ""})
    )
    assert response.status_code == 302, re.findall("errorlist.*?</ul>", response.content.decode())
    assert target.variables.get().value == CANARY


def test_a_secret_is_not_shown_again_with_the_mistake_of_another_field(
    superuser: Client, target: Target
) -> None:
    values = {"variables-0-is_secret": "on", "variables-0-value": "typed-canary"}
    response = superuser.post(url(target), {**form(target, **values), "name": "Bad Name"})
    assert "Use lower-case letters" in response.content.decode()
    assert "typed-canary" not in response.content.decode()


def test_a_new_value_replaces_a_secret(superuser: Client, target: Target) -> None:
    superuser.post(url(target), form(target, **{"variables-0-is_secret": "on", "variables-0-value": "new"}))
    assert target.variables.get().value == "new"


def test_a_secret_does_not_come_into_the_open_by_a_tick(superuser: Client, target: Target) -> None:
    response = superuser.post(url(target), form(target, **{"variables-0-value": ""}))
    assert "A secret is never shown again: enter the value anew" in response.content.decode()
    assert target.variables.get().value == CANARY


def test_words_of_a_command_are_typed_as_in_a_shell(superuser: Client, target: Target) -> None:
    superuser.post(url(target), form(target, **{"variables-0-is_secret": "on"}))
    target.refresh_from_db()
    assert target.python == ["/srv/my shop/bin/python", "-X", "utf8"]


def test_a_command_with_an_open_quote_is_refused(superuser: Client, target: Target) -> None:
    response = superuser.post(url(target), form(target, python="'oops", **{"variables-0-is_secret": "on"}))
    assert "cannot be read as words of a command" in response.content.decode()


def test_production_can_never_allow_reset(superuser: Client, target: Target) -> None:
    values = form(target, environment="production", allow_reset="on", **{"variables-0-is_secret": "on"})
    assert (
        "A production target can never allow reset." in superuser.post(url(target), values).content.decode()
    )


def test_a_change_of_the_configuration_is_in_the_audit_trail_without_values(
    superuser: Client, target: Target
) -> None:
    superuser.post(
        url(target), form(target, **{"variables-0-is_secret": "on", "variables-0-value": "new-canary"})
    )
    event = AuditEvent.objects.get(act="target.change")
    assert (event.actor, event.target, event.address) == ("superuser", "shop", "127.0.0.1")
    assert "new-canary" not in str([event.details, event.before, event.after])


def test_who_makes_somebody_a_superuser_is_in_the_audit_trail(
    superuser: Client, people: dict[str, User]
) -> None:
    viewer = people["viewer"]
    superuser.post(
        f"/admin/auth/user/{viewer.pk}/password/",
        {"password1": "n3w-canary-pass", "password2": "n3w-canary-pass"},
    )
    response = superuser.post(
        f"/admin/auth/user/{viewer.pk}/change/",
        {"username": "viewer", "is_active": "on", "is_superuser": "on", "date_joined_0": "2026-01-01",
         "date_joined_1": "00:00:00"},
    )  # fmt: skip
    assert response.status_code == 302
    events = AuditEvent.objects.filter(act="user.change", target="viewer").order_by("id")
    assert [event.actor for event in events] == ["superuser", "superuser"]
    assert "Superuser status" in str(events[1].details)
    assert "n3w-canary-pass" not in str(list(events.values()))


@pytest.mark.parametrize("act", ["update", "delete"])
def test_the_audit_trail_is_append_only_by_the_database(target: Target, act: str) -> None:
    from django.db import DatabaseError

    AuditEvent.objects.create(actor="alice", act="job.migrate")
    with pytest.raises(DatabaseError, match="append only"), transaction.atomic():
        rows = AuditEvent.objects.all()
        rows.update(actor="mallory") if act == "update" else rows.delete()
    assert AuditEvent.objects.get().actor == "alice"


def test_a_deleted_person_stays_named_in_the_audit_trail(people: dict[str, User]) -> None:
    AuditEvent.objects.create(actor="operator", actor_id=people["operator"].pk, act="job.migrate")
    people["operator"].delete()
    assert AuditEvent.objects.get().actor == "operator"


def test_the_audit_trail_can_be_read_and_not_changed(superuser: Client, target: Target) -> None:
    event = AuditEvent.objects.create(actor="alice", act="job.migrate")
    assert superuser.get(f"/audit/{event.pk}/").status_code == 200
    assert superuser.post(f"/audit/{event.pk}/").status_code == 405
    assert superuser.post(f"/admin/dbops/auditevent/{event.pk}/delete/").status_code == 404
