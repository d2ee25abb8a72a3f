"""What a job's page shows of the lock that it waits for, and of the sessions that staff may end for it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dbops.endings import listed, why_not
from dbops.lockwait import lock_of, whom
from dbops.models import Job, SessionEnding
from dbops.models.job import WORKED_ON
from dbops.rights import Rights, Role

ENDINGS_SHOWN = 5


@dataclass(frozen=True)
class Blocker:
    """A session in the way: of the job itself, or (not `direct`) of one that is."""

    facts: dict[str, Any]
    seen_at: datetime
    may_end: bool

    @property
    def pid(self) -> int:
        return int(self.facts["pid"])

    @property
    def whom(self) -> str:
        return whom(self.facts)

    @property
    def transaction_since(self) -> datetime | None:
        return self._since("transaction_s") or self._since("prepared_s")

    @property
    def connected_since(self) -> datetime | None:
        return self._since("connected_s")

    @property
    def state_since(self) -> datetime | None:
        return self._since("state_s")

    @property
    def waits_for(self) -> str:
        return lock_of(self.facts["waits_for"]) if self.facts.get("waits_for") else ""

    @property
    def held(self) -> str:
        return ", ".join(self.facts.get("held") or [])

    @property
    def can_cancel(self) -> bool:
        return self.may_end and not self.why_no_cancel

    @property
    def can_end(self) -> bool:
        return self.may_end and not self.why_no_end

    @property
    def why_no_cancel(self) -> str:
        return why_not(self.facts, "cancel")

    @property
    def why_no_end(self) -> str:
        return why_not(self.facts, "terminate")

    def _since(self, name: str) -> datetime | None:
        seconds = self.facts.get(name)
        return None if seconds is None else self.seen_at - timedelta(seconds=seconds)


@dataclass(frozen=True)
class Wait:
    facts: dict[str, Any]
    seen_at: datetime
    blockers: list[Blocker]

    @property
    def pid(self) -> int:
        return int(self.facts["pid"])

    @property
    def lock(self) -> str:
        return lock_of(self.facts)

    @property
    def since(self) -> datetime:
        return self.seen_at - timedelta(seconds=self.facts["waited_s"])


@dataclass(frozen=True)
class Retry:
    """Between two tries: the wait is over, the next one begins at `again_at`."""

    attempt: int
    attempts: int
    again_at: datetime


def waits_of(job: Job, role: Role) -> list[Wait]:
    found = shown(job)
    seen_at = seen(found)
    return [
        Wait(facts, seen_at, [Blocker(one, seen_at, may_end=role >= Role.STAFF) for one in facts["blockers"]])
        for facts in found.get("waits", [])
    ]


def retry_of(job: Job) -> Retry | None:
    retry = shown(job).get("retry")
    if not retry:
        return None
    return Retry(retry["attempt"], retry["attempts"], datetime.fromisoformat(retry["again_at"]))


def shown(job: Job) -> dict[str, Any]:
    """A job whose worker is away may wait no more."""
    return (job.lock_wait or {}) if job.state in WORKED_ON else {}


def seen(found: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(found["seen_at"]) if found else datetime.min


def endings_of(job: Job) -> list[SessionEnding]:
    return list(SessionEnding.objects.filter(job=job).order_by("-id")[:ENDINGS_SHOWN])


@dataclass(frozen=True)
class SessionPage:
    """Before one of these acts: what is known of the session, and what will happen."""

    job: Job
    pid: int
    act: str
    blocker: Blocker | None
    role: Role

    @property
    def why_not(self) -> str:
        if self.blocker is None:
            return f"Pid {self.pid} is not in the way of job {self.job.pk} any more."
        return why_not(self.blocker.facts, self.act)


def session_page(rights: Rights, job: Job, pid: int, act: str) -> SessionPage:
    found, role = listed(job, pid), rights.on(job.database.target_id)
    blocker = Blocker(found, seen(shown(job)), may_end=role >= Role.STAFF) if found else None
    return SessionPage(job, pid, act, blocker, role)
