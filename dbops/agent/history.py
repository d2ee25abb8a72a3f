"""The target's migrations on disk and in the database, as facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.migrations.exceptions import (
    BadMigrationError,
    CircularDependencyError,
    InconsistentMigrationHistory,
    NodeNotFoundError,
)
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.utils import Error as DatabaseError

from . import lacking
from .failures import TRACEBACK_LIMIT, clean, render

if TYPE_CHECKING:
    from typing import Any

GRAPH_ERRORS = {
    NodeNotFoundError: "node_not_found",
    CircularDependencyError: "circular",
    BadMigrationError: "bad_migration",
    InconsistentMigrationHistory: "inconsistent_history",
}


class History:
    """One reading. `connection` None: what is on disk alone, for a database that does not answer.

    `rows` as databases.recorded gives them. What is wrong with the migrations is in `errors`, not raised; an
    error of the database is raised.
    """

    def __init__(self, connection: Any, rows: list[list[Any]]) -> None:
        self.connection = connection
        self.rows = rows
        self.errors: list[dict[str, str]] = []
        self.executor: Any = None
        self.loader: Any = self._load()

    def _load(self) -> Any:
        try:
            self.executor = MigrationExecutor(self.connection)
            if self.connection is not None:
                self.executor.loader.check_consistent_history(self.connection)
        except DatabaseError:
            raise
        except Exception as problem:
            self.errors.append(as_error(problem))
        return self.executor.loader if self.executor else self._files()

    def _files(self) -> Any:
        """The graph cannot be built; the files may still be readable."""
        loader = MigrationLoader(None, load=False)
        try:
            loader.load_disk()
        except Exception:
            # The same problem as before: it is among the errors.
            return None
        return loader

    def facts(self) -> dict[str, Any]:
        """What an inspection tells of it."""
        ghosts, prunable = self._without_file()
        return {
            "applied": self.rows,
            "migrations": self._by_app(),
            "plan": self._plan(),
            "conflicts": self.executor.loader.detect_conflicts() if self.executor else {},
            "errors": self.errors,
            "ghosts": ghosts,
            "prunable": prunable,
        }

    def _plan(self) -> list[dict[str, str]]:
        """The pending plan of the whole project, in order; without the database it is not known."""
        if not self.executor or self.connection is None:
            return []
        plan = self.executor.migration_plan(self.loader.graph.leaf_nodes())
        return [{"app": migration.app_label, "name": migration.name} for migration, _ in plan]

    def _by_app(self) -> dict[str, list[dict[str, Any]]]:
        """{app: [migration]} in the order in which an app's migrations follow each other."""
        applied = {(app, name): time for app, name, time in self.rows}
        by_app: dict[str, list[dict[str, Any]]] = {}
        for key in self._keys():
            by_app.setdefault(key[0], []).append(fact(self.loader.disk_migrations[key], applied))
        return dict(sorted(by_app.items()))

    def _keys(self) -> list[tuple[str, str]]:
        """Graph order. What a squash replaced is not in the graph: it comes before the rest of its app."""
        if self.loader is None:
            return []
        disk = self.loader.disk_migrations
        if not self.executor:
            return sorted(disk)
        graph = self.loader.graph
        ordered = [key for leaf in graph.leaf_nodes() for key in graph.forwards_plan(leaf) if key in disk]
        replaced = sorted(key for key in disk if key not in graph.nodes)
        return list(dict.fromkeys(replaced + ordered))

    def _without_file(self) -> tuple[list[list[str]], list[list[str]]]:
        """(ghosts, prunable): recorded, no file. Only what a squash on disk replaces may be gone."""
        if self.loader is None:
            return [], []
        disk = self.loader.disk_migrations
        replaced = {tuple(key) for migration in disk.values() for key in migration.replaces}
        without = [key for key in dict.fromkeys((app, name) for app, name, _ in self.rows) if key not in disk]
        ghosts = [list(key) for key in without if key not in replaced]
        return ghosts, [list(key) for key in without if key in replaced]


def fact(migration: Any, applied: dict[tuple[str, str], str | None]) -> dict[str, Any]:
    key = (migration.app_label, migration.name)
    return {
        "app": migration.app_label,
        "name": migration.name,
        "applied": key in applied,
        "applied_at": applied.get(key),
        "replaces": [list(key) for key in migration.replaces],
    }


def as_error(problem: Exception) -> dict[str, str]:
    kind = next((kind for cls, kind in GRAPH_ERRORS.items() if isinstance(problem, cls)), "import")
    return {
        "type": kind,
        "message": clean(lacking.typed(problem)[1]),
        "traceback": clean(render(problem), TRACEBACK_LIMIT),
    }
