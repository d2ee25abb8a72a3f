"""The pages of the audit trail: a list, and one event with what it changed."""

import json
from dataclasses import dataclass
from typing import Any

from dbops.models import AuditEvent, Job, Target
from dbops.pages.audit_query import Cursor, Events, Wanted, known_acts, matching, read
from dbops.rights import Rights, Role


@dataclass(frozen=True)
class AuditPage:
    wanted: Wanted
    rights: Rights
    events: Events
    acts: list[str]

    @property
    def sees_everything(self) -> bool:
        return self.rights.everywhere >= Role.SUPERUSER

    @property
    def sees_all_targets(self) -> bool:
        return self.rights.everywhere >= Role.STAFF


@dataclass(frozen=True)
class Change:
    """One value, under its dotted name; `kind`: added, removed, changed or same."""

    name: str
    before: str
    after: str
    kind: str


@dataclass(frozen=True)
class EventPage:
    event: AuditEvent
    changes: list[Change]
    # (name, value) of all that was kept beside it.
    details: list[tuple[str, str]]
    # Of today: what there is no more has no page.
    has_job: bool
    target: Target | None

    @property
    def same(self) -> int:
        return sum(change.kind == "same" for change in self.changes)


def audit_page(
    wanted: Wanted, rights: Rights, size: int, before: Cursor | None, after: Cursor | None
) -> AuditPage:
    return AuditPage(wanted, rights, read(matching(wanted, rights), size, before, after), known_acts())


def event_page(event: AuditEvent) -> EventPage:
    return EventPage(
        event,
        changes_of(event.before, event.after),
        sorted(flat(event.details).items()),
        event.job_id is not None and Job.objects.filter(pk=event.job_id).exists(),
        Target.objects.filter(pk=event.target_id).first() if event.target_id else None,
    )


def changes_of(before: Any, after: Any) -> list[Change]:
    """Nothing where neither was kept."""
    was, now = flat(before), flat(after)
    return [_change(name, was.get(name), now.get(name)) for name in {**was, **now}]


def _change(name: str, was: str | None, now: str | None) -> Change:
    if was is None or now is None:
        return Change(name, was or "", now or "", "added" if was is None else "removed")
    return Change(name, was, now, "same" if was == now else "changed")


def flat(value: Any, name: str = "") -> dict[str, str]:
    """{"a": {"b": 1}} -> {"a.b": "1"}; a list is a value of several lines."""
    if isinstance(value, dict):
        return {
            key: text
            for inner, each in value.items()
            for key, text in flat(each, f"{name}.{inner}" if name else str(inner)).items()
        }
    return {} if value is None and not name else {name: in_words(value)}


def in_words(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(in_words, value)) if value else "(none)"
    if value is None:
        return "(not known)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value) or "(empty)"
