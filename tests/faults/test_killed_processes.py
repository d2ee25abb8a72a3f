"""Each of the processes that take part in a job is killed, stopped for long or asked to end."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from dbops import launch
from dbops.models import Job
from tests.faults.assertions import held_up
from tests.faults.conftest import MakeMarked
from tests.faults.marks import IN_A_QUERY, IN_PYTHON, PRINTS_ON, UNTIL_TOLD, Marked
from tests.faults.room import (
    Process,
    is_told,
    jobs_worker,
    pool_process,
    prints,
    room,
    supervisor_of,
    works,
)
from tests.integration.at_work import ask, state
from tests.integration.conftest import ALICE
from tests.integration.worker import children_of, runs, until

pytestmark = pytest.mark.django_db(transaction=True)
FIRST = [["shop", "0001_table"]]


# The worker


@pytest.mark.fault("F1")
def test_a_pool_process_that_is_killed_takes_its_target_with_it(marked: MakeMarked, tmp_path: Path) -> None:
    place = marked(PRINTS_ON)
    with room(tmp_path) as worker:
        job = ask(place.target)
        prints(job)
        os.kill(pool_process(worker, place), signal.SIGKILL)
        held_up(place, job, "failed", promised=30)
        assert (job.error_type, job.facts["recorded"]) == ("WorkerLost", FIRST)
        assert "The guard is free and no session of the job is left" in job.outcome


@pytest.mark.fault("F2")
def test_a_machine_that_goes_down_and_comes_up_again_does_not_begin_its_job_again(
    marked: MakeMarked, tmp_path: Path
) -> None:
    place = marked(PRINTS_ON)
    with room(tmp_path) as worker:
        job = ask(place.target)
        prints(job)
        os.killpg(worker.pid, signal.SIGKILL)
        with jobs_worker(tmp_path / "again.log"):
            held_up(place, job, "failed", promised=30)
            assert (job.error_type, job.facts["recorded"]) == ("WorkerLost", FIRST)


@pytest.mark.slow
@pytest.mark.fault("F2")
def test_a_main_process_that_is_killed_alone_takes_its_pool_and_its_targets_with_it(
    marked: MakeMarked, tmp_path: Path
) -> None:
    place = marked(PRINTS_ON)
    with room(tmp_path) as worker:
        job = ask(place.target)
        prints(job)
        holder = pool_process(worker, place)
        os.kill(worker.pid, signal.SIGKILL)
        with jobs_worker(tmp_path / "again.log"):
            held_up(place, job, "failed", promised=30)
            assert (job.error_type, job.facts["recorded"]) == ("WorkerLost", FIRST)
            until(lambda: not runs(holder), "what held it has ended")


@pytest.mark.slow
@pytest.mark.fault("F3")
def test_a_worker_that_is_asked_to_end_finishes_its_job_and_begins_no_other(
    marked: MakeMarked, tmp_path: Path
) -> None:
    place = marked(UNTIL_TOLD)
    with room(tmp_path) as worker:
        job = ask(place.target)
        works(place)
        worker.terminate()
        until(lambda: "Warm shutdown" in (tmp_path / "jobs.log").read_text(), "it was heard")
        place.tell("go-on")
        held_up(place, job, "succeeded")
        until(lambda: worker.poll() == 0, "it has ended")


@pytest.mark.slow
@pytest.mark.fault("F3")
def test_an_orchestrator_that_loses_its_patience_leaves_nothing_running_and_the_truth_is_found(
    marked: MakeMarked, tmp_path: Path
) -> None:
    """SIGTERM, a grace, then SIGKILL to all that is left in the container."""
    place = marked(PRINTS_ON)
    with room(tmp_path) as worker:
        job = ask(place.target)
        prints(job)
        worker.terminate()
        until(lambda: "Warm shutdown" in (tmp_path / "jobs.log").read_text(), "it was heard")
        prints(job, 40)
        inside = [worker.pid, *children_of(worker.pid), *place.processes()]
        for pid in inside:
            os.kill(pid, signal.SIGKILL)
        with jobs_worker(tmp_path / "again.log"):
            held_up(place, job, "failed", promised=40)
            assert (job.error_type, job.facts["recorded"]) == ("WorkerLost", FIRST)


@pytest.mark.slow
@pytest.mark.fault("F3")
def test_an_end_that_is_asked_of_the_whole_group_leaves_nothing_running(
    marked: MakeMarked, tmp_path: Path
) -> None:
    """As systemd does by default."""
    place = marked(PRINTS_ON)
    with room(tmp_path) as worker:
        job = ask(place.target)
        prints(job)
        os.killpg(worker.pid, signal.SIGTERM)
        held_up(place, job, "failed", promised=30)
        assert job.facts["recorded"] == FIRST


@pytest.mark.slow
@pytest.mark.fault("F4")
def test_a_worker_that_is_told_to_quit_at_once_takes_its_target_with_it(
    marked: MakeMarked, tmp_path: Path
) -> None:
    place = marked(PRINTS_ON)
    with room(tmp_path) as worker:
        job = ask(place.target)
        prints(job)
        worker.send_signal(signal.SIGQUIT)
        until(lambda: worker.poll() is not None, "it has ended")
        with jobs_worker(tmp_path / "again.log"):
            held_up(place, job, "failed", promised=30)
            assert job.facts["recorded"] == FIRST


@pytest.mark.slow
@pytest.mark.fault("F6")
def test_a_worker_that_was_stopped_for_long_takes_its_job_back(marked: MakeMarked, tmp_path: Path) -> None:
    """It is called lost, and is not ended: the guard is held."""
    place = marked(UNTIL_TOLD)
    with room(tmp_path) as worker:
        job = ask(place.target)
        works(place)
        holder = pool_process(worker, place)
        os.kill(holder, signal.SIGSTOP)
        until(lambda: state(job) == "lost" and "still holds the guard" in job.outcome, "it is looked after")
        os.kill(holder, signal.SIGCONT)
        until(lambda: state(job) == "running", "it is its worker's again")
        place.tell("go-on")
        held_up(place, job, "succeeded")


@pytest.mark.slow
@pytest.mark.fault("F6")
def test_a_worker_that_comes_back_after_staff_ended_its_job_stops_it_and_writes_nothing(
    marked: MakeMarked, tmp_path: Path
) -> None:
    """All of it was stopped, as on a machine that is paused."""
    place = marked(IN_PYTHON)
    with room(tmp_path) as worker:
        job = ask(place.target)
        works(place)
        # So that it has nothing left to write, by which it could notice.
        prints(job, 20)
        frozen = [pool_process(worker, place), *place.processes()]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        until(lambda: state(job) == "lost", "it is called lost")
        launch.resolve(job, ALICE, "that machine will not come back")
        ended = Job.objects.get(pk=job.pk)
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        until(lambda: "has taken it over" in (tmp_path / "jobs.log").read_text(), "its worker notices")
        until(lambda: not place.processes(), "it has stopped its target")
        job.refresh_from_db()
        assert (job.state, job.outcome, job.last_line) == ("failed", ended.outcome, ended.last_line)
        assert place.committed() == (["0001_table"], ["0001_table"])
        assert len(place.starts()) == 1 and place.guard_holders() == [] and place.sessions() == []


# The agent


def agent(worker: Process, place: Marked) -> dict[str, int]:
    """Its processes by what they are."""
    supervisor, (child,) = supervisor_of(worker, place), place.starts()
    (watcher,) = set(children_of(supervisor)) - {child}
    return {"supervisor": supervisor, "child": child, "watcher": watcher}


@pytest.mark.fault("agent")
def test_a_child_of_the_agent_that_is_killed_ends_the_job_with_what_it_printed(
    marked: MakeMarked, tmp_path: Path
) -> None:
    place = marked(PRINTS_ON)
    with room(tmp_path) as worker:
        job = ask(place.target)
        prints(job)
        os.kill(agent(worker, place)["child"], signal.SIGKILL)
        held_up(place, job, "failed")
        assert "ended with signal 9 (SIGKILL) in the middle" in job.outcome
        assert "opsdash did not end it" in job.outcome and job.facts["recorded"] == FIRST


@pytest.mark.slow
@pytest.mark.fault("agent")
@pytest.mark.parametrize("work", [PRINTS_ON, IN_A_QUERY], ids=["in Python", "in a query"])
def test_a_supervisor_that_is_killed_takes_its_child_with_it(
    marked: MakeMarked, tmp_path: Path, work: str
) -> None:
    place = marked(work)
    with room(tmp_path) as worker:
        job = ask(place.target)
        until(lambda: is_told(job, "line 20\n"), "it is at work")
        os.kill(agent(worker, place)["supervisor"], signal.SIGKILL)
        held_up(place, job, "failed", promised=20)
        assert "The connection to mini was lost" in job.outcome and job.facts["recorded"] == FIRST


@pytest.mark.slow
@pytest.mark.fault("agent")
def test_a_watcher_that_is_killed_is_not_missed(marked: MakeMarked, tmp_path: Path) -> None:
    place = marked(UNTIL_TOLD)
    with room(tmp_path) as worker:
        job = ask(place.target)
        works(place)
        os.kill(agent(worker, place)["watcher"], signal.SIGKILL)
        place.tell("go-on")
        held_up(place, job, "succeeded")


@pytest.mark.slow
@pytest.mark.fault("agent")
def test_without_its_watcher_a_killed_supervisor_still_takes_its_child_with_it(
    marked: MakeMarked, tmp_path: Path
) -> None:
    place = marked(PRINTS_ON)
    with room(tmp_path) as worker:
        job = ask(place.target)
        prints(job)
        pids = agent(worker, place)
        for name in ("watcher", "supervisor"):
            os.kill(pids[name], signal.SIGKILL)
        held_up(place, job, "failed", promised=30)


@pytest.mark.fault("agent")
def test_an_agent_that_somebody_else_terminates_claims_no_request(marked: MakeMarked, tmp_path: Path) -> None:
    """A container that is stopped, say: nobody asked opsdash for it."""
    place = marked(IN_PYTHON)
    with room(tmp_path) as worker:
        job = ask(place.target)
        works(place)
        os.kill(agent(worker, place)["supervisor"], signal.SIGTERM)
        held_up(place, job, "failed")
        assert "was told to end from outside opsdash" in job.outcome and job.error_type == "EndedFromOutside"


@pytest.mark.slow
@pytest.mark.fault("agent")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_child_that_somebody_else_ends_claims_no_request(
    marked: MakeMarked, tmp_path: Path, number: signal.Signals
) -> None:
    place = marked(IN_PYTHON)
    with room(tmp_path):
        job = ask(place.target)
        works(place)
        os.kill(place.starts()[0], number)
        held_up(place, job, "failed")
        assert job.facts["recorded"] == FIRST


# How late it may be


@pytest.mark.slow
@pytest.mark.fault("F2")
@pytest.mark.parametrize("victim", ["pool process", "whole worker"])
def test_with_the_settings_as_they_come_a_loss_is_noticed_and_cleared_up_within_half_a_minute(
    marked: MakeMarked, tmp_path: Path, victim: str
) -> None:
    """`held_up` waits for twice that at most: for the end, and for what still works."""
    as_they_come: Any = {
        "OPSDASH_HEARTBEAT_S": "5",
        "OPSDASH_LOST_AFTER_S": "20",
        "OPSDASH_CANCEL_GRACE_S": "5",
    }
    place = marked("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nmark.say(6000, pause_s=0.1)")
    with room(tmp_path, **as_they_come) as worker:
        job = ask(place.target)
        prints(job)
        if victim == "whole worker":
            os.killpg(worker.pid, signal.SIGKILL)
        else:
            os.kill(pool_process(worker, place), signal.SIGKILL)
        held_up(place, job, "failed", promised=30)
