"""A target's Django settings -> libpq's parameters."""

from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dbops.postgres.parameters import NO_FILE, parameters

CANARY = "canary-7f3a-password"
SHOP = {
    "engine": "django.db.backends.postgresql",
    "name": "shop",
    "user": "shop_owner",
    "password": CANARY,
    "host": "db.example",
    "port": "5433",
    "options": {},
}


def of(**changes: Any) -> dict[str, str]:
    return parameters({**SHOP, **changes})


def test_the_five_settings_get_libpqs_names() -> None:
    found = of()
    assert {name: found[name] for name in ("dbname", "user", "password", "host", "port")} == {
        "dbname": "shop",
        "user": "shop_owner",
        "password": CANARY,
        "host": "db.example",
        "port": "5433",
    }


def test_the_prober_names_itself_and_does_not_wait_for_long() -> None:
    found = of(options={"application_name": "shop web", "connect_timeout": 60})
    assert (found["application_name"], found["connect_timeout"]) == ("opsdash probe", "2")


def test_an_empty_host_is_a_unix_socket() -> None:
    assert "host" not in of(host="", port="")
    assert "port" not in of(host="", port="")


def test_options_that_libpq_knows_are_kept() -> None:
    options = {"sslmode": "verify-full", "sslrootcert": "/etc/ca.crt", "options": "-c search_path=shop"}
    found = of(options={**options, "keepalives_idle": 30, "target_session_attrs": "any"})
    assert options.items() <= found.items()
    assert (found["keepalives_idle"], found["target_session_attrs"]) == ("30", "any")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pool", {"min_size": 2}),
        ("pool", True),
        ("isolation_level", 2),
        ("server_side_binding", True),
        ("assume_role", "writer"),
        ("cursor_factory", "<class 'x'>"),
        ("prepare_threshold", 5),
        ("sslmode", None),
        ("replication", "database"),
    ],
)
def test_options_that_libpq_does_not_know_or_that_we_never_want_are_dropped(name: str, value: Any) -> None:
    assert of(options={name: value}) == of()


def test_the_settings_win_over_the_options_as_in_django() -> None:
    assert of(options={"user": "somebody"})["user"] == "shop_owner"


def test_a_service_is_left_to_say_what_the_settings_do_not() -> None:
    found = of(name="", user="", password="", host="", port="", options={"service": "shop"})
    ours = {"application_name": "opsdash probe", "connect_timeout": "2", "client_encoding": "UTF8"}
    assert found == {"service": "shop", **ours}


def test_no_name_is_the_servers_own_database_as_in_django() -> None:
    assert of(name="")["dbname"] == "postgres"


def test_nothing_comes_from_the_workers_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "the worker's own")
    monkeypatch.setenv("PGHOST", "the-workers-server")
    monkeypatch.setenv("PGSSLMODE", "require")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=ours")
    found = of(host="", password="")
    assert {name: found[name] for name in ("password", "host", "sslmode", "options")} == {
        "password": "",
        "host": "",
        "sslmode": "prefer",
        "options": "",
    }


def test_the_workers_own_password_file_is_not_read_but_the_targets_is_named() -> None:
    assert of()["passfile"] == NO_FILE
    assert of(options={"passfile": "/srv/shop/.pgpass"})["passfile"] == "/srv/shop/.pgpass"


def test_libpq_takes_what_comes_out() -> None:
    found = of(password="a ' \\ b = c", options={"sslmode": "require", "keepalives": 1})
    assert conninfo_to_dict(make_conninfo("", **found))["password"] == "a ' \\ b = c"


def test_no_secret_is_in_the_repr() -> None:
    found = parameters({**SHOP, "options": {"sslpassword": CANARY + "-2"}})
    assert CANARY not in repr(found) and CANARY not in f"{found}" and CANARY not in str(found)
    assert found.secrets == [CANARY, CANARY + "-2"] or set(found.secrets) == {CANARY, CANARY + "-2"}
