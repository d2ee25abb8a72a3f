"""Who serves which queue, as real workers tell it themselves; and what is said where nobody does."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from celery import current_app
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client

from dbops import broker, launch
from dbops.conf import VERSION
from dbops.models import Job, Worker, clock
from dbops.pages.workers import workers_page
from dbops.presence import Presence
from dbops.rights import Rights, Role
from dbops.serving import Service, needed, service
from tests.integration.conftest import ALICE, PASSWORD, MakeDatabase, MakeTarget
from tests.integration.holding import own_database_away
from tests.integration.run.test_publishing import Relay, through
from tests.integration.worker import REPOSITORY, test_environment, until, worker

transactional = pytest.mark.django_db(transaction=True)
rows = pytest.mark.django_db
MakeJob = Callable[..., Job]
QUICK: Any = {"OPSDASH_HEARTBEAT_S": "1"}


@pytest.fixture(autouse=True)
def nobody_of_another_test(db: None) -> None:
    """A worker of a test before may have told of itself behind the clearing up, and messages may wait."""
    Worker.objects.all().delete()
    with current_app.producer_or_acquire() as producer:
        for queue in ("jobs", "inspect", "warehouse", "warehouse-inspect"):
            producer.channel.queue_purge(queue)


@pytest.fixture
def make_worker(db: None) -> Callable[..., Worker]:
    """A row, as a worker that lives tells it."""

    def make(name: str = "jobs@host", *queues: str, **fields: Any) -> Worker:
        seconds = fields.pop("silent_for", 0)
        at = clock.now() - timedelta(seconds=seconds)
        told: dict[str, Any] = {
            "kind": "worker",
            "run": uuid.uuid4(),
            "queues": list(queues or ("jobs",)),
            "host": "host",
            "pid": 7,
            "slots": 2,
            "busy": 0,
            "versions": {"opsdash": "0.1.0", "python": "3.11.2", "celery": "5.6.0"},
            "load": 0.5,
            "processors": 2,
            "started_at": at,
            "heartbeat_at": at,
        }
        return Worker.objects.create(name=name, **{**told, **fields})

    return make


@pytest.fixture
def viewer(people: dict[str, User]) -> Client:
    client = Client()
    client.login(username="viewer", password=PASSWORD)
    return client


@pytest.fixture
def operator(people: dict[str, User]) -> Client:
    client = Client()
    client.login(username="operator", password=PASSWORD)
    return client


def text(client: Client, url: str, **headers: str) -> str:
    response = client.get(url, headers=headers)
    assert response.status_code == 200
    return " ".join(unescape(response.content.decode()).split())


def row(name: str) -> Worker | None:
    return Worker.objects.filter(name=name).first()


def state(name: str) -> str:
    found = row(name)
    return found.state if found else "none"


# Real workers


@transactional
def test_a_worker_tells_its_queues_and_says_goodbye_when_it_is_asked_to_stop(tmp_path: Path) -> None:
    with worker(tmp_path / "ann.log", "jobs,warehouse", **QUICK) as process:
        until(lambda: row("ann@test"), "its row appears")
        found = Worker.objects.get()
        assert (found.kind, found.queues, found.pid) == ("worker", ["jobs", "warehouse"], process.pid)
        assert (found.slots, found.busy, found.state) == (2, 0, "serving")
        assert found.versions["opsdash"] == VERSION and set(found.versions) == {"opsdash", "python", "celery"}
        assert found.load is not None and found.processors
        first = found.heartbeat_at
        until(lambda: Worker.objects.get().heartbeat_at > first, "it beats")
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    assert state("ann@test") == "stopped"
    assert service("jobs").nobody == "No worker serves the queue jobs (ann@test is stopped)."


@transactional
def test_a_worker_that_finishes_its_job_first_is_called_stopping(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its slot is at work until then."""
    slow = tmp_path / "python"
    slow.write_text(
        f"#!/bin/sh\ntouch {tmp_path}/begun\nwhile ! test -e {tmp_path}/end; do sleep 0.1; done\n"
    )
    slow.chmod(0o755)
    with worker(tmp_path / "ann.log", "jobs", **QUICK) as process:
        job = make_job()
        job.database.target.python = [str(slow)]
        job.database.target.save()
        from dbops import tasks

        tasks.publish_job(job)
        until((tmp_path / "begun").exists, "the job is at it")
        until(lambda: Worker.objects.get().busy == 1, "a slot is at work")
        process.send_signal(signal.SIGTERM)
        until(lambda: state("ann@test") == "stopping", "it says that it stops")
        beat = Worker.objects.get().heartbeat_at
        until(lambda: Worker.objects.get().heartbeat_at > beat, "it still gives signs of life")
        assert service("jobs").nobody == "No worker serves the queue jobs (ann@test is stopping)."
        (tmp_path / "end").touch()
        process.wait(timeout=60)
    assert state("ann@test") == "stopped"


@transactional
def test_a_worker_that_is_killed_is_silent_and_serves_nothing(tmp_path: Path, settings: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "LOST_AFTER_S": 3}
    with worker(tmp_path / "ann.log", **QUICK) as process:
        until(lambda: state("ann@test") == "serving", "it serves")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        until(lambda: state("ann@test") == "silent", "it is called silent")
    assert service("jobs").nobody == "No worker serves the queue jobs (ann@test is silent)."


@transactional
def test_two_workers_on_one_queue_and_one_on_another(tmp_path: Path) -> None:
    with (
        worker(tmp_path / "ann.log", "jobs", **QUICK),
        worker(tmp_path / "bob.log", "jobs", **QUICK) as bob,
        worker(tmp_path / "eve.log", "elsewhere", **QUICK),
    ):
        until(lambda: Worker.objects.count() == 3, "all have told of themselves")
        assert service("jobs").names == "ann@test, bob@test"
        assert service("elsewhere").names == "eve@test"
        bob.send_signal(signal.SIGTERM)
        bob.wait(timeout=30)
        assert (service("jobs").names, service("jobs").nobody) == ("ann@test", "")


@transactional
def test_a_worker_that_is_started_anew_takes_its_row_over(tmp_path: Path) -> None:
    with worker(tmp_path / "ann.log", "jobs", **QUICK) as first:
        until(lambda: row("ann@test"), "its row appears")
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    with worker(tmp_path / "ann.log", "inspect", **QUICK) as second:
        until(lambda: Worker.objects.get().pid == second.pid, "the row is the second's")
        found = Worker.objects.get()
        assert (found.queues, found.state) == (["inspect"], "serving")


@transactional
def test_a_worker_goes_on_while_our_database_is_away_and_tells_when_it_is_back(tmp_path: Path) -> None:
    log = tmp_path / "ann.log"
    with worker(log, **QUICK) as process:
        until(lambda: row("ann@test"), "its row appears")
        with own_database_away():
            until(lambda: b"cannot tell that it is there" in log.read_bytes(), "it noticed")
        before = Worker.objects.get().heartbeat_at
        until(lambda: Worker.objects.get().heartbeat_at > before, "it tells again")
        with own_database_away():
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0, "it ends without its goodbye"
        assert b"Traceback" not in log.read_bytes()


@transactional
def test_no_process_of_the_pool_keeps_a_connection_of_the_thread_that_tells(tmp_path: Path) -> None:
    """Nor does the thread itself between two signs."""
    with worker(tmp_path / "ann.log", **QUICK):
        until(lambda: row("ann@test"), "its row appears")
        beat = Worker.objects.get().heartbeat_at
        until(lambda: Worker.objects.get().heartbeat_at > beat, "it beats")
        until(lambda: not others_connected(), "nobody else is connected")


def others_connected() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


@contextmanager
def process_of_ours(*argv: str) -> Any:
    process = subprocess.Popen(
        [sys.executable, *argv],
        cwd=REPOSITORY,
        env=test_environment(**QUICK),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@transactional
@pytest.mark.parametrize(
    ("kind", "argv"),
    [
        ("beat", ("-m", "celery", "-A", "opsdash", "beat", "--pidfile=")),
        ("prober", ("manage.py", "run_probes")),
    ],
)
def test_beat_and_the_prober_tell_of_themselves_too(kind: str, argv: tuple[str, ...]) -> None:
    with process_of_ours(*argv) as process:
        until(lambda: Worker.objects.filter(kind=kind).exists(), f"{kind} has told of itself")
        found = Worker.objects.get()
        assert (found.queues, found.slots, found.state) == ([], None, "serving")
        missing = workers_page(Rights(Role.VIEWER)).missing
        assert not any(kind in words.lower().split()[1] for words in missing)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)
    assert Worker.objects.get().state == "stopped"


# One row, several processes


def told(name: str, run: uuid.UUID, *, first: bool, **facts: Any) -> None:
    Worker.objects.tell(
        name, run, first=first, kind="worker", host="h", pid=1, started_at=clock.now(), **facts
    )


@transactional
def test_while_a_row_is_taken_over_nobody_sees_that_there_is_none() -> None:
    told("ann@test", uuid.uuid4(), first=True)
    seen: list[int] = []

    def look(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("INSERT"):
            seen.append(from_elsewhere())
        return execute(sql, *rest)

    def from_elsewhere() -> int:
        """As another session sees it."""
        with ThreadPoolExecutor() as pool:
            return pool.submit(counted).result()

    def counted() -> int:
        try:
            return Worker.objects.count()
        finally:
            connection.close()

    with connection.execute_wrapper(look):
        told("ann@test", uuid.uuid4(), first=True)
    assert seen == [1]


@rows
def test_the_older_of_two_with_one_name_leaves_the_row_to_the_younger_while_that_lives() -> None:
    older, younger = uuid.uuid4(), uuid.uuid4()
    told("jobs@h", older, first=True, queues=["a"])
    told("jobs@h", younger, first=True, queues=["b"])
    told("jobs@h", older, first=False, queues=["a"], stopped_at=clock.now())
    assert (Worker.objects.get().run, Worker.objects.get().state) == (younger, "serving")
    told("jobs@h", younger, first=False, queues=["b"], stopped_at=clock.now())
    told("jobs@h", older, first=False, queues=["a"])
    assert (Worker.objects.get().run, Worker.objects.get().state) == (older, "serving")


@rows
def test_who_was_silent_for_a_day_is_thinned(make_worker: Any) -> None:
    make_worker("old@host", silent_for=86500)
    make_worker("new@host", silent_for=3000)
    Worker.objects.thin()
    assert [found.name for found in Worker.objects.all()] == ["new@host"]


@transactional
def test_a_goodbye_that_cannot_be_said_at_once_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with a server that is frozen: whoever ends does not wait for it."""
    import threading

    asked, answer = threading.Event(), threading.Event()

    def hang(*_: Any, **__: Any) -> None:
        asked.set()
        answer.wait(60)

    monkeypatch.setattr(Worker.objects, "tell", hang)
    here = Presence("worker", "ann@test")
    here.start()
    assert asked.wait(10)
    here.stop()
    assert here._thread.is_alive() and here._thread.daemon
    answer.set()
    here._thread.join(10)


@transactional
def test_what_it_cannot_tell_is_logged_once_and_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    settings.DBOPS = {**settings.DBOPS, "HEARTBEAT_S": 0.01}
    tries: list[int] = []
    real = Worker.objects.tell

    def fail_thrice(*args: Any, **kwargs: Any) -> None:
        tries.append(1)
        if len(tries) < 4:
            raise RuntimeError("no table")
        real(*args, **kwargs)

    monkeypatch.setattr(Worker.objects, "tell", fail_thrice)
    with Presence("worker", "ann@test"):
        until(lambda: row("ann@test"), "it told in the end")
    connections.close_all()
    assert caplog.text.count("ann@test cannot tell that it is there: no table") == 1


# What is needed


@rows
def test_the_queues_that_targets_need_and_that_of_beat(make_target: MakeTarget) -> None:
    targets = [make_target("blog"), make_target("far", queue="far")]
    assert needed(targets) == {
        "far": ["far"], "far-inspect": ["far"], "inspect": ["blog"], "jobs": ["blog"],
    }  # fmt: skip
    assert needed([]) == {"inspect": []}


def test_the_command_starts_a_worker_of_that_queue_and_of_no_other() -> None:
    assert Service("far").command == (
        "celery -A opsdash worker -Q far -n far@%h --concurrency 2 --without-mingle --loglevel INFO"
    )
    assert "-Q 'a b' -n 'a b'@%h" in Service("a b").command


@transactional
def test_the_command_that_is_shown_starts_a_worker_that_serves_the_queue(
    make_target: MakeTarget, viewer: Client
) -> None:
    make_target("far", queue="far")
    command = service("far").command
    assert f"<pre>{command}</pre>" in text(viewer, "/workers/")
    with process_of_ours("-m", *command.split()):
        until(lambda: not service("far").nobody, "the queue is served")
    assert service("far").workers


# The page


@rows
def test_the_page_says_in_words_where_nobody_serves_a_queue(
    viewer: Client, make_target: MakeTarget, make_worker: Any
) -> None:
    make_target("far", queue="far")
    make_worker("jobs@host", "far")
    make_worker("inspect@host", "inspect", silent_for=90)
    page = text(viewer, "/workers/")
    assert "No worker serves the queue far-inspect. Needed by: far." in page
    assert "celery -A opsdash worker -Q far-inspect -n far-inspect@%h" in page
    assert "No worker serves the queue inspect (inspect@host is silent)." in page
    assert "No worker serves the queue far." not in page
    assert 'status--silent">silent</span> since ' in page
    assert "No beat runs" in page and "No prober runs" in page


@rows
def test_the_page_shows_jobs_at_work_and_what_waits(
    viewer: Client, make_database: MakeDatabase, make_job: MakeJob, make_worker: Any
) -> None:
    make_worker("jobs@host", "jobs", busy=1)
    running = make_job(make_database("shop"), state="running", worker="jobs@host")
    make_job(make_database("blog"))
    page = text(viewer, "/workers/")
    assert f'<a href="/jobs/{running.pk}/">job {running.pk}: migrate on shop/default</a>' in page
    assert "1 of 2 slots" in page and "0.5 of 2" in page
    (queue,) = [found for found in workers_page(Rights(Role.VIEWER)).queues if found.queue == "jobs"]
    assert (queue.queued, queue.messages, queue.targets) == (1, 0, ["blog", "shop"])


@rows
def test_a_worker_holds_no_job_of_the_one_that_had_its_name_before(
    viewer: Client, make_database: MakeDatabase, make_job: MakeJob, make_worker: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """One that was killed and started again: its job is not called lost yet."""
    now, mine = clock.now(), {"state": "running", "worker": "jobs@host"}
    make_worker("jobs@host", started_at=now)
    before = make_job(make_database("shop"), started_at=now - timedelta(seconds=5), **mine)
    job = make_job(make_database("blog"), started_at=now + timedelta(seconds=5), **mine)
    page = text(viewer, "/workers/")
    assert f"job {job.pk}: migrate on blog" in page and f"job {before.pk}:" not in page
    (process,) = json.loads(ended("workers", "--json", capsys=capsys)[1])["processes"]
    assert process["jobs"] == [job.pk]


@rows
def test_different_versions_are_said(viewer: Client, make_worker: Any) -> None:
    make_worker("a@host", versions={"opsdash": "0.1.0", "python": "3.11.2", "celery": "5.6.0"})
    make_worker("b@host", versions={"opsdash": "0.2.0", "python": "3.11.2", "celery": "5.6.0"})
    make_worker("dead@host", silent_for=99, versions={"opsdash": "0.0.1"})
    page = text(viewer, "/workers/")
    assert "They run different versions of opsdash: 0.1.0 (a@host); 0.2.0 (b@host)." in page
    assert "versions of Python" not in page and "0.0.1 (dead" not in page


@rows
@pytest.mark.parametrize("many", [1, 20])
def test_the_page_asks_a_constant_number(
    viewer: Client, make_database: MakeDatabase, make_job: MakeJob, make_worker: Any, many: int,
    django_assert_num_queries: Any,
) -> None:  # fmt: skip
    for number in range(many):
        make_job(make_database(f"shop-{number}"), state="running", worker=f"w{number}@host")
        make_worker(f"w{number}@host")
    with django_assert_num_queries(3 + 3):
        viewer.get("/workers/")


@rows
def test_htmx_gets_the_rows_alone(viewer: Client) -> None:
    fragment = text(viewer, "/workers/", **{"HX-Request": "true"})
    assert fragment.startswith('<div id="workers_rows" data-refresh="5"') and "<html" not in fragment


@rows
def test_what_a_process_tells_is_no_markup(viewer: Client, make_worker: Any) -> None:
    make_worker("<b>@host", "<i>", host="<u>", versions={"opsdash": "<s>"})
    page = viewer.get("/workers/").content.decode()
    assert "&lt;b&gt;@host" in page
    assert not any(tag in page for tag in ("<b>", "<i>", "<u>", "<s>"))


@rows
def test_messages_of_every_priority_are_counted(make_target: MakeTarget) -> None:
    from dbops import tasks

    queue = f"q{uuid.uuid4().hex[:8]}"
    target = make_target("far", queue=queue)
    tasks.publish_inspection(target)
    tasks.resolve_lost.apply_async((1,), queue=target.inspect_queue, priority=tasks.PRIORITY_OF_LOST)
    assert broker.waiting_by_queue([queue, target.inspect_queue]) == {queue: 0, target.inspect_queue: 2}


@rows
def test_a_broker_that_is_away_is_said_and_asked_once(
    viewer: Client, make_target: MakeTarget, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opsdash.celery import app

    relay = Relay()
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", through(relay))
    monkeypatch.setattr(app.amqp, "_producer_pool", None)
    relay.silent.set()
    for number in range(4):
        make_target(f"far{number}", queue=f"far{number}")
    asked = Mock(wraps=broker._ask)
    monkeypatch.setattr(broker, "_ask", asked)
    page = text(viewer, "/workers/")
    relay.close()
    assert "The broker (Redis) is away" in page and page.count("not known</td>") >= 9
    assert asked.call_count == 1


# A worker that takes nothing


def one_queued(make_job: MakeJob, seconds: float) -> Job:
    job = make_job()
    Job.objects.update(created_at=clock.now() - timedelta(seconds=seconds))
    return job


@rows
@pytest.mark.parametrize(
    ("seconds", "busy", "messages", "words"),
    [
        (40, 0, 1, "jobs@host has free slots and does not take a job that has waited for over 30 s"),
        (40, 0, 0, "jobs@host has free slots, but no message tells of the job that waits."),
        (40, 0, None, "jobs@host has free slots and does not take a job that has waited for over 30 s"),
        (40, 2, 1, ""),
        (20, 0, 1, ""),
    ],
)
def test_a_worker_with_free_slots_that_takes_nothing_is_named(
    make_job: MakeJob, make_worker: Any, monkeypatch: pytest.MonkeyPatch,
    seconds: float, busy: int, messages: int | None, words: str,
) -> None:  # fmt: skip
    one_queued(make_job, seconds)
    make_worker("jobs@host", "jobs", busy=busy)
    counted = None if messages is None else {"jobs": messages, "inspect": 0}
    monkeypatch.setattr("dbops.pages.workers.waiting_by_queue", lambda _: counted)
    (queue,) = [found for found in workers_page(Rights(Role.VIEWER)).queues if found.queue == "jobs"]
    assert queue.problem.startswith(words) and bool(queue.problem) == bool(words)


# Where it is needed


@rows
def test_a_queued_jobs_page_names_who_serves_its_queue_or_says_that_nobody_does(
    viewer: Client, make_job: MakeJob, make_worker: Any
) -> None:
    job = make_job()
    nobody = text(viewer, job.get_absolute_url())
    assert "No worker serves the queue jobs. The job waits until one does." in nobody
    assert "<pre>celery -A opsdash worker -Q jobs -n jobs@%h" in nobody
    make_worker("jobs@host", "jobs", busy=2)
    served = text(viewer, f"{job.get_absolute_url()}waiting/")
    assert served.startswith('<div id="job_waiting" data-refresh="5"')
    assert "jobs@host serves it; 2 of 2 slots at work." in served
    Worker.objects.update(busy=1)
    Job.objects.update(created_at=clock.now() - timedelta(seconds=99))
    assert "jobs@host has free slots and does not take" in text(viewer, job.get_absolute_url())


@rows
def test_a_job_that_is_taken_waits_for_nobody(viewer: Client, make_job: MakeJob) -> None:
    job = make_job(state="running")
    assert text(viewer, f"{job.get_absolute_url()}waiting/") == '<div id="job_waiting"> </div>'
    assert "No worker serves" not in text(viewer, job.get_absolute_url())


@rows
def test_the_target_and_the_form_warn_where_nobody_serves_the_queue(
    operator: Client, make_database: MakeDatabase, make_worker: Any
) -> None:
    from dbops.models.status import Status

    database = make_database("shop")
    database.judge([Status("pending", "1 to apply.")])
    database.inspected_at = clock.now()
    database.save()
    page, form = "/targets/shop/", "/targets/shop/databases/default/migrate/"
    assert "No worker serves the queue jobs. A job that is asked for waits" in text(operator, page)
    assert "No worker serves the queue inspect. It is not inspected" in text(operator, page)
    assert "No worker serves the queue jobs. A job that you ask for now waits" in text(operator, form)
    make_worker("all@host", "jobs", "inspect")
    assert "No worker serves" not in text(operator, page) + text(operator, form)


@rows
def test_asking_for_an_inspection_says_who_does_it(make_target: MakeTarget, make_worker: Any) -> None:
    target = make_target("far", queue="far")
    assert launch.inspect(target, ALICE) == (
        "An inspection of far is asked for. No worker serves the queue far-inspect. "
        "It follows when one does: " + service("far-inspect").command
    )
    make_worker("far@host", "far-inspect")
    assert launch.inspect(target, ALICE).endswith("far@host serves its queue.")


# From a shell


def ended(*argv: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    try:
        call_command(*argv)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    return code, capsys.readouterr().out


@rows
def test_the_command_ends_with_12_where_a_queue_is_needed_and_nobody_serves_it(
    make_target: MakeTarget, make_worker: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    make_target("far", queue="far")
    make_worker("far@host", "far", "far-inspect")
    code, said = ended("workers", capsys=capsys)
    assert code == 12 and "No worker serves the queue inspect." in said
    assert "Start one: celery -A opsdash worker -Q inspect" in said
    make_worker("inspect@host", "inspect")
    code, said = ended("workers", capsys=capsys)
    assert code == 0 and "served by nobody" not in said


@rows
@pytest.mark.parametrize("option", ["--json", "--format=json"])
def test_the_document_tells_the_same(
    make_target: MakeTarget, make_worker: Any, make_job: MakeJob, make_database: MakeDatabase,
    capsys: pytest.CaptureFixture[str], option: str,
) -> None:  # fmt: skip
    make_worker("jobs@host", "jobs", busy=1)
    job = make_job(make_database("shop"), state="running", worker="jobs@host")
    code, said = ended("workers", option, capsys=capsys)
    document = json.loads(said)
    assert (code, document["version"], document["broker"]) == (12, 1, "answers")
    (process,) = document["processes"]
    assert (process["name"], process["state"], process["busy"], process["jobs"]) == (
        "jobs@host", "serving", 1, [job.pk],
    )  # fmt: skip
    inspect, jobs = document["queues"]
    assert (jobs["queue"], jobs["served_by"], jobs["command"]) == ("jobs", ["jobs@host"], None)
    assert inspect["served_by"] == [] and inspect["command"] == service("inspect").command
    assert document["problems"][0] == "No worker serves the queue inspect."


def test_the_version_is_that_of_the_project() -> None:
    import tomllib

    assert tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"] == VERSION
