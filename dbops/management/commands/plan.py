from typing import Any

from django.core.management.base import CommandParser

from dbops.access import Role
from dbops.documents import plan_document
from dbops.exits import exit_for
from dbops.inspection.knowledge import latest_done
from dbops.management.commands._inspecting import inspect_first
from dbops.management.commands._shell import ShellCommand, find_database, find_target
from dbops.pages.target import database_part
from dbops.templatetags.ages import age_words


class Command(ShellCommand):
    help = "The migrations that a migrate job would apply, in order."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--database", metavar="ALIAS")
        parser.add_argument("--inspect", action="store_true", help="inspect it first, and wait for that")
        parser.add_argument("--json", action="store_true")

    def handle(self, *, name: str, **options: Any) -> None:
        target = find_target(name)
        if options["inspect"]:
            inspect_first(self, [target])
        database = find_database(target, options["database"])
        part = database_part(Role.SUPERUSER, database, latest_done(target))
        if options["json"]:
            self.print_json(plan_document(part))
        else:
            for status in part.statuses:
                self.tell(f"{status.state}: {status.detail}")
            for app, migration in part.plan:
                self.tell(f"  {app}.{migration}")
            if part.caution:
                self.tell(str(part.caution))
            self.tell(f"Inspected {age_words(database.inspected_at)}.")
            if part.reported_at != database.inspected_at:
                self.tell(f"The plan is of an inspection {age_words(part.reported_at)}.")
        self.end(exit_for(part.statuses))
