"""A plan: what a migrate would do to one target database, read by the agent at one moment and not performed.

`content` is the agent's answer (PLAN, see dbops.agent.plan_verb), its texts without secrets and plain. It
never changes once the row is done, so that a person comes back to what was seen.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse

from dbops.models.clock import WrittenAt
from dbops.models.target import TargetDatabase

ZERO = "zero"
OPEN = ("asked", "working")


class PlanQuerySet(models.QuerySet["Plan"]):
    def newest_forward(self, database: TargetDatabase) -> "PlanQuerySet":
        """Of the whole project, as it was found from one change to the next; the latest first."""
        return self.filter(database=database, app="", state="done").order_by("-read_at", "-pk")

    def same_choice(self, database: TargetDatabase, app: str, migration: str) -> "PlanQuerySet":
        return self.filter(database=database, app=app, migration=migration).order_by("-pk")

    def claim(self, plan_id: int) -> "Plan | None":
        """One worker makes it; the loser of a race sees that no row changed."""
        if not self.filter(pk=plan_id, state="asked").update(state="working", started_at=Now()):
            return None
        return self.select_related("database__target").get(pk=plan_id)

    def end(self, plan: "Plan", state: str, **fields: Any) -> bool:
        """False where it was given up meanwhile: what comes too late is not kept."""
        mine = self.filter(pk=plan.pk, state="working", started_at=plan.started_at)
        return mine.update(state=state, finished_at=Now(), **fields) == 1

    def waiting(self, longer_than_s: int) -> "PlanQuerySet":
        limit = Now() - timedelta(seconds=longer_than_s)
        return self.filter(state="asked", published_at__lt=limit).select_related("database__target")

    def hanging(self, longer_than_s: int) -> "PlanQuerySet":
        limit = Now() - timedelta(seconds=longer_than_s)
        return self.filter(state="working", started_at__lt=limit)


class Plan(models.Model):
    class State(models.TextChoices):
        ASKED = "asked", "asked for"
        WORKING = "working", "being made"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    database = models.ForeignKey(TargetDatabase, on_delete=models.CASCADE, related_name="plans")
    # As Django's migrate takes them; "" and "": the whole project to its newest.
    app = models.TextField(blank=True)
    migration = models.TextField(blank=True)
    state = models.CharField(max_length=20, choices=State.choices, default=State.ASKED)
    # "": it came with an inspection.
    asked_by_name = models.CharField(max_length=200, blank=True)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    asked_at = WrittenAt()
    published_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    # When the agent began to read it, and when an inspection last found the same.
    read_at = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    fingerprint = models.CharField(max_length=64, blank=True)
    # How many migrations it holds, for lists that do not load the content.
    count = models.PositiveIntegerField(default=0)
    backwards = models.BooleanField(default=False)
    # Of the database that it was read from.
    identity = models.CharField(max_length=1000, blank=True)
    content = models.JSONField(null=True, blank=True)
    error_type = models.CharField(max_length=100, blank=True)
    error_sentence = models.TextField(blank=True)
    error_traceback = models.TextField(blank=True)

    objects = PlanQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["database", "-id"], name="plan_of_database"),
            models.Index(fields=["started_at"], condition=Q(state="working"), name="plan_working"),
            models.Index(fields=["published_at"], condition=Q(state="asked"), name="plan_asked"),
        ]
        constraints = [
            models.UniqueConstraint(
                name="plan_asked_for_once_until_it_ends",
                fields=["database", "app", "migration"],
                condition=Q(state__in=OPEN),
            ),
            models.CheckConstraint(
                name="plan_ends_with_an_answer",
                condition=Q(state__in=OPEN, finished_at=None, content__isnull=True)
                | (Q(state="done") & ~Q(finished_at=None) & ~Q(read_at=None) & Q(content__isnull=False))
                | (Q(state="failed", content__isnull=True) & ~Q(finished_at=None) & ~Q(error_sentence="")),
            ),
        ]

    def __str__(self) -> str:
        return f"plan {self.pk} of {self.database_id}"

    def get_absolute_url(self) -> str:
        return reverse("plan", args=[self.database.target.name, self.database.alias, self.pk])

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def with_inspection(self) -> bool:
        return not self.asked_by_name

    @property
    def title(self) -> str:
        return choice_words(self.app, self.migration)


def choice_words(app: str, migration: str) -> str:
    if not app:
        return "whole project to the newest"
    if migration == ZERO:
        return f"{app} back to before its first migration"
    return f"{app} to {migration or 'its newest'}"
