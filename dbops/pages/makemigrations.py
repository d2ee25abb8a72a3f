"""The page before makemigrations writes: the files as the latest inspection saw them, and why it may not."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from dbops.inspection.knowledge import latest_done
from dbops.models import Inspection, Job, Target, TargetDatabase
from dbops.rights import Rights, Role
from dbops.serving import Service, services
from dbops.writing import why_not

# Without a person Django ends there.
UNANSWERABLE = ("not_null_addition", "auto_now_add_addition")
NOTHING = "Every change of its models has a migration: there is nothing to write."
NO_CONFLICT = "No app has more than one newest migration: there is nothing to merge."
CONFLICT = (
    "Its migrations are in conflict: makemigrations writes nothing before they are merged. Merge them first."
)
ASKS = (
    "Django would ask which value the existing rows get, and nobody could answer it here. Give the field a "
    "default, let it be null, or run makemigrations by hand."
)


@dataclass(frozen=True)
class Coming:
    """A file that would be new."""

    name: str
    source: str
    operations: tuple[str, ...] = ()


@dataclass(frozen=True)
class MakeMigrationsPage:
    target: Target
    merge: bool
    inspection: Inspection | None
    database: TargetDatabase | None
    active: Job | None
    # Its queue where nobody serves that.
    unserved: Service | None
    role: Role

    @property
    def report(self) -> Mapping[str, Any]:
        return (self.inspection.report or {}) if self.inspection else {}

    @property
    def inspected_at(self) -> datetime | None:
        return self.inspection.started_at if self.inspection else None

    @property
    def title(self) -> str:
        return "Merge migrations" if self.merge else "Make migrations"

    @property
    def unmade(self) -> Mapping[str, Any]:
        return self.report.get("unmade") or {}

    @property
    def merges(self) -> Mapping[str, Mapping[str, Any]]:
        return self.report.get("merges") or {}

    @property
    def expected(self) -> str:
        """The fingerprint of what is shown; "" where nothing would be written."""
        previews = self.report.get("previews") or {}
        return str(previews.get("merges" if self.merge else "unmade") or "")

    @cached_property
    def files(self) -> list[Coming]:
        if self.merge:
            return [
                Coming(str(one["file"]), str(one["source"]), (f"merges {' and '.join(one['leaves'])}",))
                for one in self.merges.values()
                if one.get("source")
            ]
        return [
            Coming(f"{one['app']}.{one['name']}", str(one["source"]), tuple(one["operations"]))
            for one in self.unmade.get("migrations") or []
        ]

    @property
    def questions(self) -> list[str]:
        """What Django would ask a person, and how it goes on without one."""
        return [] if self.merge else [str(one["words"]) for one in self.unmade.get("questions") or []]

    @property
    def words(self) -> str:
        """Of the project's own makemigrations, where it did not come to an end."""
        return "" if self.merge or self.files else str(self.unmade.get("words") or "")

    @property
    def traceback(self) -> str:
        return "" if self.merge else str(self.unmade.get("traceback") or "")

    @property
    def refused(self) -> str:
        """Why nothing is offered, as a sentence; "" where it is."""
        if not self.unless and self.active:
            return f"Job {self.active.pk} writes to its tree at this moment."
        return self.unless

    @property
    def unless(self) -> str:
        """Why nothing can be written; not that a job is at work: a form sent twice leads to that."""
        if why := why_not(self.target):
            return why
        if self.database is None:
            return f"No database of {self.target.name} is known, by which a job is called."
        if why := self._merge_refused() if self.merge else self._make_refused():
            return why
        return "" if self.expected else "The latest inspection did not look at that: inspect the target."

    def _merge_refused(self) -> str:
        problem = next((str(one["problem"]) for one in self.merges.values() if one.get("problem")), "")
        if problem:
            return f"makemigrations --merge cannot: {problem}"
        return "" if self.files else NO_CONFLICT

    def _make_refused(self) -> str:
        if self.merges:
            return CONFLICT
        state = self.unmade.get("state")
        if state == "none":
            return NOTHING
        if state in ("refused", "failed"):
            return f"The project's own makemigrations {state}; what it said stands below."
        kinds = {one["kind"] for one in self.unmade.get("questions") or []}
        return ASKS if kinds & set(UNANSWERABLE) else ""


def makemigrations_page(rights: Rights, target: Target, *, merge: bool) -> MakeMigrationsPage:
    databases = list(target.databases.filter(in_settings=True).select_related("target"))
    default = next((one for one in databases if one.alias == "default"), None)
    return MakeMigrationsPage(
        target=target,
        merge=merge,
        inspection=latest_done(target),
        database=default or next(iter(databases), None),
        active=Job.objects.active().filter(writes_tree_of=target).first(),
        unserved=next((one for one in services([target.queue]).values() if one.nobody), None),
        role=rights.on(target.pk),
    )
