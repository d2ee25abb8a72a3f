"""Migrations named in a sentence, and evidence of a size that a row can carry."""

from collections.abc import Iterable, Sequence
from typing import Any

# The statuses of all databases are read for one overview.
EVIDENCE_CHARS = 20_000


def name_some(migrations: Sequence[Sequence[str]], most: int = 3) -> str:
    names = ", ".join(f"{app}.{name}" for app, name in migrations[:most])
    return f"{names} and {len(migrations) - most} more" if len(migrations) > most else names


def counted(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"


def when(moment: Any) -> str:
    """An ISO moment of a report, to the second."""
    return f"{str(moment)[:19].replace('T', ' ')}" if moment else "at an unknown time"


def evidence(lines: Iterable[str]) -> str:
    return cut("\n".join(lines))


def cut(text: str, most: int = EVIDENCE_CHARS) -> str:
    if len(text) <= most:
        return text
    return f"{text[:most]}\n... cut here; {len(text) - most} more characters."
