"""What a job that did not succeed left behind: each thing with its evidence and its remedy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dbops import aftermath
from dbops.elsewhere import why_elsewhere
from dbops.models import Job
from dbops.pages.remedies import Remedy, remedies
from dbops.rights import Rights, Role

Fact = Mapping[str, Any]

STAFF = "needs the role staff"
# (verdict, recorded): what stands beside the name, and its look (static/css/status.css).
VERDICTS = {
    ("untouched", False): ("left nothing behind", "checked"),
    ("untouched", True): ("recorded, but not applied", "failed"),
    ("applied", False): ("applied, but not recorded", "failed"),
    ("applied", True): ("applied and recorded", "succeeded"),
    ("partly", False): ("applied in part", "failed"),
    ("partly", True): ("recorded, but applied in part", "failed"),
    ("differs", False): ("the schema differs", "drifted"),
    ("differs", True): ("the schema differs", "drifted"),
}
# Where something of it cannot be seen, only of the schema is told what it is.
OF_THE_SCHEMA = {
    ("untouched", False): ("the schema is as before it", "unknown"),
    ("untouched", True): ("recorded; the schema is as before it", "failed"),
    ("applied", False): ("the schema is as behind it, not recorded", "failed"),
    ("applied", True): ("recorded; the schema is as behind it", "unknown"),
}


@dataclass(frozen=True)
class Examined:
    """One migration that was in the middle."""

    job: Job
    fact: Fact
    role: Role

    @property
    def name(self) -> str:
        return aftermath.called(self.fact)

    @property
    def verdict(self) -> tuple[str, str]:
        unread = ("not compared", "unknown")
        if self.fact["verdict"] == "unseen":
            unread = ("cannot be seen", "unknown")
        found = (self.fact["verdict"], bool(self.fact["recorded"]))
        told = {**VERDICTS, **OF_THE_SCHEMA} if self.fact["unseen"] else VERDICTS
        return told.get(found, unread)

    @property
    def sentences(self) -> list[str]:
        """What was found; the lists stand below."""
        return [
            words for words in (aftermath.short(self.job, self.fact), aftermath.unseen(self.fact)) if words
        ]

    @property
    def lists(self) -> list[tuple[str, list[str]]]:
        part = self.fact["verdict"] == "partly"
        heads = [
            ("There already" if part else "Compared, and there", "there"),
            ("Lacking" if part else "Compared, and not there", "lacking"),
            ("There, and INVALID", "invalid"),
            ("Otherwise than expected", "otherwise"),
        ]
        return [(head, self.fact[key]) for head, key in heads if self.fact[key]]

    @property
    def offers_record(self) -> bool:
        return not aftermath.why_not_record(self.job, self.fact)

    @property
    def record_refused(self) -> str:
        """Why there is no button although it is proven."""
        return why_elsewhere(self.job) or needed_role(self.role)

    @property
    def remedies(self) -> list[Remedy]:
        return remedies(self.job, self.fact)


@dataclass(frozen=True)
class InvalidIndex:
    job: Job
    fact: Fact
    role: Role

    @property
    def name(self) -> str:
        return f"{self.fact['schema']}.{self.fact['name']}"

    @property
    def refused(self) -> str:
        """Why there is no button."""
        return (
            aftermath.why_not_drop(self.job, self.fact) or why_elsewhere(self.job) or needed_role(self.role)
        )


def needed_role(role: Role) -> str:
    return "" if role >= Role.STAFF else STAFF


@dataclass(frozen=True)
class Left:
    """`indexes` None: whether there are invalid ones is not known. `later`: a job that worked there since;
    `later_is_hidden`: on a target that this person does not see. `elsewhere`: why what is done now may reach
    another database, or ""."""

    examined: list[Examined]
    indexes: list[InvalidIndex] | None
    later: Job | None
    later_is_hidden: bool
    elsewhere: str


def left_by(rights: Rights, job: Job) -> Left | None:
    """None where nothing was looked for."""
    if "examined" not in job.facts:
        return None
    indexes, role = job.facts["invalid_indexes"], rights.on(job.database.target_id)
    later = _changed_since(job)
    return Left(
        [Examined(job, fact, role) for fact in job.facts["examined"]],
        None if indexes is None else [InvalidIndex(job, fact, role) for fact in indexes],
        later,
        later is not None and not rights.sees(later.database.target_id),
        why_elsewhere(job),
    )


def _changed_since(job: Job) -> Job | None:
    """It may have come through another target that leads to the same database."""
    since = Job.objects.later_than(job).filter(changing=True).select_related("database")
    return since.only("pk", "state", "operation", "database__target_id").order_by("-id").first()
