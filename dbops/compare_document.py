"""The JSON document of `manage.py compare`, described in docs/shell.md."""

from typing import Any

from dbops.documents import VERSION, status_entry, when
from dbops.inspection.compare import Difference
from dbops.inspection.schema_diff import as_text
from dbops.pages.compare import ComparePage, Side


def compare_document(page: ComparePage) -> dict[str, Any]:
    one, other = page.sides or (None, None)
    found = page.comparison
    return {
        "version": VERSION,
        "a": _compared(one) if one else None,
        "b": _compared(other) if other else None,
        "migrations": [_difference(each) for each in found.differences] if found else None,
        "total": found.total if found else None,
        "schema": {
            "summary": page.diff.summary,
            "diff": as_text(page.diff),
            "vendors": page.vendors,
        }
        if page.diff is not None
        else None,
    }


def _compared(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "vendor": side.database.vendor or None,
        "statuses": [status_entry(status) for status in side.statuses],
        "reported_at": when(side.reported_at),
        "schema_read_at": when(side.schema.read_at) if side.schema else None,
        "schema_failed": side.failed.error_sentence if side.failed else None,
        "doubts": [*side.doubts, *side.schema_doubts],
    }


def _difference(each: Difference) -> dict[str, Any]:
    sides = {"one": "a", "other": "b", "": None}
    return {
        "app": each.app,
        "name": each.name,
        "a": each.one,
        "b": each.other,
        "applied_only_in": sides[each.recorded_on],
        "file_only_in": sides[each.file_on],
        "source_differs": each.is_edited,
    }
