"""What a report means: typed statuses, each with the evidence and the next step. Pure, no I/O.

`report` is one entry of `databases` in the agent's answer to `inspect`, `project` the whole answer (shapes:
dbops.agent.inspect_verb). What a report does not have, of an older agent, is not judged.
"""

from collections.abc import Mapping
from typing import Any

from dbops.inspection import verdicts_beside, verdicts_files, verdicts_reach, verdicts_rows
from dbops.inspection.archived import NOTHING, Archived
from dbops.inspection.words import name_some
from dbops.models.status import RANKS, Status
from dbops.target.rights import Lack, lack_of

Report = Mapping[str, Any]

__all__ = ["Report", "caution", "judge", "name_some", "plan_of"]


def judge(report: Report, project: Report | None = None, archived: Archived = NOTHING) -> list[Status]:
    """All statuses that hold for one database, worst first."""
    if report.get("own_database"):
        return [verdicts_reach.own_database()]
    project = project or {}
    statuses = [
        *verdicts_reach.unreachable(report),
        *verdicts_reach.unreadable(report),
        *verdicts_files.broken(report),
        *verdicts_rows.inconsistent(report),
        *verdicts_files.conflict(report, project),
        *verdicts_rows.ghosts(report, archived),
        *verdicts_files.edited(archived),
        *verdicts_rows.pending(report),
        *verdicts_files.unmade(project),
        *verdicts_beside.noted(report),
    ]
    if all(status.state == "noted" for status in statuses):
        statuses.append(checked(report, project, archived))
    return sorted(statuses, key=lambda status: -RANKS[status.state])


def checked(report: Report, project: Report, archived: Archived) -> Status:
    judged = ["no conflict", "no file missing", "no dependency applied too late"]
    left = ["drift of the schema"]
    (judged if archived.judged else left).append("no edited file" if archived.judged else "edited files")
    asked = unmade_is_known(project)
    (judged if asked else left).append(
        "no model without a migration" if asked else "models without a migration"
    )
    return Status(
        "checked",
        f"Nothing to apply: {len(report.get('applied') or [])} recorded migrations were compared with the "
        f"project's files; {', '.join(judged)}.",
        f"Not judged yet: {', '.join(left)}.",
    )


def unmade_is_known(project: Report) -> bool:
    return (project.get("unmade") or {}).get("state") in ("none", "found")


def caution(report: Report) -> Lack | None:
    """What is known to stand in the way of a migrate that has something to do."""
    return lack_of(report.get("rights")) if plan_of(report) else None


def plan_of(report: Report) -> list[list[str]]:
    """[[app, name]] in the order in which migrate would apply them."""
    return [[entry["app"], entry["name"]] for entry in report.get("plan") or []]
