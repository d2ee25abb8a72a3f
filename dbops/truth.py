"""What is true of the database when a job has ended: read from it, not concluded from a process."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dbops.inspection import inspect_now, plan_of
from dbops.inspection.knowledge import report_of
from dbops.models import Job

Pairs = list[list[str]]

# Two rungs of the agent's ladder for a caller that is gone, its stragglers, and the server's own check.
REST_S = 10.0
REST_PAUSE_S = 2.0
BLOCKED = (
    "Nothing else may change this database until that is known. It is looked at again by itself; staff can "
    "resolve it."
)


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
    # The connection to the target was lost: only the database can say whether all has ended.
    may_work_on: bool = False
    # The agent itself refused it before it began: nothing of it can be at work.
    refused: bool = False


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
    # Held, and not known to be somebody else's.
    guard_may_be_its: bool = False


def look(job: Job) -> Finding:
    """Inspect the job's target again."""
    inspection = inspect_now(job.database.target, job.announced)
    report = report_of(inspection, job.database.alias)
    why = inspection.error_sentence if inspection.outcome != "done" else why_unread(job, report)
    if why:
        return Finding(inspection.pk, None, None, None, None, problem=without_advice(why))
    return Finding(
        inspection_id=inspection.pk,
        applied=[list(row[:2]) for row in report.get("applied") or []],
        # A graph that cannot be built has no plan; that is not an empty one.
        left=None if report.get("errors") else plan_of(report),
        guard_held=(report.get("guard") or {}).get("held"),
        sessions=sessions_of(job, report.get("job_sessions")),
        has_server=report.get("vendor") != "sqlite",
        guard_may_be_its=may_be_its(job, report.get("guard") or {}),
    )


def why_unread(job: Job, report: Mapping[str, Any]) -> str:
    """Why a report tells nothing of the job's database; "" where it does."""
    alias = f"The alias {job.database.alias}"
    if not report:
        return f"{alias} is not among those that the target's settings name and opsdash inspects."
    if report.get("own_database"):
        return f"{alias} leads to opsdash's own database."
    if report.get("reachable") is False:
        return str(report.get("detail") or "the database does not answer.")
    identity = report.get("identity")
    if not job.identity or identity == job.identity:
        return ""
    # Also where its variables were changed since: what another database holds proves nothing.
    other = "another database than the one the job was asked for"
    return f"{alias} leads to {other if identity else 'a database that does not tell its identity'}."


def without_advice(sentence: str) -> str:
    """What was wrong with the look. That the look changed nothing would be read as if the job had not."""
    words = " ".join(sentence.partition(" Nothing was changed.")[0].split())
    return words if words.endswith(".") else f"{words}."


def sessions_of(job: Job, sessions: Sequence[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    if sessions is None:
        return None
    return [
        session
        for session in sessions
        if is_called_as(job, session["application_name"])
        or [session["pid"], session["started"]] == job.announced
    ]


def may_be_its(job: Job, guard: Mapping[str, Any]) -> bool:
    """Who holds it may not be told, and it is not told in the first moment."""
    return bool(guard.get("held")) and (not guard.get("by") or is_called_as(job, guard["by"]))


def is_called_as(job: Job, name: str) -> bool:
    """A server keeps 63 bytes of it, and may show many databases and those of other installations: the target
    is part of the name, the alias (which may be anything) is not looked at."""
    return name.startswith(f"opsdash job {job.pk} on {job.database.target.name}/"[:63])


def plan_before(job: Job) -> Pairs:
    """The pending migrations that the latest inspection knew, as the person saw them."""
    latest = job.database.target.inspections.filter(outcome="done").first()
    return plan_of(report_of(latest, job.database.alias))


def at_rest(finding: Finding) -> bool:
    """Proven: the guard is free, and no session of the job is left. Unknown is not free."""
    return finding.applied is not None and finding.guard_held is False and not may_have_sessions(finding)


def may_have_sessions(finding: Finding) -> bool:
    """Unknown is not none."""
    return finding.has_server and finding.sessions != []


def why_not_proven(finding: Finding) -> str:
    if finding.applied is None:
        return f"its database cannot be looked at ({finding.problem.rstrip('.')})"
    if finding.guard_held:
        return "something still holds the guard of the database"
    if finding.sessions:
        return f"the server still has a session of the job (pid {finding.sessions[0]['pid']})"
    return "the database has nothing that could show whether it still works"


def in_doubt(job: Job, result: Result, finding: Finding) -> bool:
    """May something of the job still work? Behind a lost connection only the database can tell; where the
    agent said that its process has ended, the server may not know that yet, if the network between is cut."""
    if result.may_work_on:
        return not at_rest(finding)
    if result.state == "succeeded":
        # Its command ended without an error, and nobody could read what that left.
        return finding.applied is None and not result.facts.get("recorded_known", True)
    if result.refused:
        return False
    # Other servers than Postgres tell no pid, and nothing of sessions: there its word is all there is.
    at_server = bool(job.backend_pid) and (finding.applied is None or may_have_sessions(finding))
    return at_server or finding.guard_may_be_its


def look_for_rest(job: Job, result: Result) -> Finding:
    """What lost its caller ends within seconds, if it notices."""
    deadline = time.monotonic() + REST_S
    while in_doubt(job, result, finding := look(job)) and time.monotonic() < deadline:
        time.sleep(REST_PAUSE_S)
    return finding


def still_lost(how: str, finding: Finding) -> str:
    return f"{how} It is not proven that all of it has ended: {why_not_proven(finding)}. {BLOCKED}"


def with_truth(job: Job, result: Result, before: Pairs) -> Result:
    """Look again, and add to the result what is recorded in the database now. A job of which something may
    still work has not ended: it is lost; among its facts `how_lost` says how that came about, and `concluded`
    how it had ended as far as its worker knows."""
    finding = look_for_rest(job, result)
    if in_doubt(job, result, finding):
        # Behind a connection that was lost the agent may have come to any end.
        how = {"how_lost": result.outcome, "concluded": "" if result.may_work_on else result.state}
        facts = {**result.facts, "before": {"plan": before}, **how}
        return replace(result, state="lost", outcome=still_lost(result.outcome, finding), facts=facts)
    if finding.problem and finding.problem.rstrip(".") in result.outcome:
        finding = replace(finding, problem="for the same reason.")
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
        unread = "" if finding.applied is not None else f"Then {left_words(finding)}."
        return replace(result, facts=facts, outcome=f"{result.outcome} {unread}".rstrip())
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
    if finding.applied is None:
        return f"what is left to apply could not be read ({finding.problem.rstrip('.')})"
    if finding.left is None:
        return "what is left to apply cannot be told while the project's migrations cannot be read"
    return f"{len(finding.left)} still to apply" if finding.left else "nothing is left to apply"


def middle_words(job: Job, recorded: Pairs | None) -> str:
    """What is to be known of the migration that was at work when the job ended."""
    at_work = job.steps.filter(kind="migration", state__in=["running", "failed", "cancelled"])
    names = [step.name for step in at_work if step.name.split(".", 1) not in (recorded or [])]
    if not names:
        return ""
    if not job.database.undoes_schema_changes:
        return (
            f"What {names[0]} changed of the schema until then stays: {job.database.vendor} does not undo "
            "that. See what of it is there before you start it again."
        )
    return f"What {names[0]} did until then is undone only if it is atomic and made no COMMIT of its own."


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
