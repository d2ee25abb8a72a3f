"""What an answer, or none, means."""

import pytest

from dbops.postgres.answering import Answer
from dbops.postgres.parameters import parameters
from dbops.postgres.readiness import Unreachable, classify
from dbops.probes.probe import Known, Result, compared, unreachable

CANARY = "canary-7f3a-password"
HERE = Answer("postgres:1:2", "17.2", in_recovery=False, latency_ms=3)


def test_the_targets_own_database_answers() -> None:
    assert compared("postgres:1:2", HERE) == Result(
        "answers", latency_ms=3, in_recovery=False, server_version="17.2"
    )


@pytest.mark.parametrize("there", ["postgres:1:3", "postgres:9:2"])
def test_another_database_or_another_server_is_not_reachable_from_here(there: str) -> None:
    result = compared(there, HERE)
    assert (result.state, result.reason) == ("not_reachable_from_here", "another_database")
    assert there in result.detail and HERE.identity in result.detail
    assert result.latency_ms is None


def test_an_unknown_identity_is_never_taken_for_the_same() -> None:
    untold = Answer("", "17.2", in_recovery=False, latency_ms=3)
    for result in (compared("", HERE), compared("postgres:1:2", untold), compared("", untold)):
        assert (result.state, result.reason) == ("not_reachable_from_here", "identity_unknown")
        assert result.detail.endswith(".")


def test_a_quoted_secret_is_masked() -> None:
    known = parameters({"password": CANARY, "host": f"postgres://u:{CANARY}@db", "name": "shop"})
    result = unreachable(Unreachable("refused", f"failed to resolve host 'postgres://u:{CANARY}@db'"), known)
    assert CANARY not in result.detail and "failed to resolve host" in result.detail


@pytest.mark.parametrize(
    "words",
    [
        "failed to resolve host 'shop-db': [Errno -2] Name or service not known",
        'could not translate host name "shop-db" to address: Temporary failure in name resolution',
    ],
)
def test_a_name_that_only_the_target_knows_says_nothing_about_its_server(words: str) -> None:
    result = unreachable(Unreachable("refused", words), parameters({"host": "shop-db"}))
    assert (result.state, result.reason) == ("not_reachable_from_here", "name_unknown")
    assert result.detail == f"The host name in the target's settings is not known here: {words}"


def test_settings_that_libpq_refuses_are_no_fault_of_the_server() -> None:
    result = unreachable(Unreachable("settings", 'invalid port number: "x"'), parameters({"name": "shop"}))
    assert (result.state, result.reason) == ("not_reachable_from_here", "settings")


def test_what_is_known_of_a_database_shows_no_secret() -> None:
    assert CANARY not in repr(Known(1, "shop/default", "", parameters({"password": CANARY})))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ('FATAL:  permission denied for database "shop"\nDETAIL:  no CONNECT privilege.', "permission"),
        ('FATAL:  database "shop" does not exist', "no_such_database"),
        ('FATAL:  no pg_hba.conf entry for host "::1", user "u", database "d", SSL encryption', "auth"),
        ("terminating connection due to administrator command", "starting_up"),
        ("FATAL:  sorry, too many clients already", "too_many_clients"),
        ("FEHLER: irgendwas", "other"),
    ],
)
def test_words_of_a_server_become_a_reason(words: str, reason: str) -> None:
    assert classify(words).reason == reason
