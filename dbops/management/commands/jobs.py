from typing import Any

from django.core.management.base import CommandParser

from dbops.access import Role
from dbops.documents import jobs_document
from dbops.management.commands._shell import ShellCommand
from dbops.pages.job import jobs_page
from dbops.templatetags.ages import age_words


class Command(ShellCommand):
    help = "The latest jobs, as the list of jobs shows them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--target", default="", metavar="NAME", help="only targets whose name holds this")
        parser.add_argument("--state", default="", help="only this state, or: active")
        parser.add_argument("--page", type=int, default=1)
        parser.add_argument("--json", action="store_true")

    def handle(self, **options: Any) -> None:
        page = jobs_page(Role.SUPERUSER, q=options["target"], state=options["state"], page=options["page"])
        if options["json"]:
            self.print_json(jobs_document([row.job for row in page.rows]))
            return
        if not page.rows:
            self.stdout.write("No job matches.")
        for row in page.rows:
            asked = f"by {row.job.asked_by_name} {age_words(row.job.created_at)}"
            self.stdout.write(
                f"{row.job.pk:>6} {row.job.state:<11} {row.title} on {row.job.database} {asked}"
            )
