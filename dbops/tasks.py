"""Celery: an id in, one call out. Nothing here decides anything."""

import logging

from celery import Task, shared_task
from django.db import Error as OwnDatabaseError
from django.utils import timezone
from kombu.exceptions import OperationalError

from dbops import conf, execute, inspection, loss
from dbops.models import Job, Target

logger = logging.getLogger(__name__)

# Within one queue the lowest goes first; what beat sends has 0.
PRIORITY_OF_LOST = 3
PRIORITY_OF_INSPECTION = 6
# The next sweep sends it again.
LOST_EXPIRES_S = 15


@shared_task(name="dbops.run_job", bind=True, ignore_result=True)
def run_job(self: "Task[[int], None]", job_id: int) -> None:
    execute.execute(job_id, worker=self.request.hostname or "")


@shared_task(name="dbops.inspect_target", ignore_result=True)
def inspect_target(target_id: int) -> None:
    inspection.inspect_once(target_id)


@shared_task(name="dbops.inspect_due", ignore_result=True)
def inspect_due() -> None:
    for target in inspection.due():
        publish_inspection(target)


@shared_task(name="dbops.resolve_lost", ignore_result=True)
def resolve_lost(job_id: int) -> None:
    loss.resolve_lost(job_id)


@shared_task(name="dbops.sweep_jobs", ignore_result=True)
def sweep_jobs() -> None:
    """Nothing waits for ever: publish again what was never begun, find jobs whose worker is silent."""
    for job in Job.objects.waiting(conf.knob("REPUBLISH_AFTER_S")):
        publish_job(job)
    for job in loss.find_lost():
        resolve_lost.apply_async(
            (job.pk,),
            queue=job.database.target.inspect_queue,
            priority=PRIORITY_OF_LOST,
            expires=LOST_EXPIRES_S,
        )


def publish_job(job: Job) -> bool:
    """Tell the workers of a queued job; False when that failed: it stays queued, the sweeper tries again."""
    expires = 2 * conf.knob("REPUBLISH_AFTER_S")
    try:
        Job.objects.filter(pk=job.pk).update(published_at=timezone.now())
        run_job.apply_async((job.pk,), queue=job.queue, retry=False, expires=expires)
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
            (target.pk,),
            queue=target.inspect_queue,
            retry=False,
            priority=PRIORITY_OF_INSPECTION,
            expires=conf.knob("INSPECTION_INTERVAL_S"),
        )
    except OperationalError as error:
        logger.warning("target %s is not inspected, the broker is away: %s", target.name, error)
        return False
    return True
