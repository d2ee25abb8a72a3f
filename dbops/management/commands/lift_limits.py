from typing import Any

from django.core.management.base import CommandError, CommandParser

from dbops.access import shell_actor
from dbops.management.commands._shell import ShellCommand
from dbops.models import AuditEvent
from dbops.signing import limits


class Command(ShellCommand):
    help = "Forget the failed sign-ins of a name (and its wrong codes) or of an address: no more waiting."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", default="")
        parser.add_argument("--address", default="")

    def handle(self, *, name: str, address: str, **options: Any) -> None:
        if not name and not address:
            raise CommandError("Say whose: --name NAME or --address ADDRESS. Nothing was done.")
        lifted = limits.lift(name=name, address=address)
        AuditEvent.objects.record(
            "limits.lift", shell_actor(), person=name, of_address=address, lifted=lifted
        )
        self.tell(f"Forgotten: the failures of {lifted} limits. They may try again at once.")
