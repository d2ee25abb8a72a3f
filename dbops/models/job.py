"""A job: one performance of an operation on one target database, asked for by one person.

The row is the truth. Every change of state is one conditional UPDATE along an edge of TRANSITIONS; the
loser of a race sees that no row changed. `fence` grows with every claim: a worker that lost its job (paused,
cut off) finds its fence outdated and stops.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.urls import reverse

from dbops.models.clock import WrittenAt
from dbops.models.target import Target, TargetDatabase

# (from, to): why this edge exists.
TRANSITIONS: dict[tuple[str, str], str] = {
    ("queued", "starting"): "a worker claimed it",
    ("queued", "cancelled"): "it was cancelled before a worker began",
    ("starting", "running"): "the target's interpreter answered and holds the guard",
    ("starting", "failed"): "it could not begin: the target is broken, unreachable, or guarded by somebody",
    ("starting", "succeeded"): "it ended before the first sign of work was recorded",
    ("starting", "cancelling"): "a person asked to stop it",
    ("running", "succeeded"): "the operation ended without an error",
    ("running", "failed"): "the operation ended with an error",
    ("running", "cancelling"): "a person asked to stop it",
    ("cancelling", "cancelled"): "the target's process ended because of the request",
    ("cancelling", "succeeded"): "it was complete before the request reached it",
    ("cancelling", "failed"): "it failed before the request reached it",
    ("starting", "lost"): "its worker stopped giving signs of life, or lost the target in the middle of work",
    ("running", "lost"): "its worker stopped giving signs of life, or lost the target in the middle of work",
    ("cancelling", "lost"): "its worker stopped giving signs of life, or lost the target, before it ended",
    ("lost", "lost"): "its worker, called lost a moment before, tells how it lost the target",
    ("lost", "running"): "its worker gives signs of life again: only opsdash's own database was away",
    ("lost", "cancelling"): "the same, and a person asked to stop it",
    ("lost", "failed"): "the guard is free: nothing works on the database any more; or staff said so",
    ("lost", "succeeded"): "the guard is free and all it had to do is recorded",
    ("lost", "cancelled"): "the guard is free, and it had been asked to stop; or staff said so of such a one",
}
# Where who asked for it was at the shell.
SHELL = "shell"
ACTIVE = ("queued", "starting", "running", "cancelling", "lost")
WORKED_ON = ("starting", "running", "cancelling")
FINAL = ("succeeded", "failed", "cancelled")


class IllegalTransitionError(Exception):
    """Our own mistake: code asked for an edge that TRANSITIONS does not have."""


class FenceLostError(Exception):
    """This worker does not hold the job any more; it stops and writes nothing."""


class JobQuerySet(models.QuerySet["Job"]):
    def active(self) -> "JobQuerySet":
        return self.filter(state__in=ACTIVE)

    def move(
        self, job_id: int, origins: Iterable[str], to: str, *, held_fence: int | None = None, **fields: Any
    ) -> bool:
        """Move one job along an edge and set `fields`; False when it stood in none of `origins` (any more).

        A worker passes the fence of its claim: an outdated one moves nothing.
        """
        origins = list(origins)
        for origin in origins:
            if (origin, to) not in TRANSITIONS:
                raise IllegalTransitionError(f"{origin} -> {to}")
        conditions: dict[str, Any] = {"pk": job_id, "state__in": origins}
        if held_fence is not None:
            conditions["fence"] = held_fence
        if to in FINAL:
            fields.update(finished_at=Now(), lock_wait=None)
        return self.filter(**conditions).update(state=to, version=F("version") + 1, **fields) == 1

    def claim(self, job_id: int, worker: str) -> "Job | None":
        """Give a queued job to this worker, or None when somebody else has it or it is not queued."""
        won = self.move(
            job_id,
            ["queued"],
            "starting",
            worker=worker,
            started_at=Now(),
            heartbeat_at=Now(),
            fence=F("fence") + 1,
        )
        if not won:
            return None
        return self.select_related("database__target").get(pk=job_id)

    def beat(self, job_id: int, fence: int) -> bool:
        """A sign of life; False when the job is not this worker's any more."""
        held = self.filter(pk=job_id, fence=fence, state__in=WORKED_ON)
        return held.update(heartbeat_at=Now()) == 1

    def take_back(self, job_id: int, fence: int) -> bool:
        """A worker that was called lost goes on, unless the job was ended by evidence or by a person."""
        asked_to_stop = self.filter(pk=job_id, cancel_asked_at__isnull=False).exists()
        state = "cancelling" if asked_to_stop else "running"
        return self.move(job_id, ["lost"], state, held_fence=fence, outcome="", heartbeat_at=Now())

    def touch(self, job_id: int, fence: int, **fields: Any) -> None:
        """Write columns of a job that this worker holds, and tell that it changed.

        Raises FenceLostError when it is not this worker's any more.
        """
        held = self.filter(pk=job_id, fence=fence).exclude(state__in=FINAL)
        if held.update(version=F("version") + 1, **fields) != 1:
            raise FenceLostError

    def silent(self, seconds: float) -> "JobQuerySet":
        limit = Now() - timedelta(seconds=seconds)
        return self.filter(state__in=WORKED_ON, heartbeat_at__lt=limit)

    def claim_look(self, job_id: int, pause_s: float) -> bool:
        """Of several that would look after a lost job, one does; the next may after `pause_s`."""
        due = Q(look_again_at=None) | Q(look_again_at__lt=Now())
        lost = self.filter(due, pk=job_id, state="lost")
        return lost.update(look_again_at=Now() + timedelta(seconds=pause_s)) == 1

    def later_than(self, job: "Job") -> "JobQuerySet":
        """Those that began since: through its alias, or through another one that leads to the same database.
        Where no identity is known, only the first are known."""
        here = Q(database_id=job.database_id)
        if job.identity:
            here |= Q(identity=job.identity)
        return self.filter(here, pk__gt=job.pk, started_at__isnull=False)

    def waiting(self, seconds: float) -> "JobQuerySet":
        """Queued and not published for this long: its message may be lost."""
        return self.filter(state="queued", published_at__lt=Now() - timedelta(seconds=seconds))


class Job(models.Model):
    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        STARTING = "starting", "starting"
        RUNNING = "running", "running"
        CANCELLING = "cancelling", "cancelling"
        SUCCEEDED = "succeeded", "succeeded"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"
        LOST = "lost", "lost"

    database = models.ForeignKey(TargetDatabase, on_delete=models.PROTECT, related_name="jobs")
    # What the database was when the job was asked for: its name, and its identity (two targets may lead to
    # one database). A target whose environment changed since is refused by the agent.
    database_name = models.TextField(blank=True)
    identity = models.CharField(max_length=1000, blank=True)
    # Set where opsdash has no guard, which knows no identity either: two aliases may lead to one database.
    without_guard_at = models.ForeignKey(
        Target,
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    # Set where it writes to the target's tree instead of its database.
    writes_tree_of = models.ForeignKey(
        Target,
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    operation = models.CharField(max_length=50)
    changing = models.BooleanField(default=True)
    arguments = models.JSONField(default=dict)
    state = models.CharField(max_length=20, choices=State.choices, default=State.QUEUED)
    version = models.PositiveIntegerField(default=0)
    fence = models.PositiveIntegerField(default=0)
    idempotency_key = models.UUIDField(unique=True)
    queue = models.CharField(max_length=63)
    worker = models.CharField(max_length=200, blank=True)

    # The job that this one repeats.
    again_of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="repeats"
    )
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    asked_by_name = models.CharField(max_length=200)
    asked_from = models.CharField(max_length=100, blank=True)
    reason = models.TextField(blank=True)

    created_at = WrittenAt()
    published_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    # While it is lost: when its truth is looked for again.
    look_again_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    cancel_asked_at = models.DateTimeField(null=True, blank=True)
    cancel_asked_by = models.CharField(max_length=200, blank=True)

    # What is true now, in a sentence; the error's type says whose fault it was.
    outcome = models.TextField(blank=True)
    error_type = models.CharField(max_length=100, blank=True)
    error_traceback = models.TextField(blank=True)
    done_count = models.PositiveIntegerField(default=0)
    total_count = models.PositiveIntegerField(null=True, blank=True)
    # The server session that works: a process number is used again, with its start (microseconds by the
    # server's clock) it is one for ever.
    backend_pid = models.PositiveIntegerField(null=True, blank=True)
    backend_started = models.PositiveBigIntegerField(null=True, blank=True)
    # Which lock it waits for and who is in the way (see dbops.lockwait); null: it waits for none.
    lock_wait = models.JSONField(null=True, blank=True)
    # Of its worker's late writes: one whose acknowledgement was lost is known by its number.
    batches_written = models.PositiveIntegerField(default=0)
    # before / after: {"plan": [[app, name]], "recorded": [[app, name]], ...}
    facts = models.JSONField(default=dict)
    # Of the transcript: how many lines were printed, how many bytes of them are kept.
    last_line = models.PositiveIntegerField(default=0)
    transcript_bytes = models.PositiveBigIntegerField(default=0)
    # Lines of its middle that are not kept any more, since it is larger than TRANSCRIPT_BYTES.
    gap_first = models.PositiveIntegerField(null=True, blank=True)
    gap_last = models.PositiveIntegerField(null=True, blank=True)
    # The first line that looks like an error (dbops.transcript.errors).
    first_error_line = models.PositiveIntegerField(null=True, blank=True)
    # When retention took the lines away, or began to: as long as `transcript_bytes` says so there are some.
    transcript_removed_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["database", "-id"], name="job_of_database"),
            models.Index(fields=["identity", "-id"], name="job_of_identity"),
            models.Index(fields=["state", "heartbeat_at"], name="job_alive", condition=Q(state__in=ACTIVE)),
            models.Index(fields=["state", "-id"], name="job_by_state"),
            models.Index(
                fields=["finished_at"],
                name="job_with_old_transcript",
                condition=Q(transcript_bytes__gt=0) & ~Q(finished_at=None),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                name="one_active_changing_job_per_database",
                fields=["database"],
                condition=Q(changing=True, state__in=ACTIVE),
            ),
            models.UniqueConstraint(
                name="one_active_changing_job_per_identity",
                fields=["identity"],
                condition=Q(changing=True, state__in=ACTIVE) & ~Q(identity=""),
            ),
            models.UniqueConstraint(
                name="one_active_changing_job_per_target_without_guard",
                fields=["without_guard_at"],
                condition=Q(changing=True, state__in=ACTIVE),
            ),
            models.UniqueConstraint(
                name="one_active_job_writes_to_a_tree",
                fields=["writes_tree_of"],
                condition=Q(state__in=ACTIVE),
            ),
            models.CheckConstraint(
                name="job_finished_when_final",
                condition=Q(state__in=ACTIVE, finished_at=None) | (Q(state__in=FINAL) & ~Q(finished_at=None)),
            ),
            models.CheckConstraint(
                name="transcript_gap_has_lines",
                condition=Q(gap_first=None, gap_last=None) | Q(gap_first__lte=F("gap_last")),
            ),
            models.CheckConstraint(
                name="job_waits_only_while_active",
                condition=Q(state__in=ACTIVE) | Q(lock_wait__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"job {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("job", args=[self.pk])

    @property
    def announced(self) -> list[int] | None:
        """The session that works, whatever the target calls it: (pid, start). None where none is told."""
        known = (self.backend_pid, self.backend_started)
        return [number for number in known if number is not None] if None not in known else None

    @property
    def gap(self) -> tuple[int, int] | None:
        """(first, last) of the lines that are not kept any more."""
        return (self.gap_first, self.gap_last) if self.gap_first and self.gap_last else None

    @property
    def lost_its_target(self) -> bool:
        """Its worker lives, and could not see the end of what works in the target."""
        return "how_lost" in self.facts

    @property
    def concluded(self) -> str:
        """How a lost one had ended as far as its worker knows; "" where it could say nothing."""
        return str(self.facts.get("concluded", ""))

    @property
    def how_lost(self) -> str:
        return str(self.facts.get("how_lost", "The worker stopped giving signs of life."))

    @property
    def resolved_as(self) -> str:
        """What a lost one becomes on staff's word: as its worker saw it end, but never a success."""
        return "cancelled" if self.concluded == "cancelled" else "failed"

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE
