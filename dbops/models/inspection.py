"""An inspection: the agent's full report on a target at one moment."""

from django.db import models

from dbops.models.target import Target


class Inspection(models.Model):
    class Outcome(models.TextChoices):
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    target = models.ForeignKey(Target, on_delete=models.CASCADE, related_name="inspections")
    outcome = models.CharField(max_length=20, choices=Outcome.choices, default=Outcome.RUNNING)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    python_version = models.CharField(max_length=50, blank=True)
    django_version = models.CharField(max_length=50, blank=True)
    # The agent's answer without connection settings; dbops.inspection.report reads it.
    report = models.JSONField(null=True, blank=True)
    # Where it failed: the type of the error (whose fault), its sentence, the target's traceback.
    error_type = models.CharField(max_length=100, blank=True)
    error_sentence = models.TextField(blank=True)
    error_traceback = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["target", "-id"], name="inspection_latest"),
            models.Index(fields=["target", "outcome", "-id"], name="inspection_latest_outcome"),
        ]
        constraints = [
            models.CheckConstraint(
                name="inspection_ends_with_an_outcome",
                condition=models.Q(outcome="running", finished_at=None)
                | (models.Q(outcome__in=["done", "failed"]) & ~models.Q(finished_at=None)),
            ),
        ]

    def __str__(self) -> str:
        return f"inspection {self.pk} of {self.target_id}"
