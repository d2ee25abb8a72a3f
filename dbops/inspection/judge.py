"""What a report means: typed statuses, each with the evidence and the next step. Pure, no I/O.

`report` is one entry of `databases` in the agent's answer to `inspect` (shape: dbops.agent.inspect_verb).
"""

from collections.abc import Mapping
from typing import Any

from dbops.models.status import RANKS, Status
from dbops.target.rights import Lack, lack_of

Report = Mapping[str, Any]

UNREACHABLE_NEXT = {
    "refused": "Start the server, or correct host and port in the target's settings.",
    "timeout": "See whether host, port and firewall let the target through.",
    "auth": "Correct user or password in the target's environment.",
    "no_such_database": "Create the database, or correct its name in the target's environment.",
    "starting_up": "Wait: the server is starting or recovering and will answer soon.",
    "too_many_clients": "Close some connections or raise max_connections.",
    "tls": "Correct sslmode or the certificates in the target's settings.",
    "driver_missing": "Nothing was read. Inspect again when it is there.",
    "permission": "Give the target's user the right to read the file or database.",
}


def judge(report: Report) -> list[Status]:
    """All statuses that hold for one database, worst first."""
    statuses = [
        *_own_database(report),
        *_unreachable(report),
        *_graph(report),
        *_conflict(report),
        *_ghosts(report),
        *_pending(report),
    ]
    return sorted(statuses or [_checked(report)], key=lambda status: -RANKS[status.state])


def _own_database(report: Report) -> list[Status]:
    if not report.get("own_database"):
        return []
    return [
        Status(
            "broken",
            "This alias is opsdash's own database; opsdash does not operate on itself. Nothing was read.",
            "Correct the target's environment: DATABASE_URL probably reached it by mistake.",
            reason="own_database",
        )
    ]


def _unreachable(report: Report) -> list[Status]:
    if report.get("reachable", True) or report.get("own_database"):
        return []
    reason = str(report.get("reason") or "other")
    if reason == "engine":
        return [_no_engine(report)]
    lack = lack_of(report.get("rights"))
    return [
        Status(
            "unreachable",
            str(report.get("detail") or "The database did not answer."),
            str(lack) if lack else UNREACHABLE_NEXT.get(reason, "Correct what these words name."),
            reason=reason,
        )
    ]


def _no_engine(report: Report) -> Status:
    """Its settings are wrong; no server is."""
    return Status(
        "broken",
        str(report.get("detail")),
        "Nothing was read. Correct ENGINE under DATABASES in its settings, or install what it comes in.",
        reason="engine",
    )


def _graph(report: Report) -> list[Status]:
    return [_graph_error(error) for error in report.get("errors") or []]


def _graph_error(error: Mapping[str, Any]) -> Status:
    """A file that cannot be imported is broken; files or records that contradict each other, inconsistent."""
    broken = error["type"] in ("bad_migration", "import")
    return Status(
        "broken" if broken else "inconsistent",
        str(error["message"]),
        "Django will refuse to migrate until the files or the recorded migrations are put right.",
        reason=str(error["type"]),
        evidence=str(error.get("traceback") or ""),
    )


def _conflict(report: Report) -> list[Status]:
    return [
        Status(
            "conflict",
            f"The app {app} has several leaf migrations: {', '.join(leaves)}.",
            f"Merge them in the project: python manage.py makemigrations --merge {app}",
            reason=app,
        )
        for app, leaves in sorted((report.get("conflicts") or {}).items())
    ]


def _ghosts(report: Report) -> list[Status]:
    ghosts = report.get("ghosts") or []
    if not ghosts:
        return []
    return [
        Status(
            "ghosts",
            f"{len(ghosts)} recorded as applied without a file: {name_some(ghosts)}.",
            "Bring the missing files back (another branch was probably deployed here before).",
        )
    ]


def _pending(report: Report) -> list[Status]:
    plan = plan_of(report)
    blocked = report.get("errors") or report.get("conflicts")
    missing = " The database's file does not exist; a migrate makes it." if report.get("missing") else ""
    if not plan or report.get("own_database") or report.get("reachable") is False:
        return []
    return [
        Status(
            "pending",
            f"{len(plan)} to apply: {name_some(plan)}.{missing}",
            "" if blocked else "Read the plan, then start a migrate job.",
        )
    ]


def _checked(report: Report) -> Status:
    return Status(
        "checked",
        f"Nothing to apply: {len(report.get('applied') or [])} recorded migrations were compared with the "
        "project's files; no conflict, no file missing, no dependency applied too late.",
        "Not judged yet: edited files, models without a migration, drift of the schema.",
    )


def caution(report: Report) -> Lack | None:
    """What is known to stand in the way of a migrate that has something to do."""
    return lack_of(report.get("rights")) if plan_of(report) else None


def plan_of(report: Report) -> list[list[str]]:
    """[[app, name]] in the order in which migrate would apply them."""
    return [[entry["app"], entry["name"]] for entry in report.get("plan") or []]


def name_some(migrations: list[list[str]], most: int = 3) -> str:
    names = ", ".join(f"{app}.{name}" for app, name in migrations[:most])
    return f"{names} and {len(migrations) - most} more" if len(migrations) > most else names
