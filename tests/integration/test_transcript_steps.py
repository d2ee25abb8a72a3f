"""Which lines of the transcript are whose: a step knows its first and its last one."""

import sys
import uuid
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dbops import launch
from dbops.documents import job_document
from dbops.execute import _end, _write_lost, execute
from dbops.heartbeat import Heartbeat
from dbops.models import Job, Step, Target
from dbops.performance import Performance
from dbops.redaction import Redactor
from dbops.steps import Steps
from dbops.transcript.reading import read_all
from dbops.truth import Result
from tests.integration.at_work import inspected, settings_of
from tests.integration.conftest import ALICE, MakeTarget, default_of
from tests.integration.transcripts import OwnDatabase, recorder
from tests.targets.builder import Project, make_project

MakeJob = Callable[..., Job]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(make_job: MakeJob) -> Job:
    return make_job(state="running", fence=1)


def run(target: Target, **arguments: str) -> Job:
    asked = launch.start(default_of(target), "migrate", arguments, ALICE, key=uuid.uuid4()).job
    execute(asked.pk, "worker-of-the-test")
    return Job.objects.get(pk=asked.pk)


def of(step: Step, lines: list[str]) -> list[str]:
    """What it printed."""
    if step.first_line is None or step.last_line is None:
        return []
    return lines[step.first_line - 1 : step.last_line]


def lines_of(job: Job) -> list[str]:
    return [line.rstrip("\n") for line in read_all(job.pk)]


def test_each_migration_has_exactly_the_lines_from_its_beginning_to_its_end(shop: Target) -> None:
    job = run(shop)
    lines, printed = lines_of(job), 0
    for step in job.steps.filter(kind="migration").order_by("position"):
        own = of(step, lines)
        assert own[0].startswith(f"  Applying {step.name}..."), step.name
        assert own[-1].endswith(" OK"), own
        assert sum("Applying" in line for line in own) == 1 == sum(line.endswith(" OK") for line in own)
        printed += len(own) > 1
    assert printed >= 2, "some print their progress"
    ranges: list[Any] = list(
        job.steps.exclude(first_line=None).order_by("first_line").values_list("first_line", "last_line")
    )
    assert all(before[1] < after[0] for before, after in pairwise(ranges))
    assert [of(step, lines) for step in job.steps.filter(kind="post_migrate")] == [[]], "it printed nothing"


def test_lines_that_had_to_wait_for_our_database_count_too(
    shop: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, so that each step is begun and ended before its lines are in the rows."""
    own_database = OwnDatabase(monkeypatch)
    own_database.is_away = True
    asked = launch.start(default_of(shop), "migrate", {}, ALICE, key=uuid.uuid4()).job
    monkeypatch.setattr("dbops.execute._end", comes_back_before(own_database))
    execute(asked.pk, "worker-of-the-test")
    job = Job.objects.get(pk=asked.pk)
    lines = lines_of(job)
    for step in job.steps.filter(kind="migration"):
        own = of(step, lines)
        assert own[0].startswith(f"  Applying {step.name}...") and own[-1].endswith(" OK")


def comes_back_before(own_database: OwnDatabase) -> Callable[..., None]:
    def end(*arguments: Any) -> None:
        own_database.is_away = False
        _end(*arguments)

    return end


def test_a_migration_that_fails_has_what_it_printed_and_not_our_words(
    make_target: MakeTarget, tmp_path: Any, postgres_url: str
) -> None:
    project = failing(tmp_path / "mini", postgres_url)
    job = run(inspected(make_target, project, [sys.executable]))
    (step,) = job.steps.filter(kind="migration")
    assert (job.state, step.state) == ("failed", "failed")
    own = of(step, lines_of(job))
    assert own[0].startswith("  Applying shop.0001_fails...") and own[-1].startswith("and then?")
    assert not [line for line in own if "opsdash" in line]


def test_a_target_that_vanishes_in_a_migration_leaves_it_the_lines_of_the_target(
    make_target: MakeTarget, tmp_path: Any, postgres_url: str
) -> None:
    """What we say of it at the end is not the migration's."""
    project = make_project(tmp_path / "mini", {"default": settings_of(postgres_url)})
    project.python("0001_leaves", "print('it works', flush=True)\nos._exit(3)")
    job = run(inspected(make_target, project, [sys.executable]))
    (step,) = job.steps.filter(kind="migration")
    assert of(step, lines_of(job)) == ["  Applying shop.0001_leaves...it works"]
    assert step.last_line and job.last_line > step.last_line


def test_a_job_that_its_worker_calls_lost_tells_at_once_where_its_step_stood(job: Job) -> None:
    Steps(job.pk, job.fence).begin("migration", "a.1", 5)
    _write_lost(job, Result("lost", "Cut.", facts={"how_lost": "Cut."}), Redactor(()), 8)
    assert ranges_of(job) == [(5, 8)]


def failing(folder: Any, url: str) -> Project:
    project = make_project(folder, {"default": settings_of(url)})
    project.python("0001_fails", "print('it works')\nprint('and then?', end='')\nraise ValueError('no')")
    return project


def test_the_document_of_a_job_tells_them(job: Job) -> None:
    Step.objects.create(job=job, position=1, kind="migration", name="a.1", first_line=3, last_line=7)
    (step,) = job_document(job)["job"]["steps"]
    assert (step["first_line"], step["last_line"]) == (3, 7)


def test_the_page_of_a_job_carries_them_and_the_first_error(job: Job, people: dict[str, User]) -> None:
    Step.objects.create(job=job, position=1, kind="migration", name="a.1", first_line=3, last_line=7)
    Step.objects.create(job=job, position=2, kind="migration", name="a.2", first_line=8, state="running")
    client = Client()
    client.force_login(people["viewer"])
    page = client.get(job.get_absolute_url()).content.decode()
    assert 'data-first-error=""' in page
    assert 'data-first-line="3" data-last-line="7"' in page
    assert 'data-first-line="8" data-last-line=""' in page
    Job.objects.filter(pk=job.pk).update(first_error_line=5)
    assert 'data-first-error="5"' in client.get(job.get_absolute_url()).content.decode()


def test_a_step_that_printed_nothing_has_no_lines(job: Job) -> None:
    steps = Steps(job.pk, job.fence)
    steps.begin("post_migrate", "post_migrate", 11)
    steps.end("post_migrate", "succeeded", duration_ms=1, last_line=10)
    assert ranges_of(job) == [(None, None)]


def test_each_try_has_its_own_lines(job: Job) -> None:
    steps = Steps(job.pk, job.fence)
    steps.begin("migration", "a.1", 5)
    steps.retry("a.1", attempts=3, duration_ms=1, last_line=6)
    steps.begin("migration", "a.1", 8)
    steps.end("a.1", "succeeded", duration_ms=1, last_line=9)
    assert ranges_of(job) == [(5, 6), (8, 9)]
    assert [step.state for step in job.steps.order_by("attempt")] == ["retried", "succeeded"]


def test_what_runs_when_the_job_ends_ends_with_the_last_line_of_the_target(job: Job) -> None:
    steps = Steps(job.pk, job.fence)
    steps.begin("migration", "a.1", 5)
    steps.begin("migration", "a.2", 9)
    steps.close("failed", last_line=8)
    assert ranges_of(job) == [(5, 8), (None, None)]


def test_a_worker_that_gives_a_job_up_says_where_its_step_stood(job: Job) -> None:
    """Who ends the job later knows only the last line of all, which is the worker's own."""
    steps = Steps(job.pk, job.fence)
    steps.begin("migration", "a.1", 5)
    steps.stop_at(8)
    steps.close("failed", last_line=9)
    assert ranges_of(job) == [(5, 8)]


def test_a_step_begins_behind_the_one_before_also_where_that_left_its_line_unfinished(job: Job) -> None:
    target = recorder(job)
    hands = Performance(job, cast(Any, None), target, Heartbeat(job))
    target.feed(b"first...")
    hands.begin_step("migration", "a.1")
    hands.end_step("a.1", duration_ms=1)
    hands.begin_step("migration", "a.2")
    target.feed(b" OK\nsecond\n")
    hands.end_step("a.2", duration_ms=1)
    assert hands.catch_up()
    assert ranges_of(job) == [(1, 1), (2, 2)]


def test_each_try_is_told_of_where_the_recorder_stood_in_that_moment(job: Job) -> None:
    """And not where it stands when that can be written; what we say of a try is nobody's."""
    target = recorder(job)
    hands = Performance(job, cast(Any, None), target, Heartbeat(job))
    for number in (1, 2):
        hands.begin_step("migration", "a.1")
        target.feed(b"it tries\n")
        hands.retry_step("a.1", attempt=number, attempts=5, again_in_s=1, waits=[], duration_ms=1)
    target.feed(b"too late\n")
    assert hands.catch_up()
    assert ranges_of(job) == [(1, 1), (3, 3), (None, None)]


def ranges_of(job: Job) -> list[tuple[int | None, int | None]]:
    return list(job.steps.order_by("position", "attempt").values_list("first_line", "last_line"))


def test_the_recorder_knows_where_it_stands_before_anything_is_written(job: Job) -> None:
    target = recorder(job)
    assert (target.next_line, target.line_at_hand, target.last_printed) == (1, 0, 0)
    target.say("we begin")
    target.feed(b"one\n  Applying x...")
    assert (target.next_line, target.line_at_hand, target.last_printed) == (3, 3, 3)
    target.feed(b" OK\n")
    assert (target.next_line, target.line_at_hand) == (4, 3)
    target.say("we end")
    assert (target.next_line, target.line_at_hand, target.last_printed) == (5, 4, 3)
