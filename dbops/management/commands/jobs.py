from typing import Any

from django.core.management.base import CommandParser

from dbops.documents import jobs_document
from dbops.exits import Exit
from dbops.management.commands._shell import PersonCommand
from dbops.models.job import ACTIVE, FINAL
from dbops.pages.job import JobsPage, jobs_page
from dbops.templatetags.ages import age_words

STATES = ("active", *ACTIVE, *FINAL)


class Command(PersonCommand):
    help = "The latest jobs, as the list of jobs shows them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--target", default="", metavar="NAME", help="only targets whose name holds this")
        parser.add_argument("--state", default="", metavar="STATE", help=f"one of: {', '.join(STATES)}")
        parser.add_argument("--page", type=int, default=1)
        parser.add_argument("--json", action="store_true")

    def perform(self, **options: Any) -> None:
        if options["state"] and options["state"] not in STATES:
            self.refuse(Exit.USAGE, f"There is no state {options['state']}. States: {', '.join(STATES)}.")
        page = jobs_page(self.rights, q=options["target"], state=options["state"], page=options["page"])
        number, pages = page.page.number, page.page.paginator.num_pages
        # A page of the web falls back to the nearest one there is; a script has to be told.
        if number != options["page"]:
            self.refuse(Exit.USAGE, f"There is no page {options['page']}. Pages: 1 to {pages}.")
        if options["json"]:
            self.print_json(jobs_document([row.job for row in page.rows], page=number, pages=pages))
        else:
            self._print(page)

    def _print(self, page: JobsPage) -> None:
        if not page.rows:
            self.tell("No job matches.")
        for row in page.rows:
            asked = f"by {row.job.asked_by_name} {age_words(row.job.created_at)}"
            self.tell(f"{row.job.pk:>6} {row.job.state:<11} {row.title} on {row.job.database} {asked}")
        number, pages = page.page.number, page.page.paginator.num_pages
        if pages > 1:
            more = f" More: --page {number + 1}" if number < pages else ""
            self.tell(f"Page {number} of {pages}.{more}")
