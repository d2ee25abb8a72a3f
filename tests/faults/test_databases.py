"""A database goes away or keeps a job waiting: opsdash's own, and the target's."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest

from dbops import launch
from tests.faults.assertions import PATIENCE_S, held_up
from tests.faults.conftest import MakeMarked
from tests.faults.marks import IN_A_QUERY, IN_PYTHON, TALKS, UNTIL_TOLD, Marked
from tests.faults.room import QUICK, prints, room, the_next_one_is_performed, works
from tests.integration.at_work import ask, state
from tests.integration.conftest import ALICE
from tests.integration.holding import held_table, own_database_away, own_database_read_only
from tests.integration.private import Server, new_database, private_postgres
from tests.integration.worker import until

pytestmark = pytest.mark.django_db(transaction=True)
FIRST = [["shop", "0001_table"]]
# Longer than a worker may be silent.
AWAY_S = 2 * int(QUICK["OPSDASH_LOST_AFTER_S"])
Away = Callable[[], AbstractContextManager[None]]


# opsdash's own


@pytest.mark.fault("F12")
@pytest.mark.parametrize(
    "away", [own_database_away, pytest.param(own_database_read_only, marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_our_database_is_away_in_the_middle_of_a_job(marked: MakeMarked, tmp_path: Path, away: Away) -> None:
    """For longer than a worker may be silent: whatever the job is called meanwhile, it works on."""
    place = marked(TALKS)
    with room(tmp_path):
        job = ask(place.target)
        prints(job)
        with away():
            before = place.printed()
            time.sleep(AWAY_S)
            assert place.printed() > before, "the target works on"
        place.tell("go-on")
        held_up(place, job, "succeeded")
        assert (job.done_count, job.total_count) == (3, 3)
        the_next_one_is_performed(place)


@pytest.mark.slow
@pytest.mark.fault("F12")
def test_our_database_is_away_while_a_job_comes_to_its_end(marked: MakeMarked, tmp_path: Path) -> None:
    place = marked(UNTIL_TOLD)
    with room(tmp_path):
        job = ask(place.target)
        works(place)
        with own_database_away():
            place.tell("go-on")
            until(lambda: "0003_after" in place.recorded() and not place.processes(), "the target is done")
            time.sleep(AWAY_S)
        held_up(place, job, "succeeded")


@pytest.mark.slow
@pytest.mark.fault("F12")
def test_our_database_is_away_at_the_last_write(marked: MakeMarked, tmp_path: Path) -> None:
    place = marked()
    with room(tmp_path, dies="dbops.execute:_write_end", how="pause"):
        job = ask(place.target)
        until(lambda: (tmp_path / "reached").exists(), "all but the last write is done", PATIENCE_S)
        with own_database_away():
            (tmp_path / "go-on").touch()
            until(lambda: "our database" in log(tmp_path) or "waits" in log(tmp_path), "it finds it away")
            time.sleep(AWAY_S)
        held_up(place, job, "succeeded")


def log(folder: Path) -> str:
    return (folder / "jobs.log").read_text()


@pytest.mark.slow
@pytest.mark.fault("F12")
def test_a_cancel_while_our_database_is_away_is_obeyed_when_it_is_back(
    marked: MakeMarked, tmp_path: Path
) -> None:
    place = marked(IN_PYTHON)
    with room(tmp_path):
        job = ask(place.target)
        works(place)
        launch.cancel(job, ALICE)
        with own_database_away():
            time.sleep(AWAY_S)
        held_up(place, job, "cancelled")
        assert job.facts["recorded"] == FIRST


# The target's


@pytest.fixture(scope="module")
def its_server() -> Iterator[Server]:
    with private_postgres() as server:
        yield server


@pytest.fixture
def url(its_server: Server) -> str:
    its_server.ensure()
    return new_database(its_server, "target")


@pytest.mark.slow
@pytest.mark.fault("F13")
@pytest.mark.parametrize("work", [IN_A_QUERY, UNTIL_TOLD], ids=["in a query", "in Python"])
def test_the_server_of_the_target_is_killed_in_the_middle_and_comes_back(
    marked: MakeMarked, its_server: Server, url: str, tmp_path: Path, work: str
) -> None:
    place = marked(work, url=url)
    with room(tmp_path):
        job = ask(place.target)
        works(place)
        its_server.kill()
        place.tell("go-on")
        until(lambda: state(job) in ("lost", "failed"), "it is noticed", PATIENCE_S)
        its_server.start()
        held_up(place, job, "failed")
        assert job.facts["recorded"] == FIRST


@pytest.mark.slow
@pytest.mark.fault("F13")
def test_a_worker_and_the_server_of_its_target_die_together(
    marked: MakeMarked, its_server: Server, url: str, tmp_path: Path
) -> None:
    """Nothing is said of the database before it answers."""
    place = marked(IN_A_QUERY, url=url)
    with room(tmp_path) as worker:
        job = ask(place.target)
        works(place)
        its_server.kill()
        os.killpg(worker.pid, signal.SIGKILL)
        until(lambda: state(job) == "lost" and "cannot be looked at" in job.outcome, "it is lost", PATIENCE_S)
        assert "Recorded" not in job.outcome
        its_server.start()
        held_up(place, job, "failed", promised=0)
        assert job.facts["recorded"] == FIRST


WANTS_THE_TABLE = "mark.reached('works')\nschema_editor.execute('ALTER TABLE other ADD COLUMN n integer')"


@pytest.fixture
def waiting(marked: MakeMarked, postgres_url: str) -> Marked:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE other ()")
    return marked(WANTS_THE_TABLE)


def waits_on_a_lock(place: Marked) -> bool:
    sessions = "pg_stat_activity WHERE application_name LIKE 'opsdash job%'"
    return place.rows(f"SELECT 1 FROM {sessions} AND wait_event_type = 'Lock'") == [(1,)]


@pytest.mark.fault("F14")
@pytest.mark.fault("F15")
def test_a_job_that_waits_for_somebody_who_is_idle_in_a_transaction_is_cancelled(
    waiting: Marked, tmp_path: Path
) -> None:
    with room(tmp_path, OPSDASH_LOCK_TIMEOUT_MS="0"), held_table(waiting.url, "other"):
        job = ask(waiting.target)
        until(lambda: waits_on_a_lock(waiting), "it waits on the lock")
        launch.cancel(job, ALICE)
        held_up(waiting, job, "cancelled")
        assert job.facts["recorded"] == FIRST


@pytest.mark.slow
@pytest.mark.fault("F14")
def test_a_job_that_waits_for_a_lock_goes_on_when_it_is_given(waiting: Marked, tmp_path: Path) -> None:
    with room(tmp_path, OPSDASH_LOCK_TIMEOUT_MS="0"):
        with held_table(waiting.url, "other"):
            job = ask(waiting.target)
            until(lambda: waits_on_a_lock(waiting), "it waits on the lock")
        held_up(waiting, job, "succeeded")


@pytest.mark.slow
@pytest.mark.fault("F14")
def test_a_worker_that_dies_while_its_job_waits_for_a_lock_leaves_no_session_that_gets_it_later(
    waiting: Marked, tmp_path: Path
) -> None:
    with room(tmp_path, OPSDASH_LOCK_TIMEOUT_MS="0") as worker, held_table(waiting.url, "other") as holder:
        job = ask(waiting.target)
        until(lambda: waits_on_a_lock(waiting), "it waits on the lock")
        os.killpg(worker.pid, signal.SIGKILL)
        until(lambda: not waits_on_a_lock(waiting), "its session is gone", PATIENCE_S)
        holder.rollback()
        held_up(waiting, job, "failed", promised=0)
        assert job.facts["recorded"] == FIRST
