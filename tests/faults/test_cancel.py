"""A cancel at every moment of a job's life: what was done is told, and nothing works on."""

import os
import random
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import pytest

from dbops import broker, launch, tasks
from dbops.models import Job
from tests.faults.assertions import held_up
from tests.faults.conftest import MakeMarked
from tests.faults.marks import IN_A_QUERY, IN_PYTHON, Marked
from tests.faults.room import jobs_worker, room, the_next_one_is_performed, works
from tests.integration.at_work import ask, state
from tests.integration.conftest import ALICE
from tests.integration.worker import until

pytestmark = pytest.mark.django_db(transaction=True)
FIRST = [["shop", "0001_table"]]
BY_ITSELF = "Cancelled by alice: its query was cancelled and it ended by itself. "
TERMINATED = "Cancelled by alice: it did not end by itself in time and was terminated. "
KILLED = "Cancelled by alice: it did not end in time and was killed. "


@pytest.fixture(scope="session")
def with_psycopg2(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that has the older driver and not the newer one."""
    folder = tmp_path_factory.mktemp("psycopg2")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", "psycopg2-binary"]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot install psycopg2-binary here: {done.stderr.strip()[-200:]}")
    there = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    for name in ("django", "asgiref", "sqlparse"):
        Path(there.strip(), name).symlink_to(Path(sysconfig.get_path("purelib"), name))
    return python


@pytest.fixture(params=["psycopg", pytest.param("psycopg2", marks=pytest.mark.slow)])
def python(request: pytest.FixtureRequest) -> str:
    return sys.executable if request.param == "psycopg" else request.getfixturevalue("with_psycopg2")


def cancelled(place: Marked, job: Job, outcome: str, recorded: Any = FIRST) -> None:
    launch.cancel(job, ALICE)
    held_up(place, job, "cancelled")
    assert job.outcome.startswith(outcome), job.outcome
    assert job.facts["recorded"] == recorded


# Before it works


@pytest.mark.fault("F15")
@pytest.mark.fault("F16")
def test_a_queued_job_that_is_cancelled_never_starts_though_its_message_waits_for_a_worker(
    marked: MakeMarked, tmp_path: Path
) -> None:
    place = marked()
    job = ask(place.target)
    launch.cancel(job, ALICE)
    tasks.publish_job(job)
    for log in ("first.log", "again.log"):
        with jobs_worker(tmp_path / log):
            until(lambda: broker.waiting(job.queue) == 0, "the messages are taken")
            the_next_one_is_performed(place)
    held_up(place, job, "cancelled", starts=0)
    assert job.outcome.startswith("Cancelled by alice before a worker began.")


@pytest.mark.fault("F15")
def test_a_job_that_is_starting_is_ended_at_once(marked: MakeMarked, tmp_path: Path) -> None:
    place = marked()
    place.project.settings(
        "\nimport sys, time\nif 'migrate' in sys.argv:\n    open('works', 'w').close()\n    time.sleep(600)\n"
    )
    with room(tmp_path):
        job = ask(place.target)
        works(place)
        assert state(job) == "starting"
        launch.cancel(job, ALICE)
        held_up(place, job, "cancelled", starts=0)
    assert job.outcome.startswith("Cancelled by alice: it was ended before it began to work. ")
    assert job.facts["recorded"] == []


# While it works


@pytest.mark.fault("F15")
def test_a_running_query_is_cancelled(marked: MakeMarked, tmp_path: Path, python: str) -> None:
    place = marked(IN_A_QUERY, python=python)
    with room(tmp_path):
        job = ask(place.target)
        until(lambda: in_query(place, "SELECT pg_sleep(600)"), "it is in its query")
        cancelled(place, job, BY_ITSELF)


def in_query(place: Marked, query: str) -> bool:
    asked = f"SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = '{query}'"
    return place.rows(asked) == [(1,)]


@pytest.mark.fault("F15")
def test_python_that_sleeps_is_interrupted(marked: MakeMarked, tmp_path: Path) -> None:
    place = marked(IN_PYTHON)
    with room(tmp_path):
        job = ask(place.target)
        works(place)
        cancelled(place, job, BY_ITSELF)
    steps = {step.name: step.state for step in job.steps.all()}
    assert (steps["shop.0002_work"], steps["shop.0003_after"]) == ("cancelled", "skipped")


DEFERRED = """
schema_editor.execute('''
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN NULL; END'
''')
schema_editor.execute('''
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON mark DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slow()
''')
schema_editor.execute("DELETE FROM mark WHERE name = '0002_work'")
schema_editor.execute("INSERT INTO mark VALUES ('0002_work')")
mark.reached('works')
"""


@pytest.mark.fault("F15")
def test_a_cancel_in_the_middle_of_a_commit_is_told_as_the_database_took_it(
    marked: MakeMarked, tmp_path: Path, python: str
) -> None:
    place = marked(DEFERRED, python=python)
    with room(tmp_path):
        job = ask(place.target)
        until(lambda: in_query(place, "COMMIT"), "it is in its COMMIT")
        cancelled(place, job, BY_ITSELF)


SWALLOWS = """
mark.reached('works')
while True:
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        print('swallowed', flush=True)
"""
DEAF = """
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
mark.reached('works')
while True:
    time.sleep(1)
"""
ASKS_AGAIN = """
from django.db import transaction
mark.reached('works')
while True:
    try:
        with transaction.atomic():
            schema_editor.execute('SELECT pg_sleep(600)')
    except BaseException:
        continue
"""
NATIVE = "import ctypes\nmark.reached('works')\nctypes.PyDLL(None).sleep(600)"
STUBBORN = [
    pytest.param(SWALLOWS, TERMINATED, id="swallows the interrupt"),
    pytest.param(DEAF, KILLED, id="ignores every signal", marks=pytest.mark.fault("F22")),
    pytest.param(ASKS_AGAIN, TERMINATED, id="asks again and again", marks=pytest.mark.slow),
    pytest.param(NATIVE, TERMINATED, id="is in native code", marks=pytest.mark.slow),
]


@pytest.mark.fault("F15")
@pytest.mark.parametrize(("work", "outcome"), STUBBORN)
def test_code_that_does_not_hear_is_ended_all_the_same(
    marked: MakeMarked, tmp_path: Path, work: str, outcome: str
) -> None:
    place = marked(work)
    with room(tmp_path):
        job = ask(place.target)
        works(place)
        cancelled(place, job, outcome)


@pytest.mark.slow
@pytest.mark.fault("F15")
def test_a_process_that_is_stopped_is_killed(marked: MakeMarked, tmp_path: Path) -> None:
    place = marked(IN_PYTHON)
    with room(tmp_path):
        job = ask(place.target)
        works(place)
        os.kill(place.starts()[0], signal.SIGSTOP)
        cancelled(place, job, KILLED)


@pytest.mark.slow
@pytest.mark.fault("F15")
def test_a_process_that_somebody_kills_while_it_is_cancelled_is_not_said_to_have_ended_by_itself(
    marked: MakeMarked, tmp_path: Path
) -> None:
    place = marked(SWALLOWS)
    with room(tmp_path, OPSDASH_CANCEL_GRACE_S="20"):
        job = ask(place.target)
        works(place)
        launch.cancel(job, ALICE)
        until(lambda: "swallowed\n" in "".join(lines(job)), "it was asked")
        os.kill(place.starts()[0], signal.SIGKILL)
        held_up(place, job, "cancelled")
        assert "its query was cancelled and its process ended with signal 9 (SIGKILL)" in job.outcome


@pytest.mark.slow
@pytest.mark.fault("F15")
@pytest.mark.fault("F2")
def test_a_worker_that_dies_before_the_target_obeyed_leaves_nothing_running(
    marked: MakeMarked, tmp_path: Path
) -> None:
    """The job had been asked to stop, and is cancelled; how it came to its end is told as it was."""
    place = marked(SWALLOWS)
    with room(tmp_path, OPSDASH_CANCEL_GRACE_S="20") as worker:
        job = ask(place.target)
        works(place)
        launch.cancel(job, ALICE)
        until(lambda: "swallowed\n" in "".join(lines(job)), "it was asked")
        os.killpg(worker.pid, signal.SIGKILL)
        held_up(place, job, "cancelled", promised=20)
        assert job.outcome.startswith("The worker stopped giving signs of life. The guard is free")
        assert job.facts["recorded"] == FIRST


def lines(job: Job) -> list[str]:
    return [chunk.text + "\n" for chunk in job.chunks.order_by("first")]


# At any moment


@pytest.mark.slow
@pytest.mark.fault("F15")
@pytest.mark.parametrize("moment", range(12))
def test_at_whatever_moment_it_comes_what_is_told_is_true(
    marked: MakeMarked, tmp_path: Path, moment: int
) -> None:
    """From the claim to the last write; a job that was complete by then has succeeded."""
    place = marked("mark.say(20, pause_s=0.02)")
    after_s = random.Random(moment).uniform(0, 3.0)
    with room(tmp_path):
        job = ask(place.target)
        until(lambda: state(job) != "queued", "it is claimed")
        time.sleep(after_s)
        launch.cancel(job, ALICE)
        until(lambda: state(job) in ("cancelled", "succeeded"), "it ends")
        held_up(place, job, ("cancelled", "succeeded"), starts=len(place.starts()))


# One that cannot be ended


FREEZER = Path("/sys/fs/cgroup/freezer")


def can_freeze() -> bool:
    return os.access(FREEZER, os.W_OK) and shutil.which("mount") is not None


@pytest.mark.slow
@pytest.mark.fault("F22")
@pytest.mark.skipif(not can_freeze(), reason="no cgroup of version 1 that freezes what not even SIGKILL ends")
def test_a_process_that_not_even_a_kill_ends_leaves_the_job_lost_until_it_is_gone(
    marked: MakeMarked, tmp_path: Path
) -> None:
    place, group = marked(IN_PYTHON), FREEZER / f"opsdash-{os.getpid()}"
    group.mkdir()
    try:
        with room(tmp_path):
            job = ask(place.target)
            works(place)
            (group / "cgroup.procs").write_text(str(place.starts()[0]))
            (group / "freezer.state").write_text("FROZEN")
            launch.cancel(job, ALICE)
            until(lambda: state(job) == "lost", "it cannot be ended", seconds=60)
            assert job.outcome.startswith(
                "Cancelled by alice: it did not end in time, and was killed in vain. "
            )
            assert "The target's process did not die when it was killed" in job.outcome
            with pytest.raises(launch.RefusedError, match="one job at a time changes a database"):
                ask(place.target)
            (group / "freezer.state").write_text("THAWED")
            held_up(place, job, "cancelled")
            assert job.facts["recorded"] == FIRST
    finally:
        (group / "freezer.state").write_text("THAWED")
        until(lambda: not (group / "cgroup.procs").read_text(), "what was frozen has ended")
        group.rmdir()
