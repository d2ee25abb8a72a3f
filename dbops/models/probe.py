"""A probe: one readiness check of a target database, made from the worker's side, with a typed result."""

from django.db import models
from django.db.models import Q

from dbops.models.target import TargetDatabase


class Probe(models.Model):
    """The latest result; one row a database."""

    class State(models.TextChoices):
        ANSWERS = "answers", "answers"
        UNREACHABLE = "unreachable", "unreachable"
        NOT_HERE = "not_reachable_from_here", "not reachable from here"

    database = models.OneToOneField(TargetDatabase, on_delete=models.CASCADE, related_name="probe")
    state = models.CharField(max_length=30, choices=State.choices)
    # "" for an answer; else as dbops.postgres.readiness says, or why the way from here cannot be trusted.
    reason = models.CharField(max_length=50, blank=True)
    detail = models.TextField(blank=True)
    latency_ms = models.PositiveIntegerField(null=True)
    in_recovery = models.BooleanField(null=True)
    server_version = models.CharField(max_length=100, blank=True)
    probed_at = models.DateTimeField()
    # When it came into this state.
    since = models.DateTimeField()
    # When the prober means to look again: a failing one is asked less often.
    next_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="probe_state_known",
                condition=Q(state__in=["answers", "unreachable", "not_reachable_from_here"]),
            ),
            models.CheckConstraint(
                name="probe_answers_or_says_why_not",
                condition=Q(state="answers", reason="", latency_ms__isnull=False)
                | (~Q(state="answers") & ~Q(reason="") & Q(latency_ms=None)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.state} of {self.database_id}"
