"""Jobs over ssh on a target's Postgres; tests/integration/agent/test_agent_ssh.py has the way itself."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbops import launch
from dbops.models import Job, Target
from tests.integration.agent.test_agent_ssh import sshd, words
from tests.integration.at_work import ask, inspected, performed, sessions, sleeper, state, wait_for_the_query
from tests.integration.conftest import ALICE, MakeTarget
from tests.integration.worker import children_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sleeps(make_target: MakeTarget, postgres_url: str, tmp_path: Path) -> Iterator[Target]:
    """Its second migration is one long query."""
    with sshd(tmp_path, "127.0.0.1") as port:
        python = [*words(tmp_path, port), sys.executable]
        project = sleeper(tmp_path / "mini", postgres_url)
        yield inspected(make_target, project, python, through_shell=True)


def test_a_migrate_runs_through(sleeps: Target) -> None:
    job = ask(sleeps, app="shop", migration="0001_item")
    with performed(job):
        pass
    assert state(job) == "succeeded", job.outcome
    assert job.outcome == "Applied and recorded 1 migration: shop.0001_item."


def test_a_cancel_reaches_a_query(sleeps: Target, postgres_url: str) -> None:
    job = ask(sleeps)
    with performed(job):
        wait_for_the_query(postgres_url)
        launch.cancel(job, ALICE)
    assert state(job) == "cancelled", job.outcome
    assert "its query was cancelled and it ended by itself" in job.outcome
    nothing_is_left(job, postgres_url)


def test_the_loss_of_the_connection_ends_a_query_and_the_job_when_that_is_proven(
    sleeps: Target, postgres_url: str
) -> None:
    job = ask(sleeps)
    with performed(job):
        wait_for_the_query(postgres_url)
        (client,) = [pid for pid in children_of(os.getpid()) if is_ssh(pid)]
        os.kill(client, signal.SIGKILL)
    assert (state(job), job.error_type) == ("failed", "ConnectionLost")
    assert "The connection to mini was lost; the transport ended with signal 9 (SIGKILL)." in job.outcome
    nothing_is_left(job, postgres_url)


def is_ssh(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ssh\0")


def nothing_is_left(job: Job, postgres_url: str) -> None:
    assert "Recorded in the database by now: shop.0001_item; 1 still to apply." in job.outcome
    assert "No session of this job is left on the server." in job.outcome
    assert sessions(postgres_url) == []
