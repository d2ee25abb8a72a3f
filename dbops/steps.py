"""The steps of a job in the rows, as an operation reports them."""

from dataclasses import dataclass

from django.db.models import F, Max
from django.utils import timezone

from dbops.models import Job, Step

MIGRATION = "migration"


@dataclass(frozen=True)
class Steps:
    """Begin and end steps by name; at most one runs at a time."""

    job_id: int

    def plan(self, kind: str, names: list[str]) -> None:
        """Steps that are to come; those of migrations are what the progress bar counts."""
        first = self._next_position()
        Step.objects.bulk_create(
            Step(job_id=self.job_id, position=first + offset, kind=kind, name=name)
            for offset, name in enumerate(names)
        )
        Job.objects.filter(pk=self.job_id).update(total_count=len(names), version=F("version") + 1)

    def begin(self, kind: str, name: str) -> None:
        step = (
            Step.objects.filter(job_id=self.job_id, name=name, state="pending").order_by("position").first()
        )
        if step is None:
            step = Step(job_id=self.job_id, position=self._next_position(), kind=kind, name=name)
        step.state, step.started_at = Step.State.RUNNING, timezone.now()
        step.save()
        self._changed()

    def end(self, name: str, state: str, *, duration_ms: int, statements: int | None = None) -> None:
        running = Step.objects.filter(job_id=self.job_id, name=name, state="running")
        ended = running.update(state=state, duration_ms=duration_ms, statements=statements)
        counted = Step.objects.filter(job_id=self.job_id, kind=MIGRATION, state="succeeded").count()
        if ended:
            Job.objects.filter(pk=self.job_id).update(done_count=counted)
        self._changed()

    def close(self, state: str) -> None:
        """At the job's end: what still runs ended as the job did, what never began was not reached."""
        for step in Step.objects.filter(job_id=self.job_id, state="running"):
            took = timezone.now() - (step.started_at or timezone.now())
            step.state, step.duration_ms = state, int(took.total_seconds() * 1000)
            step.save()
        Step.objects.filter(job_id=self.job_id, state="pending").update(state="skipped")

    def _next_position(self) -> int:
        last = Step.objects.filter(job_id=self.job_id).aggregate(last=Max("position"))["last"]
        return 1 if last is None else last + 1

    def _changed(self) -> None:
        Job.objects.filter(pk=self.job_id).update(version=F("version") + 1)
