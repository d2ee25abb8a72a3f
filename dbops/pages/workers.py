"""The page of workers and queues: those that matter to what a person sees. How busy a shared worker or queue
is stands there for all of them; whose jobs these are, for those who see their targets."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from dbops.broker import waiting_by_queue
from dbops.models import Job, Worker
from dbops.models.job import WORKED_ON
from dbops.pages.job import title_of
from dbops.rights import Rights, Role
from dbops.serving import BEATS_QUEUE, Service, needed, not_taking, served

MISSING = {
    Worker.Kind.BEAT: "No beat runs: nothing is inspected by itself, no job whose worker vanished is found, "
    "and none that nobody took is told again. Start it: celery -A opsdash beat --pidfile= --loglevel INFO",
    Worker.Kind.PROBER: "No prober runs: whether databases answer is not known. Start it: "
    "python manage.py run_probes",
}

VERSIONS = {"opsdash": "opsdash", "python": "Python", "celery": "Celery"}
# Hosts may well have Pythons of their own.
ADVICE = {"opsdash": " One of them was not updated, or not restarted since."}


@dataclass(frozen=True)
class AtWork:
    job: Job
    title: str


@dataclass(frozen=True)
class WorkerRow:
    worker: Worker
    jobs: list[AtWork]

    @property
    def is_alive(self) -> bool:
        return self.worker.state in ("serving", "stopping")

    @property
    def state_words(self) -> str:
        if self.worker.state == "serving":
            return "serving" if self.worker.kind == Worker.Kind.WORKER else "running"
        return self.worker.state


@dataclass(frozen=True)
class QueueRow:
    """`messages`: None where the broker did not answer. `oldest`: when its oldest queued job was asked."""

    service: Service
    targets: list[str]
    messages: int | None
    queued: int
    oldest: datetime | None

    @property
    def queue(self) -> str:
        return self.service.queue

    @property
    def is_beats(self) -> bool:
        return self.queue == BEATS_QUEUE

    @property
    def needed_by(self) -> str:
        """In a sentence behind that nobody serves it."""
        needing = ["beat"] if self.is_beats else []
        if self.is_beats and not self.targets:
            return "Nothing is inspected, and no lost job is looked after."
        return f"Needed by: {', '.join([*needing, *self.targets])}." if self.targets else ""

    @property
    def not_taking(self) -> str:
        return not_taking(self.service, self.oldest, self.messages)

    @property
    def problem(self) -> str:
        return self.service.nobody or self.not_taking


@dataclass(frozen=True)
class WorkersPage:
    workers: list[WorkerRow]
    queues: list[QueueRow]
    broker_away: bool
    role: Role

    @property
    def unserved(self) -> list[QueueRow]:
        return [row for row in self.queues if not row.service.workers]

    @property
    def missing(self) -> list[str]:
        """What else has to run, and does not."""
        there = {row.worker.kind for row in self.workers if row.worker.is_serving}
        return [sentence for kind, sentence in MISSING.items() if kind not in there]

    @property
    def versions(self) -> list[str]:
        """Where those that are alive differ: a sentence a kind of version."""
        alive = [row.worker for row in self.workers if row.is_alive]
        return [words for kind in VERSIONS if (words := different(kind, alive))]


def different(kind: str, workers: Iterable[Worker]) -> str:
    names: dict[str, list[str]] = {}
    for worker in workers:
        names.setdefault(str(worker.versions.get(kind, "unknown")), []).append(worker.name)
    if len(names) < 2:
        return ""
    each = "; ".join(f"{version} ({', '.join(found)})" for version, found in sorted(names.items()))
    return f"They run different versions of {VERSIONS[kind]}: {each}.{ADVICE.get(kind, '')}"


def workers_page(rights: Rights) -> WorkersPage:
    active = list(_active_jobs(rights))
    wanted = needed(rights.targets.only("name", "queue"))
    # A job may wait in a queue that no target names any more.
    for job in active:
        if job.state == "queued":
            wanted.setdefault(job.queue, [])
    workers = [worker for worker in Worker.objects.all() if rights.sees_all or _matters(worker, wanted)]
    messages = waiting_by_queue(wanted)
    found = served(wanted, [worker for worker in workers if worker.kind == Worker.Kind.WORKER])
    return WorkersPage(
        workers=[WorkerRow(worker, _at_work(worker, active)) for worker in workers],
        queues=[_queue(found[queue], names, messages, active) for queue, names in wanted.items()],
        broker_away=messages is None,
        role=rights.highest,
    )


def _active_jobs(rights: Rights) -> QuerySet[Job]:
    seen = Job.objects.active().filter(rights.within("database__target_id"))
    return seen.select_related("database__target").order_by("pk")


def _matters(worker: Worker, queues: Iterable[str]) -> bool:
    return worker.kind != Worker.Kind.WORKER or bool(set(worker.queues) & set(queues))


def _at_work(worker: Worker, active: list[Job]) -> list[AtWork]:
    mine = [job for job in active if job.worker == worker.name and job.state in WORKED_ON]
    return [AtWork(job, title_of(job)) for job in mine if not _is_of_its_predecessor(job, worker)]


def _is_of_its_predecessor(job: Job, worker: Worker) -> bool:
    """Of one that was killed and had the same name, until the job is called lost."""
    return job.started_at is not None and job.started_at < worker.started_at


def _queue(
    service: Service, targets: list[str], messages: dict[str, int] | None, active: list[Job]
) -> QueueRow:
    queued = [job.created_at for job in active if job.state == "queued" and job.queue == service.queue]
    waiting = messages[service.queue] if messages is not None else None
    return QueueRow(service, targets, waiting, len(queued), min(queued, default=None))
