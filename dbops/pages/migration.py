"""The page of one migration of a target database: its file when it was applied and now, when, what it
needs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dbops.inspection.archived import Edit
from dbops.inspection.graph import Key
from dbops.inspection.knowledge import Migration, latest_done, migrations_by_app, report_now
from dbops.inspection.sources import edit_of, texts_of
from dbops.models import MigrationSource, SeenMigration, TargetDatabase
from dbops.rights import Rights, Role


@dataclass(frozen=True)
class DiffLine:
    """One line of a unified diff; `kind` added, removed, hunk or "" as its sign says."""

    kind: str
    text: str


@dataclass(frozen=True)
class Need:
    """Another migration that this one names, or that names this one."""

    app: str
    name: str
    # Of another app's first or latest: no migration of its own.
    has_page: bool
    applied: bool


@dataclass(frozen=True)
class MigrationPage:
    database: TargetDatabase
    migration: Migration
    # As the agent told of the file; {} without one.
    file: dict[str, Any]
    seen: SeenMigration | None
    # As archived when it was applied (while it is pending: as it is), and as it is now.
    then: MigrationSource | None
    now: MigrationSource | None
    edit: Edit | None
    needs: list[Need]
    needed_by: list[Need]
    reported_at: datetime | None
    role: Role

    @property
    def diff(self) -> list[DiffLine]:
        return [diff_line(text) for text in self.edit.diff.splitlines()] if self.edit else []


def migration_page(rights: Rights, database: TargetDatabase, app: str, name: str) -> MigrationPage | None:
    """None for one that neither the latest inspection nor the archive knows."""
    key, inspection = (app, name), latest_done(database.target)
    report = report_now(database, inspection)
    seen = SeenMigration.objects.filter(database=database, app=app, name=name).first()
    edited = [key] if seen and seen.is_edited else []
    known = {
        (one.app, one.name): one for found in migrations_by_app(report, edited).values() for one in found
    }
    if key not in known:
        return None
    disk = {
        (one["app"], one["name"]): one for one in ((inspection and inspection.report) or {}).get("disk") or []
    }
    file = disk.get(key, {})
    hashes = [str(file.get("hash") or ""), *([seen.hash, seen.hash_now] if seen else [])]
    texts = texts_of(hashes, database.target_id)
    return MigrationPage(
        database=database,
        migration=known[key],
        file=file,
        seen=seen,
        then=texts.get(seen.hash) if seen else None,
        now=texts.get(str(file.get("hash") or "")),
        edit=edit_of(seen, texts) if seen and seen.is_edited else None,
        needs=[_need(tuple(one), known) for one in file.get("dependencies") or [] if len(one) == 2],
        needed_by=[_need(other, known) for other, one in disk.items() if list(key) in one["dependencies"]],
        reported_at=inspection.started_at if inspection else None,
        role=rights.on(database.target_id),
    )


def _need(key: Key, known: dict[Key, Migration]) -> Need:
    found = known.get(key)
    return Need(*key, has_page=found is not None, applied=found is not None and found.applied)


def diff_line(text: str) -> DiffLine:
    kinds = {"+": "added", "-": "removed", "@": "hunk"}
    is_head = text.startswith(("+++ ", "--- "))
    return DiffLine("" if is_head else kinds.get(text[:1], ""), text)
