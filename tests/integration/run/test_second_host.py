"""A second host: a worker with a queue of its own serves a target that only it can reach. The tree and the
Postgres of that are in the other host's namespaces alone; from here there is neither."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from dbops import launch, truth
from dbops.management.commands import _inspecting
from dbops.models import Inspection, Job, Target
from dbops.probes import rows
from dbops.probes.probe import probe_within
from dbops.transcript.reading import read_all
from embedded import ports
from tests.integration.agent.test_agent_ssh import sshd, words
from tests.integration.at_work import (
    ask,
    inspected,
    look,
    performed,
    query_runs,
    sessions,
    settings_of,
    state,
)
from tests.integration.conftest import ALICE, MakeTarget
from tests.integration.netns import Elsewhere, elsewhere, relays, why_not
from tests.integration.reading import command
from tests.integration.worker import runs, test_environment, until, worker
from tests.targets.builder import make_project

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(bool(why_not()), reason=f"a second host cannot be made here: {why_not()}"),
]
MakeJob = Callable[..., Job]
HASTE: Any = {"OPSDASH_HEARTBEAT_S": "1", "OPSDASH_LOST_AFTER_S": "3"}


@dataclass
class SecondHost:
    place: Elsewhere
    tree: Path
    shown_at: Path
    port: int
    environment: Any = field(repr=False)

    @property
    def words(self) -> list[str]:
        """A mount namespace comes with the other: what is mounted there is not seen here."""
        mount = f'mount --bind "{self.tree}" "{self.shown_at}" && exec "$@"'
        return [*self.place.words, "sh", "-c", mount, "second-host"]

    def worker(self, log: Path, queues: str) -> AbstractContextManager["subprocess.Popen[bytes]"]:
        return worker(log, queues, through=self.words, **self.environment, **HASTE)


@pytest.fixture
def second_host(tmp_path: Path, postgres_url: str) -> Iterator[SecondHost]:
    own, redis, database = (
        urlsplit(url) for url in (test_environment()["DATABASE_URL"], django_settings.REDIS_URL, postgres_url)
    )
    assert own.port and redis.port and database.port
    with elsewhere() as place:
        seen_from_there = {
            "DATABASE_URL": own.geturl().replace(f"@{own.hostname}", f"@{place.here}"),
            "REDIS_URL": redis.geturl().replace(f"@{redis.hostname}", f"@{place.here}"),
        }
        needed = {own.port, redis.port, database.port}
        to_here = [(place.here, port, "127.0.0.1", port) for port in needed]
        port_there = ports.choose()
        to_postgres = ("127.0.0.1", port_there, place.here, database.port)
        with relays(*to_here), relays(to_postgres, through=place.words):
            folders = tmp_path / "tree", tmp_path / "only-there"
            for folder in folders:
                folder.mkdir()
            yield SecondHost(place, *folders, port_there, seen_from_there)


@pytest.fixture
def warehouse(make_target: MakeTarget, second_host: SecondHost, postgres_url: str) -> Target:
    there = {"default": settings_of(postgres_url, HOST="127.0.0.1", PORT=str(second_host.port))}
    project = make_project(second_host.tree, there)
    project.migration("0001_item", 'migrations.RunSQL("CREATE TABLE item (n integer)")')
    project.python("0002_tells", "print('counted 7 boxes')")
    project.migration("0003_query", 'migrations.RunSQL("INSERT INTO item SELECT 1 FROM pg_sleep(600)")')
    return make_target(
        "warehouse",
        python=[sys.executable],
        working_directory=str(second_host.shown_at),
        queue="warehouse",
    )


def probe_from_here() -> None:
    (known,) = rows.load()
    rows.keep(known.database_id, asyncio.run(probe_within(5, known)), 60)


def page(client: Client, what: Job | Target) -> str:
    return " ".join(client.get(what.get_absolute_url()).content.decode().split())


def sweeps(log: Path) -> int:
    return log.read_bytes().count(b"Task dbops.sweep_jobs[")


def test_without_a_worker_of_its_queue_the_pages_say_what_is_waited_for(
    warehouse: Target, make_job: MakeJob, people: dict[str, User]
) -> None:
    client = Client()
    client.force_login(people["operator"])
    never = "It is inspected by itself within seconds while a worker of the queue warehouse-inspect runs."
    assert never in page(client, warehouse)
    asked = client.post(f"{warehouse.get_absolute_url()}inspections/", follow=True).content.decode()
    assert "No worker serves the queue warehouse-inspect. It follows when one does: celery" in asked
    job = make_job(warehouse.databases.create(alias="default"), queue="warehouse")
    assert "No worker serves the queue warehouse. The job waits until one does." in page(client, job)


@pytest.mark.parametrize("name", ["status", "plan"])
def test_a_shell_does_not_look_from_here_at_what_only_another_host_reaches(
    warehouse: Target, monkeypatch: pytest.MonkeyPatch, settings: Any, name: str
) -> None:
    monkeypatch.setattr(_inspecting, "MARGIN_S", 1)
    settings.DBOPS = {**settings.DBOPS, "INSPECTION_TIMEOUT_S": 0}
    said = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command(name, "warehouse", "--inspect", stderr=said)
    assert ended.value.code == 9
    assert "no worker of the queue warehouse-inspect has done it in time" in said.getvalue()
    assert not Inspection.objects.exists()


@pytest.mark.slow
def test_a_target_that_only_the_second_host_reaches_is_served_by_it_alone(
    second_host: SecondHost, warehouse: Target, postgres_url: str, tmp_path: Path, people: dict[str, User]
) -> None:
    client, log = Client(), tmp_path / "here.log"
    client.force_login(people["operator"])
    with worker(log, "jobs,inspect", beat=True, **HASTE):
        with second_host.worker(tmp_path / "there.log", "warehouse,warehouse-inspect") as there:
            until(lambda: warehouse.databases.filter(pending_count=3).exists(), "it is inspected from there")
            assert not any(second_host.shown_at.iterdir()), "the tree is not here"
            assert "3 pending" in command("status", "warehouse", "--inspect")
            probe_from_here()
            assert "does not answer from here" in page(client, warehouse)

            job = ask(warehouse, app="shop", migration="0002_tells")
            until(lambda: state(job) == "succeeded", "it is migrated")
            assert any("counted 7 boxes" in line for line in read_all(job.pk))
            assert job.worker.startswith("there@")

            job = ask(warehouse)
            until(lambda: query_runs(postgres_url), "it is in its query")
            until(lambda: "Running migrations:\n" in list(read_all(job.pk)), "its transcript is live")
            launch.cancel(job, ALICE)
            until(lambda: state(job) == "cancelled", "it is cancelled")
            assert "its query was cancelled" in job.outcome and sessions(postgres_url) == []

            job = ask(warehouse)
            until(lambda: query_runs(postgres_url), "it is in its query")
            os.killpg(there.pid, signal.SIGKILL)
        until(lambda: state(job) == "lost", "its worker is missed")
        until(lambda: sessions(postgres_url) == [], "what worked there has ended")
        before = sweeps(log)
        until(lambda: sweeps(log) > before + 1, "this host has looked after lost jobs")
        assert state(job) == "lost", "who cannot reach the target proves nothing"
        with second_host.worker(tmp_path / "again.log", "warehouse-inspect"):
            until(lambda: state(job) == "failed", "the second host has looked", seconds=60)
    assert (job.error_type, job.facts["recorded"]) == ("WorkerLost", [])
    assert "The guard is free and no session of the job is left" in job.outcome
    assert not Inspection.objects.exclude(outcome="done").exists(), "nobody looked who cannot reach it"


def test_a_line_that_is_cut_in_the_middle_of_a_job_blocks_the_database_until_the_far_side_has_ended(
    make_target: MakeTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over ssh: this side notices soon, the far side only when the line is there again."""
    monkeypatch.setattr(truth, "REST_S", 1.0)
    project = make_project(tmp_path / "mini")
    project.python("0001_endless", "print('ready', os.getpid(), '!')\ntime.sleep(600)")
    fast = ("ServerAliveInterval=1", "ServerAliveCountMax=2", "ConnectTimeout=2")
    with elsewhere() as place, sshd(tmp_path, place.there, through=place.words) as port:
        ssh = words(tmp_path, port, *fast, to=place.there)
        job = ask(inspected(make_target, project, [*ssh, sys.executable], through_shell=True))
        with performed(job):
            until(lambda: pid_told_by(job), "the migration sleeps")
            place.cut()
        assert state(job) == "lost" and runs(pid_told_by(job)), job.outcome
        assert "not responding" in job.outcome and "its database cannot be looked at" in job.outcome
        with pytest.raises(launch.RefusedError, match="one job at a time changes a database"):
            ask(job.database.target)
        place.mend()
        until(lambda: look(job) == "failed", "the far side has ended")
        assert not runs(pid_told_by(job))
    assert (job.error_type, job.facts["recorded"]) == ("ConnectionLost", [])


def pid_told_by(job: Job) -> int:
    lines = [line for line in read_all(job.pk) if "ready" in line]
    return int(lines[0].partition("ready ")[2].split()[0]) if lines else 0
