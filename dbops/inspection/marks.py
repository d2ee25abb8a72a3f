"""The migrations of a report, one by one, each with the words that stand beside it. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dbops.inspection.graph import Key
from dbops.inspection.verdicts_reach import has_records


@dataclass(frozen=True)
class Mark:
    """`look` is that of a status."""

    look: str
    word: str


@dataclass(frozen=True)
class Migration:
    app: str
    name: str
    applied_at: datetime | None
    applied: bool
    # A ghost, edited, a squash ...: nothing for a migration that is plainly applied or pending.
    marks: tuple[Mark, ...] = ()
    # Not applied, and to be: what a squash replaces is not.
    pending: bool = False
    # Whether it is applied could be read.
    is_known: bool = True
    # Otherwise it is recorded alone.
    has_file: bool = True


def migrations_by_app(report: Mapping[str, Any], edited: Collection[Key] = ()) -> dict[str, list[Migration]]:
    """Every migration on disk, in the order of each app's graph; behind them those that are recorded
    alone."""
    facts = _Facts(report, edited)
    found: dict[str, list[Migration]] = {
        app: [facts.migration((app, entry["name"])) for entry in entries]
        for app, entries in (report.get("migrations") or {}).items()
    }
    for app, name in [*(report.get("prunable") or []), *(report.get("ghosts") or [])]:
        found.setdefault(app, []).append(facts.migration((app, name)))
    return dict(sorted(found.items()))


class _Facts:
    def __init__(self, report: Mapping[str, Any], edited: Collection[Key]) -> None:
        self.is_known = has_records(report)
        self.recorded = {(app, name): moment for app, name, moment in report.get("applied") or []}
        self.edited = set(edited)
        self.ghosts = keys(report.get("ghosts"))
        self.prunable = keys(report.get("prunable"))
        self.not_routed = keys(report.get("not_routed"))
        self.pending = {(one["app"], one["name"]) for one in report.get("plan") or []}
        self.late = {tuple(one["migration"]) for one in report.get("inconsistencies") or []}
        self.squashes = {(one["app"], one["name"]): one for one in report.get("squashes") or []}
        entries = [one for found in (report.get("migrations") or {}).values() for one in found]
        self.replaces = {(one["app"], one["name"]): one["replaces"] for one in entries if one.get("replaces")}
        # A squash that is partly applied stands in for nothing.
        partial = {key for key, squash in self.squashes.items() if squash["state"] == "partial"}
        self.replaced = {
            tuple(one) for key, found in self.replaces.items() if key not in partial for one in found
        }

    def migration(self, key: Key) -> Migration:
        moment = self.recorded.get(key)
        return Migration(
            app=key[0],
            name=key[1],
            applied_at=datetime.fromisoformat(moment) if moment else None,
            applied=key in self.recorded,
            marks=tuple(self._marks(key)),
            pending=self._is_pending(key),
            is_known=self.is_known,
            has_file=key not in self.ghosts | self.prunable,
        )

    def _is_pending(self, key: Key) -> bool:
        if not self.is_known or key in self.recorded:
            return False
        return key in self.pending or key not in self._aside()

    def _aside(self) -> set[Any]:
        return self.replaced | self.squashes.keys()

    def _marks(self, key: Key) -> Iterable[Mark]:
        if not self.is_known:
            yield Mark("unknown", "not known")
        if key in self.ghosts:
            yield Mark("ghosts", "ghost: no file")
        if key in self.prunable:
            yield Mark("noted", "replaced: no file")
        elif key in self.replaced:
            yield Mark("noted", "replaced by a squash")
        if key in self.edited:
            yield Mark("edited", "edited")
        if key in self.late:
            yield Mark("inconsistent", "before its dependency")
        if key in self.replaces:
            yield Mark("noted", self._squash(key))
        if key in self.not_routed:
            yield Mark("noted", "not routed here")

    def _squash(self, key: Key) -> str:
        state = (self.squashes.get(key) or {}).get("state")
        if state == "partial":
            return "squash, partly applied"
        return "squash, not recorded" if state == "unrecorded" else f"squash of {len(self.replaces[key])}"


def keys(found: Any) -> set[Key]:
    return {(app, name) for app, name in found or []}
