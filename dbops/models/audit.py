"""The audit trail: who did what to which target, from where, when and why. Append only."""

from collections.abc import Mapping
from typing import Any, Protocol

from django.db import models

from dbops.models.clock import WrittenAt
from dbops.redaction import without_tokens


class Doer(Protocol):
    """Who acts (dbops.access.Actor)."""

    @property
    def user(self) -> Any: ...
    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...


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
            reason=without_tokens(reason),
            details=in_the_open(details),
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
