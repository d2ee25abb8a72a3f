"""The shapes of documents and bodies. Documents are those of the commands (dbops.documents): what is said
there is said here, key for key, and a test holds the two together."""

from typing import Annotated, Any, Literal, Self

from ninja import Schema
from pydantic import ConfigDict, Field, model_validator

from dbops.models.job import ACTIVE, FINAL
from dbops.models.status import STATES

# Postgres keeps no NUL.
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
# As the documents of the commands write it: ISO 8601 with a time zone.
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
State = Literal[STATES]  # type: ignore[valid-type]
JobState = Literal[(*ACTIVE, *FINAL)]  # type: ignore[valid-type]


class Document(Schema):
    """Keys are only added within a version."""

    version: Literal[1]


class StatusEntry(Schema):
    state: State
    reason: str
    detail: str
    next_step: str
    evidence: str


class DatabaseEntry(Schema):
    target: str
    environment: str
    alias: str | None
    vendor: str | None
    database: str | None
    statuses: list[StatusEntry]
    pending: int | None
    applied: int | None
    django: str | None
    inspected_at: Moment | None
    last_job: int | None


class StatusDocument(Document):
    page: int
    pages: int
    count: int
    databases: list[DatabaseEntry]


class TargetEntry(Schema):
    name: str
    label: str
    environment: str
    queue: str
    allow_migrate: bool
    role: str
    inspected_at: Moment | None
    # Of the target itself, where none of its databases is known yet.
    statuses: list[StatusEntry]
    databases: list[DatabaseEntry]


class TargetsDocument(Document):
    page: int
    pages: int
    count: int
    targets: list[TargetEntry]


class TargetDocument(Document):
    target: TargetEntry


class Read(Schema):
    id: int
    fingerprint: str
    read_at: Moment | None
    confirmed_at: Moment | None
    read_only_confirmed: bool
    backwards: bool
    complete: bool
    stopped: str
    outdated: str
    summary: str
    findings: dict[str, int]
    diff: str


class Recipe(Schema):
    words: str
    code: str
    language: str


class FindingEntry(Schema):
    rule: str
    severity: str
    title: str
    subject: str
    reason: str
    lock: str
    operation: int | None
    recipe: Recipe


class OperationEntry(Schema):
    number: int
    depth: int
    kind: str | None
    words: str | None
    table: str
    marks: list[Any]
    source: Any
    reverse_source: Any


class MigrationEntry(Schema):
    """Where what it does was not read: `app` and `name` alone."""

    app: str
    name: str
    backwards: bool | None = None
    file: str | None = None
    docstring: str | None = None
    hash: str | None = None
    atomic: bool | None = None
    initial: bool | None = None
    reversible: bool | None = None
    irreversible: list[Any] = []
    dependencies: list[Any] = []
    run_before: list[Any] = []
    replaces: list[Any] = []
    summary: str | None = None
    operations: list[OperationEntry] = []
    sql: list[str] = []
    sql_problems: list[Any] = []
    reverse_sql: list[str] = []
    reverse_sql_problems: list[Any] = []
    findings: list[FindingEntry] = []
    diff: str | None = None


class PlanDocument(Document):
    target: str
    alias: str
    app: str
    to: str
    inspected_at: Moment | None
    reported_at: Moment | None
    statuses: list[StatusEntry]
    plan: list[MigrationEntry]
    caution: str
    read: Read | None


class JobEntry(Schema):
    id: int
    target: str
    alias: str
    operation: str
    arguments: dict[str, Any]
    title: str
    state: JobState
    outcome: str
    asked_by: str
    again_of: int | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    done: int
    total: int | None
    lines: int
    transcript_removed_at: Moment | None


class StepEntry(Schema):
    kind: str
    name: str
    state: str
    attempt: int
    duration_ms: int | None
    statements: int | None
    first_line: int | None
    last_line: int | None


class JobInFull(JobEntry):
    steps: list[StepEntry]
    facts: dict[str, Any]


class JobDocument(Document):
    job: JobInFull


class JobsDocument(Document):
    """The latest first. `next`: what `before` takes to get those behind these; null: there are none."""

    jobs: list[JobEntry]
    next: int | None


class CancelDocument(JobDocument):
    sentence: str


class Line(Schema):
    number: int
    # When it came to the worker.
    at: Moment
    text: str


class LinesDocument(Document):
    """`next`: what `after` takes to get the lines behind these. `ended`: the job is over and there are none.
    `gap`: first and last of those that are not kept. `removed`: why none is kept, or ""."""

    job: int
    state: JobState
    lines: list[Line]
    next: int
    last: int
    ended: bool
    gap: list[int] | None
    removed: str


class Body(Schema):
    model_config = ConfigDict(extra="forbid")


class Start(Body):
    """A migrate: of the whole project, of one app, or of one app up to a migration. `plan`: the fingerprint
    of the plan that was seen; the job is refused where it is another one by then."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"migration": ["app"]}})

    operation: Literal["migrate"]
    # Left out or said, never empty: a default that the document told would be one that is refused.
    app: Annotated[Text, Field(min_length=1, max_length=255, default_factory=str)]
    migration: Annotated[Text, Field(min_length=1, max_length=255, default_factory=str)]
    plan: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", default_factory=str)]
    reason: Annotated[Text, Field(max_length=500)] = ""

    @model_validator(mode="after")
    def has_the_app_of_its_migration(self) -> Self:
        if self.migration and not self.app:
            raise ValueError("a migration needs its app")
        return self

    @property
    def arguments(self) -> dict[str, str]:
        given = (("app", self.app), ("migration", self.migration), ("expected_plan", self.plan))
        return {name: value for name, value in given if value}


class Cancel(Body):
    reason: Annotated[Text, Field(max_length=500)] = ""


class ProblemDocument(Schema):
    """RFC 9457. Problems that a part of the request is to blame for have `errors`."""

    type: str
    title: str
    status: int
    detail: str


class ErrorEntry(Schema):
    where: str
    message: str


class InvalidDocument(ProblemDocument):
    errors: list[ErrorEntry]
