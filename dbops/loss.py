"""Jobs whose worker vanished: called lost, then ended by evidence. Nothing is run again."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from dbops import aftermath, conf, endings
from dbops.ended import record_end
from dbops.finding import Finding, Pairs, look, why_unread
from dbops.inspection.knowledge import report_of
from dbops.models import Job
from dbops.models.job import WORKED_ON
from dbops.steps import MIGRATION, POST_MIGRATE, Steps
from dbops.transcript.live import publish_change
from dbops.truth import at_rest, its_own, pairs, recorded_words, still_lost, unapplied_words
from dbops.writing import end_lost

PAUSE_S = 15
NO_PLAN = "what was planned is not known, and no earlier inspection tells what was there before."


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
    if not Job.objects.claim_look(job_id, 2 * conf.knob("INSPECTION_TIMEOUT_S") + PAUSE_S):
        return
    job = Job.objects.select_related("database__target").get(pk=job_id)
    if job.writes_tree_of_id:
        if not end_lost(job):
            _look_again(job)
        publish_change(job.pk)
        return
    finding = look(job)
    if at_rest(finding):
        _end(job, finding, left_behind(job, finding))
    else:
        _explain(job, finding)
    publish_change(job.pk)


def left_behind(job: Job, finding: Finding) -> dict[str, Any]:
    """Facts on what was in the middle, where it did not succeed; its worker may not have heard the last."""
    missing = missing_of(job, finding)
    if state_of(job, missing) == "succeeded":
        return {}
    unheard = not job.lost_its_target
    lacking = missing if job.concluded == "succeeded" else []
    names = aftermath.in_the_middle(job, recorded_since(job, finding), lacking, unheard=unheard)
    return aftermath.behind(job, names)


@transaction.atomic
def _end(job: Job, finding: Finding, left: dict[str, Any]) -> None:
    recorded = recorded_since(job, finding)
    missing = missing_of(job, finding)
    state = state_of(job, missing)
    outcome = " ".join(filter(None, [*words(job, finding, recorded, missing), aftermath.words(job, left)]))
    error = error_type_of(job, state)
    facts = {
        **job.facts,
        "after": {"plan": finding.left, "inspection": finding.inspection_id},
        "recorded": recorded,
        **left,
    }
    ended = Job.objects.move(
        job.pk,
        ["lost"],
        state,
        held_fence=job.fence,
        # Whoever held it finds that it does not any more.
        fence=F("fence") + 1,
        outcome=outcome,
        error_type=error,
        facts=facts,
    )
    if ended:
        record_end(job, state, outcome, facts, error=error)
        Steps(job.pk, job.fence).close(state, recorded, last_line=job.last_line)
        endings.close(job.pk)


def missing_of(job: Job, finding: Finding) -> Pairs:
    return [pair for pair in planned_by(job) if not finding.has(pair)]


def state_of(job: Job, missing: Pairs) -> str:
    """What is recorded can show that something is lacking, never that what failed or was stopped did not."""
    if job.concluded in ("failed", "cancelled"):
        return job.concluded
    if not missing and (job.concluded or (planned_by(job) and not unseen(job))):
        return "succeeded"
    return "cancelled" if job.cancel_asked_at and not job.concluded else "failed"


def error_type_of(job: Job, state: str) -> str:
    if state == "succeeded":
        return ""
    if not job.lost_its_target:
        return "WorkerLost"
    return "LeftUnapplied" if job.concluded == "succeeded" else job.error_type


def words(job: Job, finding: Finding, recorded: Pairs | None, missing: Pairs) -> list[str]:
    others = "" if missing or job.concluded else unseen(job)
    lacking = unapplied_words(missing) if missing and job.concluded == "succeeded" else ""
    return [
        job.how_lost,
        "The guard is free and no session of the job is left: nothing works on the database any more.",
        recorded_words(recorded, replace(finding, problem=NO_PLAN)),
        lacking or (others and f"Nothing that is recorded shows whether {others} came to its end."),
    ]


def unseen(job: Job) -> str:
    """What is no migration and was not heard to end (post_migrate): nothing that is recorded shows that."""
    others = dict(job.steps.exclude(kind=MIGRATION).values_list("name", "state"))
    if job.operation == "migrate":
        # That it began may have been on its way when the worker vanished.
        others.setdefault(POST_MIGRATE, "pending")
    return ", ".join(name for name, state in others.items() if state != "succeeded")


def recorded_since(job: Job, finding: Finding) -> Pairs | None:
    """What is recorded of its own; where the worker vanished before it wrote that, what is recorded and was
    not when the database was inspected last before the job. None where nobody looked."""
    own = its_own(job, {"plan": [".".join(pair) for pair in planned_by(job)]})
    if own or "plan" in job.facts:
        return [pair for pair in own if finding.has(pair)]
    began = job.started_at or job.created_at
    before = job.database.target.inspections.filter(outcome="done", started_at__lt=began).first()
    report = report_of(before, job.database.alias)
    if why_unread(job, report):
        return None
    known = [list(row[:2]) for row in report.get("applied") or []]
    return [pair for pair in finding.applied or [] if pair not in known]


def planned_by(job: Job) -> Pairs:
    """The migrations that the agent said it would apply, as its worker heard it, or else as it is written."""
    steps = job.steps.filter(kind=MIGRATION, attempt=1).order_by("position").values_list("name", flat=True)
    return pairs(job.facts["plan"] if "plan" in job.facts else list(steps))


def _explain(job: Job, finding: Finding) -> None:
    """Why it is still lost; the next look comes after a pause."""
    outcome = still_lost(job.how_lost, finding)
    still = Job.objects.filter(pk=job.pk, state="lost", fence=job.fence)
    still.update(outcome=outcome, version=F("version") + 1)
    _look_again(job)


def _look_again(job: Job) -> None:
    still = Job.objects.filter(pk=job.pk, state="lost", fence=job.fence)
    still.update(look_again_at=Now() + timedelta(seconds=PAUSE_S))
