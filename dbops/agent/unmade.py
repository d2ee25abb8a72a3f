"""Changes of the models that have no migration yet, as the project's own makemigrations sees them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.writer import MigrationWriter

from . import dry_run
from .failures import clean, describe
from .questions import Asked

if TYPE_CHECKING:
    from typing import Any, Iterator

NOT_ASKED = {
    "state": "not_asked",
    "words": "",
    "traceback": "",
    "migrations": [],
    "questions": [],
}  # fmt: skip
SOURCE_LIMIT = 300_000
URLS = "The project's URLconf cannot be imported, so some of its models may be missing: {}"
NEVER_LOOKED = "It ended without having compared the models with the migrations."


def judged(command: Any) -> dict[str, Any]:
    """Shaped like NOT_ASKED; state none, found, refused (in its own words) or failed (with a traceback)."""
    urls = dry_run.import_urls(command)
    if urls.problem is not None:
        words = clean(URLS.format(describe(urls.problem)))
        return {**NOT_ASKED, "state": "failed", "words": words, "traceback": urls.traceback}
    looked, run = looking(command)
    if run.refused is not None and looked.changes is None:
        # Some let themselves be called with this only.
        again, checking = looking(command, "--check")
        if again.changes is not None:
            looked, run = again, checking
    return verdict(looked, run)


def verdict(looked: Looking, run: dry_run.Run) -> dict[str, Any]:
    if looked.changes is None:
        failed = run.problem is not None
        words = clean(describe(run.problem)) if run.problem is not None else run.words or NEVER_LOOKED
        return {
            **NOT_ASKED,
            "state": "failed" if failed else "refused",
            "words": words,
            "traceback": run.traceback,
            "questions": looked.questions,
        }
    migrations = [made for app in sorted(looked.changes) for made in map(told, looked.changes[app])]
    return {
        "state": "found" if migrations else "none",
        "words": run.words,
        "traceback": run.traceback,
        "migrations": migrations,
        "questions": looked.questions,
    }


class Looking:
    """What one run of it came upon. `changes` {app: [Migration]}; None: it never looked."""

    def __init__(self) -> None:
        self.detected: dict[str, list[Any]] | None = None
        self.written: dict[str, list[Any]] | None = None
        self.questions: list[dict[str, str]] = []
        self.ended_well = False

    @property
    def changes(self) -> dict[str, list[Any]] | None:
        """What it would write comes before what was detected: it may have left some of that out."""
        if self.written is not None:
            return self.written
        return {} if self.ended_well and self.detected else self.detected

    def detect(self, detector: Any, find: Any, args: Any, options: Any) -> Any:
        if not isinstance(detector.questioner, Asked):
            detector.questioner = Asked(detector.questioner, detector, self.questions)
        found = find(detector, *args, **options)
        self.detected = {app: list(made) for app, made in found.items()}
        return found

    def write(self, changes: Any, *_: Any, **__: Any) -> None:
        self.written = {**(self.written or {}), **{app: list(made) for app, made in changes.items()}}


def looking(command: Any, *words: str) -> tuple[Looking, dry_run.Run]:
    looked = Looking()
    command.write_migration_files = looked.write
    with followed(looked, command):
        run = dry_run.run(command, *words)
    looked.ended_well = run.refused is None and run.problem is None
    return looked, run


@contextlib.contextmanager
def followed(looked: Looking, command: Any) -> Iterator[None]:
    """The autodetector that it uses: Django's or, as Django 5.2 lets it, one of its own."""
    own = getattr(command, "autodetector", MigrationAutodetector)
    kinds: list[Any] = [MigrationAutodetector]
    if own is not MigrationAutodetector and "changes" in vars(own):
        kinds.append(own)
    kept = [kind.changes for kind in kinds]
    for kind, find in zip(kinds, kept):
        kind.changes = following(looked, find)
    try:
        yield
    finally:
        for kind, find in zip(kinds, kept):
            kind.changes = find


def following(looked: Looking, find: Any) -> Any:
    return lambda detector, *args, **options: looked.detect(detector, find, args, options)


def told(migration: Any) -> dict[str, Any]:
    return {
        "app": migration.app_label,
        "name": migration.name,
        "source": source(migration),
        "operations": [clean(operation.describe()) for operation in migration.operations],
    }


def source(migration: Any) -> str:
    """Without its first line, which tells the time."""
    try:
        return clean(MigrationWriter(migration, include_header=False).as_string(), SOURCE_LIMIT)
    except Exception as problem:
        return clean(f"# Django cannot write this migration: {describe(problem)}\n")
