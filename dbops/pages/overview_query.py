"""The overview's question to the database: a row a database, and one for a target without any.

Everything is decided there, by the columns `states` beside the statuses: which rows match, in which order,
how many there are of each state. What a row shows is judged by the same moment, so it never contradicts its
place or a filter.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import (
    BooleanField,
    Case,
    Count,
    DateTimeField,
    ExpressionWrapper,
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
from dbops.models.status import STATES
from dbops.rights import Rights

# Of equally bad ones, what hurts most comes first.
ENVIRONMENTS = ("production", "staging", "development")
# All that is worse than something to apply, and known.
TROUBLE = [state for state in STATES[: STATES.index("pending")] if state != "unknown"]
SORTS = ("status", "name", "environment", "pending", "inspected")


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


def all_there_is(rights: Rights) -> QuerySet[Any, Any]:
    """For this person. Each with its target's pk, `database_pk` (None where no database is known), `seen`
    (the states that were found) and `seen_at`."""
    bare = Q(found__isnull=True)
    return rights.targets.annotate(
        found=FilteredRelation("databases", condition=Q(databases__in_settings=True)),
    ).annotate(
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


def states_of(status: str) -> list[str]:
    """What a choice of the filter stands for."""
    return TROUBLE if status == "trouble" else [status] if status else []


def count(rights: Rights, wanted: Wanted, now: datetime) -> Counts:
    """All that the page counts, in one reading: how many rows there are of each combination."""
    searched = ExpressionWrapper(where(wanted) or Q(pk__isnull=False), BooleanField())
    age = Case(
        When(seen_at=None, then=Value("never")),
        When(seen_at__lte=stale_since(now), then=Value("stale")),
        default=Value("fresh"),
    )
    every = all_there_is(rights).annotate(searched=searched, age=age)
    kinds = every.order_by().values("searched", "age", "seen")
    return _sum(list(kinds.annotate(rows=Count("pk"))), wanted)


def _sum(kinds: list[dict[str, Any]], wanted: Wanted) -> Counts:
    chosen = set(states_of(wanted.status))
    counts = Counter[str]()
    matching = 0
    for kind in kinds:
        if kind["searched"]:
            states = _shown(kind["age"], kind["seen"])
            counts.update(dict.fromkeys(states, kind["rows"]))
            matching += kind["rows"] if not chosen or states & chosen else 0
    return Counts(sum(kind["rows"] for kind in kinds), matching, {state: counts[state] for state in STATES})


def _shown(age: str, seen: list[str]) -> set[str]:
    """As dbops.inspection.knowledge says it."""
    if age == "never":
        return {"unknown"}
    return {*seen, "unknown"} if age == "stale" else set(seen)


def keys(rights: Rights, wanted: Wanted, now: datetime) -> QuerySet[Any, Any]:
    """(target's pk, database's pk or None) of all that match, in order; to be sliced."""
    of_status = Q()
    for state in states_of(wanted.status):
        of_status |= has(state, now)
    matching = all_there_is(rights).filter(where(wanted) & of_status)
    return matching.order_by(*order(wanted.sort, now)).values_list("pk", "database_pk")


def order(sort: str, now: datetime) -> list[Any]:
    """Never inspected is the oldest there is; behind what is asked for, the worst first."""
    by, downwards = sort.removeprefix("-"), sort.startswith("-")
    first: Any = {
        "status": badness(now),
        "name": Lower(Coalesce(NullIf("label", Value("")), "name")),
        "environment": environment_place(),
        "pending": pending(now),
        "inspected": F("seen_at"),
    }[by]
    if by == "pending":
        # What one looks for there is the most.
        downwards = not downwards
    chosen = first.desc(nulls_last=True) if downwards else first.asc(nulls_first=True)
    worst_next = [badness(now)] if by != "status" else []
    return [chosen, *worst_next, environment_place(), "name", "found__alias", "pk"]


def badness(now: datetime) -> Case:
    """The place of its worst state in STATES; 0 is the worst. What is old is at least unknown."""
    unknown = Value(STATES.index("unknown"))
    worst = Case(
        *[When(seen__0=state, then=Value(place)) for place, state in enumerate(STATES)],
        default=unknown,
        output_field=IntegerField(),
    )
    return Case(
        When(seen_at=None, then=unknown),
        When(seen_at__lte=stale_since(now), then=Least(worst, unknown)),
        default=worst,
        output_field=IntegerField(),
    )


def pending(now: datetime) -> Case:
    return Case(
        When(has("pending", now), then=F("found__pending_count")),
        default=Value(0),
        output_field=IntegerField(),
    )


def environment_place() -> Case:
    return Case(
        *[When(environment=name, then=Value(place)) for place, name in enumerate(ENVIRONMENTS)],
        output_field=IntegerField(),
    )
