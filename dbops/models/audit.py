"""The audit trail: who did what to which target, from where, when and why. Append only."""

from typing import Any, Protocol

from django.db import models

from dbops.models.clock import WrittenAt


class Doer(Protocol):
    """Who acts (dbops.access.Actor)."""

    @property
    def user(self) -> Any: ...
    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...


class AuditQuerySet(models.QuerySet["AuditEvent"]):
    def record(
        self,
        act: str,
        doer: Doer,
        *,
        target: str = "",
        job_id: int | None = None,
        reason: str = "",
        **details: Any,
    ) -> "AuditEvent":
        return self.create(
            act=act,
            actor=doer.name,
            actor_id=doer.user.pk if doer.user else None,
            address=doer.address,
            target=target,
            job_id=job_id,
            reason=reason,
            details=details,
        )


class AuditEvent(models.Model):
    """One act. Append only: triggers refuse UPDATE, DELETE and TRUNCATE, so nothing here is a foreign key
    that a deleted user or target could touch; names are kept as they were."""

    at = WrittenAt(db_index=True)
    actor_id = models.BigIntegerField(null=True)
    actor = models.CharField(max_length=200)
    act = models.CharField(max_length=50)
    target = models.TextField(blank=True, db_index=True)
    job_id = models.BigIntegerField(null=True)
    address = models.CharField(max_length=100, blank=True)
    reason = models.TextField(blank=True)
    details = models.JSONField(default=dict)

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.actor} {self.act} {self.target}"
