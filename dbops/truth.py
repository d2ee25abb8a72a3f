"""What is true of the database when a job has ended: read from it, not concluded from a process."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dbops.inspection import inspect_now, plan_of
from dbops.inspection.knowledge import report_of
from dbops.models import Job

Pairs = list[list[str]]


@dataclass(frozen=True)
class Result:
    """How a job ended: a final state, a sentence, whose fault, the target's traceback, what was reported.

    `facts`: `plan` ["app.name"] that the agent said it would apply; `recorded_after` [[app, name]] that it
    found recorded at the end, if `recorded_known`.
    """

    state: str
    outcome: str
    error_type: str = ""
    traceback: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """What an inspection after the job says of its database; None where it could not tell."""

    inspection_id: int
    applied: Pairs | None
    left: Pairs | None
    guard_held: bool | None
    # Sessions of this very job that the server still has: [{"pid": ..., "state": ...}]
    sessions: list[dict[str, Any]] | None
    # A SQLite file has no server that could go on with a statement.
    has_server: bool = True
    problem: str = ""


def look(job: Job) -> Finding:
    """Inspect the job's target again."""
    inspection = inspect_now(job.database.target)
    report = report_of(inspection, job.database.alias)
    if inspection.outcome != "done" or not report or report.get("reachable") is False:
        why = inspection.error_sentence or report.get("detail") or "the database does not answer."
        return Finding(inspection.pk, None, None, None, None, problem=str(why))
    return Finding(
        inspection_id=inspection.pk,
        applied=[list(row[:2]) for row in report.get("applied") or []],
        # A graph that cannot be built has no plan; that is not an empty one.
        left=None if report.get("errors") or report.get("own_database") else plan_of(report),
        guard_held=(report.get("guard") or {}).get("held"),
        sessions=sessions_of(job, report.get("job_sessions")),
        has_server=report.get("vendor") != "sqlite",
    )


def sessions_of(job: Job, sessions: Sequence[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    label = f"opsdash job {job.pk}"
    if sessions is None:
        return None
    return [session for session in sessions if f"{session['application_name']} ".startswith(f"{label} ")]


def plan_before(job: Job) -> Pairs:
    """The pending migrations that the latest inspection knew, as the person saw them."""
    latest = job.database.target.inspections.filter(outcome="done").first()
    return plan_of(report_of(latest, job.database.alias))


def with_truth(job: Job, result: Result, before: Pairs) -> Result:
    """Look again, and add to the result what is recorded in the database now."""
    finding = look(job)
    recorded = recorded_by(result.facts, finding)
    facts = {
        **result.facts,
        "before": {"plan": before},
        "after": {"plan": finding.left, "inspection": finding.inspection_id},
        "recorded": recorded,
    }
    if missing := unapplied(result, recorded, finding):
        result = replace(result, state="failed", error_type="LeftUnapplied", outcome=unapplied_words(missing))
    elif result.state == "succeeded" and result.facts.get("recorded_known", True):
        return replace(result, facts=facts)
    words = [result.outcome, recorded_words(recorded, finding), middle_words(job, recorded)]
    words.append(sessions_words(finding))
    return replace(result, facts=facts, outcome=" ".join(filter(None, words)))


def unapplied(result: Result, recorded: Pairs | None, finding: Finding) -> Pairs:
    """Planned, and neither recorded by the job nor found recorded: a command that ended without an error may
    have swallowed one."""
    if result.state != "succeeded" or recorded is None or finding.applied is None:
        return []
    there = [*recorded, *finding.applied]
    return [pair for pair in pairs(result.facts.get("plan", [])) if pair not in there]


def unapplied_words(missing: Pairs) -> str:
    names = ", ".join(f"{app}.{name}" for app, name in missing)
    return f"migrate ended without an error, but these of its planned migrations are not recorded: {names}."


def recorded_by(facts: dict[str, Any], finding: Finding) -> Pairs | None:
    """What the job recorded: as its own agent read it, else what it planned and is recorded now."""
    if facts.get("recorded_known"):
        return [list(pair) for pair in facts.get("recorded_after", [])]
    if finding.applied is None:
        return None
    return [pair for pair in pairs(facts.get("plan", [])) if pair in finding.applied]


def pairs(names: Sequence[str]) -> Pairs:
    """["catalog.0001_initial"] -> [["catalog", "0001_initial"]]"""
    return [name.split(".", 1) for name in names]


def recorded_words(recorded: Pairs | None, finding: Finding) -> str:
    if recorded is None:
        return f"What is recorded in the database could not be read afterwards: {finding.problem}"
    if not recorded:
        return f"No migration was recorded by this job; {left_words(finding)}."
    names = ", ".join(f"{app}.{name}" for app, name in recorded)
    return f"Recorded in the database by now: {names}; {left_words(finding)}."


def left_words(finding: Finding) -> str:
    if finding.left is None:
        return "what is left to apply cannot be told while the project's migrations cannot be read"
    return f"{len(finding.left)} still to apply" if finding.left else "nothing is left to apply"


def middle_words(job: Job, recorded: Pairs | None) -> str:
    """What is to be known of the migration that was at work when the job ended."""
    at_work = job.steps.filter(kind="migration", state__in=["running", "failed", "cancelled"])
    names = [step.name for step in at_work if step.name.split(".", 1) not in (recorded or [])]
    return f"What {names[0]} did until then is undone only if it is atomic." if names else ""


def sessions_words(finding: Finding) -> str:
    """What the server says of sessions that the job may have left; nothing where there is no server, or
    where it was said already that it does not answer."""
    if not finding.has_server or finding.applied is None:
        return ""
    if finding.sessions is None:
        return "Whether the server still has a session of this job could not be read."
    if not finding.sessions:
        return "No session of this job is left on the server."
    pids = ", ".join(str(session["pid"]) for session in finding.sessions)
    return f"The server still has a session of this job (pid {pids}): it may go on with its last statement."
