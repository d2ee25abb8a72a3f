"""Jobs: listed, looked at, asked for, asked to stop. What may begin is decided by dbops.launch."""

import uuid
from typing import Annotated, Any, Literal

from django.db.models import Q
from django.http import HttpResponse
from django.urls import reverse
from ninja import Header, Router, Status
from pydantic import Field

from dbops import launch
from dbops.access import actor_of, database_or_404, job_or_404
from dbops.api.doors import ApiRequest, Cancels, Starts
from dbops.api.problems import UNKNOWN, Problem, key_reused
from dbops.api.reading import PAGE_SIZE, READS, PageSize
from dbops.api.schemas import Cancel, CancelDocument, JobDocument, JobsDocument, Start, Text
from dbops.documents import VERSION, job_document, job_entry
from dbops.inspection.knowledge import latest_done, report_now
from dbops.models import Job, TargetDatabase
from dbops.models.job import ACTIVE, FINAL
from dbops.pages.plan import known_migrations
from dbops.redaction import without_tokens

router = Router(tags=["jobs"])
# Keys of the API are told from those of forms, and those of one owner from another's.
KEYS = uuid.UUID("0d0f5a43-5d3c-4a2c-9a1e-6f7f0a7c1f2b")
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=8, max_length=200, pattern=r"^[!-~]+$")]
Name = Annotated[Text, Field(max_length=255)]
StateChoice = Literal[("", "active", *ACTIVE, *FINAL)]  # type: ignore[valid-type]
WITHOUT_REASON = Cancel()
JobId = Annotated[int, Field(ge=1, le=2**63 - 1)]


@router.get("/jobs", auth=READS, response=JobsDocument)
def jobs(
    request: ApiRequest,
    target: Name = "",
    alias: Name = "",
    state: StateChoice = "",
    before: JobId | None = None,
    limit: PageSize = PAGE_SIZE,
) -> dict[str, Any]:
    """The jobs that the token sees, the latest first. `state`: one of the states, or `active`."""
    found = Job.objects.filter(
        request.rights.within("database__target_id"), _chosen(target, alias, state, before)
    )
    some = list(found.select_related("database__target").order_by("-id")[: limit + 1])
    shown, more = some[:limit], some[limit:]
    return {
        "version": VERSION,
        "jobs": [job_entry(job) for job in shown],
        "next": shown[-1].pk if more else None,
    }


def _chosen(target: str, alias: str, state: str, before: int | None) -> Q:
    chosen = Q(database__target__name=target) if target else Q()
    if alias:
        chosen &= Q(database__alias=alias)
    if state:
        chosen &= Q(state__in=ACTIVE if state == "active" else [state])
    return chosen & Q(pk__lt=before) if before else chosen


@router.get("/jobs/{int:job_id}", auth=READS, response=JobDocument)
def job(request: ApiRequest, job_id: int) -> dict[str, Any]:
    """One job with its steps and facts."""
    return job_document(job_or_404(request, job_id))


@router.post(
    "/targets/{target:name}/databases/{alias:alias}/jobs",
    auth=Starts(),
    response={200: JobDocument, 201: JobDocument},
)
def start(
    request: ApiRequest, response: HttpResponse, name: str, alias: str, body: Start, key: Key
) -> Status[dict[str, Any]]:
    """Ask for a migrate job: 201. The same key with the same body answers with the same job, however often it
    is sent and whatever has changed since: 200. Where another job changes this database: 409."""
    database, own = database_or_404(request, name, alias), own_key(request, key)
    sent = launch.sent_before(database, body.operation, body.arguments, actor_of(request), key=own)
    started = sent or _start(request, database, body, own)
    # What has the shape of a secret is not kept of it.
    if started.job.reason != without_tokens(body.reason):
        raise key_reused()
    response["Location"] = reverse("api:job", args=[started.job.pk])
    return Status(201 if started.new else 200, job_document(started.job))


def own_key(request: ApiRequest, key: str) -> uuid.UUID:
    return uuid.uuid5(KEYS, f"{request.user.pk}:{key}")


def _start(request: ApiRequest, database: TargetDatabase, body: Start, own: uuid.UUID) -> launch.Started:
    _check_known(database, body)
    return launch.start(
        database, body.operation, body.arguments, actor_of(request), key=own, reason=body.reason
    )


def _check_known(database: TargetDatabase, body: Start) -> None:
    """Against what the latest inspection saw, as the command does; no free text reaches a command line."""
    known = known_migrations(report_now(database, latest_done(database.target)))
    if body.app and body.app not in known:
        raise Problem(UNKNOWN, "The latest inspection saw no migrations of such an app. Nothing was started.")
    if body.migration and body.migration not in [name for name, _ in known[body.app]]:
        raise Problem(
            UNKNOWN, "The latest inspection saw no such migration of this app. Nothing was started."
        )


@router.post("/jobs/{int:job_id}/cancel", auth=Cancels(), response={202: CancelDocument})
def cancel(request: ApiRequest, job_id: int, body: Cancel = WITHOUT_REASON) -> Status[dict[str, Any]]:
    """Ask that a job stops. `sentence` says what happens now; of one that is over, that nothing does."""
    found = job_or_404(request, job_id)
    sentence = launch.cancel(found, actor_of(request), body.reason)
    found.refresh_from_db()
    return Status(202, {**job_document(found), "sentence": sentence})
