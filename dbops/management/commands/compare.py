import time
from typing import Any

from django.core.management.base import CommandError, CommandParser

from dbops import conf, launch
from dbops.compare_document import compare_document
from dbops.exits import Exit
from dbops.inspection.schema_diff import as_text
from dbops.management.commands._shell import PersonCommand, find_database
from dbops.models import Snapshot
from dbops.pages.compare import ComparePage, compare_page
from dbops.templatetags.ages import age_words

POLL_S = 0.3
# For the way to the worker and back.
MARGIN_S = 15


class Command(PersonCommand):
    help = "What one target database has and another lacks: migrations, files, and the schemas that follow."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("a", metavar="A", help="TARGET or TARGET/ALIAS")
        parser.add_argument("b", metavar="B", help="likewise")
        parser.add_argument(
            "--schema", action="store_true", help="have workers read both schemas first, and wait for that"
        )
        parser.add_argument("--json", action="store_true")

    def perform(self, *, a: str, b: str, **options: Any) -> None:
        names = [self._named(a), self._named(b)]
        page = compare_page(self.rights, *names)
        if page.problems:
            raise CommandError(" ".join(page.problems))
        if options["schema"]:
            self._read(page)
            page = compare_page(self.rights, *names)
        if options["json"]:
            self.print_json(compare_document(page))
        else:
            self._print(page)
        self.end(_exit_for(page))

    def _named(self, place: str) -> str:
        """TARGET alone stands for the database that the other commands take without --database."""
        if "/" in place:
            return place
        return f"{place}/{find_database(self.find_target(place), None).alias}"

    def _read(self, page: ComparePage) -> None:
        """Only a worker of its target's queue may reach it."""
        asked = [launch.snapshot(side.database, self.actor) for side in page.sides or ()]
        give_up = time.monotonic() + conf.knob("INSPECTION_TIMEOUT_S") + MARGIN_S
        ids = [snapshot.pk for snapshot in asked]
        while waiting := list(Snapshot.objects.filter(pk__in=ids, state__in=["asked", "working"])[:1]):
            if time.monotonic() > give_up:
                queue = waiting[0].database.target.inspect_queue
                self.refuse(
                    Exit.TIMED_OUT,
                    f"The schema of {waiting[0].database} was not read: no worker of the queue {queue} has "
                    "done it in time. It is asked for and will be read when one runs. What was "
                    "read before is shown without --schema.",
                )
            time.sleep(POLL_S)

    def _print(self, page: ComparePage) -> None:
        for letter, side in zip("AB", page.sides or (), strict=False):
            self.tell(f"{letter}: {side.name}, migrations as of {age_words(side.reported_at)}")
            for doubt in [*side.doubts, *side.schema_doubts]:
                self.tell(f"    {doubt}")
            if side.failed:
                self.tell(f"    Its schema could not be read: {side.failed.error_sentence}")
        if page.comparison is None:
            self.tell("The migrations cannot be compared before both were inspected.")
            return
        self.tell(page.compared)
        for each in page.comparison.differences:
            edited = ", source differs" if each.is_edited else ""
            self.tell(f"  {each.app}.{each.name}: A {each.one}, B {each.other}{edited}")
        self._print_schemas(page)

    def _print_schemas(self, page: ComparePage) -> None:
        if page.diff is None:
            self.tell("The schemas were not read yet: --schema has that done.")
            return
        ages = ", ".join(age_words(side.schema.read_at) for side in page.sides or () if side.schema)
        self.tell(f"Schemas, read {ages}. From A to B: {page.diff.summary}.")
        if page.vendors:
            self.tell(f"{' and '.join(page.vendors)} are compared: types differ by vendor.")
        for line in as_text(page.diff).splitlines():
            self.tell(line)


def _exit_for(page: ComparePage) -> Exit:
    if page.comparison is None or any(not side.history.is_read for side in page.sides or ()):
        return Exit.UNKNOWN
    return Exit.DIFFERENT if page.comparison.differences or page.diff else Exit.DONE
