"""plan: what a migrate would do, without doing it: no command, no prepare_database(), a read-only session.

Arguments: alias, app, migration (a name or its beginning), session, forbidden_identity.
Answer: alias, identity, read_only_confirmed, plan: [{app, name, backwards, atomic, operations:
[description]}].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.migrations.executor import MigrationExecutor

from . import databases, targets
from .session import is_read_only

if TYPE_CHECKING:
    from typing import Any


def run(arguments: dict[str, Any], session: Any, channel: Any, utility: Any) -> dict[str, Any]:
    alias = arguments.get("alias") or "default"
    app, name = arguments.get("app") or "", arguments.get("migration") or ""
    targets.check_words(app, name)
    connection = databases.open_or_refuse(alias, arguments.get("forbidden_identity") or "")
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(targets.resolve(executor.loader, app, name))
    return {
        "alias": alias,
        "identity": databases.identity(connection),
        "read_only_confirmed": is_read_only(connection),
        "plan": [fact(migration, backwards) for migration, backwards in plan],
    }


def fact(migration: Any, backwards: bool) -> dict[str, Any]:
    return {
        "app": migration.app_label,
        "name": migration.name,
        "backwards": backwards,
        "atomic": migration.atomic,
        "operations": [str(operation.describe()) for operation in migration.operations],
    }
