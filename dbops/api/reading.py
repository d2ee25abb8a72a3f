"""Targets, the status of their databases, and plans: as the commands `status` and `plan` say them."""

from typing import Annotated, Any, Literal

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, JsonResponse
from ninja import Router
from pydantic import Field

from dbops.access import database_or_404, plan_or_404, target_or_404
from dbops.api.doors import ApiRequest, Reads
from dbops.api.schemas import PlanDocument, StatusDocument, TargetDocument, TargetsDocument, Text
from dbops.documents import VERSION, status_document, target_entry
from dbops.models import Target, clock
from dbops.models.status import STATES
from dbops.pages.overview import Row, rows_of
from dbops.pages.overview_query import Wanted, all_there_is, count, keys
from dbops.pages.plan import Shown, newest_plan_page, plan_page
from dbops.plan_document import plan_document

router = Router(tags=["reading"])
READS = Reads()
PAGE_SIZE, PAGE_SIZE_MOST = 50, 200
PageNumber = Annotated[int, Field(ge=1, le=1_000_000)]
PageSize = Annotated[int, Field(ge=1, le=PAGE_SIZE_MOST)]
Search = Annotated[Text, Field(max_length=100)]
Environment = Literal[("", *Target.Environment.values)]  # type: ignore[valid-type]
StateChoice = Literal[("", "trouble", *STATES)]  # type: ignore[valid-type]


@router.get("/targets", auth=READS, response=TargetsDocument)
def targets(request: ApiRequest, page: PageNumber = 1, page_size: PageSize = PAGE_SIZE) -> dict[str, Any]:
    """The targets that the token sees, by name, each with its databases and their status."""
    shown = Paginator(request.rights.targets.order_by("name"), page_size)
    found = _page(shown, page)
    return {"version": VERSION, **_at(found), "targets": _entries(request, list(found))}


@router.get("/targets/{target:name}", auth=READS, response=TargetDocument)
def target(request: ApiRequest, name: str) -> dict[str, Any]:
    """One target, with its databases and their status."""
    (entry,) = _entries(request, [target_or_404(request, name)])
    return {"version": VERSION, "target": entry}


@router.get("/status", auth=READS, response=StatusDocument)
def status(
    request: ApiRequest,
    q: Search = "",
    environment: Environment = "",
    state: StateChoice = "",
    page: PageNumber = 1,
    page_size: PageSize = PAGE_SIZE,
) -> dict[str, Any]:
    """The status of each database, the worst first, as the overview shows it. `state`: one of the states, or
    `trouble`."""
    now, wanted = clock.now(), Wanted(q=q, environment=environment, status=state)
    matching = count(request.rights, wanted, now).matching
    first = (page - 1) * page_size
    if page > 1 and first >= matching:
        raise Http404
    shown = list(keys(request.rights, wanted, now)[first : first + page_size])
    pages = max(1, -(-matching // page_size))
    at = {"page": page, "pages": pages, "count": matching}
    return {**status_document(rows_of(request.rights, shown, now)), **at}


@router.get("/targets/{target:name}/databases/{alias:alias}/plan", auth=READS, response=PlanDocument)
def newest_plan(request: ApiRequest, name: str, alias: str) -> HttpResponse:
    """What a migrate of the whole project would do, as the latest inspections saw it."""
    page = newest_plan_page(request.rights, database_or_404(request, name, alias), Shown())
    return _as_it_is(plan_document(page))


@router.get(
    "/targets/{target:name}/databases/{alias:alias}/plans/{int:plan_id}", auth=READS, response=PlanDocument
)
def plan(request: ApiRequest, name: str, alias: str, plan_id: int) -> HttpResponse:
    """One plan that was read, also of an app or to a migration. `read` is null while it is not read."""
    found = plan_or_404(database_or_404(request, name, alias), plan_id)
    return _as_it_is(plan_document(plan_page(request.rights, found, Shown())))


def _page(shown: "Paginator[Target]", number: int) -> "Page[Target]":
    if number > shown.num_pages:
        raise Http404
    return shown.page(number)


def _at(page: "Page[Target]") -> dict[str, int]:
    return {"page": page.number, "pages": page.paginator.num_pages, "count": page.paginator.count}


def _entries(request: ApiRequest, found: list[Target]) -> list[dict[str, Any]]:
    rows = _rows(request, all_there_is(request.rights).filter(pk__in=[one.pk for one in found]))
    of = {one.pk: [row for row in rows if row.target.pk == one.pk] for one in found}
    return [target_entry(one, of[one.pk], request.rights.on(one.pk).word) for one in found]


def _rows(request: ApiRequest, wanted: QuerySet[Any, Any]) -> list[Row]:
    shown = list(wanted.order_by("name", "found__alias").values_list("pk", "database_pk"))
    return rows_of(request.rights, shown, clock.now())


def _as_it_is(document: dict[str, Any]) -> JsonResponse:
    """Some have megabytes, which need no second look at each of their parts."""
    return JsonResponse(document)
