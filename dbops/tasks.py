"""Celery: an id in, one call out. Nothing here decides anything.

No message expires: whether one is out of date is decided by the rows when it is taken, not by the clocks of
two hosts. What is told again and again is told only where nothing waits any more, and a job only where fewer
messages wait than jobs, so nothing piles up.
"""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from celery import Task, shared_task
from django.db import Error as OwnDatabaseError
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from dbops import conf, execute, inspection, loss
from dbops.broker import waiting
from dbops.inspection import refresh, snapshots
from dbops.models import Job, Plan, Snapshot, Target
from dbops.signing import counters, sessions
from dbops.transcript import retention

logger = logging.getLogger(__name__)

# Within one queue the lowest goes first; what beat sends has 0.
PRIORITY_OF_LOST = 3
PRIORITY_OF_REFRESH = 3
PRIORITY_OF_INSPECTION = 6
# One message; each takes some milliseconds.
REFRESHED_AT_ONCE = 50
# Somebody looks at its page.
PRIORITY_OF_PLAN = 3
Row = TypeVar("Row", Job, Plan, Snapshot, Target)


@shared_task(name="dbops.run_job", bind=True, ignore_result=True)
def run_job(self: "Task[[int], None]", job_id: int) -> None:
    execute.execute(job_id, worker=self.request.hostname or "")


@shared_task(name="dbops.inspect_target", ignore_result=True)
def inspect_target(target_id: int) -> None:
    inspection.inspect_once(target_id)


@shared_task(name="dbops.inspect_due", ignore_result=True)
def inspect_due() -> None:
    for target in where_none_waits(inspection.due(), inspect_queue, PRIORITY_OF_INSPECTION):
        publish_inspection(target)


@shared_task(name="dbops.refresh_due", ignore_result=True)
def refresh_due() -> None:
    """By batches, before the inspections that wait in the same queue: a refresh spares one."""
    told = where_none_waits(refresh.due(), inspect_queue, PRIORITY_OF_REFRESH)
    for queue, targets in by_queue(told).items():
        for some in batched(targets, REFRESHED_AT_ONCE):
            refresh_targets.apply_async((some,), queue=queue, retry=False, priority=PRIORITY_OF_REFRESH)


@shared_task(name="dbops.refresh_targets", ignore_result=True)
def refresh_targets(target_ids: list[int]) -> None:
    refresh.refresh(target_ids)


@shared_task(name="dbops.make_plan", ignore_result=True)
def make_plan(plan_id: int) -> None:
    inspection.make_plan(plan_id)


@shared_task(name="dbops.take_snapshot", ignore_result=True)
def take_snapshot(snapshot_id: int) -> None:
    inspection.take_snapshot(snapshot_id)


@shared_task(name="dbops.resolve_lost", ignore_result=True)
def resolve_lost(job_id: int) -> None:
    loss.resolve_lost(job_id)


@shared_task(name="dbops.sweep_jobs", ignore_result=True)
def sweep_jobs() -> None:
    """Nothing waits for ever: publish again what was never begun, find jobs whose worker is silent."""
    for job in where_one_is_lacking(Job.objects.waiting(conf.knob("REPUBLISH_AFTER_S"))):
        publish_job(job)
    for job in where_none_waits(loss.find_lost(), lost_queue, PRIORITY_OF_LOST):
        resolve_lost.apply_async((job.pk,), queue=lost_queue(job), priority=PRIORITY_OF_LOST)


@shared_task(name="dbops.sweep_plans", ignore_result=True)
def sweep_plans() -> None:
    inspection.give_up_hanging()
    waiting_ones = Plan.objects.waiting(conf.knob("REPUBLISH_AFTER_S"))
    for plan in where_none_waits(waiting_ones, plan_queue, PRIORITY_OF_PLAN):
        publish_plan(plan)


@shared_task(name="dbops.sweep_snapshots", ignore_result=True)
def sweep_snapshots() -> None:
    snapshots.give_up_hanging()
    waiting_ones = Snapshot.objects.waiting(conf.knob("REPUBLISH_AFTER_S"))
    for snapshot in where_none_waits(waiting_ones, snapshot_queue, PRIORITY_OF_PLAN):
        publish_snapshot(snapshot)


@shared_task(name="dbops.sweep_transcripts", ignore_result=True)
def sweep_transcripts() -> None:
    """Some of them; behind what waits in the queue the next ones. Without a broker the next hour goes on."""
    if retention.sweep():
        sweep_transcripts.apply_async((), queue="inspect", retry=False, priority=PRIORITY_OF_INSPECTION)


@shared_task(name="dbops.sweep_sessions", ignore_result=True)
def sweep_sessions() -> None:
    sessions.sweep()
    counters.sweep()


def inspect_queue(target: Target) -> str:
    return target.inspect_queue


def by_queue(targets: Iterable[Target]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for target in targets:
        found.setdefault(target.inspect_queue, []).append(target.pk)
    return found


def batched(ids: list[int], size: int) -> list[list[int]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]


def lost_queue(job: Job) -> str:
    return job.database.target.inspect_queue


def plan_queue(plan: Plan) -> str:
    return plan.database.target.inspect_queue


def snapshot_queue(snapshot: Snapshot) -> str:
    return snapshot.database.target.inspect_queue


def where_none_waits(rows: Iterable[Row], queue_of: Callable[[Row], str], priority: int = 0) -> list[Row]:
    """Those whose queue is empty at this priority: elsewhere nobody has taken yet what was told before."""
    told = list(rows)
    empty = {queue for queue in {queue_of(row) for row in told} if not waiting(queue, priority)}
    return [row for row in told if queue_of(row) in empty]


def where_one_is_lacking(jobs: Iterable[Job]) -> list[Job]:
    """Those in whose queue fewer messages wait than jobs: some job's was lost, maybe in the hand of a worker
    that was killed. Nobody knows whose; a second message of the others is harmless, since one claim wins."""
    told = list(jobs)
    lacking = {queue for queue in {job.queue for job in told} if waiting(queue) < queued(queue)}
    return [job for job in told if job.queue in lacking]


def queued(queue: str) -> int:
    return Job.objects.filter(state="queued", queue=queue).count()


def publish_job(job: Job) -> bool:
    """Tell the workers of a queued job; False when that failed: it stays queued, the sweeper tries again."""
    try:
        Job.objects.filter(pk=job.pk).update(published_at=Now())
        run_job.apply_async((job.pk,), queue=job.queue, retry=False)
    except OperationalError as error:
        logger.warning("job %s stays queued, the broker is away: %s", job.pk, error)
        return False
    except OwnDatabaseError as error:
        logger.warning("job %s stays queued and is published later: %s", job.pk, error)
        return False
    return True


def publish_inspection(target: Target) -> bool:
    try:
        inspect_target.apply_async(
            (target.pk,), queue=target.inspect_queue, retry=False, priority=PRIORITY_OF_INSPECTION
        )
    except OperationalError as error:
        logger.warning("target %s is not inspected, the broker is away: %s", target.name, error)
        return False
    return True


def publish_plan(plan: Plan) -> bool:
    """As a job: what could not be told is told by the sweep."""
    try:
        Plan.objects.filter(pk=plan.pk).update(published_at=Now())
        make_plan.apply_async((plan.pk,), queue=plan_queue(plan), retry=False, priority=PRIORITY_OF_PLAN)
    except (OperationalError, OwnDatabaseError) as error:
        logger.warning("plan %s is not made yet: %s", plan.pk, error)
        return False
    return True


def publish_snapshot(snapshot: Snapshot) -> bool:
    try:
        Snapshot.objects.filter(pk=snapshot.pk).update(published_at=Now())
        take_snapshot.apply_async(
            (snapshot.pk,), queue=snapshot_queue(snapshot), retry=False, priority=PRIORITY_OF_PLAN
        )
    except (OperationalError, OwnDatabaseError) as error:
        logger.warning("snapshot %s is not taken yet: %s", snapshot.pk, error)
        return False
    return True
