"""An interpreter behind an engine, as with `docker exec -i`: only stdin, stdout and stderr cross, and killing
the client kills nothing. What real containers add is tested in tests/containers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dbops import launch, truth
from dbops.inspection import inspect_now
from dbops.models import Target
from tests.integration import engine
from tests.integration.at_work import (
    ask,
    inspected,
    look,
    performed,
    sessions,
    sleeper,
    state,
    wait_for_the_query,
)
from tests.integration.conftest import ALICE, MakeTarget, make_shop
from tests.integration.worker import children_of, descendants_of, runs, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def inside(tmp_path: Path) -> Iterator["Engine"]:
    path = str(tmp_path / "engine.sock")
    argv = [sys.executable, engine.__file__, "serve", path]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout and process.stdout.readline() == b"listens\n"
        yield Engine(path, process.pid)
        for pid in [process.pid, *descendants_of(process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Engine:
    def __init__(self, path: str, pid: int) -> None:
        self.pid = pid
        self.python = [sys.executable, engine.__file__, "exec", path, sys.executable]

    def programs(self) -> list[int]:
        """What runs inside."""
        return [pid for pid in descendants_of(self.pid) if runs(pid)]

    def kill_client(self) -> None:
        (client,) = [pid for pid in children_of(os.getpid()) if b"exec" in words_of(pid)]
        os.kill(client, signal.SIGKILL)


def words_of(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


@pytest.fixture
def sleeps(make_target: MakeTarget, postgres_url: str, tmp_path: Path, inside: Engine) -> Target:
    return inspected(make_target, sleeper(tmp_path / "mini", postgres_url), inside.python)


def test_a_migrate_runs_through(make_target: MakeTarget, postgres_url: str, inside: Engine) -> None:
    shop = make_shop(make_target, postgres_url)
    Target.objects.filter(pk=shop.pk).update(python=inside.python)
    shop.refresh_from_db()
    inspect_now(shop)
    job = ask(shop, app="customers")
    with performed(job):
        pass
    assert (state(job), job.error_type) == ("succeeded", "")
    assert inside.programs() == [] and sessions(postgres_url) == []


def test_a_cancel_reaches_a_query_inside(sleeps: Target, postgres_url: str, inside: Engine) -> None:
    job = ask(sleeps)
    with performed(job):
        wait_for_the_query(postgres_url)
        launch.cancel(job, ALICE)
    assert state(job) == "cancelled"
    assert "its query was cancelled and it ended by itself" in job.outcome
    assert "No session of this job is left on the server." in job.outcome
    assert inside.programs() == [] and sessions(postgres_url) == []


def test_killing_the_client_ends_what_runs_inside_and_the_job_ends_when_that_is_proven(
    sleeps: Target, postgres_url: str, inside: Engine
) -> None:
    job = ask(sleeps)
    with performed(job):
        wait_for_the_query(postgres_url)
        inside.kill_client()
    assert (state(job), job.error_type) == ("failed", "ConnectionLost")
    assert "The connection to mini was lost; the transport ended with signal 9 (SIGKILL)." in job.outcome
    assert "Recorded in the database by now: shop.0001_item; 1 still to apply." in job.outcome
    assert job.outcome.endswith("No session of this job is left on the server.")
    assert inside.programs() == [] and sessions(postgres_url) == []


def test_what_works_on_inside_without_its_client_keeps_the_database_blocked_until_it_has_ended(
    sleeps: Target, postgres_url: str, inside: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that is paused: nobody there notices that the client is gone."""
    monkeypatch.setattr(truth, "REST_S", 1.0)
    job = ask(sleeps)
    with performed(job):
        wait_for_the_query(postgres_url)
        with paused(inside.programs()):
            inside.kill_client()
            until(lambda: state(job) == "lost", "the job is called lost")
            assert "It is not proven that all of it has ended: something still holds the guard" in job.outcome
            with pytest.raises(launch.RefusedError, match="one job at a time changes a database"):
                ask(sleeps)
            assert look(job) == "lost"
            assert "The connection to mini was lost; the transport ended with signal 9" in job.outcome
            assert "something still holds the guard of the database. Nothing else may change" in job.outcome
    until(lambda: not inside.programs(), "what runs inside has ended")
    assert look(job) == "failed"
    assert job.error_type == "ConnectionLost"
    assert job.outcome.startswith("The connection to mini was lost; the transport ended with signal 9")
    assert "The guard is free and no session of the job is left" in job.outcome
    assert {step.name: step.state for step in job.steps.all()} == {
        "shop.0001_item": "succeeded",
        "shop.0002_query": "failed",
    }


@contextmanager
def paused(programs: list[int]) -> Iterator[None]:
    for pid in programs:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in programs:
            os.kill(pid, signal.SIGCONT)
