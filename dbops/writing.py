"""Jobs that write to a target's tree: where that is offered, and what is true of the files at the end of one.

Facts of such a job: `to_write` [[app, name, path]], told before the first is written; `files` [{app, name,
path, text}], those that are there; `lacking` [path], those of `to_write` that are not (None: not seen from
here); `changed` [path] of others that the project's command changed beside them. Each file is there whole or
not at all (dbops.agent.new_files).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from django.db import transaction
from django.db.models import F

from dbops.ended import record_end
from dbops.finding import Finding, Pairs, look
from dbops.models import Job, Target
from dbops.plain import plain
from dbops.redaction import Redactor
from dbops.sealing import CannotUnsealError
from dbops.target.address_of import address_of, secrets_of
from dbops.target.errors import TargetError
from dbops.target.tree import is_written_to, text_of
from dbops.truth import REST_PAUSE_S, REST_S, Result

Clean = Callable[[str], str]
LEFT = "Nothing else may write to the tree of {} until that is known."
NOT_LOOKED = "Whether its worker sees the target's tree was not looked at yet: inspect it."
UNSEEN = "whether something of the job still writes there cannot be seen from this worker"


def why_not(target: Target) -> str:
    """Why no file of this target is written, in a sentence; "" where it may be."""
    if target.environment != Target.Environment.DEVELOPMENT:
        kind = target.environment
        return f"Migrations are made where the project is developed; {target.name} is a {kind} target."
    latest = target.inspections.filter(outcome="done").first()
    if latest is None:
        return f"{target.name} was never inspected, so that nobody knows what would be written."
    return str((latest.report or {}).get("file_reach", NOT_LOOKED))


def with_files(job: Job, result: Result, before: Pairs) -> Result:
    """The target is inspected again, and the result says which files are there. Where something of the job
    may still write, it is lost (see dbops.truth.with_truth)."""
    at_rest = not result.may_work_on or _waited_for_rest(job)
    finding = look(job)
    facts = {**result.facts, "before": {"plan": before}, **_after(finding)}
    if not at_rest:
        how = {"how_lost": result.outcome, "concluded": ""}
        outcome = f"{result.outcome} {_unproven(job)}"
        return replace(result, state="lost", outcome=outcome, facts={**facts, **how})
    facts.update(_files(job, facts))
    return replace(result, facts=facts, outcome=f"{result.outcome} {words(facts)}".strip())


def end_lost(job: Job) -> bool:
    """End a lost one where nothing of it writes to the tree any more, as the tree's own lock says; False
    where that cannot be seen, and then its outcome says why."""
    if _written_to(job) is not False:
        outcome = f"{job.how_lost} {_unproven(job)}"
        Job.objects.filter(pk=job.pk, state="lost", fence=job.fence).update(
            outcome=outcome, version=F("version") + 1
        )
        return False
    state = job.concluded or ("cancelled" if job.cancel_asked_at else "failed")
    facts = {**job.facts, **_after(look(job))}
    facts.update(_files(job, facts))
    outcome = f"{job.how_lost} Nothing of the job writes to the tree any more. {words(facts)}".strip()
    return _write_end(job, state, outcome, facts)


@transaction.atomic
def _write_end(job: Job, state: str, outcome: str, facts: dict[str, Any]) -> bool:
    error = job.error_type if job.lost_its_target else "WorkerLost"
    ended = Job.objects.move(
        job.pk,
        ["lost"],
        state,
        held_fence=job.fence,
        # Whoever held it finds that it does not any more.
        fence=F("fence") + 1,
        outcome=outcome,
        error_type=error,
        facts=facts,
    )
    if ended:
        record_end(job, state, outcome, facts, error=error)
    return ended


def words(facts: Mapping[str, Any]) -> str:
    there = [_short(one["path"]) for one in facts.get("files") or []]
    lacking = facts.get("lacking")
    told = []
    if there:
        told.append(f"In the tree by now: {', '.join(there)}.")
    if lacking:
        told.append(f"Not there: {', '.join(map(_short, lacking))}.")
    if lacking is None:
        told.append("Which files are there cannot be seen from the worker.")
    if not there and not lacking and lacking is not None:
        told.append("No file was written.")
    if changed := facts.get("changed"):
        told.append(f"Changed beside them by the project's own command: {', '.join(map(_short, changed))}.")
    return " ".join(told)


def _files(job: Job, facts: Mapping[str, Any]) -> dict[str, Any]:
    """`files`, `lacking`, `changed`: as the agent told at its end, or else as they are found now."""
    clean = _cleaner(job)
    planned = [[str(part) for part in one] for one in facts.get("to_write") or []]
    told = facts.get("files") if planned else []
    if told is None:
        if _written_to(job) is None:
            return {"files": [], "lacking": None}
        found = [(*one, text_of(one[2])) for one in planned]
        told = [
            {"app": app, "name": name, "path": path, "text": text}
            for app, name, path, text in found
            if text is not None
        ]
    files = [{key: clean(str(one[key])) for key in ("app", "name", "path", "text")} for one in told]
    there = {one["path"] for one in files}
    lacking = [path for _, _, path in planned if path not in there]
    return {"files": files, "lacking": lacking, "changed": [str(one) for one in facts.get("changed") or []]}


def _cleaner(job: Job) -> Clean:
    try:
        redactor = Redactor(secrets_of(job.database.target))
    except (TargetError, CannotUnsealError):
        redactor = Redactor(())
    return lambda text: redactor.clean(plain(text))


def _written_to(job: Job) -> bool | None:
    try:
        return is_written_to(address_of(job.database.target))
    except (TargetError, CannotUnsealError):
        return None


def _waited_for_rest(job: Job) -> bool:
    """What lost its caller ends within seconds."""
    deadline = time.monotonic() + REST_S
    while (at_work := _written_to(job)) and time.monotonic() < deadline:
        time.sleep(REST_PAUSE_S)
    return at_work is False


def _unproven(job: Job) -> str:
    at_work = _written_to(job)
    why = "something still holds the lock of its tree" if at_work else UNSEEN
    return f"It is not proven that all of it has ended: {why}. {LEFT.format(job.database.target.name)}"


def _after(finding: Finding) -> dict[str, Any]:
    return {"after": {"plan": finding.left, "inspection": finding.inspection_id}}


def _short(path: str) -> str:
    """shop/migrations/0004_price.py"""
    return "/".join(PurePath(path).parts[-3:])
