"""Sessions are told what they may do, and only what the server confirmed is claimed."""

from typing import Any

import pytest

from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import inspect_default, migrate
from tests.targets.builder import Project

WRITES_AT_SET_UP = """\
from django.apps import AppConfig
from django.db import connection
class Shop(AppConfig):
    name = "shop"
    def ready(self):
        try:
            connection.cursor().execute("CREATE TABLE sneaky (n integer)")
        except Exception as problem:
            print(type(problem).__name__, problem)
"""
WISHES = {"application_name": "opsdash job 12", "lock_timeout_ms": 1500, "statement_timeout_ms": 60000}


def confirmed(project: Project, **session: Any) -> dict[str, str]:
    record = migrate(project.address(), session=session)
    return next(event["confirmed"] for event in record.events("session") if event["purpose"] == "work")


def test_the_wishes_are_set_and_read_back(postgres_shop: Project) -> None:
    assert confirmed(postgres_shop, **WISHES) == {
        "application_name": "opsdash job 12",
        "lock_timeout": "1500ms",
        "statement_timeout": "1min",
        "idle_in_transaction_session_timeout": "0",
        "idle_session_timeout": "0",
        "client_connection_check_interval": "2s",
        "transaction_read_only": "off",
    }


def test_the_target_s_own_options_do_not_win(postgres_shop: Project, database: Database) -> None:
    options = "-c lock_timeout=1 -c statement_timeout=7777 -c default_transaction_read_only=off"
    postgres_shop.databases["default"]["OPTIONS"] = {"options": options, "application_name": "shop"}
    postgres_shop.settings()
    found = confirmed(postgres_shop, **WISHES)
    assert (found["lock_timeout"], found["application_name"]) == ("1500ms", "opsdash job 12")
    assert inspect_default(postgres_shop.address())["read_only_confirmed"]


def test_both_sides_find_out_within_a_minute_that_the_network_between_them_is_gone(
    postgres_shop: Project,
) -> None:
    names = ("idle", "interval", "count")
    source = f"""
import socket
c = schema_editor.connection.cursor()
for name in {names}:
    c.execute("SHOW tcp_keepalives_" + name)
    print("server", name, c.fetchone()[0])
line = socket.socket(fileno=os.dup(c.connection.fileno()))
for name, option in (("idle", "TCP_KEEPIDLE"), ("interval", "TCP_KEEPINTVL"), ("count", "TCP_KEEPCNT")):
    print("client", name, line.getsockopt(socket.IPPROTO_TCP, getattr(socket, option)))
line.close()
"""
    postgres_shop.python("0004_tells", source)
    output = migrate(postgres_shop.address()).output.decode()
    for side in ("server", "client"):
        for name, value in zip(names, (30, 10, 3), strict=True):
            assert f"{side} {name} {value}\n" in output


REFUSES = """
CREATE FUNCTION set_config(name text, value text, here boolean) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF name = '{}' THEN RAISE EXCEPTION 'not on this platform' USING ERRCODE = '22023'; END IF;
    RETURN pg_catalog.set_config(name, value, here);
END $$
"""


@pytest.mark.parametrize("autocommit", [True, False])
@pytest.mark.parametrize("refused", ["client_connection_check_interval", "tcp_keepalives_idle"])
def test_a_server_that_cannot_take_one_of_the_settings_takes_the_others(
    postgres_shop: Project, database: Database, refused: str, autocommit: bool
) -> None:
    with database.connect() as connection:
        connection.execute(REFUSES.format(refused).encode())
        connection.execute(f"ALTER DATABASE {database.name} SET search_path = public, pg_catalog".encode())
    postgres_shop.databases["default"]["AUTOCOMMIT"] = autocommit
    postgres_shop.settings()
    names = {
        "client_connection_check_interval": "2s",
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_count": "3",
    }
    record = migrate(postgres_shop.address(), session=WISHES, app="shop", migration="0001")
    found = {event["purpose"]: event["confirmed"] for event in record.events("session")}["work"]
    assert (found["application_name"], found["lock_timeout"]) == ("opsdash job 12", "1500ms")
    taken = "client_connection_check_interval" in found
    assert taken == (refused != "client_connection_check_interval")
    tell = "c = schema_editor.connection.cursor()\n"
    tell += "".join(f"c.execute('SHOW {name}')\nprint('{name}', c.fetchone()[0], '.')\n" for name in names)
    postgres_shop.python("0004_tells", tell)
    told = migrate(postgres_shop.address(), session=WISHES).output.decode()
    assert [name for name, value in names.items() if f"{name} {value} ." not in told] == [refused]


def test_what_is_not_wished_for_is_left_to_the_target(postgres_shop: Project) -> None:
    postgres_shop.databases["default"]["OPTIONS"] = {"options": "-c statement_timeout=7777"}
    postgres_shop.settings()
    postgres_shop.python(
        "0004_tells",
        "c = schema_editor.connection.cursor()\nc.execute('SHOW statement_timeout')\nprint(c.fetchone())",
    )
    assert b"7777ms" in migrate(postgres_shop.address()).output


def test_they_hold_with_autocommit_off(postgres_shop: Project) -> None:
    postgres_shop.databases["default"]["AUTOCOMMIT"] = False
    postgres_shop.settings()
    assert inspect_default(postgres_shop.address())["read_only_confirmed"]


def test_a_lock_that_is_waited_for_too_long_fails_the_migrate(
    postgres_shop: Project, database: Database
) -> None:
    migrate(postgres_shop.address(), app="shop", migration="0002")
    with database.connect(autocommit=False) as other:
        other.execute("LOCK TABLE shop_item IN ACCESS SHARE MODE")
        record = migrate(postgres_shop.address(), session={"lock_timeout_ms": 300})
    assert record.failure.facts["sqlstate"] == "55P03"
    assert record.failure.facts["recorded_after"] == []


@pytest.mark.parametrize("kind", ["shop", "postgres_shop"])
def test_an_inspection_cannot_write_even_at_set_up(request: pytest.FixtureRequest, kind: str) -> None:
    project: Project = request.getfixturevalue(kind)
    migrate(project.address())
    project.write("shop/apps.py", WRITES_AT_SET_UP)
    assert inspect_default(project.address())["read_only_confirmed"]
    record = migrate(project.address())
    # It is the first that could: the table was not there yet.
    assert b"already exists" not in record.output


def test_a_target_that_turns_it_off_again_is_not_claimed_to_be_read_only(postgres_shop: Project) -> None:
    postgres_shop.settings(
        "\nfrom django.db.backends.signals import connection_created\n"
        "def off(connection, **_):\n"
        "    connection.cursor().execute('SET default_transaction_read_only = off')\n"
        "connection_created.connect(off, weak=False)\n"
    )
    assert inspect_default(postgres_shop.address())["read_only_confirmed"] is False
