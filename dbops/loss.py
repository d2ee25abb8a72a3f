"""Jobs whose worker vanished: called lost, then ended by evidence. Nothing is run again."""

from dbops import conf
from dbops.inspection import inspect_now
from dbops.inspection.knowledge import report_of
from dbops.models import Job
from dbops.models.job import WORKED_ON
from dbops.steps import MIGRATION, Steps
from dbops.transcript.live import publish_change
from dbops.truth import Plan, plan_after, recorded_now


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
    """End a lost job when the guard is seen free: then nothing of it works on the database any more."""
    job = Job.objects.select_related("database__target").filter(pk=job_id, state="lost").first()
    if job is None:
        return
    inspection = inspect_now(job.database.target)
    after = plan_after(inspection, job)
    guard = report_of(inspection, job.database.alias).get("guard") or {}
    if after is not None and not guard.get("held"):
        _end(job, planned_by(job), after, inspection.pk)


def planned_by(job: Job) -> Plan:
    """The migrations that the agent said it would apply."""
    names = job.steps.filter(kind=MIGRATION).order_by("position").values_list("name", flat=True)
    return [name.split(".", 1) for name in names]


def _end(job: Job, planned: Plan, after: Plan, inspection_id: int) -> None:
    complete = bool(planned) and not any(pair in after for pair in planned)
    state = "succeeded" if complete else "cancelled" if job.cancel_asked_at else "failed"
    Steps(job.pk).close("succeeded" if complete else "failed")
    Job.objects.move(
        job.pk,
        ["lost"],
        state,
        held_fence=job.fence,
        outcome="The worker vanished. The guard is free: nothing works on the database any more. "
        + recorded_now(planned, after),
        error_type="" if complete else "WorkerLost",
        facts={**job.facts, "after": {"plan": after, "inspection": inspection_id}},
    )
    publish_change(job.pk)
