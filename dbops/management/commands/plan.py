from typing import Any

from django.core.management.base import CommandParser

from dbops.exits import Exit, exit_for
from dbops.inspection import caution
from dbops.management.commands._inspecting import inspect_first
from dbops.management.commands._plan_text import plan_lines
from dbops.management.commands._planning import asked_plan
from dbops.management.commands._shell import PersonCommand, find_database
from dbops.models import Plan
from dbops.pages.plan import PlanPage, Shown, newest_plan_page, plan_page
from dbops.plan_document import plan_document
from dbops.templatetags.ages import age_words


class Command(PersonCommand):
    help = "What a migrate would do, in order: the newest plan, or any other, which is then read first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--database", metavar="ALIAS")
        parser.add_argument("--app", default="", help="only this app, with what it depends on")
        parser.add_argument(
            "--to", default="", metavar="M", help="up or back to this one; zero: before the first"
        )
        parser.add_argument("--reverse", action="store_true", help="it must lead back; without --to, to zero")
        parser.add_argument("--sql", action="store_true", help="with the SQL of each migration")
        parser.add_argument("--diff", action="store_true", help="with the schema before and after")
        parser.add_argument("--inspect", action="store_true", help="inspect it first, and wait for that")
        parser.add_argument("--json", action="store_true")

    def perform(self, *, name: str, **options: Any) -> None:
        target = self.find_target(name)
        if options["inspect"]:
            inspect_first(self, [target])
        page = self._page(find_database(target, options["database"]), options)
        if options["json"]:
            self.print_json(plan_document(page))
        else:
            self._print(page, sql=options["sql"], diff=options["diff"])
        self.end(exit_of(page))

    def _page(self, database: Any, options: dict[str, Any]) -> PlanPage:
        app, to = options["app"], options["to"]
        if (to or options["reverse"]) and not app:
            self.refuse(Exit.USAGE, "--to and --reverse need --app. Nothing was read.")
        if not app:
            return newest_plan_page(self.rights, database, Shown())
        plan = asked_plan(self, database, app, to or ("zero" if options["reverse"] else ""))
        if options["reverse"] and plan.count and not plan.backwards:
            self.refuse(
                Exit.USAGE, f"{app}.{to} is not applied: the way there leads forward. Nothing was changed."
            )
        return plan_page(self.rights, plan, Shown())

    def _print(self, page: PlanPage, *, sql: bool, diff: bool) -> None:
        for status in page.statuses:
            self.tell(f"{status.state}: {status.detail}")
        for line in plan_lines(page, sql=sql, diff=diff):
            self.tell(line)
        if lacking := caution(page.report):
            self.tell(str(lacking))
        self.tell(f"Inspected {age_words(page.database.inspected_at)}.")
        if page.reported_at != page.database.inspected_at:
            self.tell(f"What is known is of an inspection {age_words(page.reported_at)}.")


def exit_of(page: PlanPage) -> Exit:
    """Of the newest plan as `status` ends; of another, whether it has something to apply."""
    plan: Plan | None = page.plan
    if plan is None or not plan.app:
        return exit_for(page.statuses)
    return Exit.PENDING if plan.count and not plan.backwards else Exit.DONE
