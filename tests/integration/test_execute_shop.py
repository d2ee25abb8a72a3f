"""Real jobs on the real Postgres example: what the rows say afterwards is what the database holds."""

import uuid

import psycopg
import pytest
from django.utils import timezone

from dbops import launch
from dbops.execute import execute
from dbops.inspection import inspect_now
from dbops.models import Job, Target
from dbops.transcript.reading import read_all
from tests.integration.conftest import ALICE, MakeTarget, default_of, make_shop

pytestmark = pytest.mark.django_db(transaction=True)


def run(target: Target, **arguments: str) -> Job:
    """Ask for a migrate job and do the worker's part in this process."""
    job = launch.start(default_of(target), "migrate", arguments, ALICE, key=uuid.uuid4()).job
    execute(job.pk, "worker-of-the-test")
    job.refresh_from_db()
    return job


def recorded(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT app || '.' || name FROM django_migrations ORDER BY id").fetchall()
    return [name for (name,) in rows]


def test_the_whole_project_is_migrated_and_the_row_says_so(shop: Target, postgres_url: str) -> None:
    pending = default_of(shop).pending_count
    job = run(shop)
    assert job.state == "succeeded", job.outcome
    assert len(recorded(postgres_url)) == pending > 20
    assert job.outcome.startswith(f"Applied and recorded {pending} migrations: ")
    assert job.done_count == job.total_count == pending
    assert default_of(shop).pending_count == 0
    assert [status.state for status in default_of(shop).found()] == ["checked"]


def test_steps_carry_duration_and_statements(shop: Target) -> None:
    job = run(shop, app="catalog")
    steps = list(job.steps.filter(kind="migration").order_by("position"))
    assert {step.state for step in steps} == {"succeeded"}
    assert all(step.duration_ms is not None and step.statements for step in steps)
    assert "catalog.0001_initial" in [step.name for step in steps]


def test_one_app_takes_only_what_it_depends_on(shop: Target, postgres_url: str) -> None:
    run(shop, app="customers")
    assert {name.split(".")[0] for name in recorded(postgres_url)} == {"customers"}


def test_up_to_a_named_migration_stops_there(shop: Target, postgres_url: str) -> None:
    job = run(shop, app="catalog", migration="0002_product_is_active")
    assert recorded(postgres_url)[-1].startswith("catalog.0002"), job.outcome
    assert default_of(shop).pending_count > 0


def test_a_job_with_nothing_to_do_says_so(shop: Target) -> None:
    run(shop)
    job = run(shop)
    assert (job.state, job.outcome) == ("succeeded", "There was nothing to apply.")


def test_the_transcript_holds_what_the_target_printed(shop: Target) -> None:
    lines = list(read_all(run(shop, app="catalog").pk))
    assert "Running migrations:\n" in lines
    assert any("catalog.0001_initial" in line for line in lines)
    assert (
        "opsdash: The guard is taken (advisory lock): no other job of opsdash changes this database "
        "meanwhile.\n" in lines
    )


def test_before_and_after_are_kept_with_the_job(shop: Target) -> None:
    job = run(shop, app="customers")
    assert ["customers", "0001_initial"] in job.facts["before"]["plan"]
    assert ["customers", "0001_initial"] not in job.facts["after"]["plan"]
    assert ["customers", "0001_initial"] in job.facts["recorded"]


def test_the_password_of_the_target_is_in_no_row(shop: Target, postgres_url: str) -> None:
    job = run(shop)
    password = postgres_url.split(":")[2].split("@")[0]
    inspection = shop.inspections.order_by("-id")[0]
    everything = "".join(read_all(job.pk)) + str(Job.objects.values().get(pk=job.pk)) + str(inspection.report)
    assert password not in everything


def test_a_second_job_is_refused_with_a_sentence_that_names_the_first(shop: Target) -> None:
    first = launch.start(default_of(shop), "migrate", {}, ALICE, key=uuid.uuid4()).job
    with pytest.raises(launch.RefusedError) as refused:
        launch.start(default_of(shop), "migrate", {}, ALICE, key=uuid.uuid4())
    assert str(refused.value) == (
        f"Job {first.pk} (migrate on shop/default) by alice is queued. Nothing was started: "
        "one job at a time changes a database. Wait for it or cancel it first."
    )


def test_two_targets_on_one_database_are_one_database(
    shop: Target, make_target: MakeTarget, postgres_url: str
) -> None:
    twin = make_shop(make_target, postgres_url, "shop-twin")
    inspect_now(twin)
    first = launch.start(default_of(shop), "migrate", {}, ALICE, key=uuid.uuid4()).job
    with pytest.raises(launch.RefusedError, match=f"Job {first.pk} .*which leads to the same database"):
        launch.start(default_of(twin), "migrate", {}, ALICE, key=uuid.uuid4())


def test_a_twin_whose_identity_was_not_known_meets_the_guard(
    shop: Target, make_target: MakeTarget, postgres_url: str
) -> None:
    """The rows could not know that both lead to one database; the database itself does."""
    from tests.integration.holding import held_guard

    with held_guard(postgres_url, "opsdash job 999 on elsewhere/default"):
        job = run(shop)
    assert job.state == "failed" and job.error_type == "GuardBusy"
    assert "opsdash job 999 on elsewhere/default" in job.outcome
    assert recorded_or_nothing(postgres_url) == []


def recorded_or_nothing(url: str) -> list[str]:
    try:
        return recorded(url)
    except psycopg.errors.UndefinedTable:
        return []


def test_the_same_key_gives_the_same_job(shop: Target) -> None:
    key = uuid.uuid4()
    first = launch.start(default_of(shop), "migrate", {}, ALICE, key=key)
    again = launch.start(default_of(shop), "migrate", {}, ALICE, key=key)
    assert (first.job.pk, first.new, again.new) == (again.job.pk, True, False)


def test_a_job_delivered_twice_is_performed_once(shop: Target) -> None:
    job = run(shop, app="customers")
    lines = list(read_all(job.pk))
    execute(job.pk, "another-worker")
    job.refresh_from_db()
    assert list(read_all(job.pk)) == lines and job.worker == "worker-of-the-test"


def test_a_failing_migration_leaves_the_traceback_and_what_is_recorded(
    shop: Target, postgres_url: str
) -> None:
    run(shop, app="customers", migration="0001_initial")
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE customers_address (id int)")
    inspect_now(shop)
    job = run(shop, app="customers")
    assert job.state == "failed" and job.error_type == "TargetFailed"
    assert "customers_address" in job.outcome and "already exists" in job.outcome
    assert "psycopg.errors.DuplicateTable" in job.error_traceback
    assert "No migration was recorded by this job" in job.outcome
    assert (
        "customers.0002_address is in the schema in part (there: the table customers_address" in job.outcome
    )
    assert recorded(postgres_url) == ["customers.0001_initial"]
    assert next(step.state for step in job.steps.order_by("position")) == "failed"


def test_a_target_on_our_own_database_is_refused(make_target: MakeTarget) -> None:
    from django.db import connection

    own = connection.settings_dict
    url = f"postgres://{own['USER']}:{own['PASSWORD']}@{own['HOST']}:{own['PORT']}/{own['NAME']}"
    target = make_shop(make_target, url, "mistake")
    inspect_now(target)
    status = default_of(target).found()[0]
    assert (status.state, status.reason) == ("broken", "own_database")
    job = run(target)
    assert job.state == "failed" and job.error_type == "OwnDatabase"


def test_a_job_asked_for_and_cancelled_before_a_worker_came_never_starts(
    shop: Target, postgres_url: str
) -> None:
    job = launch.start(default_of(shop), "migrate", {}, ALICE, key=uuid.uuid4()).job
    answer = launch.cancel(job, ALICE)
    execute(job.pk, "worker")
    job.refresh_from_db()
    assert job.state == "cancelled" and job.finished_at and job.finished_at <= timezone.now()
    assert (
        answer
        == job.outcome
        == ("Cancelled by alice before a worker began. Nothing was done to the database.")
    )
    assert recorded_or_nothing(postgres_url) == []


def test_cancelling_an_ended_job_says_that_it_had_ended(shop: Target) -> None:
    job = run(shop, app="customers")
    assert launch.cancel(job, ALICE) == f"Job {job.pk} had succeeded already; there was nothing to cancel."
