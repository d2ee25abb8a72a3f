"""The target's migrations on disk and in the database, as facts."""

from django.db.migrations.exceptions import (
    BadMigrationError,
    CircularDependencyError,
    InconsistentMigrationHistory,
    NodeNotFoundError,
)
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from .failures import clean, describe, render

GRAPH_ERRORS = [
    (NodeNotFoundError, "node_not_found"),
    (CircularDependencyError, "circular"),
    (BadMigrationError, "bad_migration"),
    (InconsistentMigrationHistory, "inconsistent_history"),
]


class History:
    """One reading. `connection` None: what is on disk alone, for a database that does not answer."""

    def __init__(self, connection, rows):
        self.connection = connection
        self.rows = rows
        self.errors = []
        self.executor = None
        self.loader = self._load()

    def _load(self):
        try:
            self.executor = MigrationExecutor(self.connection)
            loader = self.executor.loader
            if self.connection is not None:
                loader.check_consistent_history(self.connection)
        except InconsistentMigrationHistory as problem:
            self.errors.append(as_error(problem))
            return self.executor.loader
        except Exception as problem:
            self.errors.append(as_error(problem))
            return self._load_what_is_there()
        return loader

    def _load_what_is_there(self):
        """The graph cannot be built; the files may still be readable."""
        loader = MigrationLoader(None, load=False)
        try:
            loader.load_disk()
        except Exception:
            # The same problem as before, already among the errors.
            return None
        return loader

    def plan(self):
        """The pending plan of the whole project in order, as [(Migration, backwards)]."""
        if self.executor is None or self.connection is None:
            return []
        return self.executor.migration_plan(self.loader.graph.leaf_nodes())

    def conflicts(self):
        return self.loader.detect_conflicts() if self.executor is not None else {}

    def migrations(self):
        """{app: [migration]} in the order in which an app's migrations follow each other."""
        if self.loader is None:
            return {}
        applied = {(app, name): time for app, name, time in self.rows}
        disk = self.loader.disk_migrations
        return {app: [fact(disk[key], applied) for key in keys] for app, keys in self._keys_by_app().items()}

    def _keys_by_app(self):
        keys = {}
        for key in self._keys_in_order():
            keys.setdefault(key[0], []).append(key)
        return dict(sorted(keys.items()))

    def _keys_in_order(self):
        """Graph order first; what a squash has replaced is no longer in the graph, and stands before the rest of its app."""
        disk = self.loader.disk_migrations
        if self.executor is None:
            return sorted(disk)
        ordered = []
        for leaf in self.loader.graph.leaf_nodes():
            ordered += [key for key in self.loader.graph.forwards_plan(leaf) if key in disk]
        replaced = sorted(key for key in disk if key not in self.loader.graph.nodes)
        return list(dict.fromkeys(replaced + ordered))

    def unknown_rows(self):
        """(ghosts, prunable): rows without a file. What a squash on disk replaces may well be gone; the others should not."""
        if self.loader is None:
            return [], []
        disk = self.loader.disk_migrations
        replaced = {tuple(key) for migration in disk.values() for key in migration.replaces}
        without_file = list(
            dict.fromkeys((app, name) for app, name, _ in self.rows if (app, name) not in disk)
        )
        ghosts = [list(key) for key in without_file if key not in replaced]
        return ghosts, [list(key) for key in without_file if key in replaced]


def fact(migration, applied):
    return {
        "app": migration.app_label,
        "name": migration.name,
        "applied_at": applied.get((migration.app_label, migration.name)),
        "replaces": [list(key) for key in migration.replaces],
    }


def as_error(problem):
    kind = next((kind for cls, kind in GRAPH_ERRORS if isinstance(problem, cls)), "import")
    return {"type": kind, "message": clean(describe(problem)), "traceback": clean(render(problem))}
