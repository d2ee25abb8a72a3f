"""A report as it is kept: no connection settings, and no secret in what the target or its server said.

Names are left alone: a migration may be called like somebody's password.
"""

from collections.abc import Callable, Mapping
from typing import Any

from dbops.plain import plain
from dbops.redaction import Redactor

Clean = Callable[[str], str]
# Of the whole answer: kept elsewhere, each text once.
ELSEWHERE = ("databases", "sources")
# Of one database: the settings are sealed, the plan has rows of its own.
OWN_ROWS = ("connection", "plan_detail")


def cleaner(redactor: Redactor) -> Clean:
    return lambda text: redactor.clean(plain(str(text)))


def in_the_open(report: Mapping[str, Any], clean: Clean) -> dict[str, Any]:
    """One database's."""
    errors = [_texts(error, clean, "message", "traceback") for error in report.get("errors") or []]
    cleaned = {**report, "errors": errors, "detail": clean(report.get("detail") or "")}
    if problem := report.get("records_problem"):
        cleaned["records_problem"] = _texts(problem, clean, "message")
    if report.get("plan_problem"):
        cleaned["plan_problem"] = clean(report["plan_problem"])
    return {key: value for key, value in cleaned.items() if key not in OWN_ROWS}


def project_in_the_open(answer: Mapping[str, Any], clean: Clean) -> dict[str, Any]:
    """What is the same for all of its databases."""
    kept = {key: value for key, value in answer.items() if key not in ELSEWHERE}
    if unmade := answer.get("unmade"):
        kept["unmade"] = _unmade(unmade, clean)
    if merges := answer.get("merges"):
        kept["merges"] = {app: _texts(merge, clean, "source", "problem") for app, merge in merges.items()}
    return kept


def _unmade(unmade: Mapping[str, Any], clean: Clean) -> dict[str, Any]:
    return {
        **_texts(unmade, clean, "words", "traceback"),
        "migrations": [_migration(one, clean) for one in unmade.get("migrations") or []],
        "questions": [_texts(one, clean, "words") for one in unmade.get("questions") or []],
    }


def _migration(one: Mapping[str, Any], clean: Clean) -> dict[str, Any]:
    return {
        **_texts(one, clean, "source"),
        "operations": [clean(words) for words in one.get("operations") or []],
    }


def _texts(entry: Mapping[str, Any], clean: Clean, *names: str) -> dict[str, Any]:
    return {**entry, **{name: clean(entry[name]) for name in names if entry.get(name)}}
