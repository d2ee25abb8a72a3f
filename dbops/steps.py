"""The steps of a job in the rows, as an operation reports them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, Count, F, Max, Q, Subquery, Value, When
from django.db.models.functions import Coalesce

from dbops.models import Job, Step
from dbops.models.clock import now

MIGRATION, POST_MIGRATE = "migration", "post_migrate"


@dataclass(frozen=True)
class Steps:
    """Begin and end steps by name, for the worker that holds the job with this fence."""

    job_id: int
    fence: int

    @transaction.atomic(savepoint=False)
    def plan(self, kind: str, names: list[str]) -> None:
        """Steps that are to come; those of migrations are what the progress bar counts."""
        first = self._next_position()
        to_come = Step.objects.filter(job_id=self.job_id, kind=kind, state="pending")
        told = set(to_come.values_list("name", flat=True))
        Step.objects.bulk_create(
            Step(job_id=self.job_id, position=first + offset, kind=kind, name=name)
            for offset, name in enumerate(name for name in names if name not in told)
        )
        planned = Step.objects.filter(job_id=self.job_id, kind=MIGRATION, attempt=1).count()
        Job.objects.touch(self.job_id, self.fence, total_count=planned)

    @transaction.atomic(savepoint=False)
    def begin(self, kind: str, name: str, first_line: int | None = None) -> None:
        """`first_line`: the number of the first line that it may print."""
        named = Step.objects.filter(job_id=self.job_id, name=name)
        begun = {"state": Step.State.RUNNING, "started_at": now(), "first_line": first_line}
        # One at most: what waits already is not planned a second time.
        if not named.filter(state="pending").update(**begun) and not named.filter(state="running").exists():
            position = self._next_position()
            Step.objects.create(job_id=self.job_id, position=position, kind=kind, name=name, **begun)

    def end(
        self,
        name: str,
        state: str,
        *,
        duration_ms: int,
        statements: int | None = None,
        last_line: int | None = None,
    ) -> None:
        """`last_line`: the number of the last line before it ended."""
        running = Step.objects.filter(job_id=self.job_id, name=name, state="running")
        running.update(state=state, duration_ms=duration_ms, statements=statements, **lines_until(last_line))

    @transaction.atomic(savepoint=False)
    def retry(self, name: str, *, attempts: int, **measured: Any) -> None:
        """What runs failed and left nothing; its next try stands at the same place. `measured`: see `end`."""
        step = Step.objects.filter(job_id=self.job_id, name=name, state="running").first()
        if step is not None:
            Step.objects.filter(pk=step.pk).update(attempts=attempts)
            self.end(name, Step.State.RETRIED, **measured)
            again = {"attempt": step.attempt + 1, "attempts": attempts}
            Step.objects.create(
                job_id=self.job_id, position=step.position, kind=step.kind, name=name, **again
            )

    def tell(self, batch: int) -> None:
        """That there is news, and how many are done: once behind as many changes as came together, in one
        transaction with them. FenceLostError undoes them: the job is another's."""
        Job.objects.touch(self.job_id, self.fence, done_count=self._done(), batches_written=batch)

    def stands(self, batch: int) -> bool:
        return Job.objects.filter(pk=self.job_id, batches_written__gte=batch).exists()

    def stop_at(self, last_line: int) -> None:
        """What runs prints no line behind this one, whatever becomes of it."""
        running = Step.objects.filter(job_id=self.job_id, state="running", last_line=None)
        running.update(**lines_until(last_line))

    def close(self, state: str, recorded: list[list[str]] | None = None, *, last_line: int) -> None:
        """At the job's end: what still runs ended as the job did, and with its last line; what never began
        was not reached; and a migration is a success if, and only if, it is among the recorded ones, where
        these are known."""
        self.stop_at(last_line)
        if recorded is not None:
            self._settle({f"{app}.{name}" for app, name in recorded})
        for step in Step.objects.filter(job_id=self.job_id, state="running"):
            took = now() - step.started_at if step.started_at else timedelta()
            # What began a moment ago may have been written by a clock that is a hair ahead.
            step.state, step.duration_ms = state, max(0, int(took.total_seconds() * 1000))
            step.save()
        Step.objects.filter(job_id=self.job_id, state="pending").update(state="skipped")

    def _settle(self, recorded: set[str]) -> None:
        migrations = Step.objects.filter(job_id=self.job_id, kind=MIGRATION)
        # A try that was followed by another did not succeed, whatever the last one did.
        open_ones = migrations.filter(name__in=recorded).exclude(state__in=["succeeded", "retried"])
        open_ones.update(state="succeeded")
        migrations.filter(state="succeeded").exclude(name__in=recorded).update(state="failed")
        Job.objects.filter(pk=self.job_id).update(done_count=migrations.filter(state="succeeded").count())

    def _done(self) -> Coalesce:
        """Counted in the same statement that tells it."""
        succeeded = Step.objects.filter(job_id=self.job_id, kind=MIGRATION, state="succeeded").order_by()
        return Coalesce(Subquery(succeeded.values("job_id").annotate(n=Count("pk")).values("n")), 0)

    def _next_position(self) -> int:
        last = Step.objects.filter(job_id=self.job_id).aggregate(last=Max("position"))["last"]
        return 1 if last is None else last + 1


def lines_until(last: int | None) -> dict[str, Case]:
    """Columns of a step whose last line is this one; none of both where that is before its first one. {}
    where it is not known."""
    if last is None:
        return {}
    printed = Q(first_line__lte=last)
    return {
        "first_line": Case(When(printed, then=F("first_line"))),
        "last_line": Case(When(printed, then=Value(last))),
    }
