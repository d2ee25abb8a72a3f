"""What a worker does with one job: claim, perform, look at the truth, finish. Nothing is ever run again."""

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, connection

from dbops import conf
from dbops.heartbeat import Heartbeat
from dbops.inspection import inspect_now, plan_of
from dbops.inspection.knowledge import report_of
from dbops.models import Job
from dbops.models.job import WORKED_ON
from dbops.operations import REGISTRY
from dbops.operations.base import CancelledError
from dbops.performance import FenceLostError, Performance
from dbops.redaction import Redactor
from dbops.sealing import CannotUnsealError
from dbops.steps import Steps
from dbops.target.address_of import address_of, secrets_of
from dbops.target.errors import TargetError
from dbops.transcript.live import publish_change
from dbops.transcript.recorder import Recorder

logger = logging.getLogger(__name__)

OWN_DATABASE_PAUSE_S = 2.0


@dataclass(frozen=True)
class Result:
    """How a job ended."""

    state: str
    outcome: str
    error_type: str = ""
    traceback: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def execute(job_id: int, worker: str) -> None:
    """Perform a job if this worker wins the claim; otherwise leave without a trace."""
    job = Job.objects.claim(job_id, worker)
    if job is None:
        return
    publish_change(job.pk)
    with Heartbeat(job) as heartbeat:
        try:
            _perform_and_finish(job, heartbeat)
        except FenceLostError:
            logger.warning("job %s: another has taken it over; this worker stops and writes nothing", job_id)


def _perform_and_finish(job: Job, heartbeat: Heartbeat) -> None:
    recorder = Recorder(job, Redactor(()))
    before = _plan_before(job)
    try:
        recorder = Recorder(job, Redactor(secrets_of(job.database.target)))
        address = address_of(job.database.target)
    except (TargetError, CannotUnsealError) as error:
        performance, result = None, _failed(error)
    else:
        performance = Performance(job, address, recorder, heartbeat)
        result = _perform(job, performance)
    recorder.say(result.outcome)
    result = _with_truth(job, result, before, recorder)
    _until_written(lambda: recorder.finish() and (performance is None or performance.catch_up()))
    _until_written(lambda: _finish(job, result, recorder.redactor))
    publish_change(job.pk)


def _perform(job: Job, performance: Performance) -> Result:
    operation = REGISTRY[job.operation]
    performance.say(f"job {job.pk}: {operation.title(job.arguments)} on {job.database}")
    try:
        done = operation.perform(performance)
    except CancelledError as cancelled:
        return Result("cancelled", f"Cancelled by {_canceller(job)}: {cancelled.how}.", facts=cancelled.facts)
    except TargetError as error:
        return _failed(error, performance.facts)
    except FenceLostError:
        raise
    except Exception as error:
        # Ours: the target is at rest (its session is closed), so the job must end and say so.
        logger.exception("job %s: an error of opsdash itself", job.pk)
        return Result(
            "failed",
            f"opsdash itself failed ({type(error).__name__}); the target's process was stopped. "
            "What is recorded in the database stands below; the worker's log has the details.",
            type(error).__name__,
            facts=performance.facts,
        )
    return Result("succeeded", done.outcome, facts={**performance.facts, **done.facts})


def _canceller(job: Job) -> str:
    return Job.objects.values_list("cancel_asked_by", flat=True).get(pk=job.pk)


def _failed(error: Exception, facts: dict[str, Any] | None = None) -> Result:
    traceback = str(getattr(error, "traceback", "") or "")
    return Result("failed", str(error), type(error).__name__, traceback, facts or {})


def _plan_before(job: Job) -> list[list[str]]:
    """The pending migrations that the latest inspection knew, as the person saw them."""
    latest = job.database.target.inspections.filter(outcome="done").first()
    return plan_of(report_of(latest, job.database.alias))


def _with_truth(job: Job, result: Result, before: list[list[str]], recorder: Recorder) -> Result:
    """Inspect, and say what is recorded in the database now; a process that ended says nothing about that."""
    inspection = inspect_now(job.database.target)
    report = report_of(inspection, job.database.alias)
    facts = {**result.facts, "before": {"plan": before}}
    if inspection.outcome != "done" or report.get("reachable") is False:
        why = inspection.error_sentence or report.get("detail") or "the database does not answer"
        truth = f"What is recorded in the database could not be read afterwards: {why}"
        return Result(result.state, f"{result.outcome} {truth}", result.error_type, result.traceback, facts)
    after = plan_of(report)
    facts["after"] = {"plan": after, "inspection": inspection.pk}
    outcome = result.outcome
    if result.state != "succeeded":
        outcome = f"{outcome} {_recorded_now(before, after)}"
        recorder.say(_recorded_now(before, after))
    return Result(result.state, outcome, result.error_type, result.traceback, facts)


def _recorded_now(before: list[list[str]], after: list[list[str]]) -> str:
    recorded = [f"{app}.{name}" for app, name in before if [app, name] not in after]
    left = f"{len(after)} still to apply" if after else "nothing is left to apply"
    if not recorded:
        return f"No migration was recorded by this job; {left}."
    return f"Recorded in the database by now: {', '.join(recorded)}; {left}."


def _finish(job: Job, result: Result, redactor: Redactor) -> bool:
    # One who asked to cancel a job that was complete by then is told the truth: it succeeded.
    Steps(job.pk).close({"succeeded": "succeeded", "cancelled": "cancelled"}.get(result.state, "failed"))
    moved = Job.objects.move(
        job.pk,
        WORKED_ON if result.state != "cancelled" else ["cancelling"],
        result.state,
        held_fence=job.fence,
        outcome=redactor.clean(result.outcome),
        error_type=result.error_type,
        error_traceback=redactor.clean(result.traceback),
        facts=result.facts,
    )
    if not moved:
        logger.warning("job %s: its end (%s) was not written, it is not ours any more", job.pk, result.state)
    return True


def _until_written(write: Any) -> None:
    """The end of a job must reach the rows, however long our own database is away."""
    while True:
        try:
            if write():
                return
        except DatabaseError as error:
            logger.warning("the end of a job waits, our database fails: %s", error)
            connection.close()
        time.sleep(OWN_DATABASE_PAUSE_S)


def find_lost() -> list[Job]:
    """Call silent jobs lost, and give back all that are: their truth is to be established."""
    for job in Job.objects.silent(conf.knob("LOST_AFTER_S")):
        outcome = (
            f"The worker {job.worker} stopped giving signs of life. Whether the target still works is being "
            "looked at; until that is known nothing else may change this database."
        )
        if Job.objects.move(job.pk, WORKED_ON, "lost", held_fence=job.fence, outcome=outcome):
            publish_change(job.pk)
    return list(Job.objects.filter(state="lost").select_related("database__target"))


def resolve_lost(job_id: int) -> None:
    """End a lost job by evidence: the guard is free, so nothing of it works on the database any more."""
    job = Job.objects.select_related("database__target").filter(pk=job_id, state="lost").first()
    if job is None:
        return
    inspection = inspect_now(job.database.target)
    report = report_of(inspection, job.database.alias)
    if not report or report.get("reachable") is False or (report.get("guard") or {}).get("held"):
        return
    planned = [
        name.split(".", 1) for name in job.steps.filter(kind="migration").values_list("name", flat=True)
    ]
    after = plan_of(report)
    complete = bool(planned) and not any(pair in after for pair in planned)
    state = "succeeded" if complete else "cancelled" if job.cancel_asked_at else "failed"
    Steps(job.pk).close("succeeded" if complete else "failed")
    recorded = _recorded_now(planned, after)
    Job.objects.move(
        job.pk,
        ["lost"],
        state,
        held_fence=job.fence,
        outcome=f"The worker vanished. The guard is free: nothing works on the database any more. {recorded}",
        error_type="" if complete else "WorkerLost",
        facts={**job.facts, "after": {"plan": after, "inspection": inspection.pk}},
    )
    publish_change(job.pk)
