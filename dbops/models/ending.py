"""A session on a target's server that staff asked to end, because it keeps a job waiting for a lock."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from dbops.models.clock import WrittenAt
from dbops.models.job import Job

SAME_UNANSWERED = "session_ending_once_until_answered"


class SessionEnding(models.Model):
    """Taken by the job's worker (`sent_at`), which hands it to its agent at most once. `outcome` and `answer`
    come together, once: what became of it is never guessed."""

    class Act(models.TextChoices):
        CANCEL = "cancel", "cancel its statement"
        TERMINATE = "terminate", "end the session"

    class Outcome(models.TextChoices):
        DONE = "done", "done"
        GONE = "gone", "it had gone already"
        NOT_ALLOWED = "not_allowed", "not allowed"
        REFUSED = "refused", "refused"
        FAILED = "failed", "failed"
        TOO_LATE = "too_late", "the job ended first"
        UNKNOWN = "unknown", "not known"

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="endings")
    # Together they are one session: a pid is used again.
    pid = models.PositiveIntegerField()
    backend_start = models.CharField(max_length=50)
    # The session may be another one's in its next transaction; "" where it was in none.
    transaction_start = models.CharField(max_length=50, blank=True)
    # Who it was, as the page showed it: `psql, role shop`.
    whom = models.CharField(max_length=500, blank=True)
    act = models.CharField(max_length=20, choices=Act.choices)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    asked_by_name = models.CharField(max_length=200)
    asked_from = models.CharField(max_length=100, blank=True)
    reason = models.TextField(blank=True)
    asked_at = WrittenAt()
    sent_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, choices=Outcome.choices, blank=True)
    answer = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["job", "-id"], name="session_ending_of_job"),
        ]
        constraints = [
            models.UniqueConstraint(
                name=SAME_UNANSWERED,
                fields=["job", "pid", "backend_start", "transaction_start", "act"],
                condition=Q(outcome=""),
            ),
            models.CheckConstraint(
                name="session_ending_answered_as_a_whole",
                condition=Q(outcome="", answer="", ended_at=None)
                | (~Q(outcome="") & ~Q(answer="") & ~Q(ended_at=None)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.act} of pid {self.pid} for job {self.job_id}"
