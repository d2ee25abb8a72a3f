"""Verdicts that follow from what is recorded as applied."""

from collections.abc import Mapping
from typing import Any

from dbops.inspection.archived import Archived
from dbops.inspection.verdicts_reach import has_records
from dbops.inspection.words import evidence, name_some, when
from dbops.models.status import Status

Report = Mapping[str, Any]

RENAMED = (
    "The app {new} has migrations of the same names, and none of them is applied: if {old} was renamed to "
    "it, a migrate would make its tables anew, empty. Then rename the tables, and the records: UPDATE "
    "django_migrations SET app = '{new}' WHERE app = '{old}'. If it was not, bring the missing files back."
)


def inconsistent(report: Report) -> list[Status]:
    found = report.get("inconsistencies")
    errors = [error for error in report.get("errors") or [] if error["type"] == "inconsistent_history"]
    if not found and not errors:
        return []
    return [_inconsistent(found) if found else _refused(errors[0])]


def _inconsistent(found: list[Mapping[str, Any]]) -> Status:
    one = found[0]
    name, needed = ".".join(one["migration"]), ".".join(one["dependency"])
    more = f" So are {len(found) - 1} more." if len(found) > 1 else ""
    return Status(
        "inconsistent",
        f"{name} is recorded as applied ({when(one.get('applied_at'))}), and {needed}, which it depends on, "
        f"is not.{more}",
        "Django refuses to migrate. See whether what the dependency does is there already: then record it as "
        "applied; otherwise bring back the files that were applied here.",
        reason="inconsistent_history",
        evidence=evidence(_order(one) for one in found),
    )


def _order(one: Mapping[str, Any]) -> str:
    applied = one.get("dependency_applied_at")
    dependency = f"applied {when(applied)}" if applied else "not applied"
    return (
        f"{'.'.join(one['migration'])}: applied {when(one.get('applied_at'))}\n"
        f"  depends on {'.'.join(one['dependency'])}: {dependency}"
    )


def _refused(error: Mapping[str, Any]) -> Status:
    """A report that says no more of it than Django does."""
    return Status(
        "inconsistent",
        str(error["message"]),
        "Django will refuse to migrate until the files or the recorded migrations are put right.",
        reason="inconsistent_history",
        evidence=str(error.get("traceback") or ""),
    )


def ghosts(report: Report, archived: Archived) -> list[Status]:
    found = report.get("ghosts") or []
    if not found or not has_records(report):
        return []
    return [
        Status(
            "ghosts",
            f"{len(found)} recorded as applied without a file: {name_some(found)}."
            f"{_apps_gone(report, found)}",
            _renamed(report, found)
            or "Bring the missing files back (another branch was probably deployed here before).",
            evidence=evidence(_ghost_lines(report, archived)),
        )
    ]


def _apps_gone(report: Report, found: list[list[str]]) -> str:
    apps = sorted({app for app, _ in found} - set(report.get("migrations") or {}))
    if not apps:
        return ""
    several = len(apps) > 1
    return (
        f" The app{'s' if several else ''} {', '.join(apps)} {'are' if several else 'is'} not installed any "
        "more, or without migrations."
    )


def _renamed(report: Report, found: list[list[str]]) -> str:
    """A label is part of the records and of the tables' names: Django takes a renamed app for a new one."""
    installed = {app: {one["name"] for one in told} for app, told in (report.get("migrations") or {}).items()}
    untouched = installed.keys() - {app for app, *_ in report.get("applied") or []}
    words = []
    for old in sorted({app for app, _ in found} - installed.keys()):
        names = {name for app, name in found if app == old}
        alike = [app for app in untouched if names <= installed[app]]
        if len(alike) == 1:
            words.append(RENAMED.format(old=old, new=alike[0]))
    return " ".join(words)


def _ghost_lines(report: Report, archived: Archived) -> list[str]:
    times = {(app, name): moment for app, name, moment in report.get("applied") or []}
    lines = []
    for app, name in report.get("ghosts") or []:
        text = archived.gone.get((app, name))
        lines.append(
            f"# {app}.{name}, applied {when(times.get((app, name)))}{'' if text else ': never seen'}"
        )
        lines += [text, ""] if text else []
    return lines


def pending(report: Report) -> list[Status]:
    plan = [[entry["app"], entry["name"]] for entry in report.get("plan") or []]
    if not plan or not has_records(report):
        return []
    blocked = report.get("errors") or report.get("conflicts") or report.get("inconsistencies")
    missing = " The database's file does not exist; a migrate makes it." if report.get("missing") else ""
    return [
        Status(
            "pending",
            f"{len(plan)} to apply: {name_some(plan)}.{missing}",
            "" if blocked else "Read the plan, then start a migrate job.",
        )
    ]
