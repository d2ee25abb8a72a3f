"""Verdicts where nothing, or not the records, could be read."""

from collections.abc import Mapping
from typing import Any

from dbops.models.status import Status
from dbops.target.rights import lack_of

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
RECORDS_NEXT = {
    "missing_columns": "Compare the table django_migrations with what Django expects of it (id, app, name, "
    "applied) and mend it; migrate would fail.",
    "permission": "Give the target's role the right: GRANT SELECT, INSERT, UPDATE, DELETE ON "
    "django_migrations.",
}


def own_database() -> Status:
    return Status(
        "broken",
        "This alias is opsdash's own database; opsdash does not operate on itself. Nothing was read.",
        "Correct the target's environment: DATABASE_URL probably reached it by mistake.",
        reason="own_database",
    )


def unreachable(report: Report) -> list[Status]:
    if is_reachable(report) or _is_told_by_itself(report):
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


def unreadable(report: Report) -> list[Status]:
    """It answers, and does not tell what is applied: nothing that follows from that is judged."""
    problem = report.get("records_problem")
    if not problem or not (is_reachable(report) or _is_told_by_itself(report)):
        return []
    kind, words = str(problem.get("type") or "other"), str(problem.get("message") or "").rstrip(".")
    lack = lack_of(report.get("rights"))
    may_not = kind == "permission"
    return [
        Status(
            "unreachable" if may_not else "broken",
            f"What is applied there cannot be read from django_migrations: {words}. What is pending is "
            "therefore not known.",
            str(lack)
            if may_not and lack
            else RECORDS_NEXT.get(kind, "Correct what these words name, then inspect again."),
            reason="permission" if may_not else "records_problem",
        )
    ]


def _is_told_by_itself(report: Report) -> bool:
    """The agent calls a database unreachable whose records it cannot read, for whatever reason. These are no
    reasons of the way to it."""
    problem = report.get("records_problem") or {}
    return problem.get("type") in ("missing_columns", "permission")


def is_reachable(report: Report) -> bool:
    return bool(report.get("reachable", True))


def has_records(report: Report) -> bool:
    """What is applied was read."""
    return is_reachable(report) and not report.get("records_problem")
