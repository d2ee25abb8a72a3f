"""Jobs on a target inside a container, whose database only the container reaches."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from dbops import launch, performance, truth
from dbops.models import Target, TargetDatabase
from dbops.probes import rows
from dbops.probes.knowledge import Readiness, readiness_of
from dbops.probes.probe import probe_within
from tests.containers import engine
from tests.containers.conftest import lead_there, ready
from tests.containers.engine import Place, docker
from tests.integration.at_work import ask, look, performed, state
from tests.integration.conftest import ALICE, EXAMPLES, MakeTarget, default_of
from tests.integration.worker import children_of, until

pytestmark = pytest.mark.django_db(transaction=True)
JOBS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'opsdash job%'"
QUERY = f"{JOBS} AND state = 'active' AND query LIKE 'INSERT%'"
HELD = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"


def wait_for_the_query(there: Place) -> None:
    until(lambda: there.psql(QUERY), "the migration is in its query")


def nothing_is_left(there: Place) -> None:
    assert there.psql(JOBS) == ""
    assert there.psql(HELD) == "0"
    until(lambda: there.programs() == [], f"nothing runs inside: {there.programs()}", seconds=10)


def kill_client() -> None:
    (client,) = children_of_transport()
    os.kill(client, signal.SIGKILL)


def children_of_transport() -> list[int]:
    return [pid for pid in children_of(os.getpid()) if b"docker\0exec\0-i" in cmdline(pid)]


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_the_shop_inside_is_inspected_and_migrated_to_success(
    make_target: MakeTarget, there: Place, database: str
) -> None:
    folder = there.put(EXAMPLES / "shop", "/srv/shop")
    shop = lead_there(make_target, there, folder, there.url(database), "shop")
    assert default_of(shop).found()[0].state == "pending"
    job = ask(shop, app="customers")
    with performed(job):
        pass
    assert (state(job), job.error_type) == ("succeeded", ""), job.outcome
    assert there.psql("SELECT count(*) FROM django_migrations WHERE app = 'customers'", database) == "4"
    nothing_is_left(there)


def readiness(target: Target) -> Readiness:
    (known,) = rows.load()
    rows.keep(known.database_id, asyncio.run(probe_within(5, known)), 60)
    found = readiness_of(TargetDatabase.objects.select_related("target", "probe").get(target=target))
    assert found
    return found


def page(client: Client, target: Target) -> str:
    return client.get(target.get_absolute_url()).content.decode()


def test_a_name_of_the_container_s_network_is_not_judged_from_here(
    sleeps: Target, people: dict[str, User]
) -> None:
    found = readiness(sleeps)
    assert (found.look, found.word) == ("unknown", "not reachable from here")
    assert "The host name in the target's settings is not known here" in found.detail
    client = Client()
    client.force_login(people["viewer"])
    assert "not reachable from here" in page(client, sleeps)


def test_an_address_that_leads_to_another_database_here_is_never_taken_for_the_target_s(
    make_target: MakeTarget, people: dict[str, User]
) -> None:
    """The same address, name and password lead to a database from here, too."""
    own = connection.settings_dict
    secret = {"user": own["USER"], "password": own["PASSWORD"], "port": int(own["PORT"])}
    with engine.place("twin", **secret, one_host=True) as twin:
        ready(twin)
        folder = twin.put(EXAMPLES / "shop", "/srv/shop")
        shop = lead_there(make_target, twin, folder, twin.url("postgres", own["HOST"]), "shop")
        assert default_of(shop).found()[0].state == "pending"
        found = readiness(shop)
        assert (found.look, found.word) == ("unknown", "not reachable from here")
        assert "leads from here to another database" in found.detail
        job = ask(shop, app="customers")
        with performed(job):
            pass
        assert state(job) == "succeeded", job.outcome
        assert twin.psql("SELECT to_regclass('customers_customer')") == "customers_customer"
    with psycopg.connect(**secret, host=own["HOST"], dbname="postgres") as here:
        assert here.execute("SELECT to_regclass('customers_customer')").fetchone() == (None,)


def test_a_query_inside_is_cancelled(sleeps: Target, there: Place) -> None:
    job = ask(sleeps)
    with performed(job):
        wait_for_the_query(there)
        launch.cancel(job, ALICE)
    assert state(job) == "cancelled", job.outcome
    assert "its query was cancelled and it ended by itself" in job.outcome
    assert "Recorded in the database by now: shop.0001_item; 1 still to apply." in job.outcome
    assert job.outcome.endswith("No session of this job is left on the server.")
    nothing_is_left(there)


@pytest.mark.parametrize("how", ["the client is killed", "the container is restarted"])
def test_a_connection_that_is_lost_ends_the_work_inside_and_then_the_job(
    sleeps: Target, there: Place, how: str
) -> None:
    job = ask(sleeps)
    with performed(job):
        wait_for_the_query(there)
        if how == "the client is killed":
            kill_client()
        else:
            docker("restart", "--time", "0", there.shop)
    assert (state(job), job.error_type) == ("failed", "ConnectionLost"), job.outcome
    assert job.outcome.startswith("The connection to mini was lost; the transport ended with s")
    assert "Recorded in the database by now: shop.0001_item; 1 still to apply." in job.outcome
    assert job.outcome.endswith("No session of this job is left on the server.")
    nothing_is_left(there)


def test_a_container_that_was_killed_blocks_its_database_until_it_runs_again(
    sleeps: Target, there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth, "REST_S", 1.0)
    job = ask(sleeps)
    try:
        with performed(job):
            wait_for_the_query(there)
            docker("kill", there.shop)
        assert state(job) == "lost", job.outcome
        assert "It is not proven that all of it has ended: its database cannot be looked at" in job.outcome
        assert "is not running" in job.outcome and "Nothing was changed" not in job.outcome
        with pytest.raises(launch.RefusedError, match="one job at a time changes a database"):
            ask(sleeps)
    finally:
        docker("start", there.shop)
    assert look(job) == "failed", job.outcome
    assert "The guard is free and no session of the job is left" in job.outcome
    nothing_is_left(there)


def test_a_paused_container_cannot_be_cancelled_and_that_is_said(
    sleeps: Target, there: Place, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(truth, "REST_S", 1.0)
    monkeypatch.setattr(performance, "FROZEN_GRACES", 5)
    settings.DBOPS = {**settings.DBOPS, "CANCEL_GRACE_S": 1}
    job = ask(sleeps)
    try:
        with performed(job):
            wait_for_the_query(there)
            docker("pause", there.shop)
            launch.cancel(job, ALICE)
        assert state(job) == "lost", job.outcome
        assert "mini was asked to stop and was silent for 5 s" in job.outcome
        assert "is paused, unpause the container" in job.outcome
        assert there.psql(QUERY), "it has not ended, and nobody says so"
    finally:
        docker("unpause", there.shop)
    until(lambda: there.programs() == [], "what runs inside has noticed that its caller is gone")
    assert look(job) == "cancelled", job.outcome
    assert "Recorded in the database by now: shop.0001_item; 1 still to apply." in job.outcome
    assert job.steps.get(name="shop.0002_query").state == "cancelled"
    nothing_is_left(there)


def test_a_target_cut_off_from_its_database_ends_and_what_the_server_still_does_is_waited_for(
    sleeps: Target, there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody told the server: it works on until it finds out by itself, within a minute."""
    monkeypatch.setattr(truth, "REST_S", 1.0)
    job = ask(sleeps)
    try:
        with performed(job):
            wait_for_the_query(there)
            docker("network", "disconnect", there.network, there.shop)
            launch.cancel(job, ALICE)
        assert state(job) == "lost", job.outcome
        assert job.outcome.startswith("Cancelled by alice: ")
        assert "It is not proven that all of it has ended: its database cannot be looked at" in job.outcome
        assert there.psql(QUERY) and there.psql(HELD) == "1"
        until(lambda: there.psql(JOBS) == "", "the server has found out", seconds=90)
    finally:
        docker("network", "connect", "--alias", "shop-web", there.network, there.shop)
    assert look(job) == "cancelled", job.outcome
    nothing_is_left(there)


def test_a_job_whose_network_is_cut_ends_by_itself(sleeps: Target, there: Place) -> None:
    job = ask(sleeps)
    try:
        with performed(job):
            wait_for_the_query(there)
            docker("network", "disconnect", there.network, there.shop)
            until(lambda: not children_of_transport(), "the target has found out", seconds=240)
            docker("network", "connect", "--alias", "shop-web", there.network, there.shop)
    finally:
        docker("network", "connect", "--alias", "shop-web", there.network, there.shop, check=False)
    assert state(job) == "failed", job.outcome
    assert "Recorded in the database by now: shop.0001_item; 1 still to apply." in job.outcome
    assert job.outcome.endswith("No session of this job is left on the server.")
    nothing_is_left(there)
