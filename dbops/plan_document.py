"""A plan as `plan --json` prints it: what its page says, described in docs/shell.md."""

from typing import Any

from dbops.documents import VERSION, status_entry, when
from dbops.inspection import caution, plan_of, schema_diff
from dbops.lint import Finding
from dbops.pages.plan import Content, PlanPage
from dbops.pages.plan_entries import Migration, Operation


def plan_document(page: PlanPage) -> dict[str, Any]:
    return {
        "version": VERSION,
        "target": page.target.name,
        "alias": page.database.alias,
        "app": page.plan.app if page.plan else "",
        "to": page.plan.migration if page.plan else "",
        "inspected_at": when(page.database.inspected_at),
        "reported_at": when(page.reported_at),
        "statuses": [status_entry(status) for status in page.statuses],
        "plan": entries(page),
        "caution": str(caution(page.report) or ""),
        "read": read(page),
    }


def entries(page: PlanPage) -> list[dict[str, Any]]:
    """Of the newest plan the names are those that the latest inspection saw."""
    told = {(one.facts["app"], one.facts["name"]): entry(one) for one in migrations(page)}
    if page.plan and page.plan.app:
        return list(told.values())
    return [told.get((app, name), {"app": app, "name": name}) for app, name in plan_of(page.report)]


def migrations(page: PlanPage) -> list[Migration]:
    return page.content.migrations if page.content else []


def read(page: PlanPage) -> dict[str, Any] | None:
    """None where what it does was not read."""
    content, plan = page.content, page.plan
    if content is None or plan is None:
        return None
    return {
        "id": plan.pk,
        "fingerprint": plan.fingerprint,
        "read_at": when(plan.read_at),
        "confirmed_at": when(plan.confirmed_at),
        "read_only_confirmed": bool(content.facts.get("read_only_confirmed")),
        "backwards": plan.backwards,
        "complete": bool(content.facts.get("complete")),
        "stopped": str(content.facts.get("stopped") or ""),
        "outdated": page.outdated,
        "summary": content.summary,
        "findings": dict(content.numbers),
        "diff": diff(content),
    }


def diff(content: Content) -> str:
    return schema_diff.as_text(content.diff)


def entry(migration: Migration) -> dict[str, Any]:
    facts = migration.facts
    same = ("app", "name", "backwards", "file", "docstring", "hash", "atomic", "initial", "reversible")
    lists = ("irreversible", "dependencies", "run_before", "replaces")
    return {
        **{key: facts.get(key) for key in same},
        **{key: facts.get(key) or [] for key in lists},
        "summary": migration.words,
        "operations": [operation(one) for one in migration.operations],
        "sql": migration.sql,
        "sql_problems": migration.sql_problems,
        "reverse_sql": migration.reverse_sql,
        "reverse_sql_problems": migration.reverse_problems,
        "findings": [finding(one) for one in migration.findings],
        "diff": schema_diff.as_text(migration.diff),
    }


def operation(one: Operation) -> dict[str, Any]:
    """`depth` > 0: it stands within the one above it."""
    return {
        "number": one.number,
        "depth": one.depth,
        "kind": one.facts.get("kind"),
        "words": one.facts.get("words"),
        "table": one.facts.get("table") or "",
        "marks": one.marks,
        "source": one.facts.get("source"),
        "reverse_source": one.facts.get("reverse_source"),
    }


def finding(one: Finding) -> dict[str, Any]:
    return {
        "rule": one.rule,
        "severity": one.severity,
        "title": one.title,
        "subject": one.subject,
        "reason": one.reason,
        "lock": one.lock,
        "operation": None if one.operation is None else one.operation + 1,
        "recipe": {"words": one.recipe.words, "code": one.recipe.code, "language": one.recipe.language},
    }
