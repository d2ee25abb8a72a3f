"""Asking for a job and taking it back: what is refused, what is written together."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections, transaction

from dbops import launch
from dbops.access import Actor
from dbops.models import AuditEvent, Job, Target, TargetDatabase
from dbops.models.job import SHELL
from dbops.operations import REGISTRY
from dbops.rights import ALL
from tests.integration.conftest import ALICE, MakeDatabase

MakeJob = Callable[..., Job]
BOB = Actor(None, "bob", SHELL, ALL)


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """The jobs that followers were told of, and whether that was inside a transaction."""
    told: list[tuple[int, bool]] = []
    monkeypatch.setattr(
        launch,
        "publish_change",
        lambda job_id: told.append((job_id, transaction.get_connection().in_atomic_block)),
    )
    return told


# One form, one job


@pytest.mark.django_db
def test_the_same_form_sent_twice_leads_to_its_one_job(make_database: MakeDatabase) -> None:
    key, database = uuid.uuid4(), make_database()
    first = launch.start(database, "migrate", {"app": "shop"}, ALICE, key=key)
    again = launch.start(database, "migrate", {"app": "shop"}, ALICE, key=key, reason="once more")
    assert (first.new, again.new, again.job) == (True, False, first.job)


@pytest.mark.django_db
@pytest.mark.parametrize("other", ["database", "arguments", "person", "operation"])
def test_a_form_that_was_sent_for_something_else_starts_nothing(
    make_database: MakeDatabase, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    key, database = uuid.uuid4(), make_database()
    monkeypatch.setitem(REGISTRY, "reset", REGISTRY["migrate"])
    first = make_job(
        database,
        idempotency_key=key,
        arguments={"app": "shop"},
        operation="reset" if other == "operation" else "migrate",
    )
    sent: dict[str, Any] = {
        "database": make_database("blog") if other == "database" else database,
        "operation": "migrate",
        "arguments": {"app": "blog"} if other == "arguments" else {"app": "shop"},
        "actor": BOB if other == "person" else ALICE,
    }
    with pytest.raises(launch.RefusedError) as refused:
        launch.start(**sent, key=key)
    sentence = str(refused.value)
    assert sentence.startswith(f"This form was already sent for job {first.pk} (")
    assert "on shop/default" in sentence and "Nothing was started." in sentence
    assert sentence.endswith("Open the page anew.")
    assert refused.value.job == first and Job.objects.count() == 1
    event = AuditEvent.objects.get(act="job.migrate.refused")
    assert (event.actor, event.reason) == (sent["actor"].name, sentence)


@pytest.mark.django_db
def test_two_people_with_one_name_are_two_people(make_database: MakeDatabase) -> None:
    database, key = make_database(), uuid.uuid4()
    launch.start(database, "migrate", {}, ALICE, key=key)
    user = User.objects.create_user("alice")
    with pytest.raises(launch.RefusedError, match="already sent for job"):
        launch.start(database, "migrate", {}, Actor(user, "alice", "", ALL), key=key)


@pytest.mark.django_db(transaction=True)
def test_of_one_form_sent_for_two_databases_at_once_one_is_refused(make_database: MakeDatabase) -> None:
    key = uuid.uuid4()
    databases = [make_database("shop"), make_database("blog")] * 5
    ready = threading.Barrier(len(databases))

    def send(database: TargetDatabase) -> tuple[int, str]:
        try:
            ready.wait()
            started = launch.start(database, "migrate", {}, ALICE, key=key)
            return started.job.database_id, "new" if started.new else "same"
        except launch.RefusedError as refused:
            return database.pk, str(refused)[:35]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(databases)) as pool:
        answers = list(pool.map(send, databases))
    job = Job.objects.get()
    theirs = [word for database_id, word in answers if database_id == job.database_id]
    others = [word for database_id, word in answers if database_id != job.database_id]
    assert sorted(theirs) == ["new", "same", "same", "same", "same"]
    assert others == ["This form was already sent for job "] * 5


# Without a guard


@pytest.mark.django_db
def test_where_there_is_no_guard_one_job_at_a_time_works_for_a_target(make_database: MakeDatabase) -> None:
    """Its aliases may lead to one database, and nothing tells."""
    first, replica, log = (
        make_database(alias=alias, vendor=vendor)
        for alias, vendor in (("default", "mysql"), ("replica", "mysql"), ("log", "postgresql"))
    )
    job = launch.start(first, "migrate", {}, ALICE, key=uuid.uuid4()).job
    with pytest.raises(launch.RefusedError, match="no guard for mysql") as refused:
        launch.start(replica, "migrate", {}, ALICE, key=uuid.uuid4())
    assert refused.value.job == job and f"Job {job.pk} (migrate on shop/default" in str(refused.value)
    others = [log, make_database("blog", vendor="mysql")]
    assert all(launch.start(other, "migrate", {}, ALICE, key=uuid.uuid4()).new for other in others)
    assert launch.cancel(job, ALICE)
    assert launch.start(replica, "migrate", {}, ALICE, key=uuid.uuid4()).new


# Cancelling


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_job_is_not_cancelled_without_its_audit_row(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, told: list[tuple[int, bool]], state: str
) -> None:
    job = make_job(state=state)

    def fails(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no audit row")

    monkeypatch.setattr(AuditEvent.objects, "record", fails)
    with pytest.raises(RuntimeError, match="no audit row"):
        launch.cancel(job, ALICE)
    job.refresh_from_db()
    assert (job.state, told) == (state, [])


@pytest.mark.django_db(transaction=True)
def test_followers_are_told_of_a_cancellation_once_it_is_written(
    make_job: MakeJob, told: list[tuple[int, bool]]
) -> None:
    job = make_job()
    with transaction.atomic():
        launch.cancel(job, ALICE)
        assert told == []
    assert told == [(job.pk, False)]
    assert AuditEvent.objects.get(act="job.cancel").job_id == job.pk


@pytest.mark.django_db(transaction=True)
def test_an_inspection_is_not_asked_for_without_its_audit_row(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = make_database().target

    def fails(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the row of the target cannot be written")

    monkeypatch.setattr(Target.objects, "filter", fails)
    with pytest.raises(RuntimeError):
        launch.inspect(target, ALICE)
    assert not AuditEvent.objects.exists()
