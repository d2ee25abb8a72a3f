"""The overview: every target database with its status; one page of them is read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import OuterRef, Subquery

from dbops import conf
from dbops.inspection.knowledge import database_statuses, target_statuses
from dbops.models import Job, Target, TargetDatabase, clock
from dbops.models.status import STATES, Status
from dbops.pages.overview_query import SORTS, Counts, Wanted, count, keys
from dbops.probes.knowledge import Readiness, readiness_of
from dbops.rights import Rights, Role

WORDS = {"conflict": "in conflict"}
# The end of an index a database: the history of jobs is not read.
LATEST = Job.objects.filter(database=OuterRef("pk")).order_by("-id").values("pk")[:1]
Key = tuple[int, int | None]


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
class Sort:
    """One way to sort, as a link of a column's header."""

    # "" where the list is not sorted by it; else as aria-sort has it.
    direction: str
    # What a click asks for: the other way round, where it is sorted by this already.
    next: str


@dataclass(frozen=True)
class StateCount:
    state: str
    count: int
    chosen: bool


@dataclass(frozen=True)
class OverviewPage:
    rows: "Page[Row]"
    counts: Counts
    wanted: Wanted
    # The highest on any target.
    role: Role

    @property
    def sorts(self) -> dict[str, Sort]:
        return {name: _sort(name, self.wanted.sort) for name in SORTS}

    @property
    def states(self) -> list[StateCount]:
        """Those that are there, and the chosen one, the worst first."""
        chosen, by_state = self.wanted.status, self.counts.by_state
        return [
            StateCount(state, by_state[state], state == chosen)
            for state in STATES
            if by_state[state] or state == chosen
        ]


def _sort(name: str, sort: str) -> Sort:
    direction = {name: "ascending", f"-{name}": "descending"}.get(sort, "")
    return Sort(direction, f"-{name}" if direction == "ascending" else name)


def overview_page(rights: Rights, wanted: Wanted) -> OverviewPage:
    now = clock.now()
    counts = count(rights, wanted, now)
    matching = _Matching(rights, wanted, now, counts.matching)
    shown: Page[Row] = Paginator(matching, conf.knob("PAGE_SIZE")).get_page(wanted.page)  # type: ignore[arg-type]
    return OverviewPage(shown, counts, wanted, rights.highest)


@dataclass(frozen=True)
class _Matching:
    """What a paginator cuts a page from: counted already, and read only where it is cut."""

    rights: Rights
    wanted: Wanted
    now: datetime
    matching: int

    def count(self) -> int:
        return self.matching

    def __len__(self) -> int:
        return self.matching

    def __getitem__(self, cut: slice) -> list[Row]:
        return rows_of(self.rights, list(keys(self.rights, self.wanted, self.now)[cut]), self.now)


def all_rows(rights: Rights) -> list[Row]:
    """Unpaged, by name: for the shell."""
    now = clock.now()
    return sorted(
        rows_of(rights, list(keys(rights, Wanted(), now)), now),
        key=lambda row: (row.target.name, row.database.alias if row.database else ""),
    )


def rows_of(rights: Rights, shown: list[Key], now: datetime) -> list[Row]:
    """The rows of these (target, database), in their order; a database that was taken away meanwhile is left
    out."""
    databases = _databases([database_id for _, database_id in shown if database_id])
    bare = Target.objects.in_bulk([target_id for target_id, database_id in shown if not database_id])
    jobs = jobs_by_database([database.last_job_id for database in databases.values()])
    rows = []
    for target_id, database_id in shown:
        if database := databases.get(database_id or 0):
            role = rights.on(target_id)
            rows.append(_database_row(role, database, jobs.get(database.pk), now))
        elif target := bare.get(target_id):
            rows.append(_bare_row(target, now))
    return rows


def _databases(ids: list[int]) -> dict[int, Any]:
    read = TargetDatabase.objects.filter(pk__in=ids).select_related("target", "probe").order_by()
    return {
        found.pk: found for found in read.defer("sealed_connection").annotate(last_job_id=Subquery(LATEST))
    }


def jobs_by_database(ids: list[int | None]) -> dict[int, Job]:
    """These jobs, with what a row shows of them, by their database's id."""
    jobs = Job.objects.filter(pk__in=[job_id for job_id in ids if job_id]).only(
        "database_id", "operation", "state", "changing"
    )
    return {job.database_id: job for job in jobs}


def _database_row(role: Role, database: TargetDatabase, job: Job | None, now: datetime) -> Row:
    statuses = database_statuses(database, now)
    return Row(
        target=database.target,
        database=database,
        statuses=statuses,
        last_job=job,
        inspected_at=database.inspected_at,
        migrate_refused=why_not_migrate(role, database, statuses, job),
    )


def _bare_row(target: Target, now: datetime) -> Row:
    return Row(target, None, target_statuses(target, now), None, target.inspected_at, "no database known yet")


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
        return "nothing to apply" if states - {"unknown"} else "not known what to apply"
    if role < Role.OPERATOR:
        return "needs the role operator"
    return ""
