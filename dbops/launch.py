"""Start and cancel jobs: write the row, enqueue on commit. The only caller of tasks."""

import uuid
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from dbops import endings, tasks
from dbops.access import Actor
from dbops.again import why_not_again
from dbops.ended import names_of, record_end
from dbops.inspection import plan_of, plans
from dbops.inspection.knowledge import latest_done, report_now
from dbops.models import AuditEvent, Job, Plan, Snapshot, Target, TargetDatabase
from dbops.models.job import FINAL
from dbops.operations import REGISTRY
from dbops.redaction import without_tokens
from dbops.rights import Role
from dbops.serving import service
from dbops.steps import Steps
from dbops.transcript.live import publish_change
from dbops.writing import why_not


class RefusedError(Exception):
    """An act that may not begin now; str() says why, what is still true and what to do next."""

    def __init__(self, sentence: str, job: Job | None = None) -> None:
        super().__init__(sentence)
        self.job = job


ELSEWHERE = (
    "The alias leads to another database now than the one that this plan was read from. Nothing was started. "
    "Look at the plan as it is now."
)


class SentAlreadyError(RefusedError):
    """The key of what was asked for was sent with something else before."""


class NotAllowedError(RefusedError, PermissionDenied):
    """Who asks does not have the role there."""

    def __init__(self, act: str, target: Target, needed: Role, actor: Actor) -> None:
        super().__init__(
            f"{act} on {target.name} needs the role {needed.word} there, which {actor.name} does not have. "
            "Nothing was done. Ask a superuser for the role if you need it."
        )


# Whose it is may not be told.
HIDDEN = (
    "You may not see that target. Nothing was started: one job at a time changes a database. Wait for it, or "
    "ask somebody who sees all targets."
)


@dataclass(frozen=True)
class Started:
    job: Job
    # False: this form was sent before and its job exists already.
    new: bool


def insist(act: str, target: Target, needed: Role, actor: Actor) -> None:
    """Views look before; this is the door that pages, commands and JSON all go through."""
    if actor.rights.on(target.pk) < needed:
        raise NotAllowedError(act, target, needed, actor)


def start(
    database: TargetDatabase,
    operation: str,
    arguments: dict[str, Any],
    actor: Actor,
    *,
    key: uuid.UUID,
    reason: str = "",
    unless: str = "",
    again_of: Job | None = None,
) -> Started:
    """Ask for a job. The database decides races: one active changing job per database, one job per key.
    `unless`: why the state of things refuses it, as its page says it, or ""."""
    try:
        insist(operation, database.target, REGISTRY[operation].role, actor)
        _check_allowed(database, operation, unless)
        _check_plan(database, arguments)
        reason = without_tokens(reason)
        with transaction.atomic():
            job = _insert(database, operation, arguments, actor, key, reason, again_of)
            transaction.on_commit(lambda: tasks.publish_job(job))
    except IntegrityError:
        return _same_or_refused(database, operation, arguments, actor, key, again_of)
    except RefusedError as refused:
        _audit_refusal(database, operation, actor, refused)
        raise
    return Started(job, new=True)


def sent_before(
    database: TargetDatabase, operation: str, arguments: dict[str, Any], actor: Actor, *, key: uuid.UUID
) -> Started | None:
    """The job that was asked for with this key, whatever has changed since. SentAlreadyError where that was
    something else."""
    if not Job.objects.filter(idempotency_key=key).exists():
        return None
    return _same_or_refused(database, operation, arguments, actor, key, None)


def again(job: Job, actor: Actor, *, key: uuid.UUID, reason: str = "", seen: str = "") -> Started:
    """Ask for the same once more, on the same database. `seen`: the fingerprint of the plan as it is now, if
    that was shown; the one that the first job was held to may be long gone."""
    why_not = why_not_again(job)
    # A form that was sent before leads to its job, whatever that changed.
    if why_not and not Job.objects.filter(idempotency_key=key).exists():
        refused = RefusedError(f"{why_not} Nothing was started.", job if job.is_active else None)
        _audit_refusal(job.database, job.operation, actor, refused)
        raise refused
    same = {name: value for name, value in job.arguments.items() if name != "expected_plan"}
    arguments = {**same, "expected_plan": seen} if seen else same
    return start(job.database, job.operation, arguments, actor, key=key, reason=reason, again_of=job)


def _check_allowed(database: TargetDatabase, operation: str, unless: str) -> None:
    if unless:
        raise RefusedError(f"It is not offered: {unless}. Nothing was started.")
    if REGISTRY[operation].writes_tree and (why := why_not(database.target)):
        raise RefusedError(f"{why} Nothing was started.")
    if REGISTRY[operation].changing and not database.target.allow_migrate:
        raise RefusedError(
            f"{database.target.name} does not allow migrate jobs. Nothing was started. "
            "A superuser can allow them in the configuration of the target."
        )


def _check_plan(database: TargetDatabase, arguments: dict[str, Any]) -> None:
    """Another database may have the very same to apply."""
    seen = arguments.get("expected_plan") or ""
    kept = Plan.objects.filter(database=database, fingerprint=seen, state="done").defer("content")
    same = list(kept) if seen else []
    if same and all(plans.is_elsewhere(plan, database) for plan in same):
        raise RefusedError(ELSEWHERE)


def _insert(
    database: TargetDatabase,
    operation: str,
    arguments: dict[str, Any],
    actor: Actor,
    key: uuid.UUID,
    reason: str,
    again_of: Job | None,
) -> Job:
    job = Job.objects.create(
        database=database,
        identity=database.identity,
        database_name=database.name,
        without_guard_at=None if database.has_guard else database.target,
        writes_tree_of=database.target if REGISTRY[operation].writes_tree else None,
        operation=operation,
        changing=REGISTRY[operation].changing,
        arguments=arguments,
        idempotency_key=key,
        queue=database.target.queue,
        asked_by=actor.user,
        asked_by_name=actor.name,
        asked_from=actor.address,
        reason=reason,
        again_of=again_of,
        published_at=Now(),
    )
    more: dict[str, Any] = {"again_of": again_of.pk} if again_of else {}
    AuditEvent.objects.record(
        f"job.{operation}",
        actor,
        target=database,
        job_id=job.pk,
        reason=reason,
        before=_before(database, arguments),
        arguments=arguments,
        **more,
    )
    return job


def _before(database: TargetDatabase, arguments: dict[str, Any]) -> dict[str, Any]:
    """As the person saw it; the event of the job's end has what was so when it began and ended."""
    pending = names_of(plan_of(report_now(database, latest_done(database.target))))
    return {"pending": pending, "plan": arguments.get("expected_plan", "")}


def _same_or_refused(
    database: TargetDatabase,
    operation: str,
    arguments: dict[str, Any],
    actor: Actor,
    key: uuid.UUID,
    again_of: Job | None,
) -> Started:
    same = Job.objects.filter(idempotency_key=key).select_related("database__target").first()
    again = again_of.pk if again_of else None
    if same and same.again_of_id == again and _is_what_was_asked(same, database, operation, arguments, actor):
        return Started(same, new=False)
    if same:
        refused: RefusedError = SentAlreadyError(*_sent_already(same, actor))
    else:
        refused = RefusedError(*_who_blocks(database, operation, actor))
    _audit_refusal(database, operation, actor, refused)
    raise refused


def _is_what_was_asked(
    job: Job, database: TargetDatabase, operation: str, arguments: dict[str, Any], actor: Actor
) -> bool:
    """By the same person, whichever of their tokens was sent."""
    mine = job.asked_by_id == actor.user.pk if actor.user else job.asked_by_name == actor.name
    asked = (database.pk, operation, arguments)
    return mine and asked == (job.database_id, job.operation, job.arguments)


def _sent_already(job: Job, actor: Actor) -> tuple[str, Job | None]:
    if not actor.rights.sees(job.database.target_id):
        return "This form was already sent for another job. Nothing was started. Open the page anew.", None
    title = REGISTRY[job.operation].title(job.arguments)
    return (
        f"This form was already sent for job {job.pk} ({title} on {job.database}, asked for by "
        f"{job.asked_by_name}). Nothing was started. Open the page anew.",
        job,
    )


def _who_blocks(database: TargetDatabase, operation: str, actor: Actor) -> tuple[str, Job | None]:
    if REGISTRY[operation].writes_tree:
        return _who_writes(database.target)
    here = Q(database=database)
    if database.identity:
        here |= Q(identity=database.identity)
    if not database.has_guard:
        here |= Q(without_guard_at=database.target_id)
    job = Job.objects.active().filter(here, changing=True).select_related("database__target").first()
    if job is None:
        return "Another job on this database ended just now. Nothing was started. Look and try again.", None
    if not actor.rights.sees(job.database.target_id):
        return f"A job on another target{_how_it_blocks(job, database)}, is {job.state}. {HIDDEN}", None
    return (
        f"Job {job.pk} ({job.operation} on {job.database}{_how_it_blocks(job, database)}) "
        f"by {job.asked_by_name} is {job.state}. "
        "Nothing was started: one job at a time changes a database. Wait for it or cancel it first.",
        job,
    )


def _who_writes(target: Target) -> tuple[str, Job | None]:
    job = Job.objects.active().filter(writes_tree_of=target).first()
    if job is None:
        return "Another job on this tree ended just now. Nothing was started. Look and try again.", None
    return (
        f"Job {job.pk} ({job.operation} on {target.name}) by {job.asked_by_name} is {job.state}. Nothing was "
        "started: one job at a time writes to a target's tree. Wait for it or cancel it first.",
        job,
    )


def _how_it_blocks(job: Job, database: TargetDatabase) -> str:
    if job.database_id == database.pk:
        return ""
    if database.has_guard:
        return ", which leads to the same database"
    return f", which may be the same database: opsdash has no guard for {database.vendor}, which would tell"


def _audit_refusal(database: TargetDatabase, operation: str, actor: Actor, refused: RefusedError) -> None:
    AuditEvent.objects.record(
        f"job.{operation}.refused",
        actor,
        target=database,
        job_id=refused.job.pk if refused.job else None,
        reason=str(refused),
    )


def cancel(job: Job, actor: Actor, reason: str = "") -> str:
    """Ask to stop a job; the sentence says what happens now. A job that nobody began never starts."""
    insist("cancel", job.database.target, Role.OPERATOR, actor)
    with transaction.atomic():
        was = Job.objects.select_for_update().values_list("state", flat=True).get(pk=job.pk)
        sentence = _cancel_queued(job, actor) or _cancel_begun(job, actor) or _cannot_cancel(job)
        now = Job.objects.values_list("state", flat=True).get(pk=job.pk)
        AuditEvent.objects.record(
            "job.cancel",
            actor,
            target=job.database,
            job_id=job.pk,
            reason=reason,
            outcome="refused" if now == was else "done",
            before={"state": was},
            after={"state": now},
            answer=sentence,
        )
        transaction.on_commit(lambda: publish_change(job.pk))
    return sentence


def _cancel_queued(job: Job, actor: Actor) -> str:
    outcome = f"Cancelled by {actor.name} before a worker began. Nothing was done to the database."
    asked: dict[str, Any] = {"cancel_asked_at": Now(), "cancel_asked_by": actor.name}
    if not Job.objects.move(job.pk, ["queued"], "cancelled", outcome=outcome, **asked):
        return ""
    record_end(job, "cancelled", outcome, {})
    return outcome


def _cancel_begun(job: Job, actor: Actor) -> str:
    asked: dict[str, Any] = {"cancel_asked_at": Now(), "cancel_asked_by": actor.name}
    if not Job.objects.move(job.pk, ["starting", "running"], "cancelling", **asked):
        return ""
    return f"Job {job.pk} is asked to stop. What is true of the database then will stand here."


def _cannot_cancel(job: Job) -> str:
    job.refresh_from_db()
    if job.state in FINAL:
        return f"Job {job.pk} had {job.state} already; there was nothing to cancel."
    return f"Job {job.pk} is {job.state} already; the request changes nothing."


def inspect(target: Target, actor: Actor) -> str:
    """Ask for an inspection now."""
    insist("inspect", target, Role.OPERATOR, actor)
    with transaction.atomic():
        AuditEvent.objects.record("target.inspect", actor, target=target)
        Target.objects.filter(pk=target.pk).update(inspection_asked_at=Now())
    if tasks.publish_inspection(target):
        return f"An inspection of {target.name} is asked for. {_who_inspects(target.inspect_queue)}"
    return f"{target.name} cannot be inspected now: the broker is away. It is tried again by itself."


def with_plan(database: TargetDatabase, arguments: dict[str, str], seen: str) -> dict[str, str]:
    """The arguments of a migrate with the plan that it must meet: the one that the person saw (`seen`, its
    fingerprint), also where it is not kept any more. Where the whole project's stood beside a choice of a
    part: the kept one for exactly this choice, where nothing makes that doubtful."""
    app, migration = arguments.get("app", ""), arguments.get("migration", "")
    kept = Plan.objects.filter(database=database, fingerprint=seen, state="done")
    if seen and (not app or kept.filter(app=app, migration=migration).exists()):
        return {**arguments, "expected_plan": seen}
    if not app or (seen and not kept.filter(app="").exists()):
        return arguments
    current = plans.current(database, app, migration)
    return {**arguments, "expected_plan": current.fingerprint} if current else arguments


def is_to_be_seen(arguments: dict[str, str]) -> bool:
    """Nobody has seen yet what this would do: that of a part of the project is shown first."""
    return "app" in arguments and "expected_plan" not in arguments


def plan(database: TargetDatabase, app: str, migration: str, actor: Actor, *, publish: bool = True) -> Plan:
    """Ask for a plan, which changes nothing; "" and "" is the whole project, as `migrate` takes them. Where
    one for the same choice is on its way, it is that one. `publish`: a worker is told of it now; who makes
    it itself does not, and should it vanish, the sweep does."""
    insist("plan", database.target, Role.OPERATOR, actor)
    try:
        with transaction.atomic():
            asked = Plan.objects.create(
                database=database,
                app=app,
                migration=migration,
                asked_by=actor.user,
                asked_by_name=actor.name,
                published_at=Now(),
            )
            AuditEvent.objects.record(
                "plan.ask", actor, target=database, plan=asked.pk, app=app, migration=migration
            )
            if publish:
                transaction.on_commit(lambda: tasks.publish_plan(asked))
    except IntegrityError:
        return Plan.objects.same_choice(database, app, migration).select_related("database__target")[0]
    return asked


def snapshot(database: TargetDatabase, actor: Actor) -> Snapshot:
    """Ask for the schema of what is applied, which changes nothing. One on its way is taken for it."""
    insist("compare", database.target, Role.OPERATOR, actor)
    try:
        with transaction.atomic():
            asked = Snapshot.objects.create(database=database, asked_by_name=actor.name, published_at=Now())
            AuditEvent.objects.record("snapshot.ask", actor, target=database, snapshot=asked.pk)
            transaction.on_commit(lambda: tasks.publish_snapshot(asked))
    except IntegrityError:
        return Snapshot.objects.filter(database=database)[0]
    return asked


def _who_inspects(queue: str) -> str:
    found = service(queue)
    if found.nobody:
        return f"{found.nobody} It follows when one does: {found.command}"
    return f"{found.names} {'serves' if len(found.workers) == 1 else 'serve'} its queue."


def resolve(job: Job, actor: Actor, reason: str) -> str:
    """End a lost job on a person's word, since nothing proved by itself how it ended; the sentence says so.

    RefusedError when it is not lost (any more). Afterwards its database is free for other jobs.
    """
    insist("resolve", job.database.target, Role.STAFF, actor)
    with transaction.atomic():
        # Its worker may tell at this very moment how it lost the target.
        job = Job.objects.select_for_update(of=("self",)).select_related("database__target").get(pk=job.pk)
        state, reason = job.resolved_as, without_tokens(reason)
        won = Job.objects.move(job.pk, ["lost"], state, **_resolved(job, state, actor, reason))
        act = "job.resolve" if won else "job.resolve.refused"
        now = {"state": state if won else job.state}
        AuditEvent.objects.record(
            act,
            actor,
            target=job.database,
            job_id=job.pk,
            reason=reason,
            before={"state": job.state},
            after=now,
        )
        if won:
            record_end(job, state, _resolved_words(job, state, actor, reason), job.facts)
            Steps(job.pk, job.fence).close(state, last_line=job.last_line)
            endings.close(job.pk)
            transaction.on_commit(lambda: publish_change(job.pk))
    if not won:
        raise RefusedError(f"Job {job.pk} is {job.state}, not lost. Nothing was changed.", job)
    place = "tree" if job.writes_tree_of_id else "database"
    return f"Job {job.pk} is resolved as {state}. Its {place} is free for other jobs."


def _resolved(job: Job, state: str, actor: Actor, reason: str) -> dict[str, Any]:
    return {
        # Whoever held it finds that it does not any more.
        "fence": F("fence") + 1,
        "outcome": _resolved_words(job, state, actor, reason),
        "error_type": job.error_type if job.lost_its_target else "WorkerLost",
    }


def _resolved_words(job: Job, state: str, actor: Actor, reason: str) -> str:
    return (
        f"{job.how_lost} {actor.name} resolved it as {state}: {reason.rstrip('.')}. "
        "Whether all of it has ended was not proven by opsdash."
    )
