"""What `makemigrations --merge` would write for a conflict, or why it cannot."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from django.db.migrations.writer import MigrationWriter

from . import dry_run
from .failures import clean, describe
from .unmade import source

if TYPE_CHECKING:
    from typing import Any, Iterator

WITHOUT_DATABASE = (
    "makemigrations sees no conflict there: it goes by the files alone, and this database has a part of a "
    "squashed migration."
)


def previewed(command: Any, conflicts: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
    """{app: {leaves, file, source, problem}}"""
    return {app: preview(command, app, leaves) for app, leaves in sorted(conflicts.items())}


def preview(command: Any, app: str, leaves: list[str]) -> dict[str, Any]:
    facts = {"leaves": leaves, "file": "", "source": "", "problem": ""}
    with writers() as made:
        run = dry_run.run(command, "--merge", app)
    if not made:
        if run.problem is not None:
            return {**facts, "problem": clean(describe(run.problem))}
        return {**facts, "problem": run.words if run.refused is not None else WITHOUT_DATABASE}
    return {**facts, "file": file_of(made[-1]), "source": source(made[-1].migration)}


def file_of(writer: Any) -> str:
    """Only its name where its folder cannot be told."""
    try:
        return clean(writer.path)
    except Exception:
        return clean(writer.filename)


@contextlib.contextmanager
def writers() -> Iterator[list[Any]]:
    """Those that are made meanwhile: one a migration that would be written."""
    kept: list[Any] = []
    replaced: Any = MigrationWriter
    begin = replaced.__init__

    def keep(writer: Any, *args: Any, **options: Any) -> None:
        begin(writer, *args, **options)
        kept.append(writer)

    replaced.__init__ = keep
    try:
        yield kept
    finally:
        replaced.__init__ = begin
