"""What makemigrations would write, as an inspection shows it and as a job compares it before it writes.

A preview's fingerprint is the same for the same files, without the moment that Django writes into the names
for which it finds no better one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING

from django.db.migrations.loader import MigrationLoader

from . import merges, unmade
from .failures import Failure

if TYPE_CHECKING:
    from typing import Any

MOMENT = re.compile(r"_(auto|merge)_\d{8}_\d{4}\b")


class Preview:
    """`files`: [(app, name, path, source)] in the order of apps."""

    def __init__(self, files: list[tuple[str, str, str, str]]) -> None:
        self.files = files

    @property
    def fingerprint(self) -> str:
        return fingerprint([(app, name, source) for app, name, _, source in self.files])


def preview(command: Any, *, merge: bool) -> Preview:
    """By the project's own class. Raises makemigrations_refused with its words."""
    with merges.writers() as made:
        found = merging(command) if merge else missing(command)
    paths = {(one.migration.app_label, one.migration.name): os.path.abspath(one.path) for one in made}
    return Preview([(app, name, paths[app, name], source) for app, name, source in found])


def missing(command: Any) -> list[tuple[str, str, str]]:
    found = unmade.judged(command)
    if found["state"] not in ("found", "none"):
        raise refused(found["words"])
    return of_unmade(found)


def merging(command: Any) -> list[tuple[str, str, str]]:
    conflicts = MigrationLoader(None, ignore_no_migrations=True).detect_conflicts()
    found = merges.previewed(command, {app: sorted(names) for app, names in conflicts.items()})
    problem = next((one["problem"] for one in found.values() if one["problem"]), "")
    if problem:
        raise refused(problem)
    return of_merges(found)


def refused(words: str) -> Failure:
    return Failure("makemigrations_refused", words, "target")


def of_unmade(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["app"], one["name"], one["source"]) for one in found["migrations"]]


def of_merges(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(app, name_of(one["file"]), one["source"]) for app, one in found.items() if one["source"]]


def name_of(file: str) -> str:
    return os.path.splitext(os.path.basename(file))[0]


def fingerprints(made: dict[str, Any]) -> dict[str, str]:
    """Of the `unmade` and the `merges` of an inspection; "" where there is nothing to write."""
    lists = {"unmade": of_unmade(made["unmade"]), "merges": of_merges(made["merges"])}
    return {name: fingerprint(files) if files else "" for name, files in lists.items()}


def fingerprint(files: list[tuple[str, str, str]]) -> str:
    """Of (app, name, source) each."""
    hashes = [[app, timeless(name), digest(timeless(source))] for app, name, source in files]
    return digest(json.dumps(sorted(hashes)))


def timeless(text: str) -> str:
    return MOMENT.sub(r"_\1", text)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
