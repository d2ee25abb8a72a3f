from typing import Any

from django.core.management.base import CommandError, CommandParser

from dbops.management.commands._shell import PersonCommand
from dbops.pages.tokens import seen_by
from dbops.tokens import revoke


class Command(PersonCommand):
    help = "Revoke a token of the JSON API, by the number that `tokens` prints."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("token", type=int, metavar="ID")

    def perform(self, *, token: int, **options: Any) -> None:
        found = seen_by(self.actor.user).filter(pk=token).first()
        if found is None:
            raise CommandError(f"There is no token {token}. Nothing was done.")
        self.tell(revoke(found, self.actor))
