"""Telling the workers: a broker that is silent holds nobody up, and no message stays for ever."""

import contextlib
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from dbops import tasks
from dbops.models import Job, Target
from opsdash.beat import Scheduler
from opsdash.celery import app
from tests.integration.conftest import MakeDatabase
from tests.integration.worker import until, worker

pytestmark = pytest.mark.django_db
MakeJob = Callable[..., Job]

# A publish that waits this long holds a connection of the web's pool for far too long.
BOUND_S = 10
BEAT: dict[str, Any] = settings.CELERY["beat_schedule"]  # type: ignore[assignment]


class Relay:
    """A way to the real Redis that can fall silent without closing anything."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.silent = threading.Event()
        self.sockets = [self.listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                self.sockets.append(near)
                if not self.silent.is_set():
                    self._connect(near)

    def _connect(self, near: socket.socket) -> None:
        real = urlsplit(settings.REDIS_URL)
        far = socket.create_connection((real.hostname, real.port))
        self.sockets.append(far)
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self.silent.is_set():
                    sink.sendall(data)

    def close(self) -> None:
        for one in self.sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """What is published goes through it."""
    relay = Relay()
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", through(relay))
    monkeypatch.setattr(app.amqp, "_producer_pool", None)
    yield relay
    relay.close()


def through(relay: Relay) -> str:
    url = urlsplit(settings.REDIS_URL)
    return url._replace(netloc=f":{url.password}@127.0.0.1:{relay.port}").geturl()


def publish(kind: str, job: Job) -> bool:
    return tasks.publish_job(job) if kind == "job" else tasks.publish_inspection(job.database.target)


@pytest.mark.parametrize("kind", ["job", "inspection"])
@pytest.mark.parametrize("known_before", [False, True])
def test_a_broker_that_accepts_and_stays_silent_is_given_up_soon(
    relay: Relay, make_job: MakeJob, caplog: pytest.LogCaptureFixture, kind: str, known_before: bool
) -> None:
    job = make_job()
    if known_before:
        assert publish(kind, job)
    relay.silent.set()
    began = time.monotonic()
    assert publish(kind, job) is False
    assert time.monotonic() - began < BOUND_S
    assert "the broker is away" in caplog.text


@pytest.mark.slow
def test_an_idle_worker_keeps_its_connections(tmp_path: Path) -> None:
    log = tmp_path / "idle.log"
    with worker(log, "idle-test"):
        time.sleep(1)
        before = waiting_connections()
        assert before
        time.sleep(8)
        assert waiting_connections() == before
    assert "WARNING" not in log.read_text() and "ERROR" not in log.read_text(), log.read_text()


def waiting_connections() -> set[str]:
    """Those that wait for tasks, for commands to the worker: ids that change with every reconnect."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        clients: list[dict[str, str]] = client.client_list()
    return {one["id"] for one in clients if one["cmd"] in ("brpop", "blocked", "subscribe", "psubscribe")}


def test_a_job_whose_publishing_fails_in_our_database_is_left_to_the_sweeper(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = make_job(queue=f"q{uuid.uuid4().hex[:8]}")

    def fails(*args: Any, **kwargs: Any) -> None:
        raise DatabaseError("the connection is lost")

    monkeypatch.setattr(Job.objects, "filter", fails)
    with caplog.at_level(logging.WARNING):
        assert tasks.publish_job(job) is False
    assert f"job {job.pk} stays queued" in caplog.text and "the connection is lost" in caplog.text


# What is told again and again does not pile up, and no clock decides what a message is worth


def own_queue() -> str:
    return f"q{uuid.uuid4().hex[:8]}"


def messages_in(queue: str) -> list[dict[str, Any]]:
    """Taken out, whatever their priority."""
    taken = []
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        while message := channel.basic_get(queue, no_ack=True):
            taken.append(message.headers)
    return taken


def test_the_message_of_a_job_never_expires(make_job: MakeJob) -> None:
    """Celery compares the sender's clock with the worker's: one that is ahead would throw all jobs away."""
    job = make_job(queue=own_queue())
    assert tasks.publish_job(job)
    assert [headers["expires"] for headers in messages_in(job.queue)] == [None]


def test_a_job_that_waits_is_told_again_only_when_its_message_is_gone(make_job: MakeJob) -> None:
    long_ago = timezone.now() - timedelta(minutes=5)
    job = make_job(queue=own_queue(), published_at=long_ago)
    for _ in range(3):
        tasks.sweep_jobs()
        Job.objects.update(published_at=long_ago)
    assert len(messages_in(job.queue)) == 1
    tasks.sweep_jobs()
    assert len(messages_in(job.queue)) == 1, "its message was lost"


def test_one_whose_message_was_lost_is_told_again_although_others_wait_in_its_queue(
    make_job: MakeJob, make_database: MakeDatabase
) -> None:
    queue, long_ago = own_queue(), timezone.now() - timedelta(minutes=5)
    fresh = [make_job(make_database(name), queue=queue) for name in ("blog", "wiki")]
    assert all(tasks.publish_job(job) for job in fresh)
    tasks.sweep_jobs()
    assert len(messages_in(queue)) == 2, "none is lacking"
    assert all(tasks.publish_job(job) for job in fresh)
    make_job(queue=queue, published_at=long_ago)
    for _ in range(3):
        tasks.sweep_jobs()
        Job.objects.update(published_at=long_ago)
    assert len(messages_in(queue)) == 3, "as many as there are jobs"


def test_a_lost_job_is_told_again_only_when_its_queue_is_empty(make_job: MakeJob) -> None:
    job = make_job(state="lost", started_at=timezone.now(), heartbeat_at=timezone.now())
    Target.objects.update(queue=own_queue())
    for _ in range(3):
        tasks.sweep_jobs()
    job.refresh_from_db()
    (headers,) = messages_in(job.database.target.inspect_queue)
    assert (headers["task"], headers["expires"]) == ("dbops.resolve_lost", None)


def test_a_target_that_is_due_is_told_again_only_when_its_queue_is_empty(make_database: MakeDatabase) -> None:
    make_database()
    Target.objects.update(queue=own_queue())
    for _ in range(3):
        tasks.inspect_due()
    (headers,) = messages_in(Target.objects.get().inspect_queue)
    assert (headers["task"], headers["expires"]) == ("dbops.inspect_target", None)


def test_targets_to_refresh_are_told_by_batches_only_when_their_queue_is_empty(
    make_target: Callable[..., Target],
) -> None:
    queue = own_queue()
    for number in range(tasks.REFRESHED_AT_ONCE + 1):
        make_target(f"shop-{number}", queue=queue, inspected_at=timezone.now())
    make_target("never", queue=queue)
    for _ in range(3):
        tasks.refresh_due()
    one, other = messages_in(Target.objects.get(name="never").inspect_queue)
    assert (one["task"], other["task"]) == ("dbops.refresh_targets", "dbops.refresh_targets")


def test_a_refresh_goes_before_the_inspections_that_wait() -> None:
    assert tasks.PRIORITY_OF_REFRESH < tasks.PRIORITY_OF_INSPECTION


def test_beat_sends_each_of_its_entries_and_nothing_while_nobody_takes_them(monkeypatch: Any) -> None:
    queue, passed = own_queue(), [1000.0]
    monkeypatch.setattr("opsdash.beat.monotonic", lambda: passed[0])
    entries: Any = {
        name: {**entry, "options": {**entry["options"], "queue": queue}} for name, entry in BEAT.items()
    }
    scheduler = Scheduler(app)
    scheduler.merge_inplace(entries)
    for _ in range(5):
        assert 0 < scheduler.tick() <= 5
        assert scheduler.tick() > 0, "nothing is due yet"
        passed[0] += 5
    sent = messages_in(queue)
    assert {headers["task"] for headers in sent} >= {"dbops.inspect_due", "dbops.sweep_jobs"}
    assert len(sent) == len(BEAT) and not any(headers["expires"] for headers in sent)
    scheduler.tick()
    often = [entry for entry in BEAT.values() if entry["schedule"] <= 5]
    assert len(messages_in(queue)) == len(often) > 3, "they were taken; what is hourly is not due yet"


def test_beat_ends_although_python_dropped_what_the_handler_of_its_signal_raised() -> None:
    """As it does in a callback of the garbage collector, or of an import: beat lived on."""
    scheduler = Scheduler(app)
    scheduler.close()
    with pytest.raises(SystemExit):
        scheduler.tick()


@pytest.mark.slow
def test_beat_outlives_a_broker_that_is_silent(relay: Relay, caplog: pytest.LogCaptureFixture) -> None:
    relay.silent.set()
    Scheduler(app).tick()
    assert "sweep_jobs is not sent now, the broker is away" in caplog.text


def test_a_sweep_goes_before_the_inspections_that_wait(make_database: MakeDatabase, tmp_path: Path) -> None:
    """One that stood behind many inspections would see late that a worker is gone."""
    target = make_database().target
    target.queue = f"q{uuid.uuid4().hex[:8]}"
    for number in range(30):
        assert tasks.publish_inspection(Target(pk=10_000_000 + number, name="none", queue=target.queue))
    options = BEAT["sweep_jobs"]["options"]
    tasks.sweep_jobs.apply_async(**{**options, "queue": target.inspect_queue})
    log = tmp_path / "order.log"
    with worker(log, target.inspect_queue):
        until(lambda: log.read_text().count(" received") == 31, "all were received")
    received = [line for line in log.read_text().splitlines() if line.endswith("received")]
    assert "dbops.sweep_jobs" in received[0]
