"""What one target database has and another lacks, by their migrations: recorded rows and files. Pure.

Of each side: the report's `disk` (files) and its part on the alias (rows), see dbops.agent.inspect_verb.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Key = tuple[str, str]


@dataclass(frozen=True)
class History:
    """What is recorded in a database and lies on its project's disk."""

    recorded: frozenset[Key]
    # The hash of each file; "" where it could not be read.
    files: Mapping[Key, str]
    # False: whether something is recorded is not known, the database was not read.
    is_read: bool = True


@dataclass(frozen=True)
class Difference:
    """One migration that is not the same on both sides. `one` and `other`: what each has of it, in words."""

    app: str
    name: str
    one: str
    other: str
    # Recorded on one side only: "one", "other"; "" on both or none.
    recorded_on: str
    # Likewise its file.
    file_on: str
    # Both have the file, and its source is not the same.
    is_edited: bool


@dataclass(frozen=True)
class Comparison:
    differences: list[Difference]
    # How many migrations either side knows.
    total: int

    def recorded_on(self, side: str) -> list[Difference]:
        return [each for each in self.differences if each.recorded_on == side]

    def file_on(self, side: str) -> list[Difference]:
        return [each for each in self.differences if each.file_on == side]

    @property
    def edited(self) -> list[Difference]:
        return [each for each in self.differences if each.is_edited]


def history_of(disk: Iterable[Mapping[str, Any]] | None, report: Mapping[str, Any]) -> History:
    """An inspection that did not tell of the files knows their names all the same."""
    files = {(entry["app"], entry["name"]): str(entry.get("hash") or "") for entry in disk or []}
    if disk is None:
        by_app: Mapping[str, Any] = report.get("migrations") or {}
        files = {(app, entry["name"]): "" for app, entries in by_app.items() for entry in entries}
    recorded = frozenset((entry[0], entry[1]) for entry in report.get("applied") or [])
    is_read = bool(report.get("reachable", True)) and not report.get("own_database")
    return History(recorded, files, is_read)


def compare(one: History, other: History) -> Comparison:
    keys = sorted({*one.files, *other.files, *one.recorded, *other.recorded})
    found = (_difference(key, one, other) for key in keys)
    return Comparison([each for each in found if each], len(keys))


def _difference(key: Key, one: History, other: History) -> Difference | None:
    both_read = one.is_read and other.is_read
    recorded_on = _side(key in one.recorded, key in other.recorded) if both_read else ""
    file_on = _side(key in one.files, key in other.files)
    hashes = one.files.get(key), other.files.get(key)
    is_edited = bool(all(hashes)) and hashes[0] != hashes[1]
    if not (recorded_on or file_on or is_edited):
        return None
    return Difference(*key, _words(key, one), _words(key, other), recorded_on, file_on, is_edited)


def _side(on_one: bool, on_other: bool) -> str:
    if on_one == on_other:
        return ""
    return "one" if on_one else "other"


def _words(key: Key, side: History) -> str:
    is_file, is_recorded = key in side.files, key in side.recorded
    if not side.is_read:
        return "file" if is_file else "no file"
    if is_recorded:
        return "applied" if is_file else "applied, no file"
    return "not applied" if is_file else "nothing"
