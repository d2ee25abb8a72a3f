"""What may be done about what a job left behind, in words; and the page that asks before a job does it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dbops import aftermath
from dbops.elsewhere import why_elsewhere
from dbops.models import Job, Target

Fact = Mapping[str, Any]

UNDO = (
    "Undo by hand what is there, where it comes from this migration (what it holds is lost), then start it "
    "again:"
)


@dataclass(frozen=True)
class Remedy:
    """What to do, in words; `commands`: what to type for it."""

    words: str
    commands: tuple[str, ...] = ()


def remedies(job: Job, fact: Fact) -> list[Remedy]:
    """What a person may do about one migration; the first is the one to begin with."""
    act = {
        "untouched": _untouched,
        "applied": _applied,
        "partly": _partly,
        "differs": _differs,
        "unseen": _not_seen,
    }.get(fact["verdict"], _unknown)
    return act(job, fact)


def _untouched(job: Job, fact: Fact) -> list[Remedy]:
    if fact["recorded"]:
        words = "As long as it is recorded it is not applied. Take it out of the record, then start it again:"
        return [Remedy(words, (forget(fact),))]
    doubt = "See first whether what cannot be seen of it may be done twice. " if fact["unseen"] else ""
    return [Remedy(f"{doubt}Correct the cause, then start it again.")]


def _applied(job: Job, fact: Fact) -> list[Remedy]:
    if fact["recorded"]:
        return [Remedy("Nothing is to be done about its schema. Start the rest again.")]
    if not fact["unseen"]:
        words = "Record it: otherwise the next migrate applies it again, and meets what is there. By hand:"
        return [Remedy(words, (fake(job, fact),))]
    return [
        Remedy(
            f"See whether {', '.join(fact['unseen'])} did its work. If so, record it by hand:",
            (fake(job, fact),),
        ),
        *_undo(fact, "If not, undo by hand what is there (what it holds is lost), then start it again:"),
    ]


def _partly(job: Job, fact: Fact) -> list[Remedy]:
    complete = "Complete by hand what is lacking"
    if fact["recorded"]:
        return [Remedy(f"{complete}: as long as it is recorded it is not applied.")]
    other = f"Or: {complete.lower()}" if fact["undo"] else complete
    first = [Remedy("Drop the invalid index, below.")] if fact["invalid"] else []
    return [
        *first,
        *_undo(fact, UNDO),
        Remedy(f"{other}, then record it by hand:", (fake(job, fact),)),
    ]


def _differs(job: Job, fact: Fact) -> list[Remedy]:
    cause = Remedy(
        "Somebody or something else changed these tables. Find out what, and whether that is to stay."
    )
    if fact["there"] and not fact["recorded"]:
        return [cause, Remedy("Then record it by hand:", (fake(job, fact),))]
    return [cause, Remedy("Then start it again.")]


def _not_seen(job: Job, fact: Fact) -> list[Remedy]:
    what = ", ".join(fact["unseen"]) or "it"
    return [
        Remedy(f"Look whether {what} did its work. If not, correct the cause and start it again."),
        Remedy("If all of it is done, record it by hand:", (fake(job, fact),)),
    ]


def _unknown(job: Job, fact: Fact) -> list[Remedy]:
    return [
        Remedy("Look by hand what of it is there before you start it again."),
        Remedy("If all of it is there, record it by hand:", (fake(job, fact),)),
    ]


def _undo(fact: Fact, words: str) -> list[Remedy]:
    if fact["undo"]:
        code = ", ".join(fact["unseen"])
        moved = f"See first whether {code} moved rows into it, which are nowhere else. " if code else ""
        return [Remedy(f"{moved}{words}", tuple(fact["undo"]))]
    # Jobs that ended before it was told have no such fact.
    why = fact.get("no_undo")
    return [Remedy(f"No statements that undo it are offered: {why}.")] if why else []


def fake(job: Job, fact: Fact) -> str:
    """As the target's own command line takes it."""
    target: Target = job.database.target
    launcher = target.launcher or ["-m", "django"]
    words = [*target.python, *launcher, "migrate", "--fake", fact["app"], fact["name"]]
    return shlex.join([*words, "--database", job.database.alias])


def forget(fact: Fact) -> str:
    app, name = (fact[key].replace("'", "''") for key in ("app", "name"))
    # Shown to a person, never performed.
    return f"DELETE FROM django_migrations WHERE app = '{app}' AND name = '{name}';"  # noqa: S608


# Asking before


@dataclass(frozen=True)
class RemedyPage:
    """What is about to be asked for: a job of `operation` with `arguments`, after `job` left something."""

    job: Job
    operation: str
    arguments: dict[str, str]
    title: str
    # Why it cannot be asked for, or "".
    refused: str
    # What will be done and proven again, in sentences.
    words: tuple[str, ...]
    fields: dict[str, str]

    @property
    def target(self) -> Target:
        return self.job.database.target


def record_page(job: Job, fact: Fact) -> RemedyPage:
    name = aftermath.called(fact)
    return RemedyPage(
        job=job,
        operation="record",
        arguments={"app": fact["app"], "migration": fact["name"]},
        title=f"Record {name} as applied",
        refused=aftermath.why_not_record(job, fact) or why_elsewhere(job),
        words=(
            f"One row is written into django_migrations: {name} counts as applied from then on, and no "
            "migrate applies it again. Nothing else is changed.",
            "Before that, under the guard, its tables are compared once more with what it makes of them. "
            "Where one is not as it makes it, nothing is recorded. Rows are not compared.",
        ),
        fields={"migration": name},
    )


def drop_page(job: Job, fact: Fact) -> RemedyPage:
    name = f"{fact['schema']}.{fact['name']}"
    return RemedyPage(
        job=job,
        operation="drop_index",
        arguments={"schema": fact["schema"], "index": fact["name"]},
        title=f"Drop the invalid index {name}",
        refused=aftermath.why_not_drop(job, fact) or why_elsewhere(job),
        words=(
            f"{fact['statement']} is performed: the index of {fact['table']} goes, no row is touched, and "
            "who reads or writes the table is not kept waiting. Where transactions hold it up for more "
            "than 5 s it fails, and may be asked for again.",
            "Before that, under the guard, it is looked at once more. Where it is valid by then, somebody "
            "may be building it, or a constraint uses it, nothing is dropped.",
        ),
        fields={"schema": fact["schema"], "index": fact["name"]},
    )
