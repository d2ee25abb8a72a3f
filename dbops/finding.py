"""What an inspection behind a job says of its database: what is recorded there, who works there still."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dbops.inspection import inspect_now, plan_of
from dbops.inspection.knowledge import report_of
from dbops.models import Job

Pairs = list[list[str]]


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
    # {(app, name) of a squashed migration: those it stands for}; Django records these first.
    stands_for: dict[tuple[str, ...], Pairs] = field(default_factory=dict)

    def has(self, pair: list[str]) -> bool:
        """It counts as applied in the database."""
        return is_among(pair, self.applied or [], self)


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
        stands_for=squashed(report),
    )


def squashed(report: Mapping[str, Any]) -> dict[tuple[str, ...], Pairs]:
    migrations = [one for found in (report.get("migrations") or {}).values() for one in found]
    return {(one["app"], one["name"]): one["replaces"] for one in migrations if one.get("replaces")}


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


def is_among(pair: list[str], rows: Pairs, finding: Finding) -> bool:
    others = finding.stands_for.get(tuple(pair), [])
    return pair in rows or (bool(others) and all(other in rows for other in others))
