"""The server of a target's database goes away: before a job, in the middle of it, at its very end; and what
keeps a target out of its database."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbops import truth
from dbops.execute import execute
from dbops.inspection import inspect_now
from dbops.loss import resolve_lost
from dbops.models import Job, Target
from dbops.transcript.reading import read_all
from tests.integration import reading
from tests.integration.at_work import ask, inspected, performed, sleeper, state, wait_for_the_query
from tests.integration.conftest import MakeTarget, default_of
from tests.integration.private import Server, new_database, private_postgres
from tests.integration.worker import until
from tests.targets.builder import Project

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def its_server() -> Iterator[Server]:
    with private_postgres() as server:
        yield server


@pytest.fixture
def server(its_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    # How long one that does not come back is waited for at the end of a job.
    monkeypatch.setattr(truth, "REST_S", 1.0)
    its_server.ensure()
    return its_server


@pytest.fixture
def url(server: Server) -> str:
    return new_database(server, "target")


@pytest.fixture
def project(tmp_path: Path, url: str) -> Project:
    return sleeper(tmp_path, url)


@pytest.fixture
def target(make_target: MakeTarget, project: Project) -> Target:
    return inspected(make_target, project, [sys.executable])


def run(job: Job) -> Job:
    execute(job.pk, "worker")
    job.refresh_from_db()
    return job


def look_again(job: Job) -> Job:
    Job.objects.filter(pk=job.pk).update(look_again_at=None)
    resolve_lost(job.pk)
    job.refresh_from_db()
    return job


def test_a_server_that_is_down_before_the_job_is_named_and_nothing_is_done(
    target: Target, server: Server
) -> None:
    server.stop()
    job = run(ask(target))
    assert (job.state, job.error_type) == ("failed", "TargetUnreachable")
    assert job.outcome.startswith("The database of mini does not answer: ")
    assert "onnection refused" in job.outcome
    assert "Nothing was changed. Try again when it does." in job.outcome
    (found,) = default_of(target).found()
    assert (found.state, found.reason) == ("unreachable", "refused")
    assert "Start the server" in reading.page(target.get_absolute_url())
    server.start()
    assert inspect_now(target).outcome == "done"
    assert default_of(target).found()[0].state == "pending"


def test_a_session_that_the_server_ends_fails_the_job_and_what_is_recorded_is_told(
    target: Target, url: str
) -> None:
    job = ask(target)
    with performed(job):
        wait_for_the_query(url)
        with psycopg.connect(url) as other:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'INSERT%'")
    assert state(job) == "failed"
    assert "terminating connection due to administrator command" in job.outcome
    assert "Recorded in the database by now: shop.0001_item; 1 still to apply." in job.outcome
    assert "No session of this job is left on the server." in job.outcome
    assert [step.state for step in job.steps.filter(kind="migration")] == ["succeeded", "failed"]


def test_a_server_that_is_restarted_in_the_middle_fails_the_job_and_what_is_recorded_is_told(
    target: Target, server: Server, url: str
) -> None:
    job = ask(target)
    with performed(job):
        wait_for_the_query(url)
        server.stop()
        server.start()
    if state(job) == "lost":
        look_again(job)
    assert job.state == "failed"
    assert "Recorded in the database by now: shop.0001_item; 1 still to apply." in job.outcome
    assert job.facts["recorded"] == [["shop", "0001_item"]]


def test_a_server_that_is_killed_and_stays_away_leaves_the_end_open_until_it_can_be_seen(
    target: Target, server: Server, url: str
) -> None:
    job = ask(target)
    with performed(job):
        wait_for_the_query(url)
        server.kill()
    assert state(job) == "lost"
    assert "It is not proven that all of it has ended" in job.outcome
    assert "its database cannot be looked at" in job.outcome and "onnection refused" in job.outcome
    assert "Nothing else may change this database until that is known." in job.outcome
    assert "succeeded" not in job.outcome and "Recorded" not in job.outcome
    assert look_again(job).state == "lost", "it is away still"
    server.start()
    assert look_again(job).state == "failed"
    assert "Recorded in the database by now: shop.0001_item; 1 still to apply." in job.outcome
    assert job.facts["recorded"] == [["shop", "0001_item"]]


WAITS_AT_THE_END = """
import pathlib, time
from django.apps import AppConfig
from django.db.models.signals import post_migrate

def wait(**_):
    print("all is committed", flush=True)
    while not pathlib.Path("go-on").exists():
        time.sleep(0.05)

class ShopConfig(AppConfig):
    name = "shop"
    def ready(self):
        post_migrate.connect(wait)
"""


def test_a_server_that_vanishes_after_the_last_migration_leaves_the_end_open_until_it_can_be_seen(
    make_target: MakeTarget, project: Project, server: Server
) -> None:
    """Neither success nor failure is claimed: nobody could read what is recorded."""
    project.migration("0002_query", 'migrations.RunSQL("INSERT INTO item SELECT 1")', after=FIRST)
    project.write("shop/apps.py", WAITS_AT_THE_END)
    target = inspected(make_target, project, [sys.executable])
    job = ask(target)
    with performed(job):
        until(lambda: "all is committed" in "".join(read_all(job.pk)), "it is at its end")
        server.kill()
        project.write("go-on", "")
    assert state(job) == "lost"
    assert job.outcome.startswith("migrate ended without an error. It is not proven")
    assert "Nothing else may change this database until that is known." in job.outcome
    server.start()
    assert look_again(job).state == "succeeded"
    assert job.facts["recorded"] == [["shop", "0001_item"], ["shop", "0002_query"]]
    assert "Recorded in the database by now: shop.0001_item, shop.0002_query; nothing is left" in job.outcome


FIRST = [("shop", "0001_item")]


def test_a_failure_that_the_agent_reported_while_the_server_vanished_stays_one(
    make_target: MakeTarget, project: Project, server: Server
) -> None:
    """All it planned is recorded, as is seen later; a receiver of post_migrate failed."""
    project.migration("0002_query", 'migrations.RunSQL("INSERT INTO item SELECT 1")', after=FIRST)
    raises = "        time.sleep(0.05)\n    raise ValueError('the receiver broke')"
    project.write("shop/apps.py", WAITS_AT_THE_END.replace("        time.sleep(0.05)", raises))
    job = ask(inspected(make_target, project, [sys.executable]))
    with performed(job):
        until(lambda: "all is committed" in "".join(read_all(job.pk)), "it is at its end")
        server.kill()
        project.write("go-on", "")
    assert state(job) == "lost"
    server.start()
    assert look_again(job).state == "failed"
    assert (job.error_type, job.facts["concluded"]) == ("TargetFailed", "failed")
    assert "ValueError: the receiver broke" in job.outcome and "the receiver broke" in job.error_traceback
    assert "Recorded in the database by now: shop.0001_item, shop.0002_query; nothing is left" in job.outcome
    assert job.steps.get(kind="post_migrate").state == "failed"


def test_a_server_that_vanishes_after_the_agent_read_what_is_recorded_changes_nothing_of_that(
    make_target: MakeTarget, project: Project, server: Server, monkeypatch: Any
) -> None:
    project.migration("0002_query", 'migrations.RunSQL("INSERT INTO item SELECT 1")', after=FIRST)
    target = inspected(make_target, project, [sys.executable])
    seen = truth.look_for_rest

    def first_the_server_vanishes(*arguments: Any) -> Any:
        server.kill()
        return seen(*arguments)

    monkeypatch.setattr(truth, "look_for_rest", first_the_server_vanishes)
    job = run(ask(target))
    assert job.state == "succeeded"
    assert job.outcome.startswith("Applied and recorded 2 migrations: shop.0001_item, shop.0002_query.")
    assert "Then what is left to apply could not be read (connection failed" in job.outcome
    assert job.facts["after"]["plan"] is None
    assert default_of(target).found()[0].state == "unreachable"


# What keeps a target out


OUT = [
    ("auth", {"PASSWORD": "changed-meanwhile"}, "password authentication failed"),
    ("no_such_database", {"NAME": "gone"}, 'database "gone" does not exist'),
]


@pytest.mark.parametrize(("reason", "change", "words"), OUT, ids=[reason for reason, *_ in OUT])
def test_a_wrong_password_or_database_is_told_by_an_inspection_and_by_a_job_that_was_asked_before(
    target: Target, project: Project, reason: str, change: dict[str, str], words: str
) -> None:
    """The password was changed, or the database dropped, between the inspection and the worker's claim."""
    job = ask(target)
    project.databases["default"].update(change)
    project.settings()
    run(job)
    assert (job.state, job.error_type) == ("failed", "TargetUnreachable")
    assert words in job.outcome and "Nothing was changed. Try again when it does." in job.outcome
    assert job.outcome.count(words) == 1, "said once"
    assert list(job.steps.all()) == []
    (found,) = default_of(target).found()
    assert (found.state, found.reason) == ("unreachable", reason) and words in found.detail
    shown = reading.page(target.get_absolute_url()) + reading.page(job.get_absolute_url())
    assert found.next_step in shown and "changed-meanwhile" not in shown
