"""A job waits for a lock: who is in the way stands on its page, staff may end it, and tries are told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from html import unescape
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse

from dbops import endings, launch
from dbops.lockwait import LockWait
from dbops.models import AuditEvent, Job, SessionEnding, Step, Target
from dbops.steps import Steps
from dbops.transcript.reading import read_all
from tests.integration.at_work import ask, inspected, performed, settings_of, state
from tests.integration.conftest import ALICE, PASSWORD, MakeTarget
from tests.integration.private import private_postgres
from tests.integration.worker import until
from tests.targets.builder import Project, make_project

pytestmark = pytest.mark.django_db(transaction=True)

ALTER = 'migrations.RunSQL("ALTER TABLE wanted ADD COLUMN more integer")'
# The session of `waiting_job`, as its page shows it.
ASKED: Any = {
    "pid": 77, "backend_start": "then", "transaction_start": "later", "act": "terminate", "reason": "because",
}  # fmt: skip


@pytest.fixture
def knobs(settings: Any) -> Callable[..., None]:
    def turn(**values: int) -> None:
        settings.DBOPS = {**settings.DBOPS, **values}

    turn(LOCK_TIMEOUT_MS=0)
    return turn


@pytest.fixture
def project(tmp_path: Path, postgres_url: str) -> Project:
    """Its migration needs the table `wanted` for itself."""
    return altering(tmp_path / "mini", postgres_url)


def altering(path: Path, url: str) -> Project:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE wanted (n integer)")
    project = make_project(path, {"default": settings_of(url)})
    project.migration("0001_alter", ALTER)
    return project


@pytest.fixture
def target(make_target: MakeTarget, project: Project, knobs: Callable[..., None]) -> Target:
    return inspected(make_target, project, list(project.address().argv))


@contextmanager
def held(
    url: str, statement: str = "LOCK TABLE wanted", name: str = "somebody"
) -> Iterator[psycopg.Connection[Any]]:
    connection = psycopg.connect(url, application_name=name)
    connection.execute(statement.encode())
    try:
        yield connection
    finally:
        connection.close()


def signed_in(person: User) -> Client:
    client = Client()
    assert client.login(username=person.username, password=PASSWORD)
    return client


def wait_of(job: Job) -> Any:
    job.refresh_from_db()
    return job.lock_wait


def until_blocked(job: Job) -> dict[str, Any]:
    until(lambda: (wait_of(job) or {}).get("waits"), "the page shows who is in the way")
    found: dict[str, Any] = job.lock_wait["waits"][0]["blockers"][0]  # type: ignore[index]
    return found


def shown_of(blocker: dict[str, Any]) -> dict[str, Any]:
    """What the form of its page carries."""
    return {name: blocker[name] for name in ("backend_start", "transaction_start")}


def page(client: Client, job: Job) -> str:
    return " ".join(unescape(client.get(job.get_absolute_url()).content.decode()).split())


def url_of(job: Job, pid: int, act: str = "termination") -> str:
    return reverse(f"session_{act}", args=[job.pk, pid])


def answers(job: Job) -> list[tuple[str, str]]:
    return list(SessionEnding.objects.filter(job=job).order_by("pk").values_list("act", "outcome"))


def audited(job: Job) -> list[str]:
    acts = AuditEvent.objects.filter(job_id=job.pk, act__startswith="session.").order_by("pk")
    return list(acts.values_list("act", flat=True))


def test_while_it_waits_the_page_says_for_what_and_who_is_in_the_way(
    target: Target, postgres_url: str, people: dict[str, User]
) -> None:
    viewer = signed_in(people["viewer"])
    job = ask(target)
    with held(postgres_url, "SELECT 'secret' FROM wanted") as holder, performed(job):
        blocker = until_blocked(job)
        assert blocker["pid"] == holder.info.backend_pid
        shown = page(viewer, job)
        holder.rollback()
    assert 'It waits for <strong class="breakable">AccessExclusiveLock on wanted</strong>' in shown
    assert f"pid {blocker['pid']}" in shown and "somebody, role" in shown
    assert "idle in transaction" in shown and "SELECT '?' FROM wanted" in shown and "secret" not in shown
    assert "Staff can cancel the statement of such a session, or end it." in shown
    assert url_of(job, blocker["pid"]) not in shown
    assert (state(job), job.lock_wait) == ("succeeded", None)
    assert "It waits for <strong" not in page(viewer, job)
    said = [line for line in read_all(job.pk) if "waits for" in line]
    assert len(said) == 1
    assert f"waits for AccessExclusiveLock on wanted; blocked by pid {blocker['pid']} (somebody" in said[0]


def test_staff_ends_the_session_and_the_job_goes_on(
    target: Target, postgres_url: str, people: dict[str, User]
) -> None:
    staff = signed_in(people["staff"])
    job = ask(target)
    with held(postgres_url) as holder, performed(job):
        blocker = until_blocked(job)
        shown = page(staff, job)
        assert url_of(job, blocker["pid"]) in shown
        # There is no statement to cancel.
        assert url_of(job, blocker["pid"], "cancellation") not in shown
        assert "there is no statement to cancel" in shown
        confirmation = unescape(staff.get(url_of(job, blocker["pid"])).content.decode())
        assert "its transaction is rolled back, and its client gets an error" in confirmation
        assert f'name="backend_start" value="{blocker["backend_start"]}"' in confirmation
        assert f'name="transaction_start" value="{blocker["transaction_start"]}"' in confirmation
        asked = {**shown_of(blocker), "reason": "forgotten psql"}
        response = staff.post(url_of(job, blocker["pid"]), asked)
        assert (response.status_code, response["Location"]) == (302, job.get_absolute_url())
        until(lambda: state(job) == "succeeded", "the job went on")
        with pytest.raises(psycopg.OperationalError):
            holder.execute("SELECT 1")
    assert answers(job) == [("terminate", "done")]
    assert audited(job) == ["session.terminate", "session.terminate.answer"]
    event = AuditEvent.objects.get(act="session.terminate")
    assert (event.actor, event.reason, event.details["pid"]) == ("staff", "forgotten psql", blocker["pid"])
    assert "The session was ended, its transaction rolled back." in page(staff, job)
    assert any("as staff asked: The session was ended" in line for line in read_all(job.pk))


def test_a_statement_is_cancelled_and_its_session_stays(
    target: Target, postgres_url: str, people: dict[str, User]
) -> None:
    staff = signed_in(people["staff"])
    job = ask(target)
    with psycopg.connect(postgres_url, autocommit=True) as other, asleep_on_wanted(other, postgres_url):
        with performed(job):
            blocker = until_blocked(job)
            assert (blocker["pid"], blocker["state"]) == (other.info.backend_pid, "active")
            asked = {**shown_of(blocker), "reason": "a report"}
            assert staff.post(url_of(job, blocker["pid"], "cancellation"), asked).status_code == 302
        assert (state(job), answers(job)) == ("succeeded", [("cancel", "done")])


@contextmanager
def asleep_on_wanted(connection: psycopg.Connection[Any], url: str) -> Iterator[None]:
    """In a statement that takes ten minutes, until somebody cancels it."""
    connection.execute("INSERT INTO wanted VALUES (1)")

    def sleep() -> None:
        with suppress(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(600) FROM wanted")

    thread = threading.Thread(target=sleep)
    thread.start()
    with psycopg.connect(url, autocommit=True) as looking:
        locks = "SELECT 1 FROM pg_locks WHERE relation = 'wanted'::regclass"
        until(lambda: looking.execute(locks).fetchone(), "it reads the table")
    yield
    thread.join(30)
    assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("name", ["viewer", "operator"])
def test_others_than_staff_are_refused_and_that_is_kept(
    target: Target, postgres_url: str, people: dict[str, User], name: str
) -> None:
    client = signed_in(people[name])
    job = ask(target)
    with held(postgres_url) as holder, performed(job):
        blocker = until_blocked(job)
        asked = {**shown_of(blocker), "reason": "because"}
        assert client.post(url_of(job, blocker["pid"]), asked).status_code == 403
        assert client.get(url_of(job, blocker["pid"])).status_code == 403
        assert holder.execute("SELECT 1").fetchone() == (1,)
        holder.rollback()
    assert not SessionEnding.objects.exists()
    refused = AuditEvent.objects.get(act="refused")
    assert (refused.actor, refused.details["url"]) == (name, "session_termination")


def test_what_the_page_showed_must_still_be_so(
    target: Target, postgres_url: str, people: dict[str, User]
) -> None:
    staff = signed_in(people["staff"])
    job = ask(target)
    with held(postgres_url) as holder, performed(job):
        blocker = until_blocked(job)
        pid, right = blocker["pid"], {**shown_of(blocker), "reason": "because"}
        earlier = {**right, "backend_start": "2001-01-01T00:00:00.000000+00:00"}
        before = {**right, "transaction_start": blocker["backend_start"]}
        for url, data, words in [
            (url_of(job, pid), earlier, "another session by now than the one that was shown"),
            (url_of(job, pid), before, "another transaction by now than the one that was shown"),
            (url_of(job, pid + 1), right, "is not in the way of job"),
            (url_of(job, pid, "cancellation"), right, "there is no statement to cancel"),
        ]:
            response = staff.post(url, data)
            assert response.status_code == 409
            assert words in unescape(response.content.decode())
        response = staff.post(url_of(job, pid), shown_of(blocker))
        assert (response.status_code, "Say why" in response.content.decode()) == (422, True)
        assert holder.execute("SELECT 1").fetchone() == (1,)
        holder.rollback()
    assert not SessionEnding.objects.exists()
    assert audited(job) == ["session.terminate.refused"] * 3 + ["session.cancel.refused"]


def test_asked_for_twice_it_is_sent_once(target: Target, postgres_url: str, people: dict[str, User]) -> None:
    staff = signed_in(people["staff"])
    job = waiting_job(target)
    url, data = url_of(job, 77), {"backend_start": "then", "transaction_start": "later", "reason": "because"}
    assert staff.post(url, data).status_code == 302
    second = staff.post(url, data)
    assert second.status_code == 409 and "asked for already" in second.content.decode()
    assert list(endings.take(job.pk, job.fence + 1, set())) == []
    assert [ending.pid for ending in endings.take(job.pk, job.fence, set())] == [77]
    # The acknowledgement may have been lost.
    assert [ending.pid for ending in endings.take(job.pk, job.fence, set())] == [77]
    ending = SessionEnding.objects.get()
    assert list(endings.take(job.pk, job.fence, {ending.pk})) == []
    endings.answer(job.pk, ending.pk, "done", "first")
    endings.answer(job.pk, ending.pk, "failed", "second")
    ending.refresh_from_db()
    assert (ending.outcome, ending.answer) == ("done", "first")
    assert staff.post(url, data).status_code == 302


def test_one_whose_taking_was_not_acknowledged_is_sent_all_the_same(
    target: Target, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QuerySet, "update", lost_once_it_is_sent(QuerySet.update))
    job = ask(target)
    with held(postgres_url), performed(job):
        blocker = until_blocked(job)
        asked = {"pid": blocker["pid"], **shown_of(blocker), "act": "terminate", "reason": "because"}
        endings.ask(job.pk, ALICE, **asked)
        until(lambda: state(job) == "succeeded", "the job went on")
    assert answers(job) == [("terminate", "done")]


def lost_once_it_is_sent(update: Callable[..., int]) -> Callable[..., int]:
    """The commit succeeded."""
    lost: list[None] = []

    def updates(rows: QuerySet[Any], **fields: Any) -> int:
        count = update(rows, **fields)
        if "sent_at" in fields and not lost:
            lost.append(None)
            raise OperationalError("server closed the connection unexpectedly")
        return count

    return updates


def waiting_job(target: Target, **blocker: Any) -> Job:
    """As if a worker had it."""
    job = ask(target)
    found = {"pid": 77, "direct": True, "state": "active", "user": "shop", **blocker}
    found = {
        "backend_start": "then",
        "transaction_start": "later",
        "application_name": "psql",
        "query": "",
        "held": [],
        "waits_for": None,
        "blocked_by": [],
        **found,
    }
    wait = {
        "pid": 5, "mode": "ShareLock", "locktype": "relation", "relation": "wanted", "waited_s": 1.0,
        "blockers": [found],
    }  # fmt: skip
    kept = {"waits": [wait], "seen_at": "2026-01-01T00:00:00+00:00", "retry": None}
    Job.objects.filter(pk=job.pk).update(state="running", lock_wait=kept, started_at=job.created_at)
    job.refresh_from_db()
    return job


@pytest.mark.parametrize(("sent", "outcome"), [(False, "too_late"), (True, "unknown")])
def test_what_no_answer_came_for_is_told_when_the_job_ends(target: Target, sent: bool, outcome: str) -> None:
    job = waiting_job(target)
    endings.ask(job.pk, ALICE, **ASKED)
    if sent:
        list(endings.take(job.pk, job.fence, set()))
    assert Job.objects.move(job.pk, ["running"], "lost")
    job.refresh_from_db()
    launch.resolve(job, ALICE, "looked at it")
    assert answers(job) == [("terminate", outcome)]
    assert audited(job) == ["session.terminate", "session.terminate.answer"]
    with pytest.raises(endings.NotNowError):
        endings.ask(job.pk, ALICE, **ASKED)


def test_a_session_that_has_gone_meanwhile_is_said_to_have_gone(target: Target, postgres_url: str) -> None:
    job = ask(target)
    with held(postgres_url) as holder, performed(job):
        until_blocked(job)
        SessionEnding.objects.create(
            job=job, pid=holder.info.backend_pid, backend_start="long ago", act="terminate", asked_by_name="x"
        )
        until(lambda: answers(job) == [("terminate", "gone")], "it was answered")
        assert holder.execute("SELECT 1").fetchone() == (1,)
        holder.rollback()
    assert state(job) == "succeeded"


def test_what_the_session_does_since_it_let_go_is_left_alone(
    target: Target, postgres_url: str, people: dict[str, User], knobs: Callable[..., None]
) -> None:
    knobs(LOCK_TIMEOUT_MS=2500, LOCK_TRIES=5, LOCK_BACKOFF_MS=600_000)
    staff = signed_in(people["staff"])
    job = ask(target)
    with held(postgres_url) as holder, performed(job):
        until(lambda: (wait_of(job) or {}).get("retry"), "it rests")
        blocker = until_blocked(job)
        holder.execute("COMMIT; BEGIN; CREATE TABLE innocent (n integer)")
        assert url_of(job, blocker["pid"]) in page(staff, job)
        asked = {**shown_of(blocker), "reason": "because"}
        assert staff.post(url_of(job, blocker["pid"]), asked).status_code == 302
        until(lambda: answers(job) == [("terminate", "gone")], "it was answered")
        holder.commit()
        assert "in another transaction than the one that was shown" in page(staff, job)
        launch.cancel(job, ALICE)
        until(lambda: state(job) == "cancelled", "the rest was ended")


def test_nothing_that_a_session_calls_itself_becomes_markup(
    target: Target, postgres_url: str, people: dict[str, User]
) -> None:
    staff = signed_in(people["staff"])
    job = ask(target)
    statement = 'SELECT n AS "<script>alert(2)</script>" FROM wanted'
    with held(postgres_url, statement, "<img src=x onerror=alert(1)>") as holder, performed(job):
        blocker = until_blocked(job)
        pages = [
            staff.get(url).content.decode() for url in (job.get_absolute_url(), url_of(job, blocker["pid"]))
        ]
        holder.rollback()
    for text in pages:
        assert "<img src" not in text and "<script>alert" not in text
        assert "&lt;img src=x onerror=alert(1)&gt;" in text and "&lt;script&gt;alert(2)" in text


def test_a_secret_of_the_target_in_a_session_s_name_is_masked(target: Target, postgres_url: str) -> None:
    variable = target.variables.model(target=target, name="SHOP_PHRASE")
    variable.keep("very-secret-phrase", secret=True)
    variable.save()
    job = ask(target)
    with held(postgres_url, name="psql very-secret-phrase") as holder, performed(job):
        blocker = until_blocked(job)
        holder.rollback()
    assert "very-secret-phrase" not in str(blocker) + "".join(read_all(job.pk))


def test_a_prepared_transaction_is_named_and_not_offered_to_be_ended(
    make_target: MakeTarget, people: dict[str, User], tmp_path: Path, knobs: Callable[..., None]
) -> None:
    staff = signed_in(people["staff"])
    with private_postgres(max_prepared_transactions="2") as server:
        project = altering(tmp_path / "mini", server.url)
        target = inspected(make_target, project, list(project.address().argv))
        job = ask(target)
        with psycopg.connect(server.url, autocommit=True) as holder:
            holder.execute("BEGIN; LOCK TABLE wanted; PREPARE TRANSACTION 'left behind'")
            with performed(job):
                blocker = until_blocked(job)
                assert (blocker["pid"], blocker["gid"]) == (0, "left behind")
                assert blocker["held"] == ["AccessExclusiveLock"]
                shown = page(staff, job)
                holder.execute("ROLLBACK PREPARED 'left behind'")
    assert "prepared transaction" in shown and "ROLLBACK PREPARED 'left behind'" in shown
    assert "End the session" not in shown
    assert state(job) == "succeeded"


# Tries


def steps_of(job: Job) -> list[tuple[str, int, str]]:
    return list(Step.objects.filter(job=job, kind="migration").values_list("name", "attempt", "state"))


def test_each_try_is_a_step_and_a_migration_counts_once(
    target: Target, postgres_url: str, people: dict[str, User], knobs: Callable[..., None]
) -> None:
    knobs(LOCK_TIMEOUT_MS=300, LOCK_TRIES=50, LOCK_BACKOFF_MS=1)
    viewer = signed_in(people["viewer"])
    job = ask(target)
    with held(postgres_url) as holder, performed(job):
        until(lambda: Step.objects.filter(job=job, state="retried").count() >= 2, "two tries were made")
        holder.rollback()
    tries = steps_of(job)
    assert tries[-1] == ("shop.0001_alter", len(tries), "succeeded")
    assert {step[2] for step in tries[:-1]} == {"retried"}
    assert {step.position for step in Step.objects.filter(job=job, kind="migration")} == {1}
    assert (state(job), job.done_count, job.total_count) == ("succeeded", 1, 1)
    shown = page(viewer, job)
    assert "try 1 of 50" in shown and "tried again" in shown and "1 of 1 migration" in shown
    assert any(
        "try 1 of 50 of shop.0001_alter waited too long for a lock" in line for line in read_all(job.pk)
    )


def test_a_plan_that_is_told_again_counts_no_try(target: Target) -> None:
    job = waiting_job(target)
    steps = Steps(job.pk, job.fence)
    steps.plan("migration", ["shop.0001_alter"])
    for _ in range(2):
        steps.begin("migration", "shop.0001_alter")
        steps.retry("shop.0001_alter", attempts=5, duration_ms=1)
        # An acknowledgement that was lost has it written again.
        steps.retry("shop.0001_alter", attempts=5, duration_ms=1)
    steps.plan("migration", ["shop.0001_alter", "shop.0002_more"])
    job.refresh_from_db()
    assert job.total_count == 2
    assert [(name, attempt) for name, attempt, _ in steps_of(job)] == [
        ("shop.0001_alter", 1), ("shop.0001_alter", 2), ("shop.0001_alter", 3), ("shop.0002_more", 1),
    ]  # fmt: skip


def test_the_last_failure_says_what_was_tried_and_who_was_in_the_way(
    target: Target, postgres_url: str, knobs: Callable[..., None]
) -> None:
    knobs(LOCK_TIMEOUT_MS=2500, LOCK_TRIES=2, LOCK_BACKOFF_MS=1)
    job = ask(target)
    with held(postgres_url) as holder, performed(job):
        until(lambda: state(job) == "failed", "the job failed")
        pid = holder.info.backend_pid
    assert steps_of(job) == [("shop.0001_alter", 1, "retried"), ("shop.0001_alter", 2, "failed")]
    assert "It was tried 2 times; its statement ran 2.5 s, 2.5 s until the lock was given up." in job.outcome
    assert "Its transaction was rolled back each time." in job.outcome
    assert f"In its way stood pid {pid} (somebody" in job.outcome
    assert job.lock_wait is None


def test_between_two_tries_the_page_says_who_it_was_and_when_the_next_one_begins(
    target: Target, postgres_url: str, people: dict[str, User], knobs: Callable[..., None]
) -> None:
    knobs(LOCK_TIMEOUT_MS=2500, LOCK_TRIES=5, LOCK_BACKOFF_MS=600_000)
    operator = signed_in(people["operator"])
    job = ask(target)
    with held(postgres_url) as holder, performed(job):
        until(lambda: (wait_of(job) or {}).get("retry"), "it rests")
        until(lambda: job.lock_wait and not latest_wait_is_on(job), "the wait is over")
        shown = page(operator, job)
        assert "Try 1 of 5 waited too long for a lock and was rolled back" in shown
        assert "The next try begins at" in shown and "It was blocked by:" in shown
        assert f"pid {holder.info.backend_pid}" in shown
        assert "try 2 of 5" in shown
        launch.cancel(job, ALICE)
        until(lambda: state(job) == "cancelled", "the rest was ended")
    assert [step[2] for step in steps_of(job)] == ["retried", "skipped"]


def test_who_was_in_the_way_before_the_end_of_a_try_is_not_shown_behind_it(target: Target) -> None:
    blocker = {"pid": 7, "direct": True, "application_name": "innocent", "state": "idle"}
    wait = {"pid": 1, "mode": "ShareLock", "locktype": "relation", "relation": "a", "blockers": [blocker]}
    heard = LockWait(clean=str)
    heard.hear([wait])
    heard.rest(1, 2, 60, [])
    assert (heard.document() or {})["waits"] == []
    heard.begin()
    heard.rest(2, 3, 60, [wait])
    heard.hear([])
    assert (heard.document() or {})["waits"] == [wait]


def latest_wait_is_on(job: Job) -> bool:
    return wait_of(job)["retry"] is None


def test_a_job_that_has_ended_waits_for_nothing(target: Target) -> None:
    job = waiting_job(target)
    assert Job.objects.move(job.pk, ["running"], "failed")
    assert wait_of(job) is None
    with pytest.raises(IntegrityError):
        Job.objects.filter(pk=job.pk).update(lock_wait={"waits": []})


def test_a_worker_that_is_away_is_not_said_to_wait(target: Target, people: dict[str, User]) -> None:
    job = waiting_job(target)
    assert Job.objects.move(job.pk, ["running"], "lost")
    assert "It waits for <strong" not in page(signed_in(people["staff"]), job)
    with pytest.raises(endings.NotNowError):
        endings.ask(job.pk, ALICE, **ASKED)
