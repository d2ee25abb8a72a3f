"""Probes of real servers: what is said is what is so, within a budget, and no secret is told."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from dbops.inspection import inspect_now
from dbops.models import Probe, Target, TargetDatabase
from dbops.postgres.answering import Answer, ask
from dbops.postgres.parameters import Parameters
from dbops.postgres.readiness import Unreachable
from dbops.probes import rows
from dbops.probes.probe import Known, Result, probe, probe_within
from dbops.sealing import seal
from embedded.testing import services
from tests.integration.conftest import MakeDatabase, MakeTarget, default_of, make_shop
from tests.integration.probing import (
    CANARY,
    Cuttable,
    connection_of,
    eventually,
    let_in_and_say_nothing,
    listening,
    parameters_of,
    prober,
    say_nothing,
    stopped,
)

BUDGET_S = 5.0


@dataclass(frozen=True)
class Server:
    """A Postgres of its own, beside the one that holds the rows."""

    url: str
    superuser_url: str
    pid: int


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with services() as started:
        pid = int((started.folder / "postgres" / "postmaster.pid").read_text().split()[0])
        yield Server(started.database_url, started.superuser_url, pid)


def asked(parameters: Parameters) -> Answer | Unreachable:
    began = time.monotonic()
    found = asyncio.run(ask(parameters))
    assert time.monotonic() - began < BUDGET_S
    return found


def refusal(parameters: Parameters) -> Unreachable:
    found = asked(parameters)
    assert isinstance(found, Unreachable), found
    return found


def identity_of(url: str) -> str:
    found = asked(parameters_of(url))
    assert isinstance(found, Answer), found
    return found.identity


def row_for(make: MakeDatabase, url: str, target: str = "shop", **changes: Any) -> TargetDatabase:
    """A database as an inspection would have left it."""
    reported = connection_of(url, **changes)
    return make(
        target, vendor="postgresql", identity=identity_of(url), sealed_connection=seal(json.dumps(reported))
    )


# One probe


def test_a_server_answers_with_its_version_and_identity(server: Server) -> None:
    found = asked(parameters_of(server.url))
    assert isinstance(found, Answer)
    with psycopg.connect(server.url) as direct:
        row = direct.execute("SELECT current_setting('server_version'), pg_is_in_recovery()").fetchone()
    assert row == (found.server_version, found.in_recovery)
    assert found.identity.startswith("postgres:") and 0 <= found.latency_ms < 2000


def test_an_inspected_target_answers_by_the_settings_that_it_reported(db: None, shop: Target) -> None:
    known = rows.known(default_of(shop))
    result = asyncio.run(probe(known))
    assert (result.state, result.reason, result.in_recovery) == ("answers", "", False), result


def test_a_database_without_an_encoding_has_the_same_identity_as_for_the_target(server: Server) -> None:
    with psycopg.connect(server.url, autocommit=True) as direct:
        direct.execute(
            "CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'"
        )
        oid = direct.execute("SELECT oid::int FROM pg_database WHERE datname = 'ascii'").fetchone()
    assert oid is not None
    system = identity_of(server.url).split(":")[1]
    assert identity_of(urlsplit(server.url)._replace(path="/ascii").geturl()) == f"postgres:{system}:{oid[0]}"


def test_a_probe_is_read_only_limited_and_says_who_it_is(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (
        "current_setting('transaction_read_only') || current_setting('statement_timeout') "
        "|| current_setting('application_name')"
    )
    monkeypatch.setattr("dbops.postgres.answering.SERVER", f"SELECT {settings}, false")
    found = asked(parameters_of(server.url))
    assert isinstance(found, Answer) and found.server_version == "on1sopsdash probe"


def test_a_wrong_password_is_auth_and_is_not_told(server: Server) -> None:
    found = refusal(parameters_of(server.url, password=CANARY))
    assert found.reason == "auth" and CANARY not in found.detail


def test_a_database_that_does_not_exist_is_no_such_database(server: Server) -> None:
    assert refusal(parameters_of(server.url, name="nowhere")).reason == "no_such_database"


def test_a_user_without_the_right_to_connect_lacks_a_permission(server: Server) -> None:
    with psycopg.connect(server.superuser_url, autocommit=True) as direct:
        direct.execute("CREATE DATABASE closed")
        direct.execute("REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
    assert refusal(parameters_of(server.url, name="closed")).reason == "permission"


def test_a_port_where_nobody_listens_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert refusal(parameters_of(f"postgres://u:p@127.0.0.1:{port}/d")).reason == "refused"


def test_a_host_that_has_no_address_is_refused() -> None:
    assert refusal(parameters_of("postgres://u:p@nowhere.invalid/d")).reason == "refused"


@pytest.mark.parametrize("host", [".." * 40, "x" * 300])
def test_a_host_that_is_none_ends_in_a_reason(host: str) -> None:
    assert refusal(parameters_of("postgres://u:p@h/d", host=host)).reason in {"settings", "refused"}


def test_settings_that_libpq_refuses_are_settings() -> None:
    found = refusal(parameters_of("postgres://u:p@127.0.0.1/d", options={"sslmode": "whatever"}))
    assert "whatever" in found.detail


def test_a_stopped_server_is_a_timeout_within_the_budget(server: Server) -> None:
    with stopped(server.pid):
        assert refusal(parameters_of(server.url)).reason == "timeout"
    assert isinstance(asked(parameters_of(server.url)), Answer)


def test_a_socket_that_takes_the_connection_and_says_nothing_is_a_timeout() -> None:
    with listening(say_nothing) as port:
        assert refusal(parameters_of(f"postgres://u:p@127.0.0.1:{port}/d")).reason == "timeout"


def test_several_addresses_that_say_nothing_are_one_timeout_within_the_budget() -> None:
    with listening(say_nothing) as port:
        hosts = "127.0.0.1,127.0.0.2,127.0.0.3,127.0.0.4"
        assert refusal(parameters_of("postgres://u:p@h/d", host=hosts, port=str(port))).reason == "timeout"


def test_a_server_that_falls_silent_after_the_login_is_a_timeout_within_the_budget() -> None:
    with listening(let_in_and_say_nothing) as port:
        found = refusal(parameters_of(f"postgres://u:p@127.0.0.1:{port}/d"))
    assert (found.reason, found.detail) == (
        "timeout",
        "It took the connection and gave no answer in time.",
    )


def test_a_query_that_takes_too_long_is_a_timeout(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbops.postgres.answering.SERVER", "SELECT pg_sleep(30), false")
    assert refusal(parameters_of(server.url)).reason == "timeout"


def test_a_probe_leaves_no_connection_behind(server: Server) -> None:
    asked(parameters_of(server.url))
    with psycopg.connect(server.superuser_url, autocommit=True) as direct:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'opsdash probe'"
        eventually(lambda: direct.execute(query).fetchone() == (0,))


def test_the_workers_own_password_is_not_offered_to_a_target(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    right = connection_of(server.url)["password"]
    own = tmp_path / "pgpass"
    own.write_text(f"*:*:*:*:{right}\n")
    own.chmod(0o600)
    monkeypatch.setenv("PGPASSWORD", right)
    monkeypatch.setenv("PGPASSFILE", str(own))
    assert refusal(parameters_of(server.url, password="")).reason == "auth"


def test_a_server_that_does_not_tell_its_identity_is_not_reachable_from_here(server: Server) -> None:
    with psycopg.connect(server.superuser_url, autocommit=True) as direct:
        direct.execute("CREATE DATABASE discreet")
    with psycopg.connect(server.superuser_url, dbname="discreet", autocommit=True) as direct:
        direct.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    known = Known(1, "shop/default", "postgres:1:2", parameters_of(server.url, name="discreet"))
    result = asyncio.run(probe(known))
    assert (result.state, result.reason) == ("not_reachable_from_here", "identity_unknown")


def test_another_database_on_the_same_server_is_not_the_targets(server: Server) -> None:
    known = Known(1, "shop/default", identity_of(server.url), parameters_of(server.url, name="postgres"))
    result = asyncio.run(probe(known))
    assert (result.state, result.reason) == ("not_reachable_from_here", "another_database")


def test_the_budget_holds_whatever_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(parameters: Parameters) -> Answer:
        await asyncio.sleep(60)
        raise AssertionError

    monkeypatch.setattr("dbops.probes.probe.ask", hangs)
    known = Known(1, "shop/default", "postgres:1:2", parameters_of("postgres://u:p@h/d"))
    result = asyncio.run(probe_within(0.2, known))
    assert (result.state, result.reason) == ("unreachable", "timeout")


# The rows


def test_a_database_has_one_row_that_holds_the_latest_result(make_database: MakeDatabase) -> None:
    database = make_database()
    rows.keep(database.pk, Result("answers", latency_ms=3, in_recovery=False, server_version="17.2"), 10)
    rows.keep(database.pk, Result("unreachable", "refused", "Connection refused"), 10)
    row = Probe.objects.get()
    assert (row.database, row.state, row.reason, row.latency_ms) == (database, "unreachable", "refused", None)
    assert (row.server_version, row.in_recovery) == ("", None)


def test_a_state_keeps_its_beginning_until_another_comes(make_database: MakeDatabase) -> None:
    database = make_database()
    refused = Result("unreachable", "refused", "Connection refused")
    rows.keep(database.pk, refused, 10)
    first = Probe.objects.get()
    rows.keep(database.pk, Result("unreachable", "timeout", "Too slow"), 10)
    again = Probe.objects.get()
    assert again.since == first.since < again.probed_at
    rows.keep(database.pk, Result("answers", latency_ms=3), 10)
    assert Probe.objects.get().since > first.since


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "fine", "reason": "x"},
        {"state": "answers", "reason": "refused", "latency_ms": 3},
        {"state": "answers", "reason": ""},
        {"state": "unreachable", "reason": ""},
        {"state": "unreachable", "reason": "refused", "latency_ms": 3},
    ],
)
def test_a_row_that_makes_no_sense_is_refused_by_the_database(
    make_database: MakeDatabase, fields: dict[str, Any]
) -> None:
    now = timezone.now()
    with pytest.raises(IntegrityError, match="probe_"), transaction.atomic():
        Probe.objects.create(database=make_database(), probed_at=now, since=now, next_at=now, **fields)


@pytest.mark.django_db(transaction=True)
def test_only_postgres_databases_with_known_settings_are_probed(
    make_database: MakeDatabase, blog: Target, server: Server
) -> None:
    probed = row_for(make_database, server.url)
    make_database("bare", vendor="postgresql")
    gone = row_for(make_database, server.url, "gone")
    TargetDatabase.objects.filter(pk=gone.pk).update(in_settings=False)
    assert [known.database_id for known in rows.load()] == [probed.pk]
    assert blog.databases.count() == 1


@pytest.mark.django_db(transaction=True)
def test_opsdashs_own_database_is_not_probed_as_a_target(make_target: MakeTarget) -> None:
    own = connection.settings_dict
    url = f"postgres://{own['USER']}:{own['PASSWORD']}@{own['HOST']}:{own['PORT']}/{own['NAME']}"
    target = make_shop(make_target, url, "mistake")
    inspect_now(target)
    assert default_of(target).sealed_connection and rows.load() == []


@pytest.mark.django_db(transaction=True)
def test_settings_that_no_key_opens_are_said_and_stop_nothing(make_database: MakeDatabase) -> None:
    make_database(vendor="postgresql", sealed_connection="not sealed by us")
    (known,) = rows.load()
    result = asyncio.run(probe(known))
    assert (result.state, result.reason) == ("not_reachable_from_here", "sealed")
    assert "OPSDASH_SEALING_KEYS" in result.detail


# The pages


def test_the_pages_say_whether_the_server_answers(
    client: Client, people: dict[str, User], make_database: MakeDatabase
) -> None:
    database = make_database(vendor="postgresql", name="shop")
    client.force_login(people["viewer"])
    assert "not probed" in client.get("/").content.decode()
    rows.keep(database.pk, Result("answers", latency_ms=3, in_recovery=False), 10)
    page = " ".join(client.get(database.target.get_absolute_url()).content.decode().split())
    assert '<span class="status status--ready">answers</span> in 3 ms (<time' in page
    assert '<span class="status status--ready">answers</span>' in client.get("/").content.decode()
    rows.keep(database.pk, Result("unreachable", "refused", "Connection <refused>"), 10)
    page = client.get(database.target.get_absolute_url()).content.decode()
    assert "does not answer</span>" in page and "refused: Connection &lt;refused&gt;" in page


def test_a_stopped_prober_leaves_no_green_behind(
    client: Client, people: dict[str, User], make_database: MakeDatabase
) -> None:
    database = make_database(vendor="postgresql", name="shop")
    rows.keep(database.pk, Result("answers", latency_ms=3), 10)
    old = timezone.now() - timedelta(seconds=31)
    Probe.objects.update(probed_at=old, next_at=old + timedelta(seconds=10))
    client.force_login(people["viewer"])
    for url in ("/", database.target.get_absolute_url()):
        page = client.get(url).content.decode()
        assert 'status--unknown">unknown</span>' in page and "status--ready" not in page
    assert "unknown</span> since <time" in page and "Then: it answered." in page


def test_probes_cost_a_page_no_query_each(
    client: Client,
    people: dict[str, User],
    make_database: MakeDatabase,
    django_assert_max_num_queries: Any,
) -> None:
    client.force_login(people["viewer"])

    def queries() -> int:
        with django_assert_max_num_queries(40) as counted:
            client.get("/")
        return len(counted)

    def more(names: list[str]) -> None:
        for name in names:
            rows.keep(make_database(name, vendor="postgresql").pk, Result("answers", latency_ms=3), 10)

    more(["a"])
    few = queries()
    more(["b", "c", "d", "e", "f"])
    assert queries() == few


# The process


@pytest.mark.django_db(transaction=True)
def test_the_prober_writes_rows_and_ends_on_sigterm(
    make_database: MakeDatabase, server: Server, tmp_path: Path
) -> None:
    good = row_for(make_database, server.url)
    bad = row_for(make_database, server.url, "typo", password=CANARY)
    other = row_for(make_database, server.url, "elsewhere", name="postgres")
    with prober(tmp_path / "log", OPSDASH_LOG_LEVEL="DEBUG") as running:
        eventually(lambda: Probe.objects.count() == 3, what=lambda: running.log)
        states = {row.database_id: (row.state, row.reason) for row in Probe.objects.all()}
        assert states == {
            good.pk: ("answers", ""),
            bad.pk: ("unreachable", "auth"),
            other.pk: ("not_reachable_from_here", "another_database"),
        }
        first = Probe.objects.get(database=good).probed_at
        eventually(lambda: Probe.objects.get(database=good).probed_at > first, what=lambda: running.log)
        status, took = running.end()
    assert (status, took < 2) == (0, True)
    password = connection_of(server.url)["password"]
    everything = running.log + str(list(Probe.objects.values()))
    assert CANARY not in everything and password not in everything
    assert "Traceback" not in running.log and running.log.count("shop/default answers in") == 1


@pytest.mark.django_db(transaction=True)
def test_the_prober_sees_a_server_stop_and_come_back(
    make_database: MakeDatabase, server: Server, tmp_path: Path
) -> None:
    row_for(make_database, server.url)

    def state() -> tuple[str, str] | None:
        return Probe.objects.values_list("state", "reason").first()

    with prober(tmp_path / "log") as running:
        eventually(lambda: state() == ("answers", ""), what=lambda: running.log)
        with stopped(server.pid):
            eventually(lambda: state() == ("unreachable", "timeout"), what=lambda: running.log)
        eventually(lambda: state() == ("answers", ""), what=lambda: running.log)


@pytest.mark.django_db(transaction=True)
def test_a_silent_server_delays_neither_the_others_nor_the_end(
    make_database: MakeDatabase, server: Server, tmp_path: Path
) -> None:
    good = row_for(make_database, server.url)
    with listening(let_in_and_say_nothing) as port:
        for number in range(5):
            row_for(make_database, server.url, f"silent-{number}", host="127.0.0.1", port=str(port))
        with prober(tmp_path / "log") as running:
            eventually(lambda: Probe.objects.count() == 6, what=lambda: running.log)
            first = Probe.objects.get(database=good).probed_at
            eventually(lambda: Probe.objects.get(database=good).probed_at > first, 3)
            status, took = running.end()
    assert (status, took < 2) == (0, True), f"{took} s: {running.log}"


@pytest.mark.django_db(transaction=True)
def test_a_database_that_was_removed_while_it_was_probed_has_no_result(make_database: MakeDatabase) -> None:
    database = make_database()
    answer = Result("answers", latency_ms=3)
    rows.keep(database.pk, answer, 10)
    database.target.delete()
    rows.keep(database.pk, answer, 10)
    assert Probe.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_new_settings_are_used_at_once_and_a_removed_target_is_left_alone(
    make_database: MakeDatabase, server: Server, tmp_path: Path
) -> None:
    database = row_for(make_database, server.url, password=CANARY)

    def pause() -> timedelta:
        row = Probe.objects.get()
        return row.next_at - row.probed_at

    with prober(tmp_path / "log") as running:
        # Failing, it is asked ever less often: now not before eight seconds have gone.
        eventually(lambda: Probe.objects.filter(reason="auth").exists(), what=lambda: running.log)
        eventually(lambda: pause() >= timedelta(seconds=8), what=lambda: running.log)
        sealed = seal(json.dumps(connection_of(server.url)))
        TargetDatabase.objects.filter(pk=database.pk).update(sealed_connection=sealed)
        eventually(lambda: Probe.objects.filter(state="answers").exists(), 4, what=lambda: running.log)
        database.target.delete()
        time.sleep(2.5)
        assert running.process.poll() is None and Probe.objects.count() == 0
    assert "own database fails" not in running.log and "Traceback" not in running.log


@pytest.mark.django_db(transaction=True)
def test_the_prober_outlives_an_outage_of_our_own_database_and_says_so_once(
    make_database: MakeDatabase, server: Server, tmp_path: Path
) -> None:
    row_for(make_database, server.url)
    way = Cuttable()
    way.open()
    own = connection.settings_dict
    url = f"postgres://{own['USER']}:{own['PASSWORD']}@127.0.0.1:{way.port}/{own['NAME']}"
    with prober(tmp_path / "log", DATABASE_URL=url) as running:
        eventually(lambda: Probe.objects.exists(), what=lambda: running.log)
        way.cut()
        eventually(lambda: "own database fails" in running.log, what=lambda: running.log)
        time.sleep(3)
        assert running.process.poll() is None and running.log.count("own database fails") == 1
        before = Probe.objects.get().probed_at
        way.open()
        eventually(lambda: Probe.objects.get().probed_at > before, what=lambda: running.log)
        assert running.log.count("own database answers again") == 1
        status, took = running.end(signal.SIGINT)
        way.cut()
    assert (status, took < 2) == (0, True)
    assert "Traceback" not in running.log and own["PASSWORD"] not in running.log


@pytest.mark.django_db(transaction=True)
def test_the_prober_ends_in_time_while_our_own_database_hangs(
    make_database: MakeDatabase, server: Server, tmp_path: Path
) -> None:
    row_for(make_database, server.url)
    way = Cuttable()
    way.open()
    own = connection.settings_dict
    url = f"postgres://{own['USER']}:{own['PASSWORD']}@127.0.0.1:{way.port}/{own['NAME']}"
    with prober(tmp_path / "log", DATABASE_URL=url) as running:
        eventually(lambda: Probe.objects.exists(), what=lambda: running.log)
        way.is_mute = True
        time.sleep(2.5)
        status, took = running.end()
        way.is_mute = False
        way.cut()
    assert (status, took < 2) == (0, True), f"{took} s: {running.log}"
