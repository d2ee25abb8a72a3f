"""What is true of the database when a job has ended: read from it, not concluded from a process."""

from dataclasses import dataclass, field, replace
from typing import Any

from dbops.inspection import inspect_now, plan_of
from dbops.inspection.knowledge import report_of
from dbops.models import Inspection, Job

Plan = list[list[str]]


@dataclass(frozen=True)
class Result:
    """How a job ended: a final state, a sentence, whose fault, the target's traceback, what was reported."""

    state: str
    outcome: str
    error_type: str = ""
    traceback: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def plan_before(job: Job) -> Plan:
    """The pending migrations that the latest inspection knew, as the person saw them."""
    latest = job.database.target.inspections.filter(outcome="done").first()
    return plan_of(report_of(latest, job.database.alias))


def with_truth(job: Job, result: Result, before: Plan) -> Result:
    """Inspect again, and add what is recorded in the database now."""
    inspection = inspect_now(job.database.target)
    after = plan_after(inspection, job)
    facts = {**result.facts, "before": {"plan": before}}
    if after is None:
        return replace(result, facts=facts, outcome=f"{result.outcome} {not_read(inspection, job)}")
    facts["after"] = {"plan": after, "inspection": inspection.pk}
    if result.state == "succeeded":
        return replace(result, facts=facts)
    return replace(result, facts=facts, outcome=f"{result.outcome} {recorded_now(before, after)}")


def plan_after(inspection: Inspection, job: Job) -> Plan | None:
    """What is left to apply, or None when the database could not be read."""
    report = report_of(inspection, job.database.alias)
    readable = inspection.outcome == "done" and report and report.get("reachable") is not False
    return plan_of(report) if readable else None


def not_read(inspection: Inspection, job: Job) -> str:
    report = report_of(inspection, job.database.alias)
    why = inspection.error_sentence or report.get("detail") or "the database does not answer."
    return f"What is recorded in the database could not be read afterwards: {why}"


def recorded_now(before: Plan, after: Plan) -> str:
    recorded = [f"{app}.{name}" for app, name in before if [app, name] not in after]
    left = f"{len(after)} still to apply" if after else "nothing is left to apply"
    if not recorded:
        return f"No migration was recorded by this job; {left}."
    return f"Recorded in the database by now: {', '.join(recorded)}; {left}."
