"""Ending another session on a target's server, because it keeps a job waiting for a lock.

Staff asks (`ask`); the worker of the job takes it (`take`) and hands it to its agent, whose word ends it
(`answer`); whatever has no answer when the job ends gets one then (`close`).
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Coalesce, Now

from dbops.lockwait import whom
from dbops.models import AuditEvent, Job, SessionEnding
from dbops.models.audit import Asker, Doer
from dbops.models.job import WORKED_ON
from dbops.redaction import without_tokens

WORDS = {"cancel": "cancel its statement", "terminate": "end the session"}
TOO_LATE = "The job ended first; nothing was done."
UNKNOWN = (
    "The job's worker had taken it, and the job ended before an answer came: whether it was done is not "
    "known. Look for the session on the server."
)
IDLE = "idle in transaction"
# Of the act, by what came of it; all else is a failure.
OUTCOMES = {"done": "done", "gone": "done", "refused": "refused", "not_allowed": "refused"}


class NotNowError(Exception):
    """It cannot be asked for now; str() says why, and what is still true."""


def listed(job: Job, pid: int) -> dict[str, Any] | None:
    """The session as the page of the job shows it now, if it is in its way."""
    waits = (job.lock_wait or {}).get("waits", []) if job.state in WORKED_ON else []
    return next((one for wait in waits for one in wait["blockers"] if pid and one["pid"] == pid), None)


def why_not(blocker: Mapping[str, Any], act: str) -> str:
    """Why this session cannot be dealt with so; "" where it can."""
    if not blocker["pid"]:
        gid = blocker.get("gid") or ""
        return f"A prepared transaction has no session. Who owns it ends it: ROLLBACK PREPARED '{gid}'."
    if not blocker.get("backend_start"):
        return (
            "The target's role may not see since when it is there: it cannot be told from a later one with "
            "the same pid. GRANT pg_read_all_stats to that role, or end it by hand."
        )
    if act == "cancel" and str(blocker.get("state") or "").startswith(IDLE):
        return "It is idle in a transaction: there is no statement to cancel. Only ending it helps."
    return ""


# Staff


def ask(
    job_id: int, doer: Doer, *, pid: int, backend_start: str, transaction_start: str, act: str, reason: str
) -> str:
    """Ask for it; the sentence says what happens now. NotNowError when it is not what the page showed.
    `transaction_start` is "" where it was in none."""
    try:
        with transaction.atomic():
            # Its end comes before or after this: what is asked for before gets its answer then.
            job = Job.objects.select_for_update(of=("self",)).get(pk=job_id)
            found = still_there(job, pid, backend_start, transaction_start, act)
            asked = SessionEnding.objects.create(
                job=job,
                pid=pid,
                backend_start=backend_start,
                transaction_start=transaction_start,
                whom=whom(found),
                act=act,
                asked_by=doer.user,
                asked_by_name=doer.name,
                asked_from=doer.address,
                reason=without_tokens(reason),
            )
            record(asked, doer, "", reason, before=_seen(found))
            return f"It is asked for: {WORDS[act]} of pid {pid} ({asked.whom}). The answer will stand here."
    except NotNowError as refused:
        note_refusal(job_id, doer, pid, act, str(refused))
        raise
    except IntegrityError:
        same = f"This was asked for already ({WORDS[act]} of pid {pid}); its answer will stand on the page."
        note_refusal(job_id, doer, pid, act, same)
        raise NotNowError(same) from None


def still_there(job: Job, pid: int, backend_start: str, transaction_start: str, act: str) -> dict[str, Any]:
    found = listed(job, pid)
    if found is None:
        raise NotNowError(f"Pid {pid} is not in the way of job {job.pk} any more. Nothing was done.")
    if found.get("backend_start") and found["backend_start"] != backend_start:
        raise NotNowError(
            f"Pid {pid} is another session by now than the one that was shown. Nothing was done. Look again."
        )
    if why := why_not(found, act):
        raise NotNowError(f"{why} Nothing was done.")
    if (found.get("transaction_start") or "") != transaction_start:
        raise NotNowError(
            f"Pid {pid} is in another transaction by now than the one that was shown, or in none. "
            "Nothing was done. Look again."
        )
    return found


def _seen(found: Mapping[str, Any]) -> dict[str, Any]:
    """The session as it was when it was to be ended."""
    return {name: found.get(name) for name in ("state", "backend_start", "transaction_start")}


def record(ending: SessionEnding, doer: Doer, what: str, words: str, **more: Any) -> None:
    AuditEvent.objects.record(
        f"session.{ending.act}{what}",
        doer,
        target=ending.job.database,
        job_id=ending.job_id,
        reason=words,
        pid=ending.pid,
        backend_start=ending.backend_start,
        transaction_start=ending.transaction_start,
        whom=ending.whom,
        **more,
    )


def note_refusal(job_id: int, doer: Doer, pid: int, act: str, words: str) -> None:
    job = Job.objects.select_related("database__target").get(pk=job_id)
    AuditEvent.objects.record(
        f"session.{act}.refused", doer, target=job.database, job_id=job_id, reason=words, pid=pid
    )


# The worker


def take(job_id: int, fence: int, handed_on: Collection[int]) -> Iterator[SessionEnding]:
    """Those that this worker, who holds the job, is to hand on: all without an answer but those whose ids it
    has `handed_on`. `sent_at` does not tell them apart: its commit may not have been acknowledged."""
    mine = Job.objects.filter(pk=OuterRef("job_id"), fence=fence, state__in=WORKED_ON)
    left = SessionEnding.objects.filter(Exists(mine), job_id=job_id, outcome="").exclude(pk__in=[*handed_on])
    for ending in left.order_by("pk"):
        if left.filter(pk=ending.pk).update(sent_at=Coalesce("sent_at", Now())):
            yield ending


@transaction.atomic
def answer(job_id: int, ending_id: int, outcome: str, words: str) -> None:
    """What the agent says came of it. Heard again it changes nothing."""
    found = SessionEnding.objects.select_related("job__database__target", "asked_by")
    ending = found.filter(pk=ending_id, job_id=job_id, outcome="").first()
    if ending is not None:
        end(ending, outcome if outcome in SessionEnding.Outcome.values else "failed", words)


def close(job_id: int) -> None:
    """In the transaction that ends the job."""
    left = SessionEnding.objects.select_related("job__database__target", "asked_by")
    for ending in left.filter(job_id=job_id, outcome=""):
        # Taken in this very moment, it has been sent.
        sent = SessionEnding.objects.select_for_update().get(pk=ending.pk).sent_at is not None
        end(ending, "unknown" if sent else "too_late", UNKNOWN if sent else TOO_LATE)


def end(ending: SessionEnding, outcome: str, words: str) -> None:
    unanswered = SessionEnding.objects.filter(pk=ending.pk, outcome="")
    if unanswered.update(outcome=outcome, answer=words or outcome, ended_at=Now()):
        asker = Asker(ending.asked_by, ending.asked_by_name, ending.asked_from)
        record(
            ending,
            asker,
            ".answer",
            words,
            outcome=OUTCOMES.get(outcome, "failed"),
            before={"session": "there"},
            after={"session": outcome},
        )
