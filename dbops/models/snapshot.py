"""A snapshot: the schema of one target database at one moment, as the states of what is applied say it.

`content` is {table: TABLE} (dbops.agent.plan_verb, `schema`), its texts without secrets and plain.
"""

from datetime import timedelta
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from dbops.models.clock import WrittenAt
from dbops.models.target import TargetDatabase

OPEN = ("asked", "working")


class SnapshotQuerySet(models.QuerySet["Snapshot"]):
    def claim(self, snapshot_id: int) -> "Snapshot | None":
        """One worker takes it; the loser of a race sees that no row changed."""
        if not self.filter(pk=snapshot_id, state="asked").update(state="working", started_at=Now()):
            return None
        return self.select_related("database__target").get(pk=snapshot_id)

    def end(self, snapshot: "Snapshot", state: str, **fields: Any) -> bool:
        """False where it was given up meanwhile."""
        mine = self.filter(pk=snapshot.pk, state="working", started_at=snapshot.started_at)
        return mine.update(state=state, finished_at=Now(), **fields) == 1

    def waiting(self, longer_than_s: int) -> "SnapshotQuerySet":
        limit = Now() - timedelta(seconds=longer_than_s)
        return self.filter(state="asked", published_at__lt=limit).select_related("database__target")

    def hanging(self, longer_than_s: int) -> "SnapshotQuerySet":
        limit = Now() - timedelta(seconds=longer_than_s)
        return self.filter(state="working", started_at__lt=limit)


class Snapshot(models.Model):
    class State(models.TextChoices):
        ASKED = "asked", "asked for"
        WORKING = "working", "being taken"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    database = models.ForeignKey(TargetDatabase, on_delete=models.CASCADE, related_name="snapshots")
    state = models.CharField(max_length=20, choices=State.choices, default=State.ASKED)
    asked_by_name = models.CharField(max_length=200, blank=True)
    asked_at = WrittenAt()
    published_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    # When the agent began to read.
    read_at = models.DateTimeField(null=True, blank=True)
    # Of the database that it was read from.
    identity = models.CharField(max_length=1000, blank=True)
    content = models.JSONField(null=True, blank=True)
    # What is recorded there and not in `content`: [{app, name, problem}].
    lacking = models.JSONField(default=list, blank=True)
    error_type = models.CharField(max_length=100, blank=True)
    error_sentence = models.TextField(blank=True)
    error_traceback = models.TextField(blank=True)

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["database", "-id"], name="snapshot_of_database"),
            models.Index(fields=["started_at"], condition=Q(state="working"), name="snapshot_working"),
            models.Index(fields=["published_at"], condition=Q(state="asked"), name="snapshot_asked"),
        ]
        constraints = [
            models.UniqueConstraint(
                name="snapshot_asked_for_once_until_it_ends",
                fields=["database"],
                condition=Q(state__in=OPEN),
            ),
            models.CheckConstraint(
                name="snapshot_ends_with_an_answer",
                condition=Q(state__in=OPEN, finished_at=None, content__isnull=True)
                | (Q(state="done") & ~Q(finished_at=None) & ~Q(read_at=None) & Q(content__isnull=False))
                | (Q(state="failed", content__isnull=True) & ~Q(finished_at=None) & ~Q(error_sentence="")),
            ),
        ]

    def __str__(self) -> str:
        return f"snapshot {self.pk} of {self.database_id}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN
