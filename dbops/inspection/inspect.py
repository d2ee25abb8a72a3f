"""Inspecting a target: one at a time, through the door, into the rows."""

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from dbops import conf
from dbops.inspection import plans, shape
from dbops.inspection.clean import cleaner, in_the_open, project_in_the_open
from dbops.inspection.declared import digest_of
from dbops.inspection.judge import judge, plan_of
from dbops.inspection.sessions import session
from dbops.inspection.sources import keep_sources, known_sources, remember, thin
from dbops.inspection.trouble import trouble
from dbops.models import Inspection, Job, Target, TargetDatabase, clock
from dbops.models.away import is_away
from dbops.models.job import ACTIVE
from dbops.models.status import Status
from dbops.postgres.identity import own_identity
from dbops.redaction import Redactor
from dbops.sealing import CannotUnsealError, seal
from dbops.target import door
from dbops.target.address_of import address_of, secrets_of
from dbops.target.errors import TargetError
from dbops.target.revision import revision_of
from dbops.target.tree import why_no_reach

logger = logging.getLogger(__name__)


def due() -> QuerySet[Target]:
    """Targets whose knowledge is old or asked for. One with an active job is inspected when the job ends."""
    at_work = Job.objects.filter(
        database__target=OuterRef("pk"), state__in=[s for s in ACTIVE if s != "lost"]
    )
    return Target.objects.filter(_is_due(), _is_free()).exclude(Exists(at_work))


def inspect_once(target_id: int) -> Inspection | None:
    """Inspect unless somebody does so at the moment or did so just now."""
    now = clock.now()
    if not Target.objects.filter(_is_due(), _is_free(), pk=target_id).update(inspecting_since=now):
        return None
    inspection = inspect_now(Target.objects.get(pk=target_id))
    # Another may have taken over from one that took too long; its mark stays.
    Target.objects.filter(pk=target_id, inspecting_since=now).update(inspecting_since=None)
    return inspection


def _is_due() -> Q:
    """Asked for, or too long ago; a target that fast refreshes keep up is started less often."""
    limit, full = _ago("INSPECTION_INTERVAL_S"), _ago("FULL_INSPECTION_INTERVAL_S")
    kept_up = Q(refreshed_at__gte=limit, inspected_at__gte=full)
    asked = Q(inspection_asked_at__gte=F("inspected_at"))
    return Q(inspected_at=None) | asked | (Q(inspected_at__lt=limit) & ~kept_up)


def _ago(knob: str) -> Any:
    return Now() - timedelta(seconds=conf.knob(knob))


def _is_free() -> Q:
    """Nobody inspects it, or whoever did has vanished."""
    limit = Now() - timedelta(seconds=conf.knob("INSPECTION_TIMEOUT_S") + 30)
    return Q(inspecting_since=None) | Q(inspecting_since__lt=limit)


def inspect_now(target: Target, announced: list[int] | None = None) -> Inspection:
    """Inspect, whoever else does; an older report never replaces a newer one. `announced`: a session of a job
    (pid, start) that is to be found under whatever name. Whatever goes wrong with the
    target is kept as a failure; only our own database being away is raised."""
    started = clock.now()
    inspection = Inspection.objects.create(target=target, started_at=started)
    try:
        redactor = Redactor(secrets_of(target))
        keep_answer(target, inspection, redactor, _ask(target, announced))
    except TargetError as error:
        evidence = redactor.clean(error.traceback or error.output)
        _keep_failure(target, inspection, error, trouble(error, redactor.clean(str(error)), evidence))
    except CannotUnsealError as error:
        _keep_failure(target, inspection, error, Status("broken", str(error), reason="CannotUnsealError"))
    except Exception as error:
        if is_away(error):
            raise
        logger.exception("inspection of %s: an error of opsdash itself", target.name)
        _keep_failure(target, inspection, error, Status("unknown", ours(error), reason=type(error).__name__))
    _thin(target)
    return inspection


def ours(error: Exception) -> str:
    return (
        f"opsdash itself failed to inspect it ({type(error).__name__}). Nothing was changed. "
        "The worker's log has the details."
    )


def _ask(target: Target, announced: list[int] | None) -> Mapping[str, Any]:
    timeout_s = conf.knob("INSPECTION_TIMEOUT_S")
    arguments = {
        "aliases": target.aliases or None,
        "forbidden_identity": own_identity(),
        "session": session(),
        "announced": announced,
        "known_sources": known_sources(target),
        "details": plans.details(target),
        "detail_budget_s": min(conf.knob("PLAN_BUDGET_S"), plans.SQL_SHARE * timeout_s),
    }
    declared = digest_of(target)
    address = address_of(target)
    answer = door.call(address, "inspect", arguments, timeout_s=timeout_s)
    shape.insist(target.name, answer, shape.inspection)
    reach = why_no_reach(address, answer.get("disk") or [])
    return {**answer, "revision": revision_of(address), "declared": declared, "file_reach": reach}


def _keep_failure(target: Target, inspection: Inspection, error: Exception, status: Status) -> None:
    inspection.outcome = Inspection.Outcome.FAILED
    # It may be the very thing that our database refused.
    inspection.report = None
    inspection.python_version = inspection.django_version = ""
    inspection.error_type = type(error).__name__
    inspection.error_sentence = status.detail
    inspection.error_traceback = status.evidence
    inspection.finished_at = clock.now()
    with transaction.atomic():
        inspection.save()
        if not _newest(target, inspection.started_at, statuses=[status.to_json()]):
            return
        for database in target.databases.select_for_update():
            database.judge([status])
            database.inspected_at = inspection.started_at
            database.refreshed_at, database.fresh = None, {}
            database.save()


def keep_answer(
    target: Target, inspection: Inspection, redactor: Redactor, answer: Mapping[str, Any]
) -> None:
    clean = cleaner(redactor)
    reports = [(report.get("connection"), in_the_open(report, clean)) for report in answer["databases"]]
    project = project_in_the_open(answer, clean)
    sources = answer.get("sources") or {}
    keep_sources(sources, clean, inspection.started_at, target)
    found = {report["alias"]: report for report in answer["databases"]}
    inspection.outcome = Inspection.Outcome.DONE
    inspection.python_version = answer["python"][:50]
    inspection.django_version = answer["django"][:50]
    inspection.report = {**project, "databases": [report for _, report in reports]}
    inspection.finished_at = clock.now()
    versions = {"python_version": inspection.python_version, "django_version": inspection.django_version}
    with transaction.atomic():
        inspection.save()
        if not _newest(target, inspection.started_at, statuses=[], **versions):
            return
        for connection, report in reports:
            database = _keep_database(target, project, report, connection, inspection.started_at)
            plans.keep_found(database, found[database.alias], redactor, inspection.started_at)
        named = [report["alias"] for _, report in reports]
        target.databases.exclude(alias__in=named).update(in_settings=False)
    if sources:
        thin()


def _newest(target: Target, started: datetime, **fields: Any) -> bool:
    """Put the target's own columns, unless a later inspection did."""
    older = Q(inspected_at=None) | Q(inspected_at__lt=started)
    return Target.objects.filter(older, pk=target.pk).update(inspected_at=started, **fields) == 1


def _keep_database(
    target: Target, project: Mapping[str, Any], report: Mapping[str, Any], connection: Any, started: datetime
) -> TargetDatabase:
    database, _ = TargetDatabase.objects.select_for_update().get_or_create(
        target=target, alias=report["alias"]
    )
    database.in_settings = True
    database.vendor = str(report.get("vendor") or "")[:50]
    database.name = str(report.get("name") or "")
    database.host = str(report.get("host") or "")
    database.port = str(report.get("port") or "")
    database.server_version = str(report.get("server_version") or "")[:100]
    # A server that is away for a moment does not become another database.
    database.identity = str(report.get("identity") or database.identity)[:1000]
    database.sealed_connection = _sealed(connection)
    database.pending_count = len(plan_of(report))
    database.applied_count = len(report.get("applied") or [])
    database.inspected_at = started
    database.refreshed_at, database.fresh = None, {}
    database.judge(judge(report, project, remember(database, report, project, started)))
    database.save()
    return database


def _sealed(connection: Any) -> str:
    return seal(json.dumps(connection)) if connection else ""


def _thin(target: Target) -> None:
    kept = Inspection.objects.filter(target=target).order_by("-id")[: conf.knob("INSPECTIONS_KEPT")]
    oldest = min(kept.values_list("pk", flat=True), default=0)
    Inspection.objects.filter(target=target, pk__lt=oldest).delete()
