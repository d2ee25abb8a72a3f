"""JSON documents of the commands: `"version": 1`, described in docs/shell.md."""

from datetime import datetime
from typing import Any

from dbops.models import ApiToken, Job, Target
from dbops.models.status import Status
from dbops.pages.audit_export import document_of
from dbops.pages.audit_query import Events
from dbops.pages.job import title_of
from dbops.pages.overview import Row
from dbops.pages.workers import QueueRow, WorkerRow, WorkersPage

VERSION = 1


def when(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def status_document(rows: list[Row]) -> dict[str, Any]:
    return {"version": VERSION, "databases": [_row(row) for row in rows]}


def target_entry(target: Target, rows: list[Row], role: str) -> dict[str, Any]:
    """`rows`: one a database; of a target without any that is known, one that says why. `role`: of whoever
    asks, on this target."""
    return {
        "name": target.name,
        "label": target.label,
        "environment": target.environment,
        "queue": target.queue,
        "allow_migrate": target.allow_migrate,
        "role": role,
        "inspected_at": when(target.inspected_at),
        "statuses": [status_entry(status) for row in rows if not row.database for status in row.statuses],
        "databases": [_row(row) for row in rows if row.database],
    }


def _row(row: Row) -> dict[str, Any]:
    # What an inspection before this one counted is not what is there now.
    known = not row.states & {"broken", "unreachable"}
    return {
        "target": row.target.name,
        "environment": row.target.environment,
        "alias": row.database.alias if row.database else None,
        "vendor": row.database.vendor if row.database else None,
        "database": row.database.name if row.database else None,
        "statuses": [status_entry(status) for status in row.statuses],
        "pending": row.database.pending_count if row.database and known else None,
        "applied": row.database.applied_count if row.database and known else None,
        "django": row.target.django_version or None,
        "inspected_at": when(row.inspected_at),
        "last_job": row.last_job.pk if row.last_job else None,
    }


def status_entry(status: Status) -> dict[str, str]:
    return {
        "state": status.state,
        "reason": status.reason,
        "detail": status.detail,
        "next_step": status.next_step,
        "evidence": status.evidence,
    }


def jobs_document(jobs: list[Job], *, page: int, pages: int) -> dict[str, Any]:
    return {"version": VERSION, "page": page, "pages": pages, "jobs": [job_entry(job) for job in jobs]}


def job_document(job: Job) -> dict[str, Any]:
    steps = [
        {
            "kind": step.kind,
            "name": step.name,
            "state": step.state,
            "attempt": step.attempt,
            "duration_ms": step.duration_ms,
            "statements": step.statements,
            "first_line": step.first_line,
            "last_line": step.last_line,
        }
        for step in job.steps.order_by("position", "attempt")
    ]
    return {"version": VERSION, "job": {**job_entry(job), "steps": steps, "facts": job.facts}}


def workers_document(page: WorkersPage) -> dict[str, Any]:
    return {
        "version": VERSION,
        "processes": [_process(row) for row in page.workers],
        "queues": [_queue(row) for row in page.queues],
        "broker": "away" if page.broker_away else "answers",
        "problems": [row.problem for row in page.queues if row.problem] + page.missing + page.versions,
    }


def _process(row: WorkerRow) -> dict[str, Any]:
    return {
        "name": row.worker.name,
        "kind": row.worker.kind,
        "state": row.worker.state,
        "queues": row.worker.queues,
        "host": row.worker.host,
        "pid": row.worker.pid,
        "slots": row.worker.slots,
        "busy": row.worker.busy,
        "jobs": [at_work.job.pk for at_work in row.jobs],
        "versions": row.worker.versions,
        "load": row.worker.load,
        "processors": row.worker.processors,
        "started_at": when(row.worker.started_at),
        "heartbeat_at": when(row.worker.heartbeat_at),
        "stopped_at": when(row.worker.stopped_at),
    }


def _queue(row: QueueRow) -> dict[str, Any]:
    return {
        "queue": row.queue,
        "targets": row.targets,
        "served_by": [worker.name for worker in row.service.workers],
        "messages": row.messages,
        "queued_jobs": row.queued,
        "oldest_job_at": when(row.oldest),
        "command": row.service.command if row.service.nobody else None,
    }


def audit_document(events: Events) -> dict[str, Any]:
    """`older`: what --before takes to go on; null at the end."""
    told = [document_of(event) for event in events.rows]
    return {"version": VERSION, "older": events.older or None, "events": told}


def token_entry(token: ApiToken) -> dict[str, Any]:
    """Never its text, which nobody has."""
    return {
        "id": token.pk,
        "name": token.name,
        "prefix": token.prefix,
        "owner": token.owner.get_username(),
        "scopes": token.scopes,
        "targets": [target.name for target in token.targets.all()] if token.is_limited else None,
        "created_at": when(token.created_at),
        "expires_at": when(token.expires_at),
        "last_used_at": when(token.last_used_at),
        "last_used_address": token.last_used_address,
        "revoked_at": when(token.revoked_at),
    }


def job_entry(job: Job) -> dict[str, Any]:
    return {
        "id": job.pk,
        "target": job.database.target.name,
        "alias": job.database.alias,
        "operation": job.operation,
        "arguments": job.arguments,
        "title": title_of(job),
        "state": job.state,
        "outcome": job.outcome,
        "asked_by": job.asked_by_name,
        "again_of": job.again_of_id,
        "created_at": when(job.created_at),
        "started_at": when(job.started_at),
        "finished_at": when(job.finished_at),
        "done": job.done_count,
        "total": job.total_count,
        "lines": job.last_line,
        "transcript_removed_at": when(job.transcript_removed_at),
    }
