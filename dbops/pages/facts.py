"""What a job keeps of where it worked and what it met, in words for its pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.template.defaultfilters import filesizeformat

from dbops.models import Job

NOT_KNOWN = "not known"
NO_REACH = "not reachable from the worker"
# As the versions are kept: as people call them.
NAMES = (("opsdash", "opsdash"), ("python", "Python"), ("django", "Django"), ("server_version", "server"))
VENDORS = {"postgresql": "Postgres", "sqlite": "SQLite", "mysql": "MySQL", "oracle": "Oracle"}
Pairs = list[list[str]]


@dataclass(frozen=True)
class Revision:
    """`commit` is "" where `why` says why it is not known."""

    commit: str
    branch: str
    tree: str
    why: str

    @property
    def short(self) -> str:
        return self.commit[:12]

    @property
    def words(self) -> str:
        if not self.commit:
            return f"{NOT_KNOWN}: {self.why}"
        return f"{self.short} {f'on {self.branch}' if self.branch else '(no branch is checked out)'}"


def revision_in(facts: Mapping[str, Any]) -> Revision:
    """Of a job's facts, or an inspection's report."""
    if "revision" not in facts:
        return Revision("", "", "", "nobody looked")
    found = facts["revision"]
    if not found:
        return Revision("", "", "", NO_REACH)
    parts = {name: str(found.get(name) or "") for name in ("commit", "branch", "tree")}
    return Revision(**parts, why=str(found.get("unknown") or ""))


@dataclass(frozen=True)
class JobFacts:
    job: Job

    @property
    def has_begun(self) -> bool:
        """The agent told where it works."""
        return "versions" in self.job.facts

    @property
    def versions(self) -> list[tuple[str, str]]:
        """(of what, which)"""
        told = self.job.facts.get("versions") or {}
        vendor = VENDORS.get(told.get("vendor") or "", "Server")
        # What writes to the tree does not ask the server.
        names = NAMES[:-1] if self.job.writes_tree_of_id else NAMES
        return [
            (vendor if name == "server_version" else label, told.get(name) or NOT_KNOWN)
            for name, label in names
        ]

    @property
    def revision(self) -> Revision:
        return revision_in(self.job.facts)

    @property
    def size_before(self) -> str:
        return size_words(self.job.facts.get("size_before"))

    @property
    def size_after(self) -> str:
        return size_words(self.job.facts.get("size_after"))

    @property
    def size_difference(self) -> str:
        before, after = self.job.facts.get("size_before"), self.job.facts.get("size_after")
        if before is None or after is None:
            return ""
        return (
            "no difference" if after == before else f"{'+' if after > before else ''}{spaced(after - before)}"
        )

    @property
    def plan_before(self) -> Pairs | None:
        return plan_in(self.job, "before")

    @property
    def plan_after(self) -> Pairs | None:
        return plan_in(self.job, "after")


def plan_in(job: Job, when: str) -> Pairs | None:
    """[[app, name]] that was left to apply as an inspection saw it; None where none told."""
    found = (job.facts.get(when) or {}).get("plan")
    return None if found is None else [list(pair) for pair in found]


def size_words(size: int | None) -> str:
    return NOT_KNOWN if size is None else spaced(size)


def spaced(size: int) -> str:
    """With a blank that may break, and that a plain search finds."""
    return str(filesizeformat(size)).replace("\xa0", " ").replace("KB", "kB")
