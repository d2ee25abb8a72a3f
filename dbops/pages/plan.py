"""The page of a plan: what would change and what is dangerous first, then each migration."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.core.paginator import Page, Paginator

from dbops import conf
from dbops.inspection import plan_of, schema_diff
from dbops.inspection.knowledge import database_statuses, latest_done, migrations_by_app, report_now
from dbops.inspection.plans import why_outdated
from dbops.inspection.schema_diff import SchemaDiff
from dbops.inspection.table_change import CHANGED, CREATED, DROPPED, TableChange, number
from dbops.lint import DANGER, NOTICE, WARNING, Finding, counts, findings
from dbops.models import Inspection, Job, Plan, Target, TargetDatabase
from dbops.models.plan import choice_words
from dbops.models.status import Status
from dbops.pages.overview import why_not_migrate
from dbops.pages.plan_entries import Migration, own_code
from dbops.rights import Rights, Role
from dbops.serving import Service, services

RECENT_SHOWN = 10
# So many migrations can all stand open.
FEW = 3
# More lines than anybody reads; each migration has its own.
DANGERS_SHOWN = 30
TABLES_SHOWN = 12
OWN_CODE = (("runs Python", "run Python"), ("runs SQL of its own", "run SQL of their own"))
SAID_APART = ("pending", "checked", "noted")
NO_PLAN = ("broken", "unreachable", "inconsistent")


@dataclass(frozen=True)
class Shown:
    """What of it: which page of its migrations, or the schema of all; the lines beside each other or not."""

    page: int = 1
    schema: bool = False
    split: bool = False


@dataclass(frozen=True)
class Danger:
    migration: Migration
    finding: Finding
    # Of the migrations' pages.
    page: int


@dataclass(frozen=True)
class Content:
    """What a plan that was read holds."""

    plan: Plan
    database: TargetDatabase
    shown: Shown

    @property
    def path(self) -> str:
        return self.plan.get_absolute_url()

    @property
    def view(self) -> str:
        """As the fragment of a schema's difference takes it."""
        return "split" if self.shown.split else "unified"

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.plan.content or {}

    @cached_property
    def migrations(self) -> list[Migration]:
        found = self.facts.get("migrations") or []
        judged = findings(self.facts, self.database.vendor, number_of_version(self.database))
        return [
            Migration(number, facts, judged.get(f"{facts['app']}.{facts['name']}", []), len(found) <= FEW)
            for number, facts in enumerate(found, 1)
        ]

    @cached_property
    def page(self) -> "Page[Migration]":
        return Paginator(self.migrations, conf.knob("PAGE_SIZE")).get_page(self.shown.page)

    @cached_property
    def diff(self) -> SchemaDiff:
        return schema_diff.of_plan(self.facts)

    @property
    def summary(self) -> str:
        """What would change, in a line: "9 migrations: 3 tables created, 2 tables changed, 2 run Python"."""
        count = len(self.migrations)
        words = [*self._tables(), *self._own_code()]
        changes = ", ".join(words) or "no change of the schema"
        return f"{number(count, 'migration')}: {changes}" if count else ""

    def _tables(self) -> list[str]:
        kinds = [table.kind for table in self.diff.tables]
        return [
            f"{number(kinds.count(kind), 'table')} {kind}"
            for kind in (DROPPED, CREATED, CHANGED)
            if kind in kinds
        ]

    def _own_code(self) -> list[str]:
        runs = [own for migration in self.migrations for own in own_code(migration.facts)]
        return [
            f"{runs.count(own)} {own if runs.count(own) == 1 else several}"
            for own, several in OWN_CODE
            if own in runs
        ]

    @property
    def tables(self) -> list[TableChange]:
        """What is dropped first, what is created last."""
        order = (DROPPED, CHANGED, CREATED)
        return sorted(self.diff.tables, key=lambda table: order.index(table.kind))[:TABLES_SHOWN]

    @property
    def more_tables(self) -> int:
        return len(self.diff.tables) - len(self.tables)

    @cached_property
    def all_dangers(self) -> list[Danger]:
        size = conf.knob("PAGE_SIZE")
        found = [
            Danger(migration, finding, (migration.number - 1) // size + 1)
            for migration in self.migrations
            for finding in migration.findings
        ]
        order = {DANGER: 0, WARNING: 1, NOTICE: 2}
        return sorted(found, key=lambda danger: order[danger.finding.severity])

    @property
    def dangers(self) -> list[Danger]:
        """The worst first; notices stand with their migration."""
        return [one for one in self.all_dangers if one.finding.severity != NOTICE][:DANGERS_SHOWN]

    @property
    def more_dangers(self) -> int:
        return sum(one.finding.severity != NOTICE for one in self.all_dangers) - len(self.dangers)

    @property
    def counts(self) -> list[tuple[str, str]]:
        """(severity, "2 dangers")"""
        return [(severity, number(count, severity)) for severity, count in self.numbers]

    @property
    def numbers(self) -> list[tuple[str, int]]:
        """How many of each severity, the worst first."""
        return list(counts([one.finding for one in self.all_dangers]).items())

    @property
    def without_sql(self) -> int:
        return sum(bool(migration.sql_problems) for migration in self.migrations)


@dataclass(frozen=True)
class PlanPage:
    plan: Plan | None
    database: TargetDatabase
    report: dict[str, Any]
    # When the inspection began that `report` is of.
    reported_at: datetime | None
    statuses: list[Status]
    content: Content | None
    outdated: str
    migrate_refused: str
    # Its queues that nobody serves: of jobs, and of plans.
    jobs_unserved: Service | None
    plans_unserved: Service | None
    recent: list[Plan]
    role: Role
    # Of the job that may be started from here, once.
    key: uuid.UUID = field(default_factory=uuid.uuid4)

    @property
    def path(self) -> str:
        return self.plan.get_absolute_url() if self.plan else ""

    @property
    def choice(self) -> str:
        """As the form of a migrate job takes a migration."""
        return f"{self.plan.app}.{self.plan.migration}" if self.plan and self.plan.migration else ""

    @property
    def asks_for(self) -> str:
        """As the form that asks for a plan takes it."""
        return f"{self.plan.app}.{self.plan.migration}" if self.plan and self.plan.app else ""

    @property
    def can_migrate_unseen(self) -> bool:
        """Of a plan that could not be read: what it was to be of is something to apply."""
        pairs = [f"{app}.{name}" for app, name in plan_of(self.report)]
        return not self.migrate_refused and (not self.choice or self.choice in pairs)

    @property
    def target(self) -> Target:
        return self.database.target

    @property
    def may_ask(self) -> bool:
        return self.role >= Role.OPERATOR

    @property
    def title(self) -> str:
        return self.plan.title if self.plan else choice_words("", "")

    @property
    def in_the_way(self) -> list[Status]:
        """What makes it doubtful that the plan holds, or could be applied."""
        return [status for status in self.statuses if status.state not in SAID_APART]

    @property
    def unreadable(self) -> str:
        """The state in which no inspection brings a plan, or ""."""
        return next((status.state for status in self.statuses if status.state in NO_PLAN), "")

    @property
    def unread(self) -> list[list[str]]:
        """Names only: the latest inspection saw these to apply, and their SQL was not read."""
        return [] if self.plan else plan_of(self.report)

    @property
    def plan_problem(self) -> str:
        """The target's traceback, where its plan could not be told in full with the latest inspection."""
        return str(self.report.get("plan_problem") or "")

    @property
    def not_offered(self) -> str:
        """Why no job can be started from here, in words."""
        if self.plan is None or self.content is None or not self.content.migrations:
            return "there is nothing to apply"
        if self.plan.backwards:
            return "it leads backwards, and such a plan is shown and not run"
        if self.outdated:
            return "this plan may have changed"
        return self.migrate_refused


def plan_page(rights: Rights, plan: Plan, shown: Shown) -> PlanPage:
    return _page(rights.on(plan.database.target_id), plan.database, plan, shown, recent=[])


def newest_plan_page(rights: Rights, database: TargetDatabase, shown: Shown) -> PlanPage:
    plan = Plan.objects.newest_forward(database).first()
    recent = Plan.objects.filter(database=database).defer("content", "error_traceback").order_by("-pk")
    found = list(recent[:RECENT_SHOWN])
    for one in [*found, *([plan] if plan else [])]:
        one.database = database
    return _page(rights.on(database.target_id), database, plan, shown, recent=found)


def _page(
    role: Role, database: TargetDatabase, plan: Plan | None, shown: Shown, recent: list[Plan]
) -> PlanPage:
    inspection = latest_done(database.target)
    report = report_now(database, inspection)
    statuses = database_statuses(database)
    active = Job.objects.active().filter(database=database, changing=True).first()
    served = services([database.target.queue, database.target.inspect_queue])
    done = plan is not None and plan.state == "done"
    return PlanPage(
        plan=plan,
        database=database,
        report=report,
        reported_at=inspection.started_at if inspection and report else None,
        statuses=statuses,
        content=Content(plan, database, shown) if plan and done else None,
        outdated=doubt(plan, database, inspection) if plan and done else "",
        migrate_refused=why_not_migrate(role, database, statuses, active),
        jobs_unserved=_nobody(served.get(database.target.queue)),
        plans_unserved=_nobody(served.get(database.target.inspect_queue)),
        recent=recent,
        role=role,
    )


def doubt(plan: Plan, database: TargetDatabase, inspection: Inspection | None) -> str:
    """Why this may not be what a migrate would do now, as a sentence; or "". A later inspection may have seen
    others to apply, and not have come so far as to read what they do."""
    if said := why_outdated(plan, database):
        return said
    report = report_now(database, inspection)
    later = inspection and plan.confirmed_at and inspection.started_at > plan.confirmed_at
    if plan.app or not later or not report or plan.content is None:
        return ""
    told = {(entry["app"], entry["name"]) for entry in plan.content["migrations"]}
    same = told == {(app, name) for app, name in plan_of(report)}
    return "" if same else "The latest inspection saw other migrations to apply."


def _nobody(service: Service | None) -> Service | None:
    return service if service and service.nobody else None


def known_migrations(report: dict[str, Any]) -> dict[str, list[tuple[str, bool]]]:
    """{app: [(name, applied)]} of every migration on disk, oldest first: what a plan may lead to."""
    on_disk = {
        app: [(migration.name, migration.applied) for migration in migrations if migration.has_file]
        for app, migrations in migrations_by_app(report).items()
    }
    return {app: found for app, found in on_disk.items() if found}


def number_of_version(database: TargetDatabase) -> int | None:
    """Postgres' own number (150004) of what the server called itself (15.4 ...)."""
    parts = database.server_version.split()[:1]
    numbers = [int(part) for part in parts[0].split(".")[:2] if part.isdigit()] if parts else []
    if database.vendor != "postgresql" or not numbers:
        return None
    return numbers[0] * 10000 + (numbers[1] if len(numbers) > 1 else 0)
