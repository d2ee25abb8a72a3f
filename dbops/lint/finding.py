"""A finding: one danger of one migration, with the lock it takes and the safe way, and their fixed order."""

from collections.abc import Iterable
from dataclasses import dataclass

DANGER, WARNING, NOTICE = "danger", "warning", "notice"
SEVERITIES = (DANGER, WARNING, NOTICE)


@dataclass(frozen=True)
class Recipe:
    """The safe way: words, and code to paste ("" where there is none)."""

    words: str
    code: str = ""
    # What the code is written in: "python" or "sql".
    language: str = "python"

    def __bool__(self) -> bool:
        return bool(self.words or self.code)


NO_RECIPE = Recipe("")


@dataclass(frozen=True)
class Finding:
    """Text is hostile (names of the target's own): templates escape it."""

    # Stable: tests, settings and documents name it, "drop-column".
    rule: str
    severity: str
    # A few words: "Data loss".
    title: str
    # "orders_order.total", the name of an index, or "" where the whole migration is meant.
    subject: str
    # A sentence.
    reason: str
    # Its name and what it blocks: "ACCESS EXCLUSIVE on orders_order: blocks reads and writes"; "" for none.
    lock: str = ""
    recipe: Recipe = NO_RECIPE
    # Its place among the migration's operations as its file has them; None: the whole migration is meant.
    operation: int | None = None

    @property
    def icon(self) -> str:
        """The symbol in templates/_icons.html."""
        return f"icon-{self.severity}"


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first; then as the migration goes; nothing twice."""
    return sorted(dict.fromkeys(findings), key=_place)


def _place(finding: Finding) -> tuple[int, int, str, str]:
    position = -1 if finding.operation is None else finding.operation
    return SEVERITIES.index(finding.severity), position, finding.rule, finding.subject


def worst(findings: Iterable[Finding]) -> str:
    """The worst severity, or "" where nothing was found."""
    found = {finding.severity for finding in findings}
    return next((severity for severity in SEVERITIES if severity in found), "")


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """{severity: how many}, the worst first; severities that were not found are left out."""
    given = [finding.severity for finding in findings]
    return {severity: given.count(severity) for severity in SEVERITIES if severity in given}


def titles(findings: Iterable[Finding]) -> list[str]:
    """Each title once, the worst first: a line about a migration, "Data loss, Table rewrite"."""
    return list(dict.fromkeys(finding.title for finding in in_order(findings)))
