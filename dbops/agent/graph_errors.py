"""What is wrong with the migrations, typed, with the migration and the file that it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.migrations.exceptions import (
    BadMigrationError,
    CircularDependencyError,
    InconsistentMigrationHistory,
    NodeNotFoundError,
)

from . import lacking
from .failures import TRACEBACK_LIMIT, clean, render

if TYPE_CHECKING:
    from typing import Any

    from .disk import Disk

TYPES = {
    NodeNotFoundError: "node_not_found",
    CircularDependencyError: "circular",
    BadMigrationError: "bad_migration",
    InconsistentMigrationHistory: "inconsistent_history",
}
SPECIAL = ("__first__", "__latest__")


def entry(problem: BaseException, app: str = "", name: str = "", file: str = "") -> dict[str, str]:
    kind = next((kind for cls, kind in TYPES.items() if isinstance(problem, cls)), "import")
    return {
        "type": kind,
        "message": clean(lacking.typed(problem)[1]),
        "traceback": clean(render(problem), TRACEBACK_LIMIT),
        "app": app,
        "name": name,
        "file": clean(file),
    }


def of_graph(problem: BaseException, loader: Any, disk: Disk) -> list[dict[str, str]]:
    """Of one that Django raised when it built the graph. It stops at the first; the others of its kind are
    named as well. `loader`: as far as it came, or None."""
    if isinstance(problem, CircularDependencyError):
        return [dict(entry(problem, *place(first_in(problem, disk), disk)), message=clean(words_of(problem)))]
    if isinstance(problem, NodeNotFoundError):
        return [entry(problem, *origin_of(problem, disk)), *further(problem, loader, disk)]
    if isinstance(problem, ValueError) and not isinstance(problem, UnicodeError):
        found = unknown_apps(problem, disk)
        if found:
            return found
    return [entry(problem)]


def place(key: tuple[str, str], disk: Disk) -> tuple[str, str, str]:
    return key[0], key[1], disk.files.get(key, "")


def origin_of(problem: NodeNotFoundError, disk: Disk) -> tuple[str, str, str]:
    origin = problem.origin
    return place((getattr(origin, "app_label", ""), getattr(origin, "name", "")), disk)


def first_in(problem: CircularDependencyError, disk: Disk) -> tuple[str, str]:
    """Its words name the circle: a.0001, b.0002."""
    by_words = {f"{app}.{name}": (app, name) for app, name in disk.migrations}
    named = (by_words.get(words) for words in circle_of(problem))
    return next((key for key in named if key), ("", ""))


def words_of(problem: BaseException) -> str:
    """What Django says; of a circle the same each time."""
    if isinstance(problem, CircularDependencyError):
        return f"CircularDependencyError: {', '.join(circle_of(problem))}"
    return lacking.typed(problem)[1]


def circle_of(problem: CircularDependencyError) -> list[str]:
    """Django begins it with any of them."""
    names = str(problem).split(", ")
    start = names.index(min(names))
    return names[start:] + names[:start]


def further(problem: NodeNotFoundError, loader: Any, disk: Disk) -> list[dict[str, str]]:
    """The other migrations that are depended on and not there."""
    graph = getattr(loader, "graph", None)
    nodes = graph.node_map.values() if graph is not None else []
    lost = [node for node in nodes if hasattr(node, "error_message") and node.key != problem.node]
    errors = [NodeNotFoundError(node.error_message, node.key, origin=node.origin) for node in lost]
    return [entry(error, *origin_of(error, disk)) for error in errors]


def unknown_apps(problem: ValueError, disk: Disk) -> list[dict[str, str]]:
    """Dependencies on the first or latest migration of an app that is not there (any more), or that has
    none."""
    having = {app for app, _ in disk.migrations}
    found = [
        dict(entry(problem, *place(key, disk)), type="node_not_found", message=words)
        for key, migration in sorted(disk.migrations.items())
        for app, name in [*migration.dependencies, *migration.run_before]
        if name in SPECIAL and app != key[0] and app not in having | disk.unmigrated
        for words in [missing_app(key, app, app in disk.migrated)]
    ]
    return [dict(one, traceback="" if place_ else one["traceback"]) for place_, one in enumerate(found)]


def missing_app(key: tuple[str, str], app: str, is_there: bool) -> str:
    why = "which has no migrations" if is_there else "which is not installed under that label"
    return clean(f"Migration {key[0]}.{key[1]} depends on the app {app}, {why}.")
