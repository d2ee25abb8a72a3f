"""The page of a target: its databases, their migrations and plan, its jobs; and the form of a migrate job."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F

from dbops.inspection import Lack, caution, plan_of
from dbops.inspection.graph import Key
from dbops.inspection.knowledge import (
    Migration,
    database_statuses,
    latest_done,
    migrations_by_app,
    report_now,
    target_statuses,
)
from dbops.models import Inspection, Job, Plan, SeenMigration, Target, TargetDatabase
from dbops.models.status import Status
from dbops.pages.job import JobRow, title_of
from dbops.pages.overview import why_not_migrate
from dbops.pages.plan import Content, Shown, doubt
from dbops.pages.project import Project, project_of
from dbops.probes.knowledge import Readiness, readiness_of
from dbops.rights import Rights, Role
from dbops.serving import Service, services

JOBS_SHOWN = 10


@dataclass(frozen=True)
class App:
    label: str
    migrations: list[Migration]

    @property
    def on_disk(self) -> list[Migration]:
        return [migration for migration in self.migrations if migration.has_file]

    @property
    def pending(self) -> int:
        return sum(migration.pending for migration in self.migrations)

    @property
    def is_marked(self) -> bool:
        """Something of it is to be seen at once."""
        looks = {mark.look for migration in self.migrations for mark in migration.marks}
        return bool(self.pending or looks - {"noted"})


@dataclass(frozen=True)
class Facts:
    """What a report tells beside the verdicts."""

    schema: str
    # [{schema, recorded, pending, unknown, current}]; [] where there is one.
    schemas: list[dict[str, Any]]
    same_as: list[str]
    # Why models without a migration could not be looked for; "" where they could.
    unmade_problem: str
    unmade_evidence: str


@dataclass(frozen=True)
class DatabasePart:
    """One alias: what is known, from the latest complete inspection."""

    database: TargetDatabase
    statuses: list[Status]
    apps: list[App]
    plan: list[tuple[str, str]]
    # When the inspection began that plan and apps come from; later ones may have failed.
    reported_at: datetime | None
    migrate_refused: str
    # What its role lacks for a migrate, as the latest complete inspection found it.
    caution: Lack | None
    facts: Facts

    @property
    def caution_beside(self) -> Lack | None:
        """Where no verdict says it already."""
        said = {status.next_step for status in self.statuses}
        return None if str(self.caution) in said else self.caution

    @property
    def rows_at(self) -> datetime | None:
        """When what is applied was read."""
        return self.database.refreshed_at or self.reported_at

    @property
    def is_refreshed(self) -> bool:
        return bool(self.database.refreshed_at)

    @property
    def readiness(self) -> Readiness | None:
        return readiness_of(self.database)


@dataclass(frozen=True)
class TargetPage:
    target: Target
    inspection: Inspection | None
    statuses: list[Status]
    databases: list[DatabasePart]
    jobs: list[JobRow]
    # Its queues that nobody serves.
    unserved: list[Service]
    project: Project
    role: Role

    @property
    def offers_makemigrations(self) -> bool:
        """The page of it says what else stands in the way."""
        return self.role >= Role.STAFF and self.target.environment == Target.Environment.DEVELOPMENT


@dataclass(frozen=True)
class MigratePage:
    part: DatabasePart
    role: Role
    # Its queue where nobody serves that.
    unserved: Service | None
    # What the plan of the whole project holds, where it was read and nothing makes it doubtful.
    content: Content | None

    @property
    def target(self) -> Target:
        return self.part.database.target

    @property
    def fingerprint(self) -> str:
        return self.content.plan.fingerprint if self.content else ""


def target_page(rights: Rights, target: Target) -> TargetPage:
    role, inspection = rights.on(target.pk), latest_done(target)
    databases = list(target.databases.filter(in_settings=True).select_related("target", "probe"))
    jobs = list(
        Job.objects.filter(database__target=target)
        .select_related("database__target")
        .order_by("-id")[:JOBS_SHOWN]
    )
    active = active_jobs(databases)
    edited = edited_of(databases)
    parts = [
        _part(role, database, inspection, active.get(database.pk), edited[database.pk])
        for database in databases
    ]
    return TargetPage(
        target,
        inspection,
        [] if parts else target_statuses(target),
        parts,
        [JobRow(job, title_of(job)) for job in jobs],
        unserved([target.queue, target.inspect_queue]),
        project_of(inspection),
        role,
    )


def unserved(queues: list[str]) -> list[Service]:
    return [found for found in services(queues).values() if found.nobody]


def active_jobs(databases: list[TargetDatabase]) -> dict[int, Job]:
    """The active changing job of each of these that has one, by the database's id."""
    jobs = Job.objects.active().filter(database__in=databases, changing=True)
    return {job.database_id: job for job in jobs}


def database_part(rights: Rights, database: TargetDatabase, inspection: Inspection | None) -> DatabasePart:
    active, edited = active_jobs([database]), edited_of([database])
    role = rights.on(database.target_id)
    return _part(role, database, inspection, active.get(database.pk), edited[database.pk])


def _part(
    role: Role,
    database: TargetDatabase,
    inspection: Inspection | None,
    active: Job | None,
    edited: Collection[Key],
) -> DatabasePart:
    report = report_now(database, inspection)
    statuses = database_statuses(database)
    apps = migrations_by_app(report, edited)
    return DatabasePart(
        database=database,
        statuses=statuses,
        apps=[App(label, migrations) for label, migrations in apps.items()],
        plan=[(app, name) for app, name in plan_of(report)],
        reported_at=inspection.started_at if inspection and report else None,
        migrate_refused=why_not_migrate(role, database, statuses, active),
        caution=caution(report),
        facts=facts_of(report, (inspection and inspection.report) or {}),
    )


def edited_of(databases: list[TargetDatabase]) -> dict[int, set[Key]]:
    """The applied migrations of each whose file is another now."""
    found: dict[int, set[Key]] = defaultdict(set)
    applied = SeenMigration.objects.filter(database__in=databases, applied=True)
    for row in applied.exclude(hash=F("hash_now")):
        if row.is_edited:
            found[row.database_id].add((row.app, row.name))
    return found


def facts_of(report: Mapping[str, Any], project: Mapping[str, Any]) -> Facts:
    unmade = project.get("unmade") or {}
    asked = {"refused": "refused to be asked", "failed": "failed"}.get(str(unmade.get("state")))
    return Facts(
        schema=str(report.get("schema") or ""),
        schemas=list(report.get("schemas") or []),
        same_as=list(report.get("same_as") or []),
        unmade_problem=f"the project's makemigrations {asked}" if asked else "",
        unmade_evidence=str(unmade.get("traceback") or unmade.get("words") or ""),
    )


def migrate_page(rights: Rights, database: TargetDatabase) -> MigratePage:
    inspection = latest_done(database.target)
    part = database_part(rights, database, inspection)
    nobody = next(iter(unserved([database.target.queue])), None)
    return MigratePage(part, rights.on(database.target_id), nobody, _content(database, inspection))


def _content(database: TargetDatabase, inspection: Inspection | None) -> Content | None:
    plan = Plan.objects.newest_forward(database).first()
    return Content(plan, database, Shown()) if plan and not doubt(plan, database, inspection) else None
