"""Fast refresh: with file and server reach, and no change of the files, what follows from the records is
judged anew without starting the target. Without that reach, or when anything is different, the agent is
asked.

Judged anew: pending, applied, ghosts, conflict, inconsistent, squashes, and `edited` where a row is new. All
else stays as the latest complete inspection found it, with its age.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from dbops import conf
from dbops.inspection.archived import NOTHING
from dbops.inspection.base import Base, bases_of
from dbops.inspection.fresh import digest_of, laid_over, overlay, report_of
from dbops.inspection.graph import Project, verdicts
from dbops.inspection.judge import judge
from dbops.inspection.packages import Look
from dbops.inspection.reach import Question, Read, Refused, files_refused, read_all
from dbops.inspection.sources import Followed, Sighting, archived, follow, is_told, sighting, write
from dbops.models import Inspection, Job, SeenMigration, Target, TargetDatabase, clock
from dbops.models.away import is_away
from dbops.models.job import ACTIVE

logger = logging.getLogger(__name__)

LATER = Refused("somebody else looked at it meanwhile")
UNREADABLE = Refused("Django could not read its migrations with what is recorded now", changed=True)
OURS = Refused("opsdash itself failed to refresh it; the worker's log has the details")
# All that a row holds beside what names it.
COLUMNS = [
    column.name
    for column in TargetDatabase._meta.concrete_fields
    if column.name not in ("id", "target", "alias") and not column.generated
]


@dataclass
class Attempt:
    """One target. `refused` holds for all of it; a database may be refused by itself."""

    target: Target
    base: Base | None
    refused: Refused | None = None
    questions: list[Question] = field(default_factory=list)

    @property
    def refusals(self) -> list[Refused]:
        of_databases = [one.answer for one in self.questions if isinstance(one.answer, Refused)]
        return [self.refused] if self.refused else of_databases


def due() -> QuerySet[Target]:
    """Targets to refresh now. One that was refused is tried again after its next inspection; one with an
    active job is inspected when the job ends."""
    limit = Now() - timedelta(seconds=conf.knob("REFRESH_INTERVAL_S"))
    at_work = Job.objects.filter(
        database__target=OuterRef("pk"), state__in=[state for state in ACTIVE if state != "lost"]
    )
    return Target.objects.filter(
        Q(refresh_tried_at=None) | Q(refresh_tried_at__lt=limit),
        Q(refresh_refused="") | Q(refresh_tried_at__lt=F("inspected_at")),
        ~Exists(at_work),
        inspected_at__isnull=False,
    )


def refresh(target_ids: Sequence[int]) -> None:
    """Refresh those of these targets that are due. Only our own database being away is raised."""
    started = clock.now()
    targets = _claim(target_ids, started)
    attempts = _begin(targets) if targets else []
    read_all(question for attempt in attempts for question in attempt.questions)
    _keep_changes(attempts, started)
    _keep_unchanged(attempts, started)
    _keep_refusals(attempts)
    _ask(
        (attempt.target.pk, attempt.base.started_at)
        for attempt in attempts
        if attempt.base and any(question.unexplained for question in attempt.questions)
    )


def _claim(target_ids: Sequence[int], started: datetime) -> list[Target]:
    """Single flight: who marks the row first refreshes it."""
    with transaction.atomic():
        found = (
            due().filter(pk__in=target_ids).order_by("pk").select_for_update(skip_locked=True, of=("self",))
        )
        targets = list(found.prefetch_related("variables"))
        Target.objects.filter(pk__in=[target.pk for target in targets]).update(refresh_tried_at=started)
    return targets


def _begin(targets: list[Target]) -> list[Attempt]:
    bases = bases_of(target.pk for target in targets)
    databases = defaultdict(list)
    for database in TargetDatabase.objects.filter(target__in=targets, in_settings=True):
        databases[database.target_id].append(database)
    look = Look()
    return [_attempt(target, bases.get(target.pk), databases[target.pk], look) for target in targets]


def _attempt(target: Target, base: Base | None, databases: list[TargetDatabase], look: Look) -> Attempt:
    attempt = Attempt(target, base)
    try:
        attempt.refused = files_refused(target, base, look)
    except Exception:
        logger.exception("refresh of %s: an error of opsdash itself", target.name)
        attempt.refused = OURS
    if attempt.refused is None and base is not None:
        attempt.questions = [
            Question(database, base.aliases[database.alias])
            for database in databases
            if database.alias in base.aliases and database.inspected_at == base.started_at
        ]
        if not databases or len(attempt.questions) < len(databases):
            attempt.refused = Refused("not all of its databases were inspected")
    return attempt


def is_changed(question: Question, base: Base) -> bool:
    """Otherwise recorded than the page shows it."""
    fresh, alias = question.database.fresh, question.alias
    known = (alias.digest, alias.missing)
    if fresh.get("inspection") == base.inspection_id:
        known = (fresh["digest"], fresh["missing"])
    answer = question.answer
    return isinstance(answer, Read) and (digest_of(answer.rows), answer.missing) != known


@dataclass(frozen=True)
class Change:
    """One database of which something else is recorded now, judged over the files as they were."""

    question: Question
    base: Base
    project: Mapping[str, Any]
    report: Mapping[str, Any]
    fresh: dict[str, Any]
    seen: Sighting | None


def _keep_changes(attempts: list[Attempt], started: datetime) -> None:
    """All in a constant number of questions; a later inspection or refresh stays."""
    asked = [
        (question, attempt.base)
        for attempt in attempts
        for question in attempt.questions
        if attempt.base and is_changed(question, attempt.base)
    ]
    if not asked:
        return
    inspections = Inspection.objects.in_bulk({base.inspection_id for _, base in asked})
    changes = [
        _judged(question, base, inspections.get(base.inspection_id), started) for question, base in asked
    ]
    try:
        _write([change for change in changes if change], started)
    except Exception as error:
        if is_away(error):
            raise
        logger.exception("refresh: an error of opsdash itself")
        for question, _ in asked:
            question.answer = OURS


def _judged(
    question: Question, base: Base, inspection: Inspection | None, started: datetime
) -> Change | None:
    try:
        if inspection is None:
            question.answer = LATER
            return None
        return _change(question, base, inspection, started)
    except Exception:
        logger.exception("refresh of %s: an error of opsdash itself", question.database)
        question.answer = OURS
        return None


def _change(question: Question, base: Base, inspection: Inspection, started: datetime) -> Change | None:
    assert isinstance(question.answer, Read)
    rows, missing = question.answer.rows, question.answer.missing
    project, report = inspection.report or {}, report_of(inspection, question.database.alias)
    found = verdicts(Project.from_report(project), {(app, name): moment for app, name, moment in rows})
    if found.problem:
        question.answer = UNREADABLE
        return None
    fresh = overlay(inspection.pk, report, rows, found, missing=missing)
    now = laid_over(report, fresh)
    seen = sighting(project["disk"], now["applied"], started) if is_told(now, project) else None
    return Change(question, base, project, now, fresh, seen)


def _write(changes: list[Change], started: datetime) -> None:
    by_database = {change.question.database.pk: change for change in changes}
    with transaction.atomic():
        databases = _locked([(pk, change.base.started_at) for pk, change in by_database.items()], started)
        known = defaultdict(list)
        for row in SeenMigration.objects.filter(database__in=databases):
            known[row.database_id].append(row)
        followed = {
            database.pk: follow(database, known[database.pk], seen)
            for database in databases
            if (seen := by_database[database.pk].seen)
        }
        write(list(followed.values()))
        for database in databases:
            _put(database, by_database[database.pk], followed.get(database.pk), started)
        TargetDatabase.objects.bulk_create(
            databases, update_conflicts=True, unique_fields=["target", "alias"], update_fields=COLUMNS
        )
    for pk, change in by_database.items():
        if pk not in {database.pk for database in databases}:
            change.question.answer = LATER


def _locked(rows: list[tuple[int, datetime]], started: datetime) -> list[TargetDatabase]:
    """In one order, so that two never wait for each other."""
    older = Q(refreshed_at=None) | Q(refreshed_at__lt=started)
    found = TargetDatabase.objects.filter(older, _these(rows)) if rows else TargetDatabase.objects.none()
    return list(found.order_by("pk").select_for_update(of=("self",)))


def _put(database: TargetDatabase, change: Change, followed: Followed | None, started: datetime) -> None:
    report = change.report
    said = archived(followed.rows, report["ghosts"], database.target_id) if followed else NOTHING
    database.fresh, database.refreshed_at = change.fresh, started
    database.pending_count, database.applied_count = len(report["plan"]), len(report["applied"])
    database.judge(judge(report, change.project, said))
    # What new pending ones would do is told by the agent.
    change.question.unexplained = bool(report["plan"])


def _keep_unchanged(attempts: list[Attempt], started: datetime) -> None:
    """All at once: what was found holds at this moment too."""
    whole = [attempt for attempt in attempts if attempt.base and not attempt.refusals]
    read = [
        (question.database.pk, attempt.base.started_at)
        for attempt in attempts
        if attempt.base
        for question in attempt.questions
        if isinstance(question.answer, Read)
    ]
    older = Q(refreshed_at=None) | Q(refreshed_at__lt=started)
    if read:
        TargetDatabase.objects.filter(older, _these(read)).update(refreshed_at=started)
    if whole:
        named = [(attempt.target.pk, attempt.base.started_at) for attempt in whole if attempt.base]
        Target.objects.filter(older, _these(named)).update(refreshed_at=started, refresh_refused="")


def _keep_refusals(attempts: list[Attempt]) -> None:
    by_words: dict[str, list[int]] = defaultdict(list)
    changed = []
    for attempt in attempts:
        for refusal in attempt.refusals[:1]:
            by_words[refusal.why].append(attempt.target.pk)
        if attempt.base and any(refusal.changed for refusal in attempt.refusals):
            changed.append((attempt.target.pk, attempt.base.started_at))
    for words, pks in by_words.items():
        Target.objects.filter(pk__in=pks).update(refresh_refused=words)
    # Where it never worked since the inspection, nothing has changed: that is how it is from here.
    _ask(changed, refreshed_at__gt=F("inspected_at"))


def _ask(targets: Iterable[tuple[int, datetime]], **only: object) -> None:
    """Have the agent look, unless it did meanwhile."""
    if named := list(targets):
        Target.objects.filter(_these(named), **only).update(inspection_asked_at=Now())


def _these(rows: Iterable[tuple[int, datetime]]) -> Q:
    """Rows that nobody has inspected since."""
    return reduce(or_, (Q(pk=pk, inspected_at=inspected_at) for pk, inspected_at in rows))
