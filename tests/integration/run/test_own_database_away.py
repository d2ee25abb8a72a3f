"""opsdash's own database goes away while a job works: the target works on, and nothing of it is lost."""

import os
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import Error, OperationalError, connection
from psycopg_pool import PoolTimeout

from dbops import late, launch
from dbops.heartbeat import Heartbeat
from dbops.inspection import inspect_now
from dbops.models import Job
from dbops.models.away import is_away, sqlstate, words
from dbops.performance import Performance
from dbops.redaction import Redactor
from dbops.steps import Steps
from dbops.target.address import Address
from dbops.transcript.reading import read_all
from dbops.transcript.recorder import Recorder
from embedded import ports
from tests.integration.conftest import ALICE, MakeTarget, default_of, make_shop
from tests.integration.holding import own_database_away
from tests.integration.netns import Elsewhere, elsewhere, relays, why_not
from tests.integration.web import web
from tests.integration.worker import REPOSITORY, test_environment, until, worker

Away = Callable[[], AbstractContextManager[None]]
MakeJob = Callable[..., Job]
pytestmark = pytest.mark.django_db(transaction=True)
AWAY_S = 3
# What follows differs: a connection that breaks is known to, a pool that gives none does not say why.
GONE = "opsdash's own database does not answer"


def test_while_it_is_away_the_web_says_so_calmly_and_afterwards_all_goes_on(
    make_target: MakeTarget, people: dict[str, User], postgres_url: str, tmp_path: Path
) -> None:
    """Away for longer than a worker may be silent: its job is not taken for lost, or is taken back."""
    target = make_shop(make_target, postgres_url)
    target.variables.filter(name="SHOP_BATCH_PAUSE").update(plain="4")
    inspect_now(target)
    env: Any = {"OPSDASH_HEARTBEAT_S": "1", "OPSDASH_LOST_AFTER_S": "3"}
    with (
        worker(tmp_path / "jobs.log", beat=True, **env),
        web(tmp_path / "web.log", people["operator"]) as site,
    ):
        job = launch.start(default_of(target), "migrate", {"app": "catalog"}, ALICE, key=uuid.uuid4()).job
        page = job.get_absolute_url()
        until(lambda: "50 / 300 products" in "".join(read_all(job.pk)), "the import works")
        with site.stream(f"{page}stream/") as heard:
            assert next(heard)[0] == "lines"
            with own_database_away(), ThreadPoolExecutor() as several:
                shown = several.submit(site.get, page)
                acted = several.submit(site.post, f"{page}cancellation/")
                streamed = several.submit(site.get, f"{page}stream/", Accept="text/event-stream")
                *_, last = heard
                answers = [shown.result(), acted.result(), streamed.result()]
        assert last[0] == "bye" and last[1]["why"].startswith(GONE)
        assert [(answer.status, answer.headers["retry-after"]) for answer in answers] == [(503, "5")] * 3
        assert "Running jobs go on" in answers[0].text and "What you sent" not in answers[0].text
        refresh = '<meta http-equiv="refresh" content="5">'
        assert refresh in answers[0].text and "tries again by itself" in answers[0].text
        assert "What you sent was probably not done" in answers[1].text
        assert refresh not in answers[1].text, "an act is not sent again by itself"
        assert answers[2].text.startswith(GONE)
        until(lambda: Job.objects.get().state == "running", "it is running, and known to be")
        assert site.get(page).status == 200
        assert site.post(f"{page}cancellation/").status == 302
        until(lambda: Job.objects.get().state == "cancelled", "it is cancelled")
    job.refresh_from_db()
    assert job.outcome.startswith("Cancelled by operator: ")
    assert "by now: catalog.0001_initial, catalog.0002_product_is_active" in job.outcome
    chunks = list(job.chunks.order_by("first").values_list("first", "last"))
    assert chunks[0][0] == 1 and all(after[0] == before[1] + 1 for before, after in pairwise(chunks))
    said = [line.strip() for line in read_all(job.pk) if "/ 300 products" in line]
    assert said == [f"{50 * number} / 300 products" for number in range(1, len(said) + 1)]
    assert len(said) >= 2, "what was printed while it was away is there"


def test_what_a_restart_of_it_leaves_in_the_pool_of_the_web_is_no_page_s_trouble(
    people: dict[str, User], tmp_path: Path
) -> None:
    with web(tmp_path / "web.log", people["operator"]) as site:
        assert site.get("/jobs/").status == 200
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert cursor.fetchone()[0] >= 1, "the web kept one"
        assert [site.get("/jobs/").status for _ in range(3)] == [200, 200, 200]


def test_each_end_of_a_connection_to_it_finds_out_that_the_network_between_them_is_gone() -> None:
    with connection.cursor() as cursor:
        names = ("tcp_keepalives_idle", "tcp_user_timeout", "idle_in_transaction_session_timeout")
        cursor.execute("SELECT current_setting(%s), current_setting(%s), current_setting(%s)", names)
        assert cursor.fetchone() == ("5", "10000", "1min")
        with socket.socket(fileno=os.dup(connection.connection.fileno())) as own:
            assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
            assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000


@pytest.mark.skipif(bool(why_not()), reason=f"no line that can be cut: {why_not()}")
def test_when_the_network_to_it_is_cut_nobody_waits_for_it_for_ever(make_job: MakeJob) -> None:
    """One sends when it is cut already, the other waits for an answer when it is cut."""
    job, cut, begun = make_job(state="running", worker="w"), threading.Event(), threading.Event()
    own, (port, port_there) = connection.settings_dict, (ports.choose(), ports.choose())

    def records() -> bool:
        recorder = Recorder(job, Redactor(()))
        recorder.feed(b"one\n")
        assert recorder.flush()
        begun.set()
        assert cut.wait(30)
        recorder.feed(b"two\n")
        return recorder.flush()

    def asks() -> bool:
        with pytest.raises(OperationalError) as raised, connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(40)")
        return is_away(raised.value)

    def there(place: Elsewhere, work: Callable[[], bool]) -> bool:
        by_line = {"HOST": place.there, "PORT": str(port_there)}
        connection.settings_dict = {**connection.settings_dict, **by_line}
        try:
            return work()
        finally:
            connection.close()

    with (
        ThreadPoolExecutor(2) as pool,
        elsewhere() as place,
        relays((place.here, port, own["HOST"], int(own["PORT"]))),
        relays((place.there, port_there, place.here, port), through=place.words),
    ):
        recorded, answered = (pool.submit(there, place, work) for work in (records, asks))
        until(lambda: begun.is_set() and sleeping(), "both are connected")
        place.cut()
        cut.set()
        try:
            assert recorded.result(25) is False, "it waits in memory"
            assert answered.result(25)
        finally:
            place.mend()
            assert sleeping("pg_terminate_backend(pid)") == [True]


def sleeping(what: str = "pid") -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {what} FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(40)'")
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize("words", [["status"], ["jobs"], ["run_job", "shop", "migrate"], ["sync_targets"]])
def test_a_command_says_so_in_a_sentence(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "targets.toml").write_text('[targets.shop]\nworking_directory = "/srv"\npython = "python"\n')
    done = manage(
        *words,
        DATABASE_URL="postgres://opsdash:canary@127.0.0.1:1/none",
        OPSDASH_TARGETS_FILE=str(tmp_path / "targets.toml"),
    )
    assert done.returncode == 1
    assert "opsdash's own database does not answer: " in done.stderr
    assert "Jobs that run go on." in done.stderr
    assert "Traceback" not in done.stderr and "canary" not in done.stderr


def test_one_without_unicode_is_refused_before_anything_is_made_in_it() -> None:
    name = f"ascii_{uuid.uuid4().hex[:8]}"
    url = urlsplit(test_environment()["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'"
        )
    try:
        done = manage("migrate", "--noinput", DATABASE_URL=url)
        with psycopg.connect(url) as there:
            tables = there.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert done.returncode == 1
    assert "opsdash's own database has the encoding SQL_ASCII, and must have UTF8." in done.stderr
    assert tables == (0,)


@pytest.mark.parametrize(
    ("statement", "passes"),
    [
        ("SELECT repeat('x', 2000000000)", False),
        ("SET statement_timeout = 50; SELECT pg_sleep(5)", False),
        ("SET transaction_read_only = on; CREATE TABLE none ()", True),
        ("SELECT pg_terminate_backend(pg_backend_pid())", True),
        ("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$", True),
        ("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$", True),
    ],
)
def test_what_would_come_again_is_not_waited_out(statement: str, passes: bool) -> None:
    with pytest.raises(Error) as raised, connection.cursor() as cursor:
        cursor.execute(f"BEGIN; {statement}")
    connection.close()
    assert is_away(raised.value) == passes, sqlstate(raised.value)


def test_a_pool_that_has_none_left_does_not_say_that_the_database_is_away() -> None:
    problem = OperationalError("couldn't get a connection after 5.00 sec")
    problem.__cause__ = PoolTimeout()
    assert is_away(problem)
    assert words(problem) == f"{GONE} in time: it is away, or too much is asked of it at once"
    assert words(OperationalError("refused")) == GONE


# A write that was taken, and whose acknowledgement was lost on the way, is tried again


class Hand(Performance):
    """An operation's hands, without a target."""

    def __init__(self, job: Job) -> None:
        address = Address(name="shop", argv=("none",))
        super().__init__(job, address, Recorder(job, Redactor(())), Heartbeat(job))


def lost_once(write: Callable[..., None]) -> Callable[..., None]:
    """The commit succeeded."""
    lost: list[None] = []

    def writes(*args: Any, **kwargs: Any) -> None:
        write(*args, **kwargs)
        if not lost:
            lost.append(None)
            raise OperationalError("server closed the connection unexpectedly")

    return writes


def test_a_step_whose_acknowledgement_was_lost_stands_there_once(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, "PAUSE_S", 0)
    job = make_job(state="running", worker="w")
    for name in ("plan", "begin", "end"):
        monkeypatch.setattr(Steps, name, lost_once(getattr(Steps, name)))
    hand = Hand(job)
    hand.plan_steps("migration", ["a.0001", "a.0002"])
    hand.begin_step("migration", "a.0001")
    hand.end_step("a.0001", duration_ms=1)
    monkeypatch.setattr(Steps, "begin", lost_once(Steps.begin))
    hand.begin_step("post_migrate", "post_migrate")
    until(hand.catch_up, "all is written")
    assert [(step.position, step.name, step.state) for step in job.steps.all()] == [
        (1, "a.0001", "succeeded"),
        (2, "a.0002", "pending"),
        (3, "post_migrate", "running"),
    ]
    job.refresh_from_db()
    assert (job.done_count, job.total_count) == (1, 2)


def test_the_session_of_a_job_is_known_although_our_database_failed_as_it_was_written(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, "PAUSE_S", 0)
    job = make_job(state="starting", worker="w")
    hand, rows = Hand(job), type(Job.objects.all())
    with monkeypatch.context() as patch:
        patch.setattr(rows, "touch", failing)
        hand.running(4711)
    hand.running(4712)
    until(hand.catch_up, "all is written")
    job.refresh_from_db()
    assert (job.state, job.backend_pid) == ("running", 4711), "the first one works"


def failing(*_: Any, **__: Any) -> None:
    raise OperationalError("gone")


def manage(*words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=REPOSITORY, env=test_environment(**env), capture_output=True, text=True, check=False,
    )  # fmt: skip
