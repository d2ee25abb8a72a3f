"""The audit trail: who did what to which target, from where, when, why, and what it changed. Append only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django.db import models
from django.urls import reverse

from dbops.models.clock import WrittenAt
from dbops.models.target import Target, TargetDatabase
from dbops.redaction import without_tokens

# The last word of an act says what came of it, where nothing else is told.
OUTCOMES_OF_WORDS = {"refused": "refused", "failed": "failed"}


class Doer(Protocol):
    """Who acts (dbops.access.Actor)."""

    @property
    def user(self) -> Any: ...
    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...


@dataclass(frozen=True)
class Asker:
    """Who asked for what ends now, maybe long ago."""

    user: Any
    name: str
    address: str


def in_the_open(value: Any) -> Any:
    """What a person or a target said, without what has the shape of a secret: these rows stay for ever."""
    if isinstance(value, str):
        return without_tokens(value)
    if isinstance(value, Mapping):
        return {name: in_the_open(item) for name, item in value.items()}
    return [in_the_open(item) for item in value] if isinstance(value, list | tuple) else value


class AuditQuerySet(models.QuerySet["AuditEvent"]):
    def record(
        self,
        act: str,
        doer: Doer,
        *,
        target: Target | TargetDatabase | str = "",
        job_id: int | None = None,
        reason: str = "",
        outcome: str = "",
        before: Any = None,
        after: Any = None,
        **details: Any,
    ) -> "AuditEvent":
        """One act. `target`: what it was done to; only a row of a target says whose event it is, and people
        with rights on some targets see no others. `outcome`: done, failed or refused; "" is what the last
        word of the act says, or else done. `before`, `after`: what changed, as JSON; never a secret."""
        return self.create(
            act=act,
            actor=doer.name,
            actor_id=doer.user.pk if doer.user else None,
            address=doer.address,
            target=str(target),
            target_id=id_of(target),
            job_id=job_id,
            reason=without_tokens(reason),
            outcome=outcome or OUTCOMES_OF_WORDS.get(act.rpartition(".")[2], "done"),
            before=in_the_open(before),
            after=in_the_open(after),
            details=in_the_open(details),
        )


def id_of(target: Target | TargetDatabase | str) -> int | None:
    if isinstance(target, TargetDatabase):
        return target.target_id
    return target.pk if isinstance(target, Target) else None


class AuditEvent(models.Model):
    """One act. Append only: triggers refuse UPDATE, DELETE and TRUNCATE, so nothing here is a foreign key
    that a deleted user or target could touch; names are kept as they were, and ids are never used again."""

    class Outcome(models.TextChoices):
        DONE = "done", "done"
        FAILED = "failed", "failed"
        REFUSED = "refused", "refused"

    at = WrittenAt()
    actor_id = models.BigIntegerField(null=True)
    actor = models.CharField(max_length=200)
    act = models.CharField(max_length=50)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.DONE)
    target = models.TextField(blank=True, db_index=True)
    target_id = models.BigIntegerField(null=True)
    job_id = models.BigIntegerField(null=True)
    address = models.CharField(max_length=100, blank=True)
    reason = models.TextField(blank=True)
    details = models.JSONField(default=dict)
    # What the act changed, as it was and as it is since; null where that cannot be said of it.
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["at", "id"], name="audit_in_order"),
            models.Index(fields=["actor", "at", "id"], name="audit_by_actor"),
            models.Index(fields=["actor_id", "at", "id"], name="audit_by_person"),
            models.Index(fields=["act", "at", "id"], name="audit_by_act"),
            models.Index(fields=["outcome", "at", "id"], name="audit_by_outcome"),
            models.Index(fields=["target_id", "at", "id"], name="audit_by_target"),
            models.Index(fields=["job_id"], name="audit_by_job", condition=models.Q(job_id__isnull=False)),
        ]
        constraints = [
            models.CheckConstraint(
                name="audit_outcome_known",
                condition=models.Q(outcome__in=["done", "failed", "refused"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.act} {self.target}"

    def get_absolute_url(self) -> str:
        return reverse("audit_event", args=[self.pk])
