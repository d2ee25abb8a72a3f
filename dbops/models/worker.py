"""A process of ours that works in the background, as it tells of itself: a worker, beat or the prober."""

import uuid
from datetime import timedelta
from typing import Any

from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now

from dbops import conf
from dbops.models import clock

# Who said nothing for this long is no news any more.
KEPT_S = 86400


class WorkerQuerySet(models.QuerySet["Worker"]):
    def tell(self, name: str, run: uuid.UUID, *, first: bool, **facts: Any) -> None:
        """A sign of life. The `first` of a process takes over the row of its name, whoever had it; a later
        one only from a process that is gone: of two with one name the younger stands there."""
        if self.filter(name=name, run=run).update(heartbeat_at=Now(), **facts):
            return
        before = self.filter(name=name)
        row = Worker(name=name, run=run, heartbeat_at=Now(), **facts)
        # In one write: a page in between would say that nobody is there.
        with transaction.atomic():
            (before if first else before.gone()).delete()
            self.bulk_create([row], ignore_conflicts=True)

    def gone(self) -> "WorkerQuerySet":
        silent = Q(heartbeat_at__lt=Now() - timedelta(seconds=conf.knob("LOST_AFTER_S")))
        return self.filter(silent | Q(stopped_at__isnull=False))

    def thin(self) -> None:
        self.filter(heartbeat_at__lt=Now() - timedelta(seconds=KEPT_S)).delete()


class Worker(models.Model):
    class Kind(models.TextChoices):
        WORKER = "worker", "worker"
        BEAT = "beat", "beat"
        PROBER = "prober", "prober"

    # As Celery calls it, and as jobs name their worker: jobs@host.
    name = models.CharField(max_length=200, unique=True)
    # One start of it.
    run = models.UUIDField()
    kind = models.CharField(max_length=20, choices=Kind.choices)
    queues = models.JSONField(default=list)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    # How many tasks it can do at once and how many it does: jobs, inspections and others.
    slots = models.PositiveIntegerField(null=True)
    busy = models.PositiveIntegerField(null=True)
    # {"opsdash": "0.1.0", "python": ..., "celery": ...}
    versions = models.JSONField(default=dict)
    # Of its host: the average of a minute, and the processors there are.
    load = models.FloatField(null=True)
    processors = models.PositiveIntegerField(null=True)
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField(db_index=True)
    # It was asked to stop, takes nothing more, and finishes what it does.
    stopping_at = models.DateTimeField(null=True)
    stopped_at = models.DateTimeField(null=True)

    objects = WorkerQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="worker_kind_known", condition=Q(kind__in=["worker", "beat", "prober"])
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> str:
        """serving, stopping, stopped or silent; it is judged now, by what it said last."""
        if self.stopped_at:
            return "stopped"
        if clock.now() - self.heartbeat_at > timedelta(seconds=conf.knob("LOST_AFTER_S")):
            return "silent"
        return "stopping" if self.stopping_at else "serving"

    @property
    def is_serving(self) -> bool:
        return self.state == "serving"

    @property
    def free_slots(self) -> int:
        return max(0, (self.slots or 0) - (self.busy or 0))
