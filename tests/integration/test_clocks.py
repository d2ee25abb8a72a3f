"""No host's clock has to be right: what is stored and compared is told by the clock of our database."""

import ast
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from dbops import inspection, launch
from dbops.inspection import inspect_now, inspect_once
from dbops.loss import find_lost
from dbops.models import AuditEvent, Inspection, Job, Probe, Step, Target, clock
from dbops.models.target import TargetDatabase
from dbops.probes import rows
from dbops.probes.knowledge import readiness_of
from dbops.probes.probe import Result
from dbops.steps import Steps
from dbops.templatetags.ages import age_words, took
from tests.integration.conftest import ALICE, MakeDatabase, default_of

pytestmark = pytest.mark.django_db
MakeJob = Callable[..., Job]
SOON = timedelta(seconds=20)
CLOCKS = {
    "django.utils.timezone": {"now"},
    "datetime.datetime": {"now", "utcnow", "today"},
    "time": {"time", "localtime", "gmtime"},
}


@pytest.fixture(params=[1, -1], ids=["an hour ahead", "an hour behind"])
def off(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> timedelta:
    """This host's clock shows another hour than the database's. (Nobody of ours may look at it.)"""
    hour, real = timedelta(hours=request.param), timezone.now
    monkeypatch.setattr(timezone, "now", lambda: real() + hour)
    return hour


def is_now(moment: datetime | None) -> bool:
    clock.measure()
    return moment is not None and abs(clock.now() - moment) < SOON


def test_our_database_is_asked_for_the_time_now_and_then(
    django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.measure()
    with django_assert_num_queries(0):
        first, second = clock.now(), clock.now()
    assert second >= first
    real = clock.passed
    monkeypatch.setattr(clock, "passed", lambda: real() + 31)
    with django_assert_num_queries(1):
        assert abs(clock.now() - second) < SOON, "it was measured anew, so that half a minute did not pass"
    # What was measured under the other count is good for nobody else.
    monkeypatch.undo()
    clock.measure()


def test_what_one_thread_measures_while_another_reads_is_not_mixed_with_what_was_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, sql_before = clock.passed, "SELECT clock_timestamp() - interval '29 s'"
    monkeypatch.setattr(clock, "passed", lambda: real() - 29)
    with connection.execute_wrapper(lambda execute, sql, *rest: execute(sql_before, *rest)):
        clock.measure()
    calls: list[float] = []

    def passed() -> float:
        calls.append(real())
        if len(calls) == 2:
            clock.measure()
        return real()

    monkeypatch.setattr(clock, "passed", passed)
    read = clock.now()
    assert len(calls) > 2, "it was measured in the middle"
    monkeypatch.undo()
    assert abs(clock.now() - read) < SOON


def test_a_job_is_asked_for_claimed_kept_alive_and_ended_by_the_databases_clock(
    shop: Target, off: timedelta, django_capture_on_commit_callbacks: Any
) -> None:
    job = launch.start(default_of(shop), "migrate", {}, ALICE, key=uuid.uuid4()).job
    assert list(Job.objects.waiting(30)) == []
    claimed = Job.objects.claim(job.pk, "worker")
    assert claimed and Job.objects.beat(job.pk, claimed.fence)
    assert find_lost() == []
    assert launch.cancel(claimed, ALICE).endswith("will stand here.")
    assert Job.objects.move(job.pk, ["cancelling"], "cancelled", held_fence=claimed.fence)
    job.refresh_from_db()
    moments = [job.created_at, job.published_at, job.started_at, job.heartbeat_at, job.finished_at]
    assert all(is_now(moment) for moment in [*moments, job.cancel_asked_at]), moments
    assert all(is_now(event.at) for event in AuditEvent.objects.all())
    assert took(job).endswith(" s") and not took(job).startswith("-")


def test_a_silent_job_is_called_lost_and_taken_back_whatever_the_clocks_say(
    make_job: MakeJob, off: timedelta
) -> None:
    long_ago = clock.now() - timedelta(seconds=60)
    job = make_job(state="running", fence=1, heartbeat_at=long_ago)
    assert find_lost() == [job]
    assert Job.objects.claim_look(job.pk, 60) and not Job.objects.claim_look(job.pk, 60)
    assert Job.objects.take_back(job.pk, 1)
    assert find_lost() == []


def test_a_job_that_nobody_took_is_told_again_when_it_is_time(make_job: MakeJob, off: timedelta) -> None:
    job = make_job(published_at=clock.now() - timedelta(seconds=31))
    assert list(Job.objects.waiting(30)) == [job] and list(Job.objects.waiting(60)) == []


def test_a_target_is_inspected_once_and_again_when_it_is_due(blog: Target, off: timedelta) -> None:
    assert inspect_now(blog).outcome == "done"
    blog.refresh_from_db()
    assert is_now(blog.inspected_at) and is_now(default_of(blog).inspected_at)
    assert all(is_now(row.started_at) and is_now(row.finished_at) for row in Inspection.objects.all())
    assert inspect_once(blog.pk) is None and not inspection.due().exists()
    assert launch.inspect(blog, ALICE)
    assert inspect_once(blog.pk), "a person asked for it after the last one"
    assert age_words(default_of(blog).inspected_at).endswith(" s ago")


def test_an_inspection_that_is_going_on_is_left_alone_and_a_vanished_one_is_not(
    blog: Target, off: timedelta
) -> None:
    Target.objects.update(inspected_at=None, inspecting_since=clock.now())
    assert not inspection.due().exists()
    Target.objects.update(inspecting_since=clock.now() - timedelta(minutes=10))
    assert inspection.due().exists()


def test_a_probes_answer_is_believed_as_long_as_it_is_fresh(
    make_database: MakeDatabase, off: timedelta
) -> None:
    database = make_database(vendor="postgresql")
    rows.keep(database.pk, Result("answers", latency_ms=3), 10)
    assert is_now(Probe.objects.get().probed_at)
    assert look_of(database) == "ready"
    old = clock.now() - timedelta(seconds=31)
    Probe.objects.update(probed_at=old, next_at=old + timedelta(seconds=10))
    assert look_of(database) == "unknown"


def look_of(database: TargetDatabase) -> str:
    found = readiness_of(TargetDatabase.objects.select_related("probe").get(pk=database.pk))
    assert found
    return found.look


def test_a_step_takes_no_negative_time(make_job: MakeJob, off: timedelta) -> None:
    """Whoever ends it may be another host than the one that began it."""
    job = make_job(state="running", fence=1)
    Steps(job.pk, 1).begin("migration", "a.0001")
    Step.objects.create(
        job=job, position=2, name="b", state="running", started_at=clock.now() + timedelta(minutes=60)
    )
    Steps(job.pk, 1).close("failed", last_line=0)
    first, second = job.steps.all()
    assert is_now(first.started_at)
    assert (first.state, second.state, second.duration_ms) == ("failed", "failed", 0)
    assert first.duration_ms is not None and first.duration_ms < SOON.total_seconds() * 1000


def test_the_pages_count_from_the_databases_clock(
    client: Client, people: dict[str, User], make_job: MakeJob, off: timedelta
) -> None:
    job = make_job()
    Job.objects.claim(job.pk, "worker")
    client.force_login(people["viewer"])
    page = client.get(job.get_absolute_url()).content.decode()
    shown = page.partition('data-server-now="')[2].partition('"')[0]
    assert is_now(datetime.fromisoformat(shown))
    since = page.partition('data-elapsed-since="')[2]
    assert since.partition(">")[2].partition("<")[0] in {"0 s", "1 s", "2 s", "3 s"}


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(Path(settings.BASE_DIR, "dbops").rglob("*.py")) if "agent" not in path.parts],
    ids=lambda path: "/".join(path.parts[-2:]),
)
def test_nothing_of_ours_looks_at_its_hosts_clock(path: Path) -> None:
    attributes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    asked = {f"{node.value.id}.{node.attr}" for node in attributes if isinstance(node.value, ast.Name)}
    forbidden = {f"{name.rpartition('.')[2]}.{attr}" for name, attrs in CLOCKS.items() for attr in attrs}
    assert not asked & forbidden
