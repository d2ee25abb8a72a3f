"""The target's migrations on disk and in one database, as facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.utils import Error as DatabaseError

from . import graph_errors, inconsistencies, routing, squashes
from .failures import let_a_stop_through

if TYPE_CHECKING:
    from typing import Any

    from .disk import Disk


class History:
    """One reading. `connection` None: what is on disk alone, for a database that does not answer.

    `rows` as records.read gives them. What is wrong with the migrations is in `errors`, not raised; an
    error of the database is raised.
    """

    def __init__(self, connection: Any, rows: list[list[Any]], disk: Disk) -> None:
        self.connection = connection
        self.rows = rows
        self.disk = disk
        self.recorded = {(app, name): time for app, name, time in rows}
        self.errors: list[dict[str, str]] = list(disk.errors)
        self.inconsistent: list[dict[str, Any]] = []
        self.executor: Any = None
        self.loader: Any = None
        self._load()

    def _load(self) -> None:
        try:
            self.executor = MigrationExecutor(self.connection)
            self.loader = self.executor.loader
        except DatabaseError:
            raise
        except (Exception, SystemExit) as problem:
            let_a_stop_through(problem)
            self.loader = as_far_as_possible(self.connection, self.disk)
            if problem is not self.disk.problem:
                self.errors += graph_errors.of_graph(problem, self.loader, self.disk)
        if self.executor and self.connection is not None:
            self.inconsistent = inconsistencies.of(self.loader, self.recorded)
        if self.inconsistent:
            self._add_inconsistency()

    def _add_inconsistency(self) -> None:
        """The first of them in Django's own words: with these it refuses."""
        try:
            self.loader.check_consistent_history(self.connection)
        except DatabaseError:
            raise
        except Exception as problem:
            key = tuple(self.inconsistent[0]["migration"])
            self.errors.append(graph_errors.entry(problem, *graph_errors.place(key, self.disk)))

    def facts(self) -> dict[str, Any]:
        """What an inspection tells of it."""
        ghosts, prunable = self._without_file()
        return {
            "applied": self.rows,
            "migrations": self._by_app(),
            "plan": self._plan(),
            "conflicts": self.conflicts(),
            "errors": self.errors,
            "ghosts": ghosts,
            "prunable": prunable,
            "inconsistencies": self.inconsistent,
            "squashes": squashes.of(self.disk, self.recorded) if self.connection is not None else [],
            "not_routed": routing.not_routed(self.connection, self.disk, self.recorded),
        }

    def conflicts(self) -> dict[str, list[str]]:
        """Where the graph cannot be built whole, only of the apps of which it can."""
        if self.executor:
            found: dict[str, list[str]] = self.loader.detect_conflicts()
            return found
        if self.loader is None:
            return {}
        squashed = {app for (app, _), migration in self.disk.migrations.items() if migration.replaces}
        # What stands between two of an app's migrations may be what is not there.
        lost = {key[0] for key, node in self.loader.graph.node_map.items() if hasattr(node, "error_message")}
        uncertain = squashed | self.disk.broken_apps() | lost
        leaves: dict[str, list[str]] = {}
        for key in self.loader.graph.leaf_nodes():
            if key in self.disk.migrations and key[0] not in uncertain:
                leaves.setdefault(key[0], []).append(key[1])
        return {app: sorted(names) for app, names in leaves.items() if len(names) > 1}

    def _plan(self) -> list[dict[str, str]]:
        """The pending plan of the whole project, in order; without the database it is not known."""
        if not self.executor or self.connection is None:
            return []
        plan = self.executor.migration_plan(self.loader.graph.leaf_nodes())
        return [{"app": migration.app_label, "name": migration.name} for migration, _ in plan]

    def _by_app(self) -> dict[str, list[dict[str, Any]]]:
        """{app: [migration]} in the order in which an app's migrations follow each other."""
        by_app: dict[str, list[dict[str, Any]]] = {}
        for key in self._keys():
            by_app.setdefault(key[0], []).append(self._fact(key))
        return dict(sorted(by_app.items()))

    def _keys(self) -> list[tuple[str, str]]:
        """Graph order. What a squash replaced is not in the graph: it comes before the rest of its app."""
        if not self.executor:
            return sorted(self.disk.files)
        disk, graph = self.disk.migrations, self.loader.graph
        ordered = [key for leaf in graph.leaf_nodes() for key in graph.forwards_plan(leaf) if key in disk]
        replaced = sorted(key for key in disk if key not in graph.nodes)
        return list(dict.fromkeys(replaced + ordered))

    def _fact(self, key: tuple[str, str]) -> dict[str, Any]:
        migration = self.disk.migrations.get(key)
        return {
            "app": key[0],
            "name": key[1],
            "applied": key in self.recorded,
            "applied_at": self.recorded.get(key),
            "replaces": [list(key) for key in migration.replaces] if migration is not None else [],
        }

    def _without_file(self) -> tuple[list[list[str]], list[list[str]]]:
        """(ghosts, prunable): recorded, no file. Only what a squash on disk replaces may be gone."""
        files = self.disk.files
        replaced = {tuple(key) for migration in self.disk.migrations.values() for key in migration.replaces}
        without = [key for key in self.recorded if key not in files]
        # Of an app whose migrations cannot be listed nothing is known to be gone.
        unlisted = {error["app"] for error in self.disk.errors if not error["name"]}
        ghosts = [list(key) for key in without if key not in replaced and key[0] not in unlisted]
        return ghosts, [list(key) for key in without if key in replaced]


def as_far_as_possible(connection: Any, disk: Disk) -> Any:
    """A loader with the graph as it was when Django gave it up."""
    loader: Any = MigrationLoader(connection, load=False)
    loader.load_disk = lambda: disk.fill(loader)
    try:
        loader.build_graph()
    except DatabaseError:
        raise
    except Exception:
        # The same problem as before: it is among the errors.
        return loader
    return loader
