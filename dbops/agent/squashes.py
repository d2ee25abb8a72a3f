"""Squashed migrations: which of those that they replace are recorded in this database."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from .disk import Disk

    Key = tuple[str, str]
    Recorded = dict[Key, str | None]


def of(disk: Disk, recorded: Recorded) -> list[dict[str, Any]]:
    """Those with something to tell: nothing of it is recorded = it is pending like any other."""
    found = [told(key, disk, recorded) for key in sorted(disk.migrations) if disk.migrations[key].replaces]
    return [squash for squash in found if squash["state"]]


def told(key: Key, disk: Disk, recorded: Recorded) -> dict[str, Any]:
    replaced = [(app, name) for app, name in disk.migrations[key].replaces]
    applied = [one for one in replaced if is_applied(one, disk, recorded)]
    return {
        "app": key[0],
        "name": key[1],
        "state": state(key in recorded, len(applied), len(replaced)),
        "applied": [list(one) for one in applied],
        "unapplied": [list(one) for one in replaced if one not in applied],
        "files_gone": [list(one) for one in replaced if one not in disk.files],
    }


def state(is_recorded: bool, applied: int, replaced: int) -> str:
    """Django goes by what is replaced: itself recorded and not all of that is as good as not recorded."""
    if applied == replaced:
        return "recorded" if is_recorded else "unrecorded"
    return "partial" if applied or is_recorded else ""


def is_applied(key: Key, disk: Disk, recorded: Recorded) -> bool:
    """It may be a squash itself, recorded through what it replaces."""
    squash = disk.migrations.get(key)
    inner = [(app, name) for app, name in squash.replaces] if squash is not None else []
    return key in recorded or (bool(inner) and all(is_applied(one, disk, recorded) for one in inner))


def pending(disk: Disk, rows: set[Key]) -> int:
    """How many a migrate would apply where these rows are recorded, as Django resolves squashes."""
    recorded: Recorded = dict.fromkeys(rows)
    left_out: set[Key] = set()
    for key, migration in disk.migrations.items():
        replaced = [(app, name) for app, name in migration.replaces]
        applied = [one for one in replaced if is_applied(one, disk, recorded)]
        if replaced and (not applied or len(applied) == len(replaced)):
            left_out.update(replaced)
        if applied:
            # All of it: done. A part of it: the squash is not used.
            left_out.add(key)
    return sum(1 for key in disk.migrations if key not in rows and key not in left_out)
