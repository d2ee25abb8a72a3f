"""What is true of the database when a job has ended: read from it, not concluded from a process."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dbops import aftermath
from dbops.finding import Finding, Pairs, is_among, look
from dbops.inspection import plan_of
from dbops.inspection.knowledge import report_now
from dbops.models import Job
from dbops.plain import listed
from dbops.plan_change import change_of
from dbops.steps import MIGRATION

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


def plan_before(job: Job) -> Pairs:
    """The pending migrations that the latest inspection knew, as the person saw them."""
    latest = job.database.target.inspections.filter(outcome="done").first()
    return plan_of(report_now(job.database, latest))


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
    recorded = recorded_by(result.facts, finding, its_own(job, result.facts))
    facts = {
        **result.facts,
        "before": {"plan": before},
        "after": {"plan": finding.left, "inspection": finding.inspection_id},
        "recorded": recorded,
    }
    missing = unapplied(result, finding)
    if missing:
        result = replace(result, state="failed", error_type="LeftUnapplied", outcome=unapplied_words(missing))
    elif result.state == "succeeded" and result.facts.get("recorded_known", True):
        unread = "" if finding.applied is not None else f"Then {left_words(finding)}."
        return replace(result, facts=facts, outcome=f"{result.outcome} {unread}".rstrip())
    left = left_behind(job, result, finding, recorded, missing)
    change = change_of(job, result.facts["plan_now"], finding.applied or []) if "plan_now" in facts else None
    if change:
        left = {**left, "plan_change": change.to_json()}
    changed = change.sentence if change else ""
    words = [result.outcome, changed, recorded_words(recorded, finding), aftermath.words(job, left)]
    words.append(sessions_words(finding))
    return replace(result, facts={**facts, **left}, outcome=" ".join(filter(None, words)))


def left_behind(
    job: Job, result: Result, finding: Finding, recorded: Pairs | None, missing: Pairs
) -> dict[str, Any]:
    """Facts on what was in the middle when a job ended that did not succeed."""
    if result.refused or result.state == "succeeded":
        return {}
    names = aftermath.in_the_middle(job, recorded, missing)
    unreadable = f"{finding.problem or 'its database cannot be looked at'}" if finding.applied is None else ""
    return aftermath.behind(job, names, unreadable)


def unapplied(result: Result, finding: Finding) -> Pairs:
    """Planned and not found recorded. Where that was read, it alone counts: a command that ended without an
    error may have swallowed one, and an exit handler may have taken back what the agent still saw."""
    if result.state != "succeeded" or finding.applied is None:
        return []
    return [pair for pair in pairs(result.facts.get("plan", [])) if not finding.has(pair)]


def unapplied_words(missing: Pairs) -> str:
    names = ", ".join(f"{app}.{name}" for app, name in missing)
    return f"migrate ended without an error, but these of its planned migrations are not recorded: {names}."


def recorded_by(facts: Mapping[str, Any], finding: Finding, own: Pairs) -> Pairs | None:
    """What the job recorded of its own: as its agent read it, and as it is found now. Others may have
    recorded theirs meanwhile."""
    own_word = facts.get("recorded_after", []) if facts.get("recorded_known") else None
    if own_word is None and finding.applied is None:
        return None
    told = [rows for rows in (own_word, finding.applied) if rows is not None]
    return [pair for pair in own if all(is_among(pair, rows, finding) for rows in told)]


def its_own(job: Job, facts: Mapping[str, Any]) -> Pairs:
    """The migrations that it planned or, through a command of the project's own, began; once each."""
    steps = job.steps.filter(kind=MIGRATION).exclude(state__in=["pending", "skipped"]).order_by("position")
    return pairs(list(dict.fromkeys([*facts.get("plan", []), *steps.values_list("name", flat=True)])))


def pairs(names: Sequence[str]) -> Pairs:
    """["catalog.0001_initial"] -> [["catalog", "0001_initial"]]"""
    return [name.split(".", 1) for name in names]


def recorded_words(recorded: Pairs | None, finding: Finding) -> str:
    if recorded is None:
        return f"What is recorded in the database could not be read afterwards: {finding.problem}"
    if not recorded:
        return f"No migration was recorded by this job; {left_words(finding)}."
    names = listed(recorded)
    return f"Recorded in the database by now: {names}; {left_words(finding)}."


def left_words(finding: Finding) -> str:
    if finding.applied is None:
        return f"what is left to apply could not be read ({finding.problem.rstrip('.')})"
    if finding.left is None:
        return "what is left to apply cannot be told while the project's migrations cannot be read"
    return f"{len(finding.left)} still to apply" if finding.left else "nothing is left to apply"


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
