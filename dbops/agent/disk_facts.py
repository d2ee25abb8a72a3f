"""What an inspection tells of the migrations on disk, whatever is recorded anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import source_files
from .failures import clean

if TYPE_CHECKING:
    from typing import Any

    from .disk import Disk


def of(disk: Disk, known: list[str]) -> dict[str, Any]:
    """disk: every migration, those that a squash replaces and broken ones too; packages and settings_files:
    see source_files;
    sources: {hash: {text, cut}} of what is not known; apps: {migrated, unmigrated}."""
    sources = source_files.Sources(known)
    return {
        "disk": [told(key, disk, sources) for key in sorted(disk.files)],
        "apps": {"migrated": sorted(disk.migrated), "unmigrated": sorted(disk.unmigrated)},
        "packages": source_files.packages(disk.packages, disk.unmigrated),
        "settings_files": source_files.settings_files(),
        "sources": sources.texts,
    }


def told(key: tuple[str, str], disk: Disk, sources: source_files.Sources) -> dict[str, Any]:
    """hash: of the file's bytes, "" where there is no source. Dependencies may hold __first__, __latest__; of
    a broken file none are known."""
    migration = disk.migrations.get(key)
    initial = getattr(migration, "initial", None)
    return {
        "app": key[0],
        "name": key[1],
        "hash": sources.hash_of(disk.files[key]),
        "file": clean(disk.files[key]),
        "dependencies": pairs(getattr(migration, "dependencies", ())),
        "run_before": pairs(getattr(migration, "run_before", ())),
        "replaces": pairs(getattr(migration, "replaces", ())),
        "atomic": bool(getattr(migration, "atomic", True)),
        "initial": initial if initial is None else bool(initial),
        "broken": migration is None,
    }


def pairs(keys: Any) -> list[list[str]]:
    return [[str(word) for word in key] for key in keys]
