"""Plans made of rows: what the agent would have said (shape: dbops.agent.planning), written by hand."""

from datetime import timedelta
from typing import Any

from dbops.models import Plan, TargetDatabase, clock

Json = dict[str, Any]


def column(kind: str = "integer", **more: Any) -> Json:
    blank = {"null": False, "default": "", "primary_key": False, "comment": "", "generated": ""}
    return {"type": kind, **blank, "identity": False, "collation": "", **more}


def table(**columns: Json) -> Json:
    return {"columns": columns, "indexes": {}, "constraints": {}, "comment": ""}


def operation(words: str, kind: str = "AddField", **more: Any) -> Json:
    return {
        "kind": kind, "module": "django.db.migrations.operations", "words": words, "reversible": True,
        "reduces_to_sql": True, "elidable": False, "atomic": None, "model": "", "table": "",
        "table_created_in": "", "name": "", "column": "", "before": None, "after": None, "index": None,
        "constraint": None, "options": {}, "state_only": False, "database_only": False, "nested": [],
        "routed": True, "sql": [], "sql_problem": "", "reverse_sql": [], "reverse_sql_problem": "",
        "source": None, "reverse_source": None, "sql_cut": False, **more,
    }  # fmt: skip


def migration(app: str, name: str, **more: Any) -> Json:
    operations = [operation(**one) if "module" not in one else one for one in more.pop("operations", [])]
    return {
        "app": app, "name": name, "backwards": False, "file": f"/srv/shop/{app}/migrations/{name}.py",
        "docstring": "", "hash": f"{app}.{name}", "atomic": True, "initial": None, "reversible": True,
        "irreversible": [], "dependencies": [], "run_before": [], "replaces": [], "operations": operations,
        "deferred": [], "reverse_deferred": [], "sql_problem": "", "reverse_sql_problem": "",
        "before": {}, "after": {}, "renames": [], "problem": "", **more,
    }  # fmt: skip


def a_plan(*migrations: Json, **more: Any) -> Json:
    return {
        "alias": "default", "identity": "", "read_only_confirmed": True, "app": "", "migration": "",
        "fingerprint": "f" * 64, "complete": True, "stopped": "", "renames": [],
        "migrations": list(migrations), **more,
    }  # fmt: skip


def keep(
    database: TargetDatabase,
    *migrations: Json,
    app: str = "",
    to: str = "",
    minutes_ago: float = 0,
    identity: str = "",
    fingerprint: str = "f" * 64,
    **more: Any,
) -> Plan:
    """A plan that was read so long ago."""
    at = clock.now() - timedelta(minutes=minutes_ago)
    content = a_plan(*migrations, app=app, migration=to, fingerprint=fingerprint, **more.pop("facts", {}))
    return Plan.objects.create(
        database=database,
        app=app,
        migration=to,
        state="done",
        content=content,
        fingerprint=fingerprint,
        identity=identity,
        count=len(migrations),
        backwards=any(one["backwards"] for one in migrations),
        read_at=at,
        confirmed_at=at,
        finished_at=at,
        **more,
    )
