"""Plans as they are kept: the newest-forward one that comes with an inspection, and any that was asked for.

The agent's answer is PLAN (dbops.agent.plan_verb). Nothing here performs anything.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models.functions import Now

from dbops import conf
from dbops.inspection import shape
from dbops.inspection.open_plan import plan_in_the_open
from dbops.inspection.sessions import session
from dbops.models import Plan, Target, TargetDatabase, clock
from dbops.models.away import is_away
from dbops.postgres.identity import own_identity
from dbops.redaction import Redactor
from dbops.sealing import CannotUnsealError
from dbops.target import door
from dbops.target.address_of import address_of, secrets_of
from dbops.target.errors import TargetError

logger = logging.getLogger(__name__)
# Of the time that the target has: setting it up, and going through its migrations, is not the SQL.
SQL_SHARE = 0.75
MARGIN_S = 30

# With an inspection


def details(target: Target) -> dict[str, str]:
    """{alias: fingerprint of the plan that is kept, or ""}: only another one is sent. One that was read from
    another database than the alias leads to is read anew."""
    newest = (
        Plan.objects.filter(database__target=target, app="", state="done")
        .order_by("database__alias", "-read_at", "-pk")
        .distinct("database__alias")
        .select_related("database")
        .defer("content")
    )
    known = {
        plan.database.alias: plan.fingerprint for plan in newest if not is_elsewhere(plan, plan.database)
    }
    aliases = target.databases.filter(in_settings=True).values_list("alias", flat=True)
    return {**dict.fromkeys(aliases, ""), **known}


def keep_found(
    database: TargetDatabase, report: Mapping[str, Any], redactor: Redactor, started: datetime
) -> None:
    """What an inspection says of the newest-forward plan: another one, or that the kept one still holds."""
    if not _is_to_be_kept(report):
        return
    found, kept = report.get("plan_detail"), Plan.objects.newest_forward(database).defer("content").first()
    elsewhere = kept is not None and is_elsewhere(kept, database)
    if found and (kept is None or kept.fingerprint != found["fingerprint"] or elsewhere):
        opened = plan_in_the_open(found, redactor)
        Plan.objects.create(database=database, state="done", finished_at=Now(), **_fields(opened, started))
        thin(database)
    elif kept and not elsewhere and kept.count == len(report.get("plan") or []):
        Plan.objects.filter(pk=kept.pk).update(confirmed_at=started)


def _is_to_be_kept(report: Mapping[str, Any]) -> bool:
    answers = report.get("reachable") and report.get("read_only_confirmed")
    trouble = report.get("own_database") or report.get("errors") or report.get("plan_problem")
    return bool(answers) and not trouble


def _fields(opened: dict[str, Any], started: datetime) -> dict[str, Any]:
    migrations = opened["migrations"]
    return {
        "content": opened,
        "fingerprint": str(opened["fingerprint"])[:64],
        "count": len(migrations),
        "identity": str(opened.get("identity") or "")[:1000],
        "backwards": any(entry.get("backwards") for entry in migrations),
        "read_at": started,
        "confirmed_at": started,
    }


# Asked for


def make_plan(plan_id: int) -> None:
    """Read one plan through the target's own Django; what goes wrong with the target is kept as a failure."""
    plan = Plan.objects.claim(plan_id)
    if plan is None:
        return
    redactor = Redactor(())
    try:
        started = clock.now()
        redactor = Redactor(secrets_of(plan.database.target))
        opened = plan_in_the_open(_ask(plan), redactor)
        Plan.objects.end(plan, "done", **_fields(opened, started))
    except TargetError as error:
        _fail(plan, error, str(error), redactor.clean(error.traceback or error.output), redactor)
    except CannotUnsealError as error:
        _fail(plan, error, str(error), "", redactor)
    except Exception as error:
        if is_away(error):
            raise
        logger.exception("plan %s: an error of opsdash itself", plan.pk)
        _fail(plan, error, _ours(error), "", redactor)
    thin(plan.database)


def _ask(plan: Plan) -> Mapping[str, Any]:
    timeout_s = conf.knob("INSPECTION_TIMEOUT_S")
    arguments = {
        "alias": plan.database.alias,
        "app": plan.app,
        "migration": plan.migration,
        "session": {**session(), "application_name": "opsdash plan"},
        "forbidden_identity": own_identity(),
        "budget_s": SQL_SHARE * timeout_s,
    }
    target = plan.database.target
    answer = door.call(address_of(target), "plan", arguments, timeout_s=timeout_s)
    shape.insist(target.name, answer, shape.plan)
    return answer


def _fail(plan: Plan, error: Exception, sentence: str, traceback: str, redactor: Redactor) -> None:
    Plan.objects.end(
        plan,
        "failed",
        error_type=type(error).__name__,
        error_sentence=redactor.clean(sentence),
        error_traceback=traceback,
    )


def _ours(error: Exception) -> str:
    return (
        f"opsdash itself failed to read the plan ({type(error).__name__}). Nothing was changed. "
        "The worker's log has the details."
    )


def give_up_hanging() -> int:
    """Plans whose worker vanished; a target is stopped long before."""
    limit = conf.knob("INSPECTION_TIMEOUT_S") + MARGIN_S
    return Plan.objects.hanging(limit).update(
        state="failed",
        finished_at=Now(),
        error_type="WorkerLost",
        error_sentence="The worker that read it vanished. Nothing was changed. Ask for the plan again.",
    )


# Kept


def thin(database: TargetDatabase) -> None:
    """The oldest go; never the one that stands for the newest, nor one that is still to come."""
    newest = Plan.objects.newest_forward(database).values_list("pk", flat=True)[:1]
    ids = Plan.objects.filter(database=database).order_by("-pk").values_list("pk", flat=True)
    kept = {*ids[: conf.knob("PLANS_KEPT")], *newest}
    ended = Plan.objects.filter(database=database, state__in=["done", "failed"])
    ended.exclude(pk__in=kept).delete()


def changed_at(database: TargetDatabase) -> datetime | None:
    """Since when the newest-forward plan is as it is now: one that was read before may be another today."""
    newest = Plan.objects.newest_forward(database).values_list("fingerprint", "read_at")
    since, latest = None, None
    for fingerprint, read_at in newest:
        latest = latest or fingerprint
        if fingerprint != latest:
            break
        since = read_at
    return since


def current(database: TargetDatabase, app: str, migration: str) -> Plan | None:
    """The kept plan for this choice where nothing makes it doubtful; without its content."""
    done = Plan.objects.same_choice(database, app, migration).filter(state="done")
    plan = done.defer("content").order_by("-read_at", "-pk").first()
    return plan if plan and not why_outdated(plan, database) else None


def why_outdated(plan: Plan, database: TargetDatabase) -> str:
    """What makes it doubtful that this is what a migrate would do now, as a sentence; or ""."""
    if is_elsewhere(plan, database):
        return "The alias leads to another database now than the one that this plan was read from."
    since = changed_at(database)
    if since and plan.read_at and plan.read_at < since:
        return "What is applied, or the project's files, changed since it was read."
    if is_old(plan):
        return "It was read long ago, and no inspection has confirmed it since."
    return ""


def is_elsewhere(plan: Plan, database: TargetDatabase) -> bool:
    """It was read from another database than the alias leads to now."""
    return bool(plan.identity and database.identity and plan.identity != database.identity)


def is_old(plan: Plan) -> bool:
    seen = plan.confirmed_at or plan.finished_at
    return seen is None or clock.now() - seen > timedelta(seconds=conf.knob("STALE_AFTER_S"))
