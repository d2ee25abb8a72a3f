"""plan: what a migrate would do, without doing it: no command, no prepare_database(), a read-only session.

Arguments: alias, app, migration (a name, its beginning, or "zero"), session, forbidden_identity, budget_s (of
wall time, or null: no end), schema (bool).
Answer: see planning; with `schema` also {table: TABLE} of all that is applied, as the migration states say,
and not_in_schema: [{app, name, problem}] of what is recorded and could not be put into the states.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.migrations.executor import MigrationExecutor
from django.db.utils import Error as DatabaseError

from . import databases, failures, graph_errors, lacking, planning, targets
from .plan_walk import Walk

if TYPE_CHECKING:
    from typing import Any


def run(arguments: dict[str, Any], session: Any, channel: Any, utility: Any) -> dict[str, Any]:
    alias = arguments.get("alias") or "default"
    app, name = arguments.get("app") or "", arguments.get("migration") or ""
    targets.check_words(app, name)
    connection = databases.open_or_refuse(alias, arguments.get("forbidden_identity") or "")
    plan = planning.Plan(executor_of(connection), app, name)
    walk = Walk(connection, plan, arguments.get("budget_s"), bool(arguments.get("schema")))
    answer = planning.answer(connection, plan, walk)
    if not arguments.get("schema"):
        return answer
    return dict(answer, schema=walk.schema, not_in_schema=walk.not_in_schema)


def executor_of(connection: Any) -> MigrationExecutor:
    """The project itself is set up by now: what goes wrong here are its migrations, or their records."""
    try:
        return MigrationExecutor(connection)
    except Exception as problem:
        failure = lacking.of(problem)
        if failure.kind == "broken":
            failure.kind = "records" if isinstance(problem, DatabaseError) else "graph"
            failure.message = failures.clean(graph_errors.words_of(problem))
        raise failure from problem
