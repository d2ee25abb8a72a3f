"""The overview: every target database with its status, worst first."""

from dataclasses import dataclass
from datetime import datetime

from django.core.paginator import Page, Paginator
from django.db.models import OuterRef, Subquery

from dbops import conf
from dbops.access import Role
from dbops.inspection.knowledge import database_statuses, target_statuses
from dbops.models import Job, Target, TargetDatabase
from dbops.models.status import Status, worst_rank
from dbops.probes.knowledge import Readiness, readiness_of

TROUBLE = {"broken", "unreachable", "inconsistent", "conflict", "ghosts"}
WORDS = {"conflict": "in conflict"}
# Of equally bad ones, what hurts most comes first.
ENVIRONMENTS = ("production", "staging", "development")
# The end of an index a database: the history of jobs is not read.
LATEST = Job.objects.filter(database=OuterRef("pk")).order_by("-id").values("pk")[:1]


@dataclass(frozen=True)
class Row:
    target: Target
    database: TargetDatabase | None
    statuses: list[Status]
    last_job: Job | None
    inspected_at: datetime | None
    # Why the Migrate button is not offered, in words; "" when it is.
    migrate_refused: str

    @property
    def readiness(self) -> Readiness | None:
        return readiness_of(self.database) if self.database else None

    @property
    def states(self) -> set[str]:
        return {status.state for status in self.statuses}


@dataclass(frozen=True)
class OverviewPage:
    rows: "Page[Row]"
    total: int
    q: str
    environment: str
    status: str
    role: Role

    @property
    def is_filtered(self) -> bool:
        return bool(self.q or self.environment or self.status)


def overview_page(role: Role, *, q: str, environment: str, status: str, page: int) -> OverviewPage:
    rows = sorted(all_rows(role), key=_urgency)
    matching = [row for row in rows if _matches(row, q, environment, status)]
    shown = Paginator(matching, conf.knob("PAGE_SIZE")).get_page(page)
    return OverviewPage(shown, len(rows), q, environment, status, role)


def _urgency(row: Row) -> tuple[int, int, str]:
    return -worst_rank(row.statuses), ENVIRONMENTS.index(row.target.environment), row.target.name


def all_rows(role: Role) -> list[Row]:
    databases: dict[int, list[TargetDatabase]] = {}
    shown = TargetDatabase.objects.filter(in_settings=True).select_related("target", "probe")
    last_job_ids = []
    for database in shown.annotate(last_job_id=Subquery(LATEST)):
        databases.setdefault(database.target_id, []).append(database)
        last_job_ids.append(database.last_job_id)
    jobs = jobs_by_database(last_job_ids)
    rows = []
    for target in Target.objects.all():
        mine = databases.get(target.pk, [])
        rows += [_database_row(role, target, database, jobs.get(database.pk)) for database in mine]
        if not mine:
            rows.append(_bare_row(target))
    return rows


def jobs_by_database(ids: list[int | None]) -> dict[int, Job]:
    """These jobs, with what a row shows of them, by their database's id."""
    jobs = Job.objects.filter(pk__in=[job_id for job_id in ids if job_id]).only(
        "database_id", "operation", "state", "changing"
    )
    return {job.database_id: job for job in jobs}


def _database_row(role: Role, target: Target, database: TargetDatabase, job: Job | None) -> Row:
    statuses = database_statuses(database)
    return Row(
        target=target,
        database=database,
        statuses=statuses,
        last_job=job,
        inspected_at=database.inspected_at,
        migrate_refused=why_not_migrate(role, database, statuses, job),
    )


def _bare_row(target: Target) -> Row:
    return Row(target, None, target_statuses(target), None, target.inspected_at, "no database known yet")


def why_not_migrate(role: Role, database: TargetDatabase, statuses: list[Status], job: Job | None) -> str:
    """A reason in words that stands where the button would be; "" when a migrate job can be asked for."""
    states = {status.state for status in statuses}
    if job and job.changing and job.is_active:
        return f"job {job.pk} is {job.state}"
    if not database.target.allow_migrate:
        return "migrate is not allowed here"
    if not database.has_address:
        return "its alias cannot stand in an address: rename it in the target's settings"
    if stopped := states & {"broken", "unreachable", "inconsistent", "conflict"}:
        return f"not while it is {WORDS.get(state := sorted(stopped)[0], state)}"
    if "pending" not in states:
        return "nothing to apply" if "checked" in states else "not known what to apply"
    if role < Role.OPERATOR:
        return "needs the role operator"
    return ""


def _matches(row: Row, q: str, environment: str, status: str) -> bool:
    words = f"{row.target.name} {row.target.label} {row.database.name if row.database else ''}".lower()
    return (
        all(word in words for word in q.lower().split())
        and (not environment or row.target.environment == environment)
        and (not status or status in row.states or (status == "trouble" and bool(row.states & TROUBLE)))
    )
