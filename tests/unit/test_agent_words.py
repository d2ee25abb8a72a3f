"""Reasons, paths and secrets: what the agent makes of words."""

from types import SimpleNamespace

import pytest

from dbops.agent import failures, redaction, sqlite, unreachable

POSTGRES = SimpleNamespace(vendor="postgresql", settings_dict={"HOST": "/nowhere"})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('FATAL:  password authentication failed for user "shop"', "auth"),
        ("FATAL:  Passwort-Authentifizierung für Benutzer »shop« fehlgeschlagen", "auth"),
        ("FATAL:  authentification par mot de passe échouée pour l'utilisateur « shop »", "auth"),
        ("FATAL:  la autentificación password falló para el usuario «shop»", "auth"),
        (
            'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "shop", database "shop", no encryption',
            "auth",
        ),
        ('FATAL:  role "shop" does not exist', "auth"),
        ('FATAL:  database "shop" does not exist', "no_such_database"),
        ("FATAL:  Datenbank »shop« existiert nicht", "no_such_database"),
        ("FATAL:  la base de données « shop » n'existe pas", "no_such_database"),
        ("FATAL:  no existe la base de datos «shop»", "no_such_database"),
        ("FATAL:  the database system is starting up", "starting_up"),
        ("FATAL:  the database system is not yet accepting connections", "starting_up"),
        ("FATAL:  das Datenbanksystem startet", "starting_up"),
        ("FATAL:  sorry, too many clients already", "too_many_clients"),
        (
            "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
            "too_many_clients",
        ),
        ('FATAL:  permission denied for database "shop"', "permission"),
        ("server does not support SSL, but SSL was required", "tls"),
        ("SSL error: certificate verify failed", "tls"),
        ("connection timeout expired", "timeout"),
        ("connection is bad: Connection refused\n\tIs the server running on that host?", "refused"),
        ("server closed the connection unexpectedly", "refused"),
        ("ved ikke hvorfor", "other"),
    ],
)
def test_the_reason_behind_a_driver_s_text(text: str, reason: str) -> None:
    assert unreachable.reason(POSTGRES, RuntimeError(text)) == reason


def test_the_most_telling_of_several_addresses_wins() -> None:
    text = "- host: '::1': Connection refused\n- host: '127.0.0.1': FATAL: password authentication failed"
    assert unreachable.reason(POSTGRES, RuntimeError(text)) == "auth"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("/srv/shop/db.sqlite3", "/srv/shop/db.sqlite3"),
        ("/srv/shop/../db.sqlite3", "/srv/db.sqlite3"),
        ("file:/srv/a%20b.sqlite3?mode=rwc", "/srv/a b.sqlite3"),
        ("file:///srv/db.sqlite3", "/srv/db.sqlite3"),
        ("file://localhost/srv/db.sqlite3", "/srv/db.sqlite3"),
        (":memory:", ""),
        ("file:shared?mode=memory&cache=shared", ""),
        ("", ""),
    ],
)
def test_the_one_path_of_a_sqlite_name(name: str, path: str) -> None:
    assert sqlite.path(name) == path


def test_of_a_url_only_the_password_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_secrets", set())
    redaction.learn_declared("postgres://shop:p%40ss-4711@db.example/shop")
    text = "postgres://shop:p%40ss-4711@db.example/shop with p@ss-4711"
    assert redaction.redact(text) == "postgres://shop:***@db.example/shop with ***"


def test_short_words_are_not_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_secrets", set())
    redaction.learn("true")
    assert redaction.redact("it is true") == "it is true"


class TransactionManagementError(Exception):
    """As Django calls it."""


def test_what_broke_a_transaction_is_told_and_not_that_it_is_broken() -> None:
    try:
        try:
            raise ValueError("NOT NULL constraint failed: shop_item.n")
        finally:
            raise TransactionManagementError("An error occurred in the current transaction.")
    except TransactionManagementError as problem:
        assert failures.describe(problem) == "ValueError: NOT NULL constraint failed: shop_item.n"
    alone = TransactionManagementError("This is forbidden.")
    assert failures.describe(alone) == "TransactionManagementError: This is forbidden."
