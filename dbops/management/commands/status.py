from typing import Any

from django.core.management.base import CommandParser

from dbops.documents import status_document
from dbops.exits import exit_for
from dbops.management.commands._inspecting import inspect_first
from dbops.management.commands._shell import PersonCommand
from dbops.pages.overview import Row, all_rows
from dbops.templatetags.ages import age_words


class Command(PersonCommand):
    help = "The typed status of every target database, as the overview shows it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="targets; all without a name")
        parser.add_argument("--inspect", action="store_true", help="inspect them first, and wait for that")
        parser.add_argument("--json", action="store_true")

    def perform(self, *, names: list[str], **options: Any) -> None:
        targets = [self.find_target(name) for name in names]
        if options["inspect"]:
            inspect_first(self, targets or {row.target for row in all_rows(self.rights)})
        rows = [row for row in all_rows(self.rights) if not names or row.target.name in names]
        if options["json"]:
            self.print_json(status_document(rows))
        else:
            self._print(rows)
        self.end(exit_for([status for row in rows for status in row.statuses]))

    def _print(self, rows: list[Row]) -> None:
        if not rows:
            self.tell("No targets yet. Add one: manage.py add_target NAME PATH")
        for row in rows:
            place = f"{row.target.name}/{row.database.alias}" if row.database else row.target.name
            states = ", ".join(
                f"{row.database.pending_count} pending"
                if state.state == "pending" and row.database
                else state.note or state.state
                for state in row.statuses
            )
            self.tell(f"{place:<40} {states:<24} inspected {age_words(row.inspected_at)}")
            for status in row.statuses:
                if status.state not in ("pending", "checked"):
                    self.tell(f"    {status.detail} {status.next_step}")
