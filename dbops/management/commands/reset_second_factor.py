from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from dbops.access import shell_actor
from dbops.management.commands._shell import ShellCommand
from dbops.models import AuditEvent
from dbops.signing import factors


class Command(ShellCommand):
    help = (
        "For a lost phone without codes: NAME's second factor and recovery codes are worth nothing any more, "
        "and every session of theirs ends. Be sure who asks for it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--reason", default="", help="kept in the audit trail")

    @transaction.atomic
    def handle(self, *, name: str, reason: str, **options: Any) -> None:
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no person {name}. Nothing was done.")
        had = factors.has(user)
        factors.reset(user)
        AuditEvent.objects.record("second_factor.reset", shell_actor(), person=name, had=had, reason=reason)
        said = "is reset" if had else "was not on; what there was of codes is gone"
        self.tell(
            f"The second factor of {name} {said}. Their sessions have ended: the password signs them in."
        )
