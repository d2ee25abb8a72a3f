"""The overview's question to the database: a row a database, and one for a target without any.

Everything is decided there, by the columns `states` beside the statuses: which rows match, in which order,
how many there are of each state. What a row shows is judged by the same moment, so it never contradicts its
place or a filter.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import (
    Case,
    Count,
    DateTimeField,
    F,
    FilteredRelation,
    IntegerField,
    JSONField,
    Q,
    QuerySet,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Least, Lower, NullIf

from dbops.inspection.knowledge import stale_since
from dbops.models import Target
from dbops.models.status import STATES

# Of equally bad ones, what hurts most comes first.
ENVIRONMENTS = ("production", "staging", "development")
# All that is worse than something to apply, and known.
TROUBLE = [state for state in STATES[: STATES.index("pending")] if state != "unknown"]
SORTS = ("status", "name", "environment", "pending", "inspected")
LAST: tuple[str, ...] = ("environment_place", "name", "found__alias", "pk")


@dataclass(frozen=True)
class Wanted:
    """What the URL asks for. `sort`: one of SORTS, with a "-" before it for the other way round."""

    q: str = ""
    environment: str = ""
    status: str = ""
    sort: str = "status"
    page: int = 1

    @property
    def is_filtered(self) -> bool:
        return bool(self.q or self.environment or self.status)


@dataclass(frozen=True)
class Counts:
    total: int
    matching: int
    # How many match search and environment, by state; a row with several counts in each.
    by_state: dict[str, int]


def rows_at(now: datetime) -> QuerySet[Any, Any]:
    """Each with its target's pk, `database_pk` (None where no database is known) and what is judged `now`."""
    bare = Q(found__isnull=True)
    limit = stale_since(now)
    return (
        Target.objects.annotate(
            found=FilteredRelation("databases", condition=Q(databases__in_settings=True)),
        )
        .annotate(
            database_pk=F("found__pk"),
            # By way of `found` itself: a filter on found__name would join the databases once more.
            database_name=F("found__name"),
            seen_at=Case(
                When(bare, then=F("inspected_at")),
                default=F("found__inspected_at"),
                output_field=DateTimeField(),
            ),
            seen=Case(
                When(bare & Q(states=[]), then=Value(["broken"], JSONField())),
                When(bare, then=F("states")),
                default=F("found__states"),
                output_field=JSONField(),
            ),
        )
        .annotate(
            badness=_badness(limit),
            pending=Case(
                When(has("pending", now), then=F("found__pending_count")),
                default=Value(0),
                output_field=IntegerField(),
            ),
            environment_place=Case(
                *[When(environment=name, then=Value(place)) for place, name in enumerate(ENVIRONMENTS)],
                output_field=IntegerField(),
            ),
            title_place=Lower(Coalesce(NullIf("label", Value("")), "name")),
        )
    )


def _badness(limit: datetime) -> Case:
    """The place of its worst state in STATES; 0 is the worst. What is old is at least unknown."""
    unknown = Value(STATES.index("unknown"))
    worst = Case(
        *[When(seen__0=state, then=Value(place)) for place, state in enumerate(STATES)],
        default=unknown,
        output_field=IntegerField(),
    )
    return Case(
        When(seen_at=None, then=unknown),
        When(seen_at__lte=limit, then=Least(worst, unknown)),
        default=worst,
        output_field=IntegerField(),
    )


def has(state: str, now: datetime) -> Q:
    """The rows that show this state; never inspected ones show `unknown` alone."""
    found = Q(seen_at__isnull=False, seen__contains=[state])
    if state != "unknown":
        return found
    return found | Q(seen_at=None) | Q(seen_at__lte=stale_since(now))


def where(wanted: Wanted) -> Q:
    """Search and environment."""
    matches = Q(environment=wanted.environment) if wanted.environment else Q()
    for word in wanted.q.split():
        matches &= Q(name__icontains=word) | Q(label__icontains=word) | Q(database_name__icontains=word)
    return matches


def of_status(status: str, now: datetime) -> Q:
    matches = Q()
    for state in TROUBLE if status == "trouble" else [status] if status else []:
        matches |= has(state, now)
    return matches


def count(wanted: Wanted, now: datetime) -> Counts:
    """All that the page counts, in one reading."""
    rows, searched = rows_at(now), where(wanted)
    counted = rows.aggregate(
        total_rows=Count("pk"),
        matching_rows=Count("pk", filter=Q(pk__isnull=False) & searched & of_status(wanted.status, now)),
        **{f"of_{state}": Count("pk", filter=searched & has(state, now)) for state in STATES},
    )
    by_state = {state: counted[f"of_{state}"] for state in STATES}
    return Counts(counted["total_rows"], counted["matching_rows"], by_state)


def keys(wanted: Wanted, now: datetime) -> QuerySet[Any, Any]:
    """(target's pk, database's pk or None) of all that match, in order; to be sliced."""
    matching = rows_at(now).filter(where(wanted) & of_status(wanted.status, now))
    return matching.order_by(*order(wanted.sort)).values_list("pk", "database_pk")


def order(sort: str) -> list[Any]:
    by, downwards = sort.removeprefix("-"), sort.startswith("-")
    column = F({"status": "badness", "name": "title_place", "environment": "environment_place",
                "inspected": "seen_at"}.get(by, by))  # fmt: skip
    if by == "pending":
        # What one looks for there is the most.
        downwards = not downwards
    # Never inspected is the oldest there is.
    first = column.desc(nulls_last=True) if downwards else column.asc(nulls_first=True)
    worst_next = [] if by == "status" else ["badness"]
    return [first, *worst_next, *LAST]
