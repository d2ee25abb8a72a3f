"""Django's own loader and executor over files that are none: the truth that dbops.inspection.graph is held
to.

As a program, in the interpreter of any Django from 3.2: [[case, rows]] as JSON in, their truths out.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.db.migrations.exceptions import CircularDependencyError, NodeNotFoundError
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration
from django.db.migrations.recorder import MigrationRecorder


class Loader(MigrationLoader):
    """The disk as a case tells it; the rest is Django's."""

    case: dict[str, Any]

    def load_disk(self) -> None:
        self.migrated_apps = set(self.case["apps"]["migrated"])
        self.unmigrated_apps = set(self.case["apps"]["unmigrated"])
        self.disk_migrations = {}
        for one in self.case["disk"]:
            migration = Migration(one["name"], one["app"])
            for part in ("dependencies", "run_before", "replaces"):
                setattr(migration, part, [tuple(key) for key in one[part]])
            self.disk_migrations[one["app"], one["name"]] = migration


def truth(case: dict[str, Any], rows: list[Any]) -> dict[str, Any]:
    """{"problem": kind} or {"plan", "conflicts", "inconsistent"} of a real database in memory."""
    connection = DatabaseWrapper({**BLANK, "NAME": ":memory:"}, alias="case")
    connections["case"] = connection
    try:
        recorder = MigrationRecorder(connection)
        recorder.ensure_schema()
        recorder.migration_qs.bulk_create([recorder.Migration(app=app, name=name) for app, name in rows])
        return _judged(case, connection)
    finally:
        connection.close()
        del connections["case"]


def _judged(case: dict[str, Any], connection: Any) -> dict[str, Any]:
    executor = MigrationExecutor.__new__(MigrationExecutor)
    loader = Loader(connection, load=False)
    loader.case = case
    try:
        loader.build_graph()
    except NodeNotFoundError:
        return {"problem": "node_not_found"}
    except CircularDependencyError:
        return {"problem": "circular"}
    except Exception:
        # A dependency on an app without migrations (ValueError), squashes in a circle (CommandError).
        return {"problem": "import"}
    executor.connection, executor.loader = connection, loader
    try:
        loader.check_consistent_history(connection)
        inconsistent = False
    except Exception as problem:
        assert type(problem).__name__ == "InconsistentMigrationHistory", problem
        inconsistent = True
    plan = executor.migration_plan(loader.graph.leaf_nodes())
    return {
        "problem": "",
        "plan": [(migration.app_label, migration.name) for migration, _ in plan],
        "conflicts": loader.detect_conflicts(),
        "inconsistent": inconsistent,
    }


BLANK: dict[str, Any] = {
    "ENGINE": "django.db.backends.sqlite3",
    "ATOMIC_REQUESTS": False,
    "AUTOCOMMIT": True,
    "CONN_MAX_AGE": 0,
    "CONN_HEALTH_CHECKS": False,
    "OPTIONS": {},
    "TIME_ZONE": None,
    "USER": "",
    "PASSWORD": "",
    "HOST": "",
    "PORT": "",
    "TEST": {"CHARSET": None, "COLLATION": None, "MIGRATE": True, "MIRROR": None, "NAME": None},
}


def main() -> None:
    import django
    from django.conf import settings

    settings.configure(USE_TZ=True)
    django.setup()
    json.dump([truth(case, [tuple(key) for key in rows]) for case, rows in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
