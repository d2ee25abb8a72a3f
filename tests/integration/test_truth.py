"""What a job says at its end is what the database holds, however the end came about."""

import os
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import InterfaceError, OperationalError, connection, connections, transaction
from django.utils import timezone

from dbops import launch, truth
from dbops.execute import _write_end, _write_lost, execute
from dbops.heartbeat import Heartbeat
from dbops.inspection import inspect_now
from dbops.loss import find_lost, resolve_lost
from dbops.models import Inspection, Job, Step, Target, away
from dbops.models.job import FenceLostError
from dbops.redaction import Redactor
from dbops.steps import Steps
from dbops.truth import Result, with_truth
from tests.integration.conftest import ALICE, EXAMPLES, MakeTarget, default_of, make_shop
from tests.integration.holding import held_guard
from tests.integration.worker import until

pytestmark = pytest.mark.django_db(transaction=True)
MakeJob = Callable[..., Job]


def run(target: Target, **arguments: str) -> Job:
    job = launch.start(default_of(target), "migrate", arguments, ALICE, key=uuid.uuid4()).job
    execute(job.pk, "worker")
    job.refresh_from_db()
    return job


@pytest.fixture
def tree(make_target: MakeTarget, tmp_path: Path) -> Target:
    """The blog in a folder of its own, whose files a test may break."""
    for name in ("manage.py", "blog", "posts"):
        copy(EXAMPLES / "blog" / name, tmp_path / name)
    target = make_target("blog", working_directory=str(tmp_path), python=[sys.executable])
    inspect_now(target)
    return target


def copy(source: Path, to: Path) -> None:
    if source.is_file():
        to.write_bytes(source.read_bytes())
        return
    to.mkdir()
    for child in source.iterdir():
        if child.suffix == ".py" or (child.is_dir() and child.name != "__pycache__"):
            copy(child, to / child.name)


def break_a_migration(tree: Target, text: str = "raise RuntimeError('half deployed')\n") -> None:
    folder = Path(tree.working_directory) / "posts" / "migrations"
    (folder / "0006_half.py").write_text(text)


def test_a_tree_that_cannot_be_read_is_not_taken_for_everything_applied(tree: Target) -> None:
    break_a_migration(tree)
    job = run(tree)
    assert job.state == "failed"
    assert "No migration was recorded by this job" in job.outcome
    assert "what is left to apply cannot be told" in job.outcome
    assert job.facts["recorded"] == []


def test_a_lost_job_on_such_a_tree_did_not_succeed(tree: Target, make_job: MakeJob) -> None:
    job = make_job(default_of(tree), state="lost", worker="w")
    Step.objects.create(job=job, position=1, kind="migration", name="posts.0001_initial")
    break_a_migration(tree)
    resolve_lost(job.pk)
    job.refresh_from_db()
    assert (job.state, job.facts["recorded"]) == ("failed", [])


def test_what_an_old_inspection_did_not_know_is_still_told_as_recorded(
    make_target: MakeTarget, postgres_url: str
) -> None:
    shop = make_shop(make_target, postgres_url)
    shop.databases.create(alias="default")
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE customers_address (id int)")
    job = run(shop, app="customers")
    assert job.state == "failed"
    assert "Recorded in the database by now: customers.0001_initial; " in job.outcome
    assert job.facts["recorded"] == [["customers", "0001_initial"]]


def test_a_job_asked_for_on_one_database_never_runs_on_another(
    shop: Target, make_target: MakeTarget, postgres_url: str
) -> None:
    """The environment of the target changed between the inspection and the worker's claim."""
    job = launch.start(default_of(shop), "migrate", {}, ALICE, key=uuid.uuid4()).job
    with led_to_another_database(shop, postgres_url) as other:
        execute(job.pk, "worker")
        job.refresh_from_db()
        with psycopg.connect(other) as there:
            row = there.execute("SELECT to_regclass('django_migrations')").fetchone()
    assert (job.state, job.error_type) == ("failed", "OtherDatabase")
    assert row == (None,)
    assert job.database_name == postgres_url.rpartition("/")[2]
    assert "could not be read afterwards: for the same reason." in job.outcome


@contextmanager
def led_to_another_database(target: Target, url: str) -> Iterator[str]:
    """Its environment is changed to an empty one, and back."""
    other = f"{url}_other"
    name = other.rpartition("/")[2]
    variable = target.variables.get(name="DATABASE_URL")
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        variable.keep(other, secret=True)
        variable.save()
        try:
            yield other
        finally:
            variable.keep(url, secret=True)
            variable.save()
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_a_job_whose_target_leads_to_opsdash_s_own_database_ends_and_names_nothing_of_that(
    shop: Target,
) -> None:
    job = launch.start(default_of(shop), "migrate", {}, ALICE, key=uuid.uuid4()).job
    own = connection.settings_dict
    variable = shop.variables.get(name="DATABASE_URL")
    url = f"postgres://{own['USER']}:{own['PASSWORD']}@{own['HOST']}:{own['PORT']}/{own['NAME']}"
    variable.keep(url, secret=True)
    variable.save()
    execute(job.pk, "worker")
    job.refresh_from_db()
    assert (job.state, job.error_type) == ("failed", "OwnDatabase")
    assert "could not be read afterwards: for the same reason." in job.outcome
    assert "No migration was recorded" not in job.outcome and "cannot be read" not in job.outcome
    assert job.facts["recorded"] is None


def test_a_secret_that_cannot_be_unsealed_ends_the_job_with_a_sentence(shop: Target) -> None:
    shop.variables.filter(name="DATABASE_URL").update(sealed="gAAAAABnot-sealed-by-any-key")
    job = run(shop)
    assert (job.state, job.error_type) == ("failed", "CannotUnsealError")
    assert "Put the key that sealed it back into OPSDASH_SEALING_KEYS" in job.outcome
    shop.refresh_from_db()
    assert shop.inspecting_since is None and not Inspection.objects.filter(outcome="running").exists()
    assert default_of(shop).found()[0].state == "broken"


def test_an_error_of_our_own_while_inspecting_is_kept_and_not_blamed_on_the_target(
    blog: Target, monkeypatch: Any
) -> None:
    monkeypatch.setattr("dbops.inspection.inspect.keep_answer", lambda *_: 1 / 0)
    inspection = inspect_now(blog)
    assert (inspection.outcome, inspection.error_type) == ("failed", "ZeroDivisionError")
    (status,) = default_of(blog).found()
    assert status.state == "unknown" and "opsdash itself failed to inspect it" in status.detail


def test_a_secret_that_a_migration_throws_reaches_no_row(tree: Target) -> None:
    variable = tree.variables.model(target=tree, name="SIGNING_SALT")
    variable.keep("canary-4711-salt", secret=True)
    variable.save()
    break_a_migration(tree, "import os\nraise ValueError(os.environ['SIGNING_SALT'])\n")
    inspect_now(tree)
    job = run(tree)
    rows = [
        Job.objects.values().get(pk=job.pk),
        *Inspection.objects.values(),
        *tree.databases.values("statuses"),
    ]
    assert "ValueError" in str(rows) and "canary-4711-salt" not in str(rows)


# Lost


def lost(target: Target, make_job: MakeJob, **fields: Any) -> Job:
    long_ago = timezone.now() - timedelta(minutes=5)
    job = make_job(
        default_of(target), state="running", worker="gone", fence=1, heartbeat_at=long_ago, **fields
    )
    assert [found.pk for found in find_lost()] == [job.pk]
    job.refresh_from_db()
    assert job.state == "lost"
    return job


def look(job: Job) -> Job:
    Job.objects.filter(pk=job.pk).update(look_again_at=None)
    resolve_lost(job.pk)
    job.refresh_from_db()
    return job


def test_a_lost_job_stays_lost_while_the_guard_is_held(
    shop: Target, make_job: MakeJob, postgres_url: str
) -> None:
    job = lost(shop, make_job)
    with held_guard(postgres_url, f"opsdash job {job.pk} on shop/default"):
        assert look(job).state == "lost"
        assert "something still holds the guard of the database" in job.outcome
    assert look(job).state == "failed"
    assert job.fence == 2, "whoever held it finds that it does not any more"


def test_a_lost_job_stays_lost_while_the_server_has_a_session_of_it(
    shop: Target, make_job: MakeJob, postgres_url: str
) -> None:
    """The guard's connection is gone, the one that works is not."""
    job = lost(shop, make_job)
    with psycopg.connect(postgres_url, application_name=f"opsdash job {job.pk} on shop/default"):
        assert look(job).state == "lost"
        assert "the server still has a session of the job" in job.outcome
    assert look(job).state == "failed"


def test_a_lost_job_stays_lost_while_its_session_works_under_another_name(
    shop: Target, make_job: MakeJob, postgres_url: str
) -> None:
    """The target called it something else."""
    with psycopg.connect(postgres_url, application_name="webapp") as session:
        job = lost(shop, make_job, **announced(session))
        assert look(job).state == "lost"
        assert f"the server still has a session of the job (pid {job.backend_pid})" in job.outcome
    assert look(job).state == "failed"


def test_a_process_number_that_was_used_again_holds_no_job_up(
    shop: Target, make_job: MakeJob, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url, application_name="webapp") as session:
        told = announced(session)
        told["backend_started"] -= 1
        assert look(lost(shop, make_job, **told)).state == "failed"


def test_a_lost_job_stays_lost_while_it_works_in_another_database_of_the_server(
    shop: Target, make_job: MakeJob
) -> None:
    job = lost(shop, make_job)
    name = f"opsdash job {job.pk} on shop/another"
    with psycopg.connect(os.environ["DATABASE_URL"], application_name=name):
        assert look(job).state == "lost"
    assert look(job).state == "failed"


def announced(session: psycopg.Connection[Any]) -> dict[str, int]:
    started = session.execute(
        "SELECT (extract(epoch FROM backend_start) * 1000000)::bigint FROM pg_stat_activity "
        "WHERE pid = pg_backend_pid()"
    ).fetchone()
    assert started
    return {"backend_pid": session.info.backend_pid, "backend_started": started[0]}


def test_what_a_worker_tells_while_staff_looks_at_the_page_counts_for_the_resolution(
    shop: Target, make_job: MakeJob
) -> None:
    job = lost(shop, make_job)
    told = {"how_lost": "Cancelled by alice, and the line was cut.", "concluded": "cancelled"}
    _write_lost(Job.objects.get(pk=job.pk), Result("lost", "It is not proven.", facts=told), Redactor(()), 0)
    assert launch.resolve(job, ALICE, "looked") == (
        f"Job {job.pk} is resolved as cancelled. Its database is free for other jobs."
    )
    job.refresh_from_db()
    assert job.state == "cancelled" and job.outcome.startswith("Cancelled by alice, and the line was cut.")


def test_a_lost_job_whose_target_cannot_be_inspected_stays_lost_and_says_why(
    shop: Target, make_job: MakeJob
) -> None:
    job = lost(shop, make_job)
    Target.objects.filter(pk=shop.pk).update(python=["/nowhere/python"])
    assert look(job).state == "lost"
    assert "its database cannot be looked at" in job.outcome and "staff can resolve it" in job.outcome


def test_a_lost_job_whose_target_leads_to_another_database_by_now_is_not_ended_by_what_that_one_holds(
    shop: Target, make_job: MakeJob, postgres_url: str
) -> None:
    job = lost(shop, make_job, identity=default_of(shop).identity)
    with held_guard(postgres_url, "opsdash job"), led_to_another_database(shop, postgres_url):
        assert look(job).state == "lost"
    words = "The alias default leads to another database than the one the job was asked for"
    assert f"its database cannot be looked at ({words})" in job.outcome
    assert look(job).state == "failed", "it leads back"


def test_a_lost_job_whose_alias_is_not_there_any_more_says_so(shop: Target, make_job: MakeJob) -> None:
    job = lost(shop, make_job)
    shop.databases.update(alias="legacy")
    assert look(job).state == "lost"
    assert "The alias legacy is not among those that the target's settings name" in job.outcome


def test_a_lost_job_whose_plan_is_recorded_and_whose_receivers_were_at_work_did_not_succeed(
    shop: Target, make_job: MakeJob
) -> None:
    run(shop, app="customers")
    job = lost(shop, make_job)
    Step.objects.create(job=job, position=1, kind="migration", name=FIRST, state="running")
    after = Step.objects.create(
        job=job, position=2, kind="post_migrate", name="post_migrate", state="running"
    )
    assert (look(job).state, job.error_type) == ("failed", "WorkerLost")
    assert "Nothing that is recorded shows whether post_migrate came to its end." in job.outcome
    after.refresh_from_db()
    assert after.state == "failed"
    assert job.steps.get(position=1).state == "succeeded"


FIRST = "customers.0001_initial"


@pytest.mark.parametrize(
    ("concluded", "plan", "ended"),
    [
        ("failed", [FIRST], ("failed", "TargetFailed")),
        ("cancelled", [FIRST], ("cancelled", "TargetFailed")),
        ("succeeded", [FIRST], ("succeeded", "")),
        ("succeeded", [], ("succeeded", "")),
        ("succeeded", [FIRST, "catalog.0001_initial"], ("failed", "LeftUnapplied")),
    ],
)
def test_what_the_worker_knew_of_the_end_of_a_job_that_it_left_lost_stays_true(
    shop: Target, make_job: MakeJob, concluded: str, plan: list[str], ended: tuple[str, str]
) -> None:
    """Also that there was nothing to apply. Only what is lacking can show that it was not as it looked."""
    run(shop, app="customers")
    job = lost(shop, make_job, cancel_asked_at=timezone.now())
    facts = {"how_lost": "So it ended.", "concluded": concluded, "plan": plan}
    Job.objects.filter(pk=job.pk).update(facts=facts, error_type="TargetFailed", error_traceback="Traceback")
    assert (look(job).state, job.error_type) == ended
    assert job.outcome.startswith("So it ended. The guard is free")
    assert job.facts["recorded"] == [pair.split(".") for pair in plan[:1]]
    assert ("are not recorded: catalog.0001_initial." in job.outcome) == (len(plan) == 2)
    assert job.error_traceback == "Traceback"


def test_a_failed_job_is_lost_while_a_guard_without_a_name_is_held_and_ends_while_another_s_is(
    shop: Target, make_job: MakeJob, postgres_url: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(truth, "REST_S", 0)
    job = make_job(default_of(shop), state="running", backend_pid=4711)
    failed = Result("failed", "It failed.", "TargetFailed", facts={"recorded_known": False})
    with held_guard(postgres_url, ""):
        result = with_truth(job, failed, [])
    assert (result.state, result.facts["concluded"]) == ("lost", "failed")
    assert "something still holds the guard of the database" in result.outcome
    with held_guard(postgres_url, "somebody"):
        assert with_truth(job, failed, []).state == "failed"


def test_a_job_that_was_called_lost_a_moment_before_its_worker_gives_it_up_keeps_what_that_knows(
    shop: Target, make_job: MakeJob
) -> None:
    job = lost(shop, make_job)
    given_up = Result("lost", "It is not proven.", "ConnectionLost", "Traceback", {"plan": [FIRST]})
    given_up.facts.update(how_lost="The line was cut.", concluded="failed")
    _write_lost(job, given_up, Redactor(()), 0)
    # The acknowledgement was lost: once more.
    _write_lost(job, given_up, Redactor(()), 0)
    given_up_row = Job.objects.get(pk=job.pk)
    assert (given_up_row.state, given_up_row.fence) == ("lost", job.fence + 1)
    assert (given_up_row.how_lost, given_up_row.error_traceback) == ("The line was cut.", "Traceback")
    look(job)
    assert (job.state, job.error_type, job.facts["plan"]) == ("failed", "ConnectionLost", [FIRST])
    with pytest.raises(FenceLostError):
        _write_lost(given_up_row, given_up, Redactor(()), 0)


def test_a_lost_job_that_did_all_its_work_succeeded(shop: Target, make_job: MakeJob) -> None:
    run(shop, app="customers")
    job = lost(shop, make_job)
    Step.objects.create(job=job, position=1, kind="migration", name="customers.0001_initial", state="running")
    Step.objects.create(job=job, position=2, kind="post_migrate", name="post_migrate", state="succeeded")
    assert look(job).state == "succeeded"
    assert job.facts["recorded"] == [["customers", "0001_initial"]]


def test_a_lost_job_of_which_the_end_of_post_migrate_was_not_heard_did_not_succeed(
    shop: Target, make_job: MakeJob
) -> None:
    """That it began may have waited in the memory of the worker that vanished."""
    run(shop, app="customers")
    job = lost(shop, make_job)
    Step.objects.create(job=job, position=1, kind="migration", name="customers.0001_initial", state="running")
    assert look(job).state == "failed"
    assert job.facts["recorded"] == [["customers", "0001_initial"]]
    assert "Nothing that is recorded shows whether post_migrate came to its end." in job.outcome


def test_a_lost_job_that_was_asked_to_stop_is_cancelled(shop: Target, make_job: MakeJob) -> None:
    job = lost(shop, make_job, cancel_asked_at=timezone.now())
    Step.objects.create(job=job, position=1, kind="migration", name="customers.0001_initial", state="running")
    assert look(job).state == "cancelled"
    assert job.steps.get().state == "cancelled"


def test_a_lost_job_is_looked_after_by_one_at_a_time(shop: Target, make_job: MakeJob) -> None:
    job = lost(shop, make_job)
    assert Job.objects.claim_look(job.pk, 60)
    before = Inspection.objects.count()
    resolve_lost(job.pk)
    assert Inspection.objects.count() == before


def test_a_worker_that_was_only_cut_off_takes_its_job_back(shop: Target, make_job: MakeJob) -> None:
    job = lost(shop, make_job)
    with Heartbeat(job) as heartbeat:
        until(lambda: Job.objects.get(pk=job.pk).state == "running", "the job is taken back")
        assert not heartbeat.fence_lost.is_set()
    assert Job.objects.get(pk=job.pk).outcome == ""


def test_a_heartbeat_outlives_whatever_our_database_answers(make_job: MakeJob, monkeypatch: Any) -> None:
    job = make_job(state="running", fence=1)
    real = Job.objects.filter
    failed: list[int] = []

    def fails_twice(*args: Any, **kwargs: Any) -> Any:
        if len(failed) < 2:
            failed.append(1)
            raise [InterfaceError, OperationalError][len(failed) - 1]("gone")
        return real(*args, **kwargs)

    monkeypatch.setattr(Job.objects, "filter", fails_twice)
    with Heartbeat(job) as heartbeat:
        until(lambda: len(failed) == 2, "it met both")
        assert Job.objects.move(job.pk, ["running"], "cancelling")
        assert heartbeat.cancel_asked.wait(10)


def test_a_worker_whose_job_was_ended_meanwhile_stops(shop: Target, make_job: MakeJob) -> None:
    job = lost(shop, make_job)
    look(Job.objects.get(pk=job.pk))
    with Heartbeat(job) as heartbeat:
        assert heartbeat.fence_lost.wait(10)
    assert Job.objects.get(pk=job.pk).state == "failed"
    steps = Steps(job.pk, job.fence)
    with pytest.raises(FenceLostError), transaction.atomic():
        steps.begin("migration", "late.0001")
        steps.tell(1)
    assert not Step.objects.filter(name="late.0001").exists()


# The end


def cut_off_once(monkeypatch: Any) -> list[int]:
    """Our database ends the connection between the last write of the row and that of its steps."""
    close, calls = Steps.close, []

    def cut_off(*arguments: Any, last_line: int) -> None:
        calls.append(1)
        if len(calls) == 1:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        close(*arguments, last_line=last_line)

    monkeypatch.setattr(Steps, "close", cut_off)
    monkeypatch.setattr(away, "PAUSE_S", 0)
    return calls


def test_an_end_is_written_with_its_steps_or_not_at_all(make_job: MakeJob, monkeypatch: Any) -> None:
    job = make_job(state="running", fence=1)
    step = Step.objects.create(job=job, position=1, kind="migration", name=FIRST, state="running")
    calls = cut_off_once(monkeypatch)
    away.patiently(lambda: _write_end(job, Result("failed", "It failed."), Redactor(()), 0))
    job.refresh_from_db()
    step.refresh_from_db()
    assert (job.state, job.version, step.state, len(calls)) == ("failed", 1, "failed", 2)


def test_an_end_whose_acknowledgement_was_lost_is_written_once(make_job: MakeJob) -> None:
    job = make_job(state="cancelling", fence=1)
    for _ in range(2):
        _write_end(job, Result("cancelled", "Cancelled by alice."), Redactor(()), 0)
    assert Job.objects.get(pk=job.pk).version == 1
    with pytest.raises(FenceLostError):
        _write_end(job, Result("failed", "It failed."), Redactor(()), 0)


def test_an_end_is_not_written_over_that_of_another(make_job: MakeJob) -> None:
    job = make_job(state="failed", fence=2, finished_at=timezone.now())
    job.fence = 1
    with pytest.raises(FenceLostError):
        _write_end(job, Result("failed", "It failed."), Redactor(()), 0)


def test_the_end_of_a_lost_job_is_written_with_its_steps_or_not_at_all(
    shop: Target, make_job: MakeJob, monkeypatch: Any
) -> None:
    job = lost(shop, make_job)
    step = Step.objects.create(job=job, position=1, kind="migration", name=FIRST, state="running")
    calls = cut_off_once(monkeypatch)
    with pytest.raises(OperationalError):
        look(job)
    connection.close()
    job.refresh_from_db()
    assert job.state == "lost"
    assert look(job).state == "failed"
    step.refresh_from_db()
    assert (step.state, len(calls)) == ("failed", 2)


# Cancel against finish


def test_of_cancel_and_finish_at_once_the_row_tells_one_truth(shop: Target) -> None:
    """Whatever comes first, the state is final and agrees with the outcome."""
    for number in range(5):
        job = launch.start(
            default_of(shop),
            "migrate",
            {"app": "customers", "migration": "0001_initial"},
            ALICE,
            key=uuid.uuid4(),
        ).job
        canceller = threading.Timer(0.15 * number, cancel, [job.pk])
        canceller.start()
        execute(job.pk, "worker")
        canceller.join()
        job.refresh_from_db()
        assert job.state in ("succeeded", "cancelled")
        assert job.outcome.startswith("Cancelled by alice") == (job.state == "cancelled")
        assert not job.steps.filter(state__in=["running", "pending"]).exists()


def cancel(job_id: int) -> None:
    try:
        launch.cancel(Job.objects.get(pk=job_id), ALICE)
    finally:
        connections.close_all()


def test_the_sweeper_publishes_a_queued_job_again_until_it_is_begun(
    shop: Target, make_job: MakeJob, monkeypatch: Any
) -> None:
    from dbops import tasks

    published: list[int] = []
    monkeypatch.setattr(tasks, "publish_job", lambda job: published.append(job.pk))
    long_ago = timezone.now() - timedelta(minutes=5)
    job = make_job(default_of(shop), published_at=long_ago, queue=f"q{uuid.uuid4().hex[:8]}")
    tasks.sweep_jobs()
    assert published == [job.pk]
    with transaction.atomic():
        Job.objects.claim(job.pk, "worker")
    tasks.sweep_jobs()
    assert published == [job.pk]
