"""A step: a part of a job with its own state and duration."""

from django.db import models

from dbops.models.job import Job


class Step(models.Model):
    class State(models.TextChoices):
        PENDING = "pending", "pending"
        RUNNING = "running", "running"
        SUCCEEDED = "succeeded", "succeeded"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"
        RETRIED = "retried", "tried again"
        SKIPPED = "skipped", "not reached"

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveIntegerField()
    # A migration that a lock kept waiting too long may be tried again: a row a try, all at one position.
    attempt = models.PositiveSmallIntegerField(default=1)
    # How many tries it may have; null where nobody said so, since the first was enough.
    attempts = models.PositiveSmallIntegerField(null=True, blank=True)
    kind = models.CharField(max_length=30)
    name = models.TextField()
    state = models.CharField(max_length=20, choices=State.choices, default=State.PENDING)
    started_at = models.DateTimeField(null=True, blank=True)
    duration_ms = models.PositiveIntegerField(null=True, blank=True)
    statements = models.PositiveIntegerField(null=True, blank=True)
    # Of the transcript: its lines, where it printed any. `last_line` is null while it runs.
    first_line = models.PositiveIntegerField(null=True, blank=True)
    last_line = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["job", "position", "attempt"]
        constraints = [
            models.UniqueConstraint(fields=["job", "position", "attempt"], name="step_attempt_once_a_job"),
        ]

    def __str__(self) -> str:
        return self.name
