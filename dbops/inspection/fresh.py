"""What a fast refresh found otherwise than the inspection before it, laid over that inspection's report."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dbops.inspection.graph import Key, Verdicts
from dbops.models import Inspection, TargetDatabase

Row = tuple[str, str, datetime | None]
# An offset from UTC is a multiple of this.
QUARTER_MIN = 15


def digest_of(rows: Sequence[Row]) -> str:
    """Of what is recorded and when. A target without USE_TZ tells times without an offset: whole quarters of
    an hour do not count."""
    facts = [(app, name, _within_quarter(moment)) for app, name, moment in rows]
    return hashlib.sha256(repr(facts).encode(errors="surrogatepass")).hexdigest()


def _within_quarter(moment: datetime | None) -> tuple[int, int, int] | None:
    return (moment.minute % QUARTER_MIN, moment.second, moment.microsecond) if moment else None


def overlay(
    inspection_id: int, report: Mapping[str, Any], rows: Sequence[Row], found: Verdicts, *, missing: bool
) -> dict[str, Any]:
    """The keys of a database's report that follow from what is recorded, as the agent would tell them."""
    rows = [(app, name, as_told(moment, report)) for app, name, moment in rows]
    recorded = {(app, name): moment for app, name, moment in rows}
    return {
        "inspection": inspection_id,
        "digest": digest_of(rows),
        "applied": [[app, name, iso(moment)] for app, name, moment in rows],
        "plan": [{"app": app, "name": name} for app, name in found.plan],
        "conflicts": found.conflicts,
        "errors": [],
        "ghosts": [list(key) for key in found.ghosts],
        "prunable": [list(key) for key in found.prunable],
        "inconsistencies": [_inconsistency(*pair, recorded) for pair in found.inconsistencies],
        "squashes": found.squashes,
        "not_routed": [key for key in report.get("not_routed") or [] if tuple(key) in recorded],
        "missing": missing,
    }


def _inconsistency(key: Key, parent: Key, recorded: Mapping[Key, datetime | None]) -> dict[str, Any]:
    return {
        "migration": list(key),
        "dependency": list(parent),
        "applied_at": iso(recorded.get(key)),
        "dependency_applied_at": iso(recorded.get(parent)),
    }


def as_told(moment: datetime | None, report: Mapping[str, Any]) -> datetime | None:
    """SQLite keeps no offset: it is UTC, where the target does not tell times of its own without one."""
    told = next((text for *_, text in report.get("applied") or [] if text), "")
    has_offset = not told or datetime.fromisoformat(told).tzinfo is not None
    return moment.replace(tzinfo=UTC) if moment and has_offset and moment.tzinfo is None else moment


def iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def laid_over(report: Mapping[str, Any], fresh: Mapping[str, Any]) -> dict[str, Any]:
    return {**report, **{key: value for key, value in fresh.items() if key not in ("inspection", "digest")}}


def report_now(database: TargetDatabase, inspection: Inspection | None) -> dict[str, Any]:
    """The latest report on this database with what was refreshed since; {} where there is none."""
    report = report_of(inspection, database.alias)
    if not report or inspection is None or database.fresh.get("inspection") != inspection.pk:
        return report
    return laid_over(report, database.fresh)


def report_of(inspection: Inspection | None, alias: str) -> dict[str, Any]:
    """The part of a report on one alias; {} where there is none."""
    databases = (inspection.report or {}).get("databases", []) if inspection else []
    return next((report for report in databases if report["alias"] == alias), {})
