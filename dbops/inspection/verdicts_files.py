"""Verdicts on the project's files: broken, in conflict, edited, lacking."""

from collections.abc import Mapping
from typing import Any

from dbops.inspection.archived import Archived, Edit
from dbops.inspection.words import counted, evidence, name_some, when
from dbops.models.status import Status

Report = Mapping[str, Any]

# A file that cannot be imported is broken; files or records that contradict each other, inconsistent.
BROKEN = ("bad_migration", "import")
# Told by the records themselves: verdicts_rows.
OF_ROWS = "inconsistent_history"


def broken(report: Report) -> list[Status]:
    """What keeps Django from building its graph of migrations."""
    errors = [error for error in report.get("errors") or [] if error["type"] != OF_ROWS]
    return [_error(error) for error in errors]


def _error(error: Mapping[str, Any]) -> Status:
    return Status(
        "broken" if error["type"] in BROKEN else "inconsistent",
        f"{str(error['message']).rstrip('.')}.{_whose(error)}",
        "Django will refuse to migrate until the files or the recorded migrations are put right.",
        reason=str(error["type"]),
        evidence=str(error.get("traceback") or ""),
    )


def _whose(error: Mapping[str, Any]) -> str:
    file, name = error.get("file"), error.get("name")
    if name and error.get("app"):
        where = f" ({file})" if file else ""
        return f" The fault is in the target's migration {error['app']}.{name}{where}."
    return f" The fault is in the target's file {file}." if file else ""


def conflict(report: Report, project: Report) -> list[Status]:
    merges = project.get("merges") or {}
    return [
        _conflict(app, leaves, merges.get(app) or {})
        for app, leaves in sorted((report.get("conflicts") or {}).items())
    ]


def _conflict(app: str, leaves: list[str], merge: Mapping[str, Any]) -> Status:
    problem = str(merge.get("problem") or "").rstrip(".")
    unseen = f" What that would write cannot be shown: {problem}." if problem else ""
    source = merge.get("source")
    return Status(
        "conflict",
        f"The app {app} has several leaf migrations: {', '.join(leaves)}.",
        f"Merge them in the project: python manage.py makemigrations --merge {app}{unseen}",
        reason=app,
        evidence=evidence([f"# {merge.get('file') or app}", str(source)]) if source else "",
    )


def edited(archived: Archived) -> list[Status]:
    edits = archived.edits
    if not edits:
        return []
    names = name_some([[edit.app, edit.name] for edit in edits])
    harmless = all(edit.only_looks for edit in edits)
    return [
        Status(
            "edited",
            f"{counted(len(edits), 'applied migration')} changed since: {names}."
            + (" Only comments and formatting differ." if harmless else ""),
            "Nothing has to be done: what they do is the same." if harmless else _mend(edits),
            evidence=evidence(_edit_lines(edits)),
        )
    ]


def _mend(edits: list[Edit]) -> str:
    if not any(edit.diff for edit in edits if not edit.only_looks):
        return (
            "Compare them with what was applied, in the project's own history: what differs is not shown "
            "here, and a database that is made anew may get another schema or other rows than this one has."
        )
    return (
        "A database that is made anew may get another schema or other rows than this one has. Bring the "
        "applied text back and put the change into a new migration."
    )


def _edit_lines(edits: list[Edit]) -> list[str]:
    return [line for edit in edits for line in (_head(edit), edit.diff or edit.problem, "")]


def _head(edit: Edit) -> str:
    looks = "; only comments and formatting differ" if edit.only_looks else ""
    before = "" if edit.seen_before else "; first seen when it was applied already"
    return f"# {edit.app}.{edit.name}, applied {when(edit.applied_at)}{looks}{before}"


def unmade(project: Report) -> list[Status]:
    found = project.get("unmade") or {}
    if found.get("state") != "found":
        return []
    migrations = list(found.get("migrations") or [])
    named = [[one["app"], one["name"]] for one in migrations]
    questions = [_question(question) for question in found.get("questions") or []]
    would = f" Django would write {name_some(named)}." if named else ""
    return [
        Status(
            "unmade",
            " ".join([f"The models differ from what the migrations make of them.{would}", *questions]),
            "Make the migration in the project and look at it: python manage.py makemigrations",
            reason="rename" if any(_is_rename(one) for one in found.get("questions") or []) else "",
            evidence=evidence(_made(found, migrations)),
        )
    ]


def _made(found: Mapping[str, Any], migrations: list[Mapping[str, Any]]) -> list[str]:
    if not any(one.get("source") for one in migrations):
        return [str(found.get("words") or "")]
    return [f"# {one['app']}.{one['name']}\n{one.get('source') or ''}" for one in migrations]


def _is_rename(question: Mapping[str, Any]) -> bool:
    return str(question.get("kind")) in ("rename_field", "rename_model")


def _question(question: Mapping[str, Any]) -> str:
    """What Django would ask a person; without one it does not take a rename for one."""
    kind, model = str(question.get("kind")), str(question.get("model") or "")
    old, new = str(question.get("old") or ""), str(question.get("new") or "")
    if kind == "rename_field":
        return (
            f"In {model} a field may have been renamed without a migration: Django would drop {old} and add "
            f"{new}, its data with it."
        )
    if kind == "rename_model":
        return (
            f"A model may have been renamed without a migration: Django would drop {old or model} and create "
            f"{new}, its data with it."
        )
    words = str(question.get("words") or kind).rstrip(".")
    return f"Django asks: {words}" + ("" if words.endswith("?") else ".")
