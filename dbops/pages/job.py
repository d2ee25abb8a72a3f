"""The page of a job and the list of jobs."""

from dataclasses import dataclass
from datetime import datetime

from django.core.paginator import Page, Paginator

from dbops import conf
from dbops.again import is_repeatable
from dbops.models import Job, SessionEnding, Step, Target, TargetDatabase
from dbops.models.job import ACTIVE, FINAL
from dbops.operations import REGISTRY
from dbops.pages.aftermath import Left, left_by
from dbops.pages.blockers import Retry, Wait, endings_of, retry_of, waits_of
from dbops.pages.facts import JobFacts
from dbops.pages.files import WrittenFile, files_of
from dbops.rights import Rights, Role
from dbops.serving import Service, not_taking, service
from dbops.transcript.reading import Lines, read_last
from dbops.transcript.retention import removed_words

# Fragments of the job page: file name = DOM id.
FRAGMENTS = (
    "job_state", "job_waiting", "job_blockers", "job_aftermath", "job_files", "job_progress", "job_facts",
    "job_steps",
)  # fmt: skip
# Of a transcript: what comes with the page, and with one answer to who looks elsewhere in it.
LINES_OF_PAGE = 2000
LINES_AT_ONCE = 1000
ANSWER_BYTES = 1_000_000


@dataclass(frozen=True)
class JobPage:
    job: Job
    steps: list[Step]
    role: Role
    endings: list[SessionEnding]
    # What it left behind; None where nothing was looked for.
    left: Left | None
    # Of its queue, while it is queued.
    service: Service | None
    # Those that ran it again, oldest first.
    repeats: list[int]

    @property
    def waits(self) -> list[Wait]:
        return waits_of(self.job, self.role)

    @property
    def retry(self) -> Retry | None:
        return retry_of(self.job)

    @property
    def is_staff(self) -> bool:
        return self.role >= Role.STAFF

    @property
    def files(self) -> list[WrittenFile]:
        return files_of(self.job)

    @property
    def facts(self) -> JobFacts:
        return JobFacts(self.job)

    @property
    def not_taking(self) -> str:
        return not_taking(self.service, self.job.created_at) if self.service else ""

    @property
    def database(self) -> TargetDatabase:
        return self.job.database

    @property
    def target(self) -> Target:
        return self.job.database.target

    @property
    def title(self) -> str:
        return title_of(self.job)

    @property
    def can_cancel(self) -> bool:
        return self.role >= Role.OPERATOR and self.job.state in ("queued", "starting", "running")

    @property
    def can_run_again(self) -> bool:
        return self.is_final and is_repeatable(self.job) and self.role >= Role.OPERATOR

    @property
    def can_resolve(self) -> bool:
        return self.role >= Role.STAFF and self.job.state == "lost"

    @property
    def recorded(self) -> list[list[str]]:
        """[app, name] of what a job that did not succeed left recorded all the same."""
        return [] if self.job.state == "succeeded" else self.job.facts.get("recorded") or []

    @property
    def plan_changed(self) -> bool:
        """It was refused, since the plan was another than the one that it was held to."""
        return self.job.error_type == "PlanChanged" and self.database.has_address

    @property
    def is_final(self) -> bool:
        return self.job.state in FINAL

    @property
    def since(self) -> datetime:
        return self.job.started_at or self.job.created_at


@dataclass(frozen=True)
class JobRow:
    job: Job
    title: str


@dataclass(frozen=True)
class JobsPage:
    rows: list[JobRow]
    page: "Page[Job]"
    q: str
    state: str
    role: Role


def title_of(job: Job) -> str:
    return REGISTRY[job.operation].title(job.arguments)


def job_page(rights: Rights, job: Job) -> JobPage:
    return JobPage(
        job=job,
        steps=list(Step.objects.filter(job=job).order_by("position", "attempt")),
        role=rights.on(job.database.target_id),
        endings=endings_of(job),
        left=left_by(rights, job),
        service=service(job.queue) if job.state == "queued" else None,
        repeats=list(job.repeats.order_by("pk").values_list("pk", flat=True)) if job.state in FINAL else [],
    )


@dataclass(frozen=True)
class Transcript:
    """The last lines for the first paint; the stream goes on behind them, the viewer asks for others."""

    job: Job
    chunks: list[Lines]

    @property
    def last(self) -> int:
        """The number of the last line here, which `Job.last_line` may have passed meanwhile."""
        return self.chunks[-1].last if self.chunks else 0

    @property
    def lines(self) -> list[str]:
        return [line for chunk in self.chunks for line in chunk.lines]

    @property
    def removed(self) -> str:
        """Why there is none (any more); "" where there is."""
        return removed_words(self.job)

    @property
    def document(self) -> dict[str, object]:
        return {
            "last": self.last,
            "chunks": [chunk.document() for chunk in self.chunks],
            "tail": "",
            "gap": self.job.gap,
            "removed": self.removed,
        }


def transcript_so_far(job: Job) -> Transcript:
    if job.transcript_removed_at:
        return Transcript(job, [])
    return Transcript(job, read_last(job.pk, LINES_OF_PAGE, ANSWER_BYTES))


def jobs_page(rights: Rights, *, q: str, state: str, page: int) -> JobsPage:
    seen = Job.objects.filter(rights.within("database__target_id"))
    jobs = seen.select_related("database__target").order_by("-id")
    if q:
        jobs = jobs.filter(database__target__name__icontains=q)
    if state:
        jobs = jobs.filter(state__in=ACTIVE if state == "active" else [state])
    shown = Paginator(jobs, conf.knob("PAGE_SIZE")).get_page(page)
    return JobsPage([JobRow(job, title_of(job)) for job in shown], shown, q, state, rights.highest)
