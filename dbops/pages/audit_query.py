"""Which events of the audit trail somebody asks for, and may see; read by keys, newest first."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from dbops.models import AuditEvent
from dbops.rights import Rights, Role

# As a URL and a command may ask for.
SIZE_MOST = 500
CHUNK = 1000
JSON = ("details", "before", "after")
LAST_DAY = date(9999, 12, 30)
CURSOR = re.compile(r"(\d{1,16})\.(\d{1,18})", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Each distinct act by one look into the index, however many events there are.
ACTS = """
WITH RECURSIVE known AS (
    (SELECT act FROM dbops_auditevent ORDER BY act LIMIT 1)
    UNION ALL
    SELECT (SELECT act FROM dbops_auditevent WHERE act > known.act ORDER BY act LIMIT 1)
    FROM known WHERE known.act IS NOT NULL
)
SELECT act FROM known WHERE act IS NOT NULL
"""


def seen_by(rights: Rights) -> Q:
    """Of the targets where this person is staff; what belongs to none is shown to superusers."""
    if rights.everywhere >= Role.SUPERUSER:
        return Q()
    return Q(target_id__isnull=False) & rights.within("target_id", Role.STAFF)


def may_be_told(rights: Rights) -> Q:
    """That there is such an event: also to those who see its target and are not staff there."""
    seen = [target_id for target_id, role in rights.there if role >= Role.VIEWER]
    where = seen_by(rights)
    return where | Q(target_id__in=seen) if where and seen else where


@dataclass(frozen=True)
class Wanted:
    """Filters. `act` is one, or the beginning of several ("job.migrate" is job.migrate.end too); `target` a
    target, or TARGET/ALIAS; `since` and `until` are days, both included; `q` words of reason and details."""

    q: str = ""
    who: str = ""
    act: str = ""
    target: str = ""
    job: int | None = None
    outcome: str = ""
    since: date | None = None
    until: date | None = None

    @property
    def is_filtered(self) -> bool:
        return self != Wanted()

    def document(self) -> dict[str, Any]:
        """What was asked for, for the audit event of an export."""
        told = {name: str(value) for name, value in vars(self).items() if value}
        return dict(sorted(told.items()))


@dataclass(frozen=True)
class Cursor:
    """Between two events."""

    at: datetime
    id: int

    def __str__(self) -> str:
        return f"{(self.at - EPOCH) // timedelta(microseconds=1)}.{self.id}"

    @classmethod
    def of(cls, event: AuditEvent) -> "Cursor":
        return cls(event.at, event.pk)

    @classmethod
    def parse(cls, text: str) -> "Cursor | None":
        found = CURSOR.fullmatch(text)
        return cls(EPOCH + timedelta(microseconds=int(found[1])), int(found[2])) if found else None

    # The first half alone bounds the index.
    @property
    def older(self) -> Q:
        return Q(at__lte=self.at) & (Q(at__lt=self.at) | Q(pk__lt=self.id))

    @property
    def newer(self) -> Q:
        return Q(at__gte=self.at) & (Q(at__gt=self.at) | Q(pk__gt=self.id))


def matching(wanted: Wanted, rights: Rights) -> QuerySet[AuditEvent]:
    found = AuditEvent.objects.filter(seen_by(rights), _exactly(wanted), _between(wanted)).order_by(
        "-at", "-id"
    )
    if words := wanted.q.split():
        found = found.alias(**{f"{name}_text": Cast(name, TextField()) for name in JSON})
    for word in words:
        found = found.filter(_holds(word))
    return found


def _exactly(wanted: Wanted) -> Q:
    where = Q()
    if wanted.who:
        # Also what they did by a token, or what was done as them from a shell.
        # Asked first: two indexes are used together only for values that are known.
        ids = list(User.objects.filter(username=wanted.who).values_list("pk", flat=True))
        where &= Q(actor=wanted.who) | Q(actor_id__in=ids)
    if wanted.act:
        where &= Q(act__in=[act for act in known_acts() if f"{act}.".startswith(f"{wanted.act}.")])
    if wanted.target:
        where &= Q(target=wanted.target) | Q(target__startswith=f"{wanted.target}/")
    if wanted.job is not None:
        where &= Q(job_id=wanted.job)
    return where & Q(outcome=wanted.outcome) if wanted.outcome else where


def _between(wanted: Wanted) -> Q:
    where = Q()
    if wanted.since:
        where &= Q(at__gte=_midnight(wanted.since))
    if wanted.until:
        where &= Q(at__lt=_midnight(min(wanted.until, LAST_DAY)) + timedelta(days=1))
    return where


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _holds(word: str) -> Q:
    where = Q(reason__icontains=word)
    for name in JSON:
        where |= Q(**{f"{name}_text__icontains": word})
    return where


def known_acts() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(ACTS)
        return [act for (act,) in cursor.fetchall()]


@dataclass(frozen=True)
class Events:
    """Newest first. `older`, `newer`: where the next and the previous ones begin; "" where there are none."""

    rows: list[AuditEvent]
    older: str
    newer: str


def read(found: QuerySet[AuditEvent], size: int, before: Cursor | None, after: Cursor | None) -> Events:
    """`size` of those behind `before`, or in front of `after`, or the newest."""
    size = max(1, min(size, SIZE_MOST))
    if after is not None:
        some = list(found.filter(after.newer).order_by("at", "id")[: size + 1])
        rows = some[:size][::-1]
        return _events(rows, has_older=bool(rows), has_newer=len(some) > size)
    some = list((found.filter(before.older) if before else found)[: size + 1])
    return _events(some[:size], has_older=len(some) > size, has_newer=before is not None)


def _events(rows: list[AuditEvent], *, has_older: bool, has_newer: bool) -> Events:
    older = str(Cursor.of(rows[-1])) if rows and has_older else ""
    return Events(rows, older, str(Cursor.of(rows[0])) if rows and has_newer else "")


def chunk(wanted: Wanted, rights: Rights, behind: Cursor) -> list[AuditEvent]:
    """The next CHUNK behind it; nothing is held between two of them."""
    return list(matching(wanted, rights).filter(behind.older)[:CHUNK])


def chunks(wanted: Wanted, rights: Rights, behind: Cursor, most: int) -> Iterator[list[AuditEvent]]:
    while most > 0 and (some := chunk(wanted, rights, behind)[:most]):
        yield some
        most -= len(some)
        behind = Cursor.of(some[-1])
