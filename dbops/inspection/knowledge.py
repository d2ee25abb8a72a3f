"""Reading what inspections found, with its age judged."""

from datetime import datetime, timedelta

from django.utils.timesince import timesince

from dbops import conf
from dbops.inspection.fresh import report_now as report_now
from dbops.inspection.fresh import report_of as report_of
from dbops.inspection.marks import Migration as Migration
from dbops.inspection.marks import migrations_by_app as migrations_by_app
from dbops.models import Inspection, Target, TargetDatabase, clock
from dbops.models.status import Status


def stale_since(now: datetime) -> datetime:
    """What was inspected then, or before, is too old to be believed."""
    return now - timedelta(seconds=conf.knob("STALE_AFTER_S"))


def statuses_now(
    target: Target, inspected_at: datetime | None, found: list[Status], now: datetime | None = None
) -> list[Status]:
    """What was found, under an `unknown` where it was never looked or too long ago. `now`: the moment
    by which whoever asks judges other rows as well."""
    now = now or clock.now()
    if inspected_at is None:
        return [
            Status(
                "unknown",
                "Never inspected.",
                f"It is inspected by itself within seconds while a worker of the queue "
                f"{target.inspect_queue} runs.",
            )
        ]
    if inspected_at > stale_since(now):
        return found
    stale = Status(
        "unknown",
        f"Last inspected {timesince(inspected_at, now)} ago; what is said below was true then.",
        f"Inspect now. If nothing happens, see whether a worker of the queue {target.inspect_queue} runs.",
    )
    return [stale, *found]


def database_statuses(database: TargetDatabase, now: datetime | None = None) -> list[Status]:
    now = now or clock.now()
    refreshed = database.refreshed_at is not None and database.refreshed_at > stale_since(now)
    if refreshed and database.inspected_at:
        is_old = database.inspected_at <= stale_since(now)
        return [*([half_stale(database, database.inspected_at, now)] if is_old else []), *database.found()]
    return statuses_now(database.target, database.inspected_at, database.found(), now)


def half_stale(database: TargetDatabase, inspected_at: datetime, now: datetime) -> Status:
    """Refreshed from the records, and not inspected for long."""
    return Status(
        "unknown",
        f"Last inspected {timesince(inspected_at, now)} ago: what is said of edited files, models without a "
        "migration and rights was true then. What is applied was read just now.",
        f"Inspect now. If nothing happens, see whether a worker of the queue {database.target.inspect_queue} "
        "runs.",
    )


def target_statuses(target: Target, now: datetime | None = None) -> list[Status]:
    """For a target that no inspection got far enough to name databases."""
    found = [Status.from_json(entry) for entry in target.statuses]
    nameless = Status(
        "broken",
        "Its settings name no database.",
        "Correct DATABASES in the target's settings, or its environment.",
    )
    return statuses_now(target, target.inspected_at, found or [nameless], now)


def latest_done(target: Target) -> Inspection | None:
    return Inspection.objects.filter(target=target, outcome="done").order_by("-id").first()
