"""What a fast refresh compares with: of a target's latest complete inspection the little that tells whether
it holds still. Kept in the process, so that a report is read once."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F

from dbops.inspection.fresh import digest_of
from dbops.inspection.sources import moment_of
from dbops.inspection.verdicts_files import broken
from dbops.inspection.verdicts_reach import has_records
from dbops.models import Inspection

MOST = 5000


@dataclass(frozen=True)
class Alias:
    """`digest` of what was recorded. `refused`: why this database cannot be refreshed whatever is seen."""

    vendor: str
    identity: str
    user: str
    schema: str
    digest: str
    missing: bool = False
    refused: str = ""


@dataclass(frozen=True)
class Base:
    inspection_id: int
    started_at: datetime
    packages: list[dict[str, Any]]
    settings_files: list[list[Any]]
    declared: str
    revision: Any
    aliases: Mapping[str, Alias]
    refused: str = ""


_kept: OrderedDict[int, Base] = OrderedDict()


def bases_of(target_ids: Iterable[int]) -> dict[int, Base]:
    """By target; none for one whose latest inspection failed."""
    latest = Inspection.objects.filter(
        target_id__in=list(target_ids), outcome="done", started_at=F("target__inspected_at")
    )
    ids = dict(latest.order_by("id").values_list("target_id", "pk"))
    unread = [
        pk for target_id, pk in ids.items() if target_id not in _kept or _kept[target_id].inspection_id != pk
    ]
    for inspection in Inspection.objects.filter(pk__in=unread) if unread else []:
        _kept[inspection.target_id] = base_of(inspection)
        _kept.move_to_end(inspection.target_id)
    while len(_kept) > MOST:
        _kept.popitem(last=False)
    return {target_id: _kept[target_id] for target_id in ids if target_id in _kept}


def base_of(inspection: Inspection) -> Base:
    report = inspection.report or {}
    return Base(
        inspection_id=inspection.pk,
        started_at=inspection.started_at,
        packages=list(report.get("packages") or []),
        settings_files=list(report.get("settings_files") or []),
        declared=str(report.get("declared") or ""),
        revision=report.get("revision"),
        aliases={one["alias"]: _alias(one) for one in report.get("databases") or []},
        refused=_unwatched(report),
    )


def _unwatched(report: Mapping[str, Any]) -> str:
    if not all(key in report for key in ("disk", "packages", "apps", "declared", "settings_files")):
        return "its latest inspection tells nothing of its files"
    # In an archive, or compiled only.
    is_seen = all(one.get("hash") for one in report["disk"])
    return "" if is_seen else "some of its migrations are not in files that tell of a change"


def _alias(report: Mapping[str, Any]) -> Alias:
    rows = [(app, name, moment_of(moment)) for app, name, moment in report.get("applied") or []]
    return Alias(
        vendor=str(report.get("vendor") or ""),
        identity=str(report.get("identity") or ""),
        user=str(report.get("current_user") or ""),
        schema=str(report.get("schema") or ""),
        digest=digest_of(rows),
        missing=bool(report.get("missing")),
        refused=_refused(report),
    )


def _refused(report: Mapping[str, Any]) -> str:
    if report.get("own_database") or not has_records(report):
        return "its latest inspection could not read what is recorded"
    if broken(report):
        return "its migrations cannot be read"
    if not report.get("identity"):
        return "it does not tell which database it is"
    return "" if report.get("vendor") in ("postgresql", "sqlite") else "its kind is read by the target alone"
