"""Events of the audit trail as lines of a file: CSV for spreadsheets, JSON lines for programs."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from dbops.models import AuditEvent

MOST = 1_000_000
COLUMNS = (
    "id", "at", "actor", "actor_id", "address", "act", "outcome", "target", "job_id", "reason",
    "details", "before", "after",
)  # fmt: skip
# What a spreadsheet takes for the beginning of a formula, also in full width.
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}


def document_of(event: AuditEvent) -> dict[str, Any]:
    told = {name: getattr(event, name) for name in COLUMNS if name != "at"}
    return {"id": event.pk, "at": event.at.isoformat(), **told}


def head(kind: str) -> str:
    return _row(COLUMNS) if kind == "csv" else ""


def lines(kind: str, events: Iterable[AuditEvent]) -> str:
    return "".join(_line(kind, event) for event in events)


def last_words(kind: str, sentence: str) -> str:
    """Why there is no more in the file, where that is not all there is."""
    if kind == "csv":
        return _row([f"opsdash: {sentence}"])
    return json.dumps({"opsdash": sentence}) + "\n"


def _line(kind: str, event: AuditEvent) -> str:
    document = document_of(event)
    if kind == "csv":
        return _row([_cell(document[name]) for name in COLUMNS])
    return json.dumps(document, ensure_ascii=False) + "\n"


def _row(cells: Iterable[str]) -> str:
    """Every cell in quotes: none becomes two for a reader that separates by semicolons."""
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return line.getvalue()


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(FORMULA) else text
