"""A token: with it a program uses the JSON API as its owner, within its scopes and until it expires."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from dbops.models.clock import WrittenAt
from dbops.models.target import Target

NAME_CHARS = 40


class ApiToken(models.Model):
    """Its text is shown once, when it is made; here is its hash alone. It is 256 bits of chance, so a plain
    SHA-256 cannot be guessed back, and the lookup by the hash tells nothing by how long it takes."""

    class Scope(models.TextChoices):
        READ = "read", "read: targets, status, plans, jobs and their lines"
        START = "jobs:start", "jobs:start: ask for migrate jobs"
        CANCEL = "jobs:cancel", "jobs:cancel: ask that jobs stop"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=NAME_CHARS)
    # The first letters of its text, to tell tokens apart.
    prefix = models.CharField(max_length=20)
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField()
    # True: on `targets` alone, also when none of them is left; a target that goes never widens a token.
    is_limited = models.BooleanField(default=False)
    targets = models.ManyToManyField(Target, blank=True, related_name="+")
    created_at = WrittenAt()
    expires_at = models.DateTimeField()
    # Both are written once a minute at most.
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_address = models.CharField(max_length=100, blank=True)
    last_refused_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                name="token_name_once_an_owner",
                fields=["owner", "name"],
                condition=Q(revoked_at=None),
            ),
            models.CheckConstraint(
                name="token_scopes_known",
                condition=Q(scopes__contained_by=["read", "jobs:start", "jobs:cancel"]) & ~Q(scopes=[]),
            ),
            models.CheckConstraint(
                name="token_expires_after_it_is_made", condition=Q(expires_at__gt=F("created_at"))
            ),
        ]

    def __str__(self) -> str:
        return f"token {self.name} ({self.prefix}...)"

    @property
    def whose(self) -> str:
        """Who acts with it, as the audit trail and the pages name it."""
        return f"{self.owner.get_username()} (token {self.name})"

    def is_usable(self, now: datetime) -> bool:
        return self.revoked_at is None and now < self.expires_at

    def has(self, scope: "ApiToken.Scope") -> bool:
        return scope in self.scopes
