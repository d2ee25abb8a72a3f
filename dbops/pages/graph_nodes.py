"""A report's migrations as nodes of a graph: each with its state on one database and what it depends on.

Pure. `disk` is the report's list of files, `database` its part on one alias (dbops.agent.inspect_verb).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Key = tuple[str, str]
FIRST, LATEST = "__first__", "__latest__"

# Each with the words a page says; a node has one of them.
STATES = {
    "pending": "to apply",
    "ghost": "recorded as applied, no file",
    "missing": "no file, others depend on it",
    "unknown": "not known whether applied",
    "aside": "left aside, a squash stands for it",
    "applied": "applied",
}
# What one looks for first; their neighbours are shown with them.
NOTABLE = ("pending", "ghost", "missing")


@dataclass(frozen=True)
class Node:
    app: str
    name: str
    state: str
    # One of several leaves of its app.
    is_conflict: bool = False
    # How many it replaces.
    replaces: int = 0

    @property
    def key(self) -> Key:
        return self.app, self.name

    @property
    def is_notable(self) -> bool:
        return self.is_conflict or self.state in NOTABLE

    @property
    def urgency(self) -> int:
        """0 is what one looks for first."""
        return 0 if self.is_conflict else 1 + list(STATES).index(self.state)

    @property
    def words(self) -> str:
        more = [f"squash of {self.replaces}"] if self.replaces else []
        more += ["one of several leaves"] if self.is_conflict else []
        return ", ".join([STATES[self.state], *more])


@dataclass(frozen=True)
class Graph:
    nodes: dict[Key, Node]
    # What each depends on; only what is among the nodes.
    parents: dict[Key, list[Key]]


def graph_of(disk: Iterable[Mapping[str, Any]], database: Mapping[str, Any]) -> Graph:
    files = {(entry["app"], entry["name"]): entry for entry in disk}
    reading = _Reading(files, database)
    parents = {key: reading.parents(key) for key in files}
    for key, entry in files.items():
        for later in _keys(entry.get("run_before")):
            if later in parents and key not in parents[later]:
                parents[later].append(key)
    named = {parent for found in parents.values() for parent in found}
    nodes = {key: reading.node(key) for key in sorted({*files, *named, *reading.ghosts})}
    return Graph(nodes, {key: parents.get(key, []) for key in nodes})


class _Reading:
    def __init__(self, files: dict[Key, Mapping[str, Any]], database: Mapping[str, Any]) -> None:
        self.files = files
        self.is_known = bool(database.get("reachable", True)) and not database.get("own_database")
        self.recorded = {(entry[0], entry[1]) for entry in database.get("applied") or []}
        self.ghosts = set(_keys(database.get("ghosts")))
        self.planned = {(entry["app"], entry["name"]) for entry in database.get("plan") or []}
        conflicts = database.get("conflicts") or {}
        self.leaves = {(app, name) for app, names in conflicts.items() for name in names}
        self.by_app: dict[str, list[Key]] = {}
        self.squash_of: dict[Key, Key] = {}
        for key, entry in files.items():
            self.by_app.setdefault(key[0], []).append(key)
            self.squash_of.update((replaced, key) for replaced in _keys(entry.get("replaces")))

    def node(self, key: Key) -> Node:
        replaces = len(self.files[key].get("replaces") or []) if key in self.files else 0
        return Node(*key, self._state(key), key in self.leaves, replaces)

    def _state(self, key: Key) -> str:
        if not self.is_known:
            return "unknown" if key in self.files else "missing"
        if key not in self.files:
            return "ghost" if key in self.recorded else "missing"
        if self._is_applied(key):
            return "applied"
        if key in self.planned:
            return "pending"
        is_replaced = key in self.squash_of or bool(self.files[key].get("replaces"))
        return "aside" if is_replaced else "pending"

    def _is_applied(self, key: Key) -> bool:
        """A squash also where all that it replaces is recorded: Django takes it as applied."""
        replaced = _keys(self.files[key].get("replaces"))
        return key in self.recorded or (bool(replaced) and all(each in self.recorded for each in replaced))

    def parents(self, key: Key) -> list[Key]:
        found = [self._resolve(parent, key[0]) for parent in _keys(self.files[key].get("dependencies"))]
        known = [parent for several in found for parent in several if parent != key]
        return list(dict.fromkeys(known))

    def _resolve(self, parent: Key, app: str) -> list[Key]:
        """Django has words for the first and the latest of an app; of one without migrations, nothing."""
        if parent[1] in (FIRST, LATEST):
            return self._ends(parent[0], first=parent[1] == FIRST) if parent[0] != app else []
        if parent in self.files or parent in self.recorded:
            return [parent]
        return [self.squash_of.get(parent, parent)]

    def _ends(self, app: str, *, first: bool) -> list[Key]:
        mine = self.by_app.get(app, [])
        within = {key: [p for p in _keys(self.files[key].get("dependencies")) if p[0] == app] for key in mine}
        if first:
            return [key for key in mine if not within[key]][:1]
        inner = {parent for parents in within.values() for parent in parents}
        return [key for key in mine if key not in inner][-1:]


def _keys(pairs: Any) -> list[Key]:
    return [(str(app), str(name)) for app, name in pairs or []]
