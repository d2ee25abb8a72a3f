"""The processes of opsdash as in production, and those of them that die where a test says."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dbops.models import Job
from dbops.transcript.reading import read_all
from tests.faults.assertions import PATIENCE_S
from tests.faults.marks import Marked
from tests.integration.at_work import ask, state
from tests.integration.worker import children_of, launched, until, until_ready, worker_words

# A loss is noticed within seconds; the promise of half a minute is tested with the defaults.
QUICK = {"OPSDASH_HEARTBEAT_S": "1", "OPSDASH_LOST_AFTER_S": "3", "OPSDASH_CANCEL_GRACE_S": "1"}
Process = subprocess.Popen[bytes]


@contextmanager
def room(folder: Path, *, dies: str = "", how: str = "self", **env: str) -> Iterator[Process]:
    """A worker for jobs, which is given, and one for inspections with beat. See `dying` for `dies`, `how`."""
    jobs, inspect, env = folder / "jobs.log", folder / "inspect.log", {**QUICK, **env}
    with ExitStack() as stack:
        program = ("tests.faults.dying", dies, how, str(folder)) if dies else ("celery",)
        words = worker_words(jobs, "jobs")
        process = stack.enter_context(launched(words, jobs, program=program, **env))
        stack.enter_context(launched(worker_words(inspect, "inspect", beat=True), inspect, **env))
        until_ready(jobs)
        until_ready(inspect)
        yield process


@contextmanager
def jobs_worker(log: Path, **env: str) -> Iterator[Process]:
    """Another one, or the first one again."""
    with launched(worker_words(log, "jobs"), log, **{**QUICK, **env}) as process:
        until_ready(log)
        yield process


def works(marked: Marked) -> None:
    until(lambda: marked.has("works"), "the migration is in its work")


def the_next_one_is_performed(marked: Marked) -> None:
    """A worker still takes jobs, and all that was told before is done with. It asks for what is refused, so
    that nothing is done."""
    job = ask(marked.target, app="nowhere")
    until(lambda: state(job) == "failed", "the next job is performed", PATIENCE_S)
    assert job.error_type == "BadArgument", job.outcome


def pool_process(worker: Process, marked: Marked) -> int:
    """The one that holds the job."""
    agents = set(marked.processes())
    (found,) = [pid for pid in children_of(worker.pid) if agents & set(children_of(pid))]
    return found


def supervisor_of(worker: Process, marked: Marked) -> int:
    (found,) = set(children_of(pool_process(worker, marked))) & set(marked.processes())
    return found


def is_told(job: Job, text: str) -> bool:
    return any(text in line for line in read_all(job.pk))


def prints(job: Job, lines: int = 30) -> None:
    """So many lines are kept, and it prints on."""
    until(lambda: is_told(job, f"line {lines}\n"), f"line {lines} is in the transcript")
