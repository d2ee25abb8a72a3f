"""Django's rules about a project's migrations, without the project: what is on disk and what is recorded in,
what is pending, in conflict, inconsistent, without a file or squashed out. Pure.

The rules are those of django.db.migrations.loader, graph and executor; a property test compares them with
Django's own over random histories. Since Django 6.0 a squash may replace a squash (loader.replace_migration).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Key = tuple[str, str]

FIRST, LATEST = "__first__", "__latest__"
SQUASH_OF_SQUASH = (6, 0)


class Unbuildable(Exception):
    """Django would not build its graph. `kind` as the agent types it: node_not_found, circular, import."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True)
class File:
    dependencies: tuple[Key, ...] = ()
    run_before: tuple[Key, ...] = ()
    replaces: tuple[Key, ...] = ()


@dataclass(frozen=True)
class Verdicts:
    """What follows from files and records. `problem`: the kind of an Unbuildable; then there is neither a
    plan nor a conflict."""

    plan: list[Key] = field(default_factory=list)
    conflicts: dict[str, list[str]] = field(default_factory=dict)
    problem: str = ""
    ghosts: list[Key] = field(default_factory=list)
    # Recorded, without a file, replaced by a squash on disk.
    prunable: list[Key] = field(default_factory=list)
    # (applied, its dependency that is not)
    inconsistencies: list[tuple[Key, Key]] = field(default_factory=list)
    squashes: list[dict[str, Any]] = field(default_factory=list)


class Graph:
    """Nodes and edges. A dummy stands for a migration that is named and not there; Django counts it as a node
    until the graph is validated."""

    def __init__(self) -> None:
        self.parents: dict[Key, set[Key]] = {}
        self.children: dict[Key, set[Key]] = {}
        self.dummies: set[Key] = set()

    def copy(self) -> "Graph":
        other = Graph()
        other.parents = {key: set(found) for key, found in self.parents.items()}
        other.children = {key: set(found) for key, found in self.children.items()}
        other.dummies = set(self.dummies)
        return other

    def add(self, key: Key) -> None:
        self.parents[key], self.children[key] = set(), set()

    def depend(self, child: Key, parent: Key) -> None:
        for key in (child, parent):
            if key not in self.parents:
                self.add(key)
                self.dummies.add(key)
        self.parents[child].add(parent)
        self.children[parent].add(child)

    def roots(self, app: str) -> list[Key]:
        return sorted(key for key in self.parents if key[0] == app and not _in_app(self.parents[key], app))

    def leaves(self, app: str = "") -> list[Key]:
        return sorted(
            key
            for key in self.parents
            if (not app or key[0] == app) and not _in_app(self.children[key], key[0])
        )

    def take_replaced(self, squash: Key, replaced: Iterable[Key]) -> None:
        """The squash stands in for those that it replaces; their edges become its own."""
        if squash not in self.parents:
            raise Unbuildable("node_not_found")
        gone = set(replaced)
        for key in gone:
            if key not in self.parents:
                continue
            parents, children = self._take(key)
            for child in children:
                self.parents[child].discard(key)
                if child not in gone:
                    self._join(child, squash)
            for parent in parents:
                self.children[parent].discard(key)
                if parent not in gone:
                    self._join(squash, parent)

    def take_squash(self, squash: Key, replaced: Iterable[Key]) -> None:
        """The squash goes; what depended on it depends on the last of those that it would replace."""
        if squash not in self.parents:
            raise Unbuildable("node_not_found")
        parents, children = self._take(squash)
        there = {key for key in replaced if key in self.parents}
        last = there - {parent for key in there for parent in self.parents[key]}
        for child in children:
            self.parents[child].discard(squash)
            for key in last:
                self._join(child, key)
        for parent in parents:
            self.children[parent].discard(squash)

    def _take(self, key: Key) -> tuple[set[Key], set[Key]]:
        self.dummies.discard(key)
        return self.parents.pop(key), self.children.pop(key)

    def _join(self, child: Key, parent: Key) -> None:
        self.parents[child].add(parent)
        self.children[parent].add(child)

    def validate(self) -> None:
        if self.dummies:
            raise Unbuildable("node_not_found")
        waiting = {key: len(found) for key, found in self.parents.items()}
        free = [key for key, count in waiting.items() if not count]
        done = 0
        while free:
            done += 1
            for child in self.children[free.pop()]:
                waiting[child] -= 1
                if not waiting[child]:
                    free.append(child)
        if done < len(waiting):
            raise Unbuildable("circular")

    def forwards(self, targets: Iterable[Key], applied: Mapping[Key, Any] | set[Key]) -> list[Key]:
        """What is to apply so that all targets are, in Django's order. A target that is applied asks for
        nothing, not even for dependencies that are lacking."""
        order: list[Key] = []
        visited: set[Key] = set()
        for target in targets:
            if target in applied:
                continue
            stack = [(target, False)]
            while stack:
                key, processed = stack.pop()
                if key in visited:
                    continue
                if processed:
                    visited.add(key)
                    order.append(key)
                else:
                    stack.append((key, True))
                    stack += [(parent, False) for parent in sorted(self.parents[key])]
        return [key for key in order if key not in applied]


def _in_app(keys: Iterable[Key], app: str) -> bool:
    return any(key[0] == app for key in keys)


@dataclass(frozen=True)
class Project:
    """The migrations on disk, in the order in which Django loaded them."""

    files: Mapping[Key, File]
    migrated: frozenset[str]
    unmigrated: frozenset[str]
    squash_of_squash: bool = False

    @classmethod
    def from_report(cls, report: Mapping[str, Any]) -> "Project":
        """`disk`, `apps` and `django` of the agent's answer."""
        apps = report.get("apps") or {}
        return cls(
            {(one["app"], one["name"]): _file(one) for one in report["disk"]},
            frozenset(apps.get("migrated") or []),
            frozenset(apps.get("unmigrated") or []),
            version_of(str(report.get("django") or "")) >= SQUASH_OF_SQUASH,
        )

    @cached_property
    def replacements(self) -> dict[Key, File]:
        return {key: file for key, file in self.files.items() if file.replaces}

    @cached_property
    def replaced(self) -> set[Key]:
        return {key for file in self.replacements.values() for key in file.replaces}

    @cached_property
    def _whole(self) -> Graph | Unbuildable:
        """Before any replacement; the same whatever is recorded."""
        try:
            return self._read()
        except Unbuildable as problem:
            return problem

    def _read(self) -> Graph:
        graph = Graph()
        for key in self.files:
            graph.add(key)
        for key, file in self.files.items():
            for parent in file.dependencies:
                if parent[0] == key[0] and parent[1] != FIRST:
                    graph.depend(key, parent)
        for key, file in self.files.items():
            self._read_external(graph, key, file)
        return graph

    def _read_external(self, graph: Graph, key: Key, file: File) -> None:
        for parent in file.dependencies:
            if parent[0] != key[0] and (found := self._resolve(graph, parent, key[0])):
                graph.depend(key, found)
        for child in file.run_before:
            if found := self._resolve(graph, child, key[0]):
                graph.depend(found, key)

    def _resolve(self, graph: Graph, key: Key, app: str) -> Key | None:
        if key[1] not in (FIRST, LATEST) or key in graph.parents:
            return key
        if key[0] == app or key[0] in self.unmigrated:
            return None
        ends = graph.roots if key[1] == FIRST else graph.leaves
        found = ends(key[0]) if key[0] in self.migrated else []
        if not found:
            raise Unbuildable("import")
        return found[0]

    @cached_property
    def _plain(self) -> "Built | Unbuildable":
        """Without squashes it is built once."""
        try:
            return self._build({})
        except Unbuildable as problem:
            return problem

    def built(self, rows: Mapping[Key, Any]) -> "Built":
        """As Django's loader builds it over these records. Raises Unbuildable."""
        if self.replacements:
            return self._build(dict.fromkeys(rows))
        if isinstance(self._plain, Unbuildable):
            raise self._plain
        return Built(self._plain.graph, self._plain.leaves, rows)

    def _build(self, applied: dict[Key, None]) -> "Built":
        if isinstance(self._whole, Unbuildable):
            raise self._whole
        graph = self._whole.copy() if self.replacements else self._whole
        progress: dict[Key, bool] = {}
        for key in self.replacements:
            self._replace(graph, key, applied, progress)
        graph.validate()
        return Built(graph, graph.leaves(), applied)

    def _replace(self, graph: Graph, key: Key, applied: dict[Key, None], progress: dict[Key, bool]) -> None:
        """Let a squash stand in for others, where all or none of them are applied; else leave it aside."""
        if key in progress:
            if not progress[key]:
                # Squashes that replace one another.
                raise Unbuildable("import")
            return
        progress[key] = False
        replaces = self.replacements[key].replaces
        if self.squash_of_squash:
            for other in replaces:
                if other in self.replacements:
                    self._replace(graph, other, applied, progress)
        among = self._single(key) if self.squash_of_squash else set(replaces)
        are = [other in applied for other in among]
        if all(are):
            applied[key] = None
        else:
            applied.pop(key, None)
        if all(are) or not any(are):
            graph.take_replaced(key, replaces)
        else:
            graph.take_squash(key, replaces)
        progress[key] = True

    def _single(self, key: Key) -> set[Key]:
        """Those that a squash of squashes stands for in the end."""
        found: set[Key] = set()
        for other in self.replacements[key].replaces:
            found |= self._single(other) if other in self.replacements else {other}
        return found

    def stands(self, key: Key, rows: Mapping[Key, Any]) -> bool:
        """All that a squash replaces is recorded, itself need not be."""
        if key not in self.replacements:
            return False
        nested = self.squash_of_squash
        return all(
            other in rows or (nested and self.stands(other, rows))
            for other in self.replacements[key].replaces
        )


@dataclass(frozen=True)
class Built:
    """The graph as squashes leave it, and what counts as applied in it."""

    graph: Graph
    leaves: list[Key]
    applied: Mapping[Key, Any]


def verdicts(project: Project, rows: Mapping[Key, Any]) -> Verdicts:
    """`rows`: what is recorded, in its order."""
    without = [key for key in rows if key not in project.files]
    of_rows: dict[str, Any] = {
        "ghosts": [key for key in without if key not in project.replaced],
        "prunable": [key for key in without if key in project.replaced],
        "squashes": squashes(project, rows),
    }
    try:
        built = project.built(rows)
    except Unbuildable as problem:
        return Verdicts(problem=problem.kind, **of_rows)
    return Verdicts(
        plan=built.graph.forwards(built.leaves, built.applied),
        conflicts=conflicts(built.leaves),
        inconsistencies=inconsistencies(project, built.graph, rows),
        **of_rows,
    )


def conflicts(leaves: Sequence[Key]) -> dict[str, list[str]]:
    by_app: dict[str, list[str]] = {}
    for app, name in leaves:
        by_app.setdefault(app, []).append(name)
    return {app: sorted(names) for app, names in by_app.items() if len(names) > 1}


def inconsistencies(project: Project, graph: Graph, rows: Mapping[Key, Any]) -> list[tuple[Key, Key]]:
    return [
        (key, parent)
        for key in rows
        if key in graph.parents
        for parent in sorted(graph.parents[key])
        if parent not in rows and not project.stands(parent, rows)
    ]


def squashes(project: Project, rows: Mapping[Key, Any]) -> list[dict[str, Any]]:
    """As the agent tells them: of each of which something is recorded, what is and what is not."""
    told = [_squash(key, file, project, rows) for key, file in sorted(project.replacements.items())]
    return [squash for squash in told if squash["state"]]


def _squash(key: Key, file: File, project: Project, rows: Mapping[Key, Any]) -> dict[str, Any]:
    applied = [other for other in file.replaces if _is_applied(other, project, rows, set())]
    return {
        "app": key[0],
        "name": key[1],
        "state": _state(key in rows, len(applied), len(file.replaces)),
        "applied": [list(other) for other in applied],
        "unapplied": [list(other) for other in file.replaces if other not in applied],
        "files_gone": [list(other) for other in file.replaces if other not in project.files],
    }


def _state(is_recorded: bool, applied: int, replaced: int) -> str:
    """Django goes by what is replaced: itself recorded and not all of that is as good as not recorded."""
    if applied == replaced:
        return "recorded" if is_recorded else "unrecorded"
    return "partial" if applied or is_recorded else ""


def _is_applied(key: Key, project: Project, rows: Mapping[Key, Any], above: set[Key]) -> bool:
    """It may be a squash itself, recorded through what it replaces. `above`: squashes in a circle end."""
    if key in rows:
        return True
    if key not in project.replacements or key in above:
        return False
    replaces = project.replacements[key].replaces
    return all(_is_applied(other, project, rows, above | {key}) for other in replaces)


def _file(one: Mapping[str, Any]) -> File:
    names = ("dependencies", "run_before", "replaces")
    return File(*(tuple((app, name) for app, name in one.get(part) or []) for part in names))


def version_of(text: str) -> tuple[int, int]:
    """ "6.0.1" or "6.1a1" -> (6, 0), (6, 1); (0, 0) where it says nothing."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
