"""The page that shows what changed since a job, and offers to run it again."""

from dataclasses import dataclass

from dbops import conf
from dbops.again import why_not_again
from dbops.elsewhere import same_database_is_known
from dbops.inspection.knowledge import latest_done, report_now
from dbops.inspection.plans import current
from dbops.models import AuditEvent, Inspection, Job, Plan, Target
from dbops.pages.facts import NOT_KNOWN, VENDORS, JobFacts, Pairs, plan_in, revision_in
from dbops.pages.job import JobRow, title_of
from dbops.pages.target import DatabasePart, database_part, unserved
from dbops.rights import Rights, Role
from dbops.serving import Service

LATER_SHOWN = 10


@dataclass(frozen=True)
class Change:
    what: str
    then: str
    now: str

    @property
    def words(self) -> str:
        if NOT_KNOWN in self.then or NOT_KNOWN in self.now:
            return "cannot be compared"
        return "changed" if self.then != self.now else "the same"


@dataclass(frozen=True)
class AgainPage:
    job: Job
    part: DatabasePart
    inspection: Inspection | None
    # What the agent said then that it would apply, and what it would now; None where that is not known.
    then: Pairs | None
    now: Pairs | None
    changes: list[Change]
    later: list[JobRow]
    # Others came through targets that lead to the same database and that this person does not see.
    later_are_hidden: bool
    configured: list[AuditEvent]
    unserved: Service | None
    # That it would be held to now: the kept one for the same choice, where nothing makes it doubtful.
    plan: Plan | None
    role: Role

    @property
    def target(self) -> Target:
        return self.job.database.target

    @property
    def title(self) -> str:
        return title_of(self.job)

    @property
    def refused(self) -> str:
        """Why it is not offered, in words."""
        if sentence := why_not_again(self.job):
            return sentence
        if self.job.operation == "migrate" and self.part.migrate_refused:
            return f"A migrate job is not offered: {self.part.migrate_refused}."
        return ""

    @property
    def is_the_same_database(self) -> bool:
        return same_database_is_known(self.job)

    @property
    def facts(self) -> JobFacts:
        return JobFacts(self.job)

    @property
    def named(self) -> str:
        """What is to be said of the migration that it names, or of its app; "" where nothing is."""
        app, name = self.job.arguments.get("app") or "", self.job.arguments.get("migration") or ""
        known = {one.label: {row.name: row for row in one.on_disk} for one in self.part.apps if one.on_disk}
        if not app or not known:
            return ""
        if app not in known:
            return f"The project has no app {app} with migrations any more."
        if name and name not in known[app]:
            return f"The project has no migration {app}.{name} any more."
        if name and known[app][name].applied:
            return f"{app}.{name} is applied already."
        return ""

    @property
    def added(self) -> Pairs:
        """Would be applied now, and was not planned then."""
        return [pair for pair in self.now or [] if pair not in self.then] if self.then is not None else []

    @property
    def recorded_since(self) -> Pairs | None:
        """Left to apply when the job had ended, and recorded now; None where either is not known."""
        left = plan_in(self.job, "after")
        return None if left is None else self._recorded(left, now=True)

    @property
    def vanished(self) -> Pairs | None:
        """Recorded by the job, and not recorded now."""
        recorded = self.job.facts.get("recorded")
        return None if recorded is None else self._recorded(recorded, now=False)

    def _recorded(self, pairs: Pairs, *, now: bool) -> Pairs | None:
        report = report_now(self.job.database, self.inspection)
        if not report.get("reachable"):
            return None
        there = [list(row[:2]) for row in report.get("applied") or []]
        return [pair for pair in pairs if (list(pair) in there) is now]


def again_page(rights: Rights, job: Job) -> AgainPage:
    target, inspection = job.database.target, latest_done(job.database.target)
    part = database_part(rights, job.database, inspection)
    then = [name.split(".", 1) for name in job.facts["plan"]] if "plan" in job.facts else None
    since, seen = Job.objects.later_than(job), rights.within("database__target_id")
    later = since.filter(seen).select_related("database__target").order_by("-pk")[:LATER_SHOWN]
    configured = AuditEvent.objects.filter(target=target.name, act="target.change", at__gt=job.created_at)
    return AgainPage(
        job=job,
        part=part,
        inspection=inspection,
        then=then,
        now=_now(job, part, then) if part.reported_at else None,
        changes=_changes(job, inspection),
        later=[JobRow(one, title_of(one)) for one in later],
        later_are_hidden=not rights.sees_all and since.exclude(seen).exists(),
        configured=list(configured.order_by("-pk")[:LATER_SHOWN]),
        unserved=next(iter(unserved([target.queue])), None),
        plan=_plan(job),
        role=rights.on(target.pk),
    )


def _plan(job: Job) -> Plan | None:
    if job.operation != "migrate" or not job.database.has_address:
        return None
    return current(job.database, job.arguments.get("app") or "", job.arguments.get("migration") or "")


def _now(job: Job, part: DatabasePart, then: Pairs | None) -> Pairs:
    """Of the plan what the same arguments reach: of an app also what was planned with it then."""
    plan = [list(pair) for pair in part.plan]
    app, name = job.arguments.get("app"), job.arguments.get("migration")
    if not app:
        return plan
    if name:
        plan = plan[: plan.index([app, name]) + 1] if [app, name] in plan else []
    return [pair for pair in plan if pair[0] == app or pair in (then or [])]


def _changes(job: Job, inspection: Inspection | None) -> list[Change]:
    then, database = JobFacts(job), job.database
    versions = dict(then.versions)
    server = VENDORS.get(database.vendor, "Server")
    report = (inspection.report or {}) if inspection else {}
    now = {
        "opsdash": conf.VERSION,
        "Python": inspection.python_version if inspection else "",
        "Django": inspection.django_version if inspection else "",
        server: database.server_version,
    }
    rows = [
        Change(what, versions.get(what) or NOT_KNOWN, is_now or NOT_KNOWN) for what, is_now in now.items()
    ]
    rows.append(Change("Revision of its tree", then.revision.words, revision_in(report).words))
    rows.append(Change("Database", job.database_name or NOT_KNOWN, database.name or NOT_KNOWN))
    return rows
