"""Jobs whose worker vanished: called lost, then ended by evidence. Nothing is run again."""

from dataclasses import replace
from datetime import timedelta

from django.db.models import F
from django.db.models.functions import Now

from dbops import conf
from dbops.inspection.knowledge import report_of
from dbops.models import Job
from dbops.models.job import WORKED_ON
from dbops.steps import MIGRATION, Steps
from dbops.transcript.live import publish_change
from dbops.truth import Finding, Pairs, at_rest, look, pairs, recorded_words, still_lost

PAUSE_S = 15
NO_PLAN = "the worker vanished before it could write what was planned, and no earlier inspection tells."


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
    """End a lost job when nothing of it works on the database any more, as the database itself says."""
    if not Job.objects.claim_look(job_id, conf.knob("INSPECTION_TIMEOUT_S") + PAUSE_S):
        return
    job = Job.objects.select_related("database__target").get(pk=job_id)
    finding = look(job)
    if at_rest(finding):
        _end(job, finding)
    else:
        _explain(job, finding)
    publish_change(job.pk)


def _end(job: Job, finding: Finding) -> None:
    planned = planned_by(job)
    recorded = recorded_since(job, planned, finding.applied or [])
    complete = bool(planned) and recorded == planned
    state = "succeeded" if complete else "cancelled" if job.cancel_asked_at else "failed"
    ended = Job.objects.move(
        job.pk,
        ["lost"],
        state,
        held_fence=job.fence,
        # Whoever held it finds that it does not any more.
        fence=F("fence") + 1,
        outcome=f"{job.how_lost} The guard is free and no session of the job is left: nothing works on "
        f"the database any more. {recorded_words(recorded, replace(finding, problem=NO_PLAN))}",
        error_type="" if complete else job.error_type if job.lost_its_target else "WorkerLost",
        facts={
            **job.facts,
            "after": {"plan": finding.left, "inspection": finding.inspection_id},
            "recorded": recorded,
        },
    )
    if ended:
        Steps(job.pk, job.fence).close(state, recorded)


def recorded_since(job: Job, planned: Pairs, applied: Pairs) -> Pairs | None:
    """What is recorded of the plan; where the worker vanished before it wrote that, what is recorded and was
    not when the database was inspected last before the job. None where nobody looked."""
    if planned:
        return [pair for pair in planned if pair in applied]
    began = job.started_at or job.created_at
    before = job.database.target.inspections.filter(outcome="done", started_at__lt=began).first()
    report = report_of(before, job.database.alias)
    if not report or report.get("reachable") is False:
        return None
    known = [list(row[:2]) for row in report.get("applied") or []]
    return [pair for pair in applied if pair not in known]


def planned_by(job: Job) -> Pairs:
    """The migrations that the agent said it would apply."""
    names = job.steps.filter(kind=MIGRATION).order_by("position").values_list("name", flat=True)
    return pairs(list(names))


def _explain(job: Job, finding: Finding) -> None:
    """Why it is still lost; the next look comes after a pause."""
    outcome = still_lost(job.how_lost, finding)
    again = Now() + timedelta(seconds=PAUSE_S)
    still = Job.objects.filter(pk=job.pk, state="lost", fence=job.fence)
    still.update(outcome=outcome, look_again_at=again, version=F("version") + 1)
