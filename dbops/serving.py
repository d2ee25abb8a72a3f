"""Which queues are needed, who serves them, and what to say and do where nobody does."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dbops import conf
from dbops.models import Target, Worker, clock

# What beat sends goes there, whatever targets there are.
BEATS_QUEUE = "inspect"


@dataclass(frozen=True)
class Service:
    """One queue and the workers that take from it. `others`: those that would if they were alive."""

    queue: str
    workers: list[Worker] = field(default_factory=list)
    others: list[Worker] = field(default_factory=list)

    @property
    def command(self) -> str:
        """What starts a worker for it, with the environment of the other processes."""
        options = f"-n {shlex.quote(self.queue)}@%h --concurrency 2 --without-mingle --loglevel INFO"
        return f"celery -A opsdash worker -Q {shlex.quote(self.queue)} {options}"

    @property
    def names(self) -> str:
        return ", ".join(worker.name for worker in self.workers)

    @property
    def slots(self) -> int:
        return sum(worker.slots or 0 for worker in self.workers)

    @property
    def busy(self) -> int:
        return sum(worker.busy or 0 for worker in self.workers)

    @property
    def idle(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.free_slots]

    @property
    def nobody(self) -> str:
        """Why nobody serves it, in words; "" where somebody does."""
        if self.workers:
            return ""
        if not self.others:
            return f"No worker serves the queue {self.queue}."
        known = ", ".join(f"{worker.name} is {worker.state}" for worker in self.others)
        return f"No worker serves the queue {self.queue} ({known})."


def service(queue: str) -> Service:
    return services([queue])[queue]


def services(queues: Iterable[str]) -> dict[str, Service]:
    return served(queues, Worker.objects.filter(kind=Worker.Kind.WORKER))


def served(queues: Iterable[str], workers: Iterable[Worker]) -> dict[str, Service]:
    found = {queue: Service(queue) for queue in queues}
    for worker in workers:
        for queue in found.keys() & set(worker.queues):
            here = found[queue]
            (here.workers if worker.is_serving else here.others).append(worker)
    return found


def needed(targets: Iterable[Target]) -> dict[str, list[str]]:
    """Every queue that must be served, and the names of the targets that need it."""
    found: dict[str, list[str]] = {BEATS_QUEUE: []}
    for target in targets:
        for queue in (target.queue, target.inspect_queue):
            found.setdefault(queue, []).append(target.name)
    return dict(sorted(found.items()))


def waits_long(asked_at: datetime | None) -> bool:
    """Its message has been told again by now, if nobody had taken it."""
    limit = timedelta(seconds=conf.knob("REPUBLISH_AFTER_S"))
    return asked_at is not None and clock.now() - asked_at > limit


def not_taking(service: Service, asked_at: datetime | None, messages: int | None = None) -> str:
    """Of a queue whose oldest queued job was asked for then: what is wrong although somebody serves it; ""
    where nothing is. `messages`: how many wait at the broker; None where that is not known."""
    if not service.idle or not waits_long(asked_at):
        return ""
    one = len(service.idle) == 1
    names = ", ".join(worker.name for worker in service.idle)
    who = f"{names} {'has' if one else 'have'} free slots"
    if messages == 0:
        return (
            f"{who}, but no message tells of the job that waits. Beat and a worker of the queue "
            f"{BEATS_QUEUE} see to that: look whether both run."
        )
    return (
        f"{who} and {'does' if one else 'do'} not take a job that has waited for over "
        f"{conf.knob('REPUBLISH_AFTER_S')} s: see whether Redis answers, and restart "
        f"{'it' if one else 'them'}."
    )
