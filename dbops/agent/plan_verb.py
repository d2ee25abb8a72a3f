"""plan: what a migrate would do, without doing it: no command, no prepare_database(), a read-only session.

Arguments: alias, app, migration (a name, its beginning, or "zero"), session, forbidden_identity, budget_s (of
wall time, or null: no end), schema (bool).
Answer: see planning; with `schema` also {table: TABLE} of all that is applied, as the migration states say,
and not_in_schema: [{app, name, problem}] of what is recorded and could not be put into the states.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.migrations.executor import MigrationExecutor

from . import databases, planning, targets
from .plan_walk import Walk

if TYPE_CHECKING:
    from typing import Any


def run(arguments: dict[str, Any], session: Any, channel: Any, utility: Any) -> dict[str, Any]:
    alias = arguments.get("alias") or "default"
    app, name = arguments.get("app") or "", arguments.get("migration") or ""
    targets.check_words(app, name)
    connection = databases.open_or_refuse(alias, arguments.get("forbidden_identity") or "")
    plan = planning.Plan(MigrationExecutor(connection), app, name)
    walk = Walk(connection, plan, arguments.get("budget_s"), bool(arguments.get("schema")))
    answer = planning.answer(connection, plan, walk)
    if not arguments.get("schema"):
        return answer
    return dict(answer, schema=walk.schema, not_in_schema=walk.not_in_schema)
