import re
import time
import uuid
from typing import Any

from django.core.management.base import CommandError, CommandParser

from dbops import launch
from dbops.documents import job_document
from dbops.exits import BY_JOB_STATE, Exit
from dbops.inspection.knowledge import latest_done
from dbops.management.commands._shell import PersonCommand, find_database
from dbops.models import Job, TargetDatabase
from dbops.models.job import FINAL
from dbops.pages.makemigrations import makemigrations_page
from dbops.pages.target import database_part
from dbops.rights import Role
from dbops.transcript.reading import read_after, with_gaps

POLL_S = 0.3
FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class Command(PersonCommand):
    help = "Ask for a job, as the page does: the same row, the same worker, the same guard."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", nargs="?")
        # The others are asked for on the page of the job that shows why.
        parser.add_argument("operation", choices=["migrate", "makemigrations"], nargs="?")
        parser.add_argument(
            "--again", type=int, metavar="ID", help="the same once more; nothing else is named"
        )
        parser.add_argument("--database", metavar="ALIAS")
        parser.add_argument("--app", default="")
        parser.add_argument("--migration", default="")
        parser.add_argument("--merge", action="store_true", help="makemigrations --merge")
        parser.add_argument(
            "--expected",
            default="",
            metavar="FINGERPRINT",
            help="of the files that makemigrations is to write; without it they are only shown",
        )
        parser.add_argument(
            "--plan", default="", metavar="FINGERPRINT", help="refuse where the plan is another one by then"
        )
        parser.add_argument("--reason", default="", help="kept in the audit trail")
        parser.add_argument("--follow", action="store_true", help="print its transcript and wait for its end")
        parser.add_argument("--json", action="store_true", help="one document: of the start, or of the end")

    def perform(self, **options: Any) -> None:
        try:
            job = self._again(options) if options["again"] is not None else self._start(options)
        except launch.RefusedError as refused:
            self.refuse(Exit.REFUSED, str(refused))
        if not options["json"]:
            self.tell(f"Job {job.pk} is {job.state}.")
        if options["follow"]:
            job = self._follow(job, quiet=options["json"])
        if options["json"]:
            self.print_json(job_document(job))
        if options["follow"]:
            self.end(BY_JOB_STATE[job.state])

    def _again(self, options: dict[str, Any]) -> Job:
        named = [
            word for word in ("name", "operation", "database", "app", "migration", "plan") if options[word]
        ]
        if named:
            self.refuse(Exit.USAGE, f"--again takes no {named[0]}: the job has its own. Nothing was started.")
        known = Job.objects.filter(self.rights.within("database__target_id"))
        found = known.select_related("database__target").filter(pk=options["again"]).first()
        if found is None:
            raise CommandError(f"There is no job {options['again']}. Nothing was started.")
        return launch.again(found, self.actor, key=uuid.uuid4(), reason=options["reason"]).job

    def _start(self, options: dict[str, Any]) -> Job:
        if not options["operation"]:
            self.refuse(Exit.USAGE, "Name a target and an operation, or --again ID. Nothing was started.")
        database = find_database(self.find_target(options["name"]), options["database"])
        if options["operation"] == "makemigrations":
            return self._makemigrations(database, options)
        if options["merge"] or options["expected"]:
            self.refuse(Exit.USAGE, "--merge and --expected are of makemigrations. Nothing was started.")
        arguments = self._arguments(database, options["app"], options["migration"], options["plan"])
        return launch.start(
            database,
            options["operation"],
            arguments,
            self.actor,
            key=uuid.uuid4(),
            reason=options["reason"],
        ).job

    def _makemigrations(self, database: TargetDatabase, options: dict[str, Any]) -> Job:
        """What would be written is seen first, as on the page; then asked for by its fingerprint."""
        launch.insist("makemigrations", database.target, Role.STAFF, self.actor)
        page = makemigrations_page(self.rights, database.target, merge=options["merge"])
        if page.refused:
            self.refuse(Exit.REFUSED, f"{page.refused} Nothing was started.")
        if not options["expected"]:
            for file in page.files:
                self.tell(f"{file.name}\n\n{file.source}")
            self.tell("\n".join(page.questions))
            words = f"Nothing was started. To have this written, add: --expected {page.expected}"
            self.refuse(Exit.USAGE, words)
        return launch.start(
            database,
            "makemigrations",
            {"merge": options["merge"], "expected": options["expected"]},
            self.actor,
            key=uuid.uuid4(),
            reason=options["reason"],
        ).job

    def _arguments(self, database: TargetDatabase, app: str, migration: str, plan: str) -> dict[str, str]:
        """Checked against what the latest inspection saw, as the form does."""
        if migration and not app:
            self.refuse(Exit.USAGE, "--migration needs --app. Nothing was started.")
        if plan and not FINGERPRINT.fullmatch(plan):
            self.refuse(Exit.USAGE, "--plan takes a fingerprint as `plan` prints it. Nothing was started.")
        part = database_part(self.rights, database, latest_done(database.target))
        known = {one.label: {migration.name for migration in one.on_disk} for one in part.apps if one.on_disk}
        if app and app not in known:
            self.refuse(
                Exit.USAGE,
                f"{database} has no app {app}. Nothing was started. Apps: {', '.join(known) or 'none'}.",
            )
        if migration and migration not in known[app]:
            names = ", ".join(sorted(known[app]))
            self.refuse(
                Exit.USAGE, f"{app} has no migration {migration}. Nothing was started. It has: {names}."
            )
        given = (("app", app), ("migration", migration), ("expected_plan", plan))
        return {key: value for key, value in given if value}

    def _follow(self, job: Job, *, quiet: bool) -> Job:
        """Print lines as they come; Ctrl-C stops the following, not the job."""
        after, last_line = 0, ""
        while True:
            job.refresh_from_db()
            while some := read_after(job.pk, after):
                if not quiet:
                    self.tell("\n".join(with_gaps(some, after)))
                after, last_line = some[-1].last, some[-1].lines[-1]
            if job.state in FINAL or job.state == "lost":
                break
            time.sleep(POLL_S)
        if not quiet:
            # Its transcript ends with the outcome, unless nobody had begun.
            said = bool(job.outcome) and job.outcome in last_line
            self.tell(f"Job {job.pk} {job.state}." + ("" if said else f" {job.outcome}"))
        return job
