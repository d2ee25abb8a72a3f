"""plan: what a migrate would do, without doing it: no command, no prepare_database(), a read-only session.

Arguments: alias, app, migration (a name or its beginning), session, forbidden_identity.
Answer: alias, identity, read_only_confirmed, plan: [{app, name, backwards, atomic, operations: [description]}].
"""

from django.db.migrations.executor import MigrationExecutor

from . import databases, targets


def run(arguments, session, channel, utility):
    alias = arguments.get("alias") or "default"
    connection = databases.open_or_refuse(alias, arguments.get("forbidden_identity") or "")
    executor = MigrationExecutor(connection)
    nodes, _ = targets.resolve(executor.loader, arguments.get("app") or "", arguments.get("migration") or "")
    return {
        "alias": alias,
        "identity": databases.identity(connection),
        "read_only_confirmed": session.is_read_only(alias),
        "plan": [fact(migration, backwards) for migration, backwards in executor.migration_plan(nodes)],
    }


def fact(migration, backwards):
    return {
        "app": migration.app_label,
        "name": migration.name,
        "backwards": backwards,
        "atomic": migration.atomic,
        "operations": [str(operation.describe()) for operation in migration.operations],
    }
