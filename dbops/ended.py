"""The audit event of a job's end, written in the transaction that ends it: what came of the act."""

from collections.abc import Mapping
from typing import Any

from dbops.models import AuditEvent, Job
from dbops.models.audit import Asker


def record_end(
    job: Job,
    state: str,
    outcome: str,
    facts: Mapping[str, Any],
    *,
    error: str = "",
    refused: bool = False,
) -> None:
    """`outcome`: the sentence, without secrets. `refused`: nothing of it had begun."""
    AuditEvent.objects.record(
        f"job.{job.operation}.end",
        Asker(job.asked_by, job.asked_by_name, job.asked_from),
        target=job.database,
        job_id=job.pk,
        reason=outcome,
        outcome=_word(state, refused=refused),
        before={"pending": names_of((facts.get("before") or {}).get("plan"))},
        after={"pending": names_of((facts.get("after") or {}).get("plan")), **_left(facts)},
        state=state,
        error=error,
        worker=job.worker,
    )


def names_of(pairs: Any) -> list[str] | None:
    """[[app, name]] -> ["app.name"]; None where it is not known."""
    return None if pairs is None else [".".join(map(str, pair)) for pair in pairs]


def _word(state: str, *, refused: bool) -> str:
    if refused:
        return "refused"
    return "done" if state == "succeeded" else "failed"


def _left(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A job's own migrations and files, in the words of the audit trail."""
    told = {
        "recorded": names_of(facts.get("recorded")),
        "written": [one["path"] for one in facts.get("files") or []],
        "lacking": facts.get("lacking"),
        "changed": facts.get("changed"),
    }
    return {name: value for name, value in told.items() if value}
