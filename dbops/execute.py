"""What a worker does with one job: claim, perform, look at the truth, finish. Nothing is ever run again."""

import logging
from dataclasses import replace
from typing import Any

from django.db import OperationalError, transaction
from django.db.models import F

from dbops import endings
from dbops.finding import Pairs
from dbops.heartbeat import Heartbeat
from dbops.models import Job
from dbops.models.away import patiently
from dbops.models.job import SHELL, WORKED_ON, FenceLostError
from dbops.operations import REGISTRY
from dbops.operations.base import CancelledError
from dbops.performance import Performance
from dbops.redaction import Redactor
from dbops.rights import rights_of
from dbops.sealing import CannotUnsealError
from dbops.steps import Steps
from dbops.target.address_of import address_of, secrets_of
from dbops.target.errors import (
    BadArgument,
    GuardBusy,
    GuardUnavailable,
    NotProven,
    OtherDatabase,
    OwnDatabase,
    PlanChanged,
    TargetError,
    WouldReverse,
)
from dbops.transcript.live import publish_change
from dbops.transcript.recorder import Recorder
from dbops.truth import Result, plan_before, with_truth
from dbops.writing import with_files

logger = logging.getLogger(__name__)

# Said by the agent before it began.
REFUSALS = (
    BadArgument, GuardBusy, GuardUnavailable, NotProven,
    OtherDatabase, OwnDatabase, PlanChanged, WouldReverse,
)  # fmt: skip


def execute(job_id: int, worker: str) -> None:
    """Perform a job if this worker wins the claim; otherwise leave without a trace."""
    job = Job.objects.claim(job_id, worker)
    if job is None:
        return
    publish_change(job.pk)
    with Heartbeat(job) as heartbeat:
        try:
            _work_on(job, heartbeat)
        except FenceLostError:
            logger.warning("job %s: another has taken it over; this worker stops and writes nothing", job_id)


def _work_on(job: Job, heartbeat: Heartbeat) -> None:
    before = patiently(lambda: plan_before(job))
    if why := patiently(lambda: why_not_allowed(job)):
        _end(job, Result("failed", why, "NotAllowed", refused=True), before, Recorder(job, Redactor(())))
        return
    try:
        secrets = patiently(lambda: secrets_of(job.database.target))
        address = patiently(lambda: address_of(job.database.target))
        recorder = Recorder(job, Redactor(secrets))
        performance = Performance(job, address, recorder, heartbeat)
    except (TargetError, CannotUnsealError) as error:
        _end(job, _failed(error), before, Recorder(job, Redactor(())))
        return
    result = replace(_perform(job, performance), may_work_on=performance.may_work_on)
    patiently(lambda: _insist(performance.catch_up()))
    _end(job, result, before, recorder, performance.left_behind)


def why_not_allowed(job: Job) -> str:
    """A sentence where who asked for it may not do this (any more): it may have waited for long."""
    if job.asked_from == SHELL and job.asked_by is None:
        return ""
    needed, target = REGISTRY[job.operation].role, job.database.target
    if rights_of(job.asked_by).on(target.pk) >= needed:
        return ""
    return (
        f"{job.asked_by_name}, who asked for it, does not have the role {needed.word} on {target.name} now. "
        "Nothing was done. Somebody who has it can ask for it."
    )


def _perform(job: Job, performance: Performance) -> Result:
    operation = REGISTRY[job.operation]
    performance.say(f"job {job.pk}: {operation.title(job.arguments)} on {job.database}")
    try:
        done = operation.perform(performance)
    except CancelledError as cancelled:
        sentence = f"Cancelled by {_canceller(job)}: {cancelled.how}."
        return Result("cancelled", sentence, facts={**performance.facts, **cancelled.facts})
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
            "The worker's log has the details.",
            type(error).__name__,
            facts=performance.facts,
        )
    return Result("succeeded", done.outcome, facts={**performance.facts, **done.facts})


def _canceller(job: Job) -> str:
    return patiently(lambda: Job.objects.values_list("cancel_asked_by", flat=True).get(pk=job.pk))


def _failed(error: Exception, facts: dict[str, Any] | None = None) -> Result:
    traceback = str(getattr(error, "traceback", "") or "")
    refused = isinstance(error, REFUSALS)
    if isinstance(error, PlanChanged):
        facts = {**(facts or {}), "plan_now": dict(error.facts)}
    return Result("failed", str(error), type(error).__name__, traceback, facts or {}, refused=refused)


def _end(job: Job, result: Result, before: Pairs, recorder: Recorder, left_behind: str = "") -> None:
    told = replace(result, outcome=f"{result.outcome} {left_behind}".rstrip())
    look = with_files if job.writes_tree_of_id else with_truth
    result = patiently(lambda: look(job, told, before))
    if left_behind not in result.outcome:
        result = replace(result, outcome=f"{result.outcome} {left_behind}")
    last_line = recorder.last_printed
    recorder.say(f"job {job.pk} {result.state}. {result.outcome}")
    patiently(lambda: _insist(recorder.finish()))
    write = _write_lost if result.state == "lost" else _write_end
    patiently(lambda: write(job, result, recorder.redactor, last_line))
    publish_change(job.pk)


@transaction.atomic
def _write_end(job: Job, result: Result, redactor: Redactor, last_line: int) -> None:
    """The last write. A job that was called lost just now is ended all the same: we know how it ended.
    `last_line`: the last one of the target."""
    moved = Job.objects.move(
        job.pk,
        # Who asked to cancel a job that was complete by then is told the truth: it succeeded.
        ["cancelling", "lost"] if result.state == "cancelled" else [*WORKED_ON, "lost"],
        result.state,
        held_fence=job.fence,
        outcome=redactor.clean(result.outcome),
        error_type=result.error_type,
        error_traceback=redactor.clean(result.traceback),
        facts=result.facts,
    )
    if moved:
        recorded = result.facts.get("recorded")
        Steps(job.pk, job.fence).close(result.state, recorded, last_line=last_line)
        endings.close(job.pk)
    else:
        _insist_it_stands(job, job.fence, result.state)


@transaction.atomic
def _write_lost(job: Job, result: Result, redactor: Redactor, last_line: int) -> None:
    """This worker is done with it: from now on it is ended by evidence. `last_line`: as above."""
    moved = Job.objects.move(
        job.pk,
        [*WORKED_ON, "lost"],
        "lost",
        held_fence=job.fence,
        fence=F("fence") + 1,
        outcome=redactor.clean(result.outcome),
        error_type=result.error_type,
        error_traceback=redactor.clean(result.traceback),
        facts={**result.facts, "how_lost": redactor.clean(result.facts["how_lost"])},
    )
    if moved:
        Steps(job.pk, job.fence).stop_at(last_line)
    else:
        _insist_it_stands(job, job.fence + 1, "lost")


def _insist_it_stands(job: Job, fence: int, state: str) -> None:
    """The commit of a try before this one may have succeeded, and only its acknowledgement was lost."""
    if not Job.objects.filter(pk=job.pk, fence=fence, state=state).exists():
        raise FenceLostError


def _insist(written: bool) -> None:
    if not written:
        raise OperationalError("what was recorded waits to be written")
