import argparse
from collections.abc import Callable
from datetime import date
from typing import Any

from django.core.management.base import CommandParser

from dbops.documents import audit_document
from dbops.exits import Exit
from dbops.management.commands._shell import PersonCommand
from dbops.models import AuditEvent
from dbops.pages import audit_export
from dbops.pages.audit_query import SIZE_MOST, Cursor, Events, Wanted, chunks, matching, read
from dbops.rights import Role


class Command(PersonCommand):
    help = "The audit trail, newest first: who did what to which target, from where, when, why."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--who", default="", metavar="NAME")
        parser.add_argument("--act", default="", help="one, or the beginning of several: job.migrate")
        parser.add_argument("--target", default="", metavar="NAME", help="a target, or TARGET/ALIAS")
        parser.add_argument("--job", type=int, metavar="ID")
        parser.add_argument("--outcome", default="", choices=["", *AuditEvent.Outcome.values])
        parser.add_argument(
            "--since", type=_checked(date.fromisoformat), metavar="DAY", help="YYYY-MM-DD, UTC"
        )
        parser.add_argument("--until", type=_checked(date.fromisoformat), metavar="DAY", help="included")
        parser.add_argument("--search", dest="q", default="", metavar="WORDS", help="in reason and details")
        parser.add_argument(
            "--format",
            choices=["text", "json", "csv", "jsonl"],
            default="text",
            help="csv and jsonl: all that match, as the page exports them; that is an audit event itself",
        )
        parser.add_argument("--size", type=int, default=50, help=f"of text and json, {SIZE_MOST} at most")
        parser.add_argument(
            "--before", type=_checked(_cursor), metavar="PLACE", help="go on where a page ended"
        )

    def perform(self, **options: Any) -> None:
        if self.rights.highest < Role.STAFF:
            self.refuse(Exit.REFUSED, f"{self.actor.name} is staff nowhere. Nothing was looked for.")
        names = ("q", "who", "act", "target", "job", "outcome", "since", "until")
        wanted = Wanted(**{name: options[name] for name in names})
        if any("\0" in str(value) for value in vars(wanted).values()):
            self.refuse(Exit.USAGE, "A filter holds a NUL character. Nothing was looked for.")
        if options["format"] in audit_export.TYPES:
            self._export(wanted, options["format"])
        else:
            events = read(matching(wanted, self.rights), options["size"], options["before"], None)
            self._page(events, options["format"])

    def _page(self, events: Events, kind: str) -> None:
        if kind == "json":
            self.print_json(audit_document(events))
            return
        for event in events.rows:
            told = f"{event.at:%Y-%m-%d %H:%M:%S} {event.outcome:<8} {event.act:<22} {event.actor}"
            self.tell(
                " ".join(filter(None, [told, event.target, f"job {event.job_id}" if event.job_id else ""]))
            )
            if event.reason:
                self.tell(f"    {event.reason}")
        if not events.rows:
            self.tell("No event matches.")
        if events.older:
            self.tell(f"More: --before {events.older}")

    def _export(self, wanted: Wanted, kind: str) -> None:
        own = AuditEvent.objects.record("audit.export", self.actor, format=kind, filters=wanted.document())
        self.stdout.write(audit_export.head(kind), ending="")
        for some in chunks(wanted, self.rights, Cursor.of(own), audit_export.MOST):
            self.stdout.write(audit_export.lines(kind, some), ending="")


def _cursor(text: str) -> Cursor:
    found = Cursor.parse(text)
    if found is None:
        raise ValueError
    return found


def _checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} cannot be read as one") from None

    return parsed
