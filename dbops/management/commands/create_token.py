from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from dbops.documents import VERSION, token_entry
from dbops.exits import Exit
from dbops.management.commands._shell import PersonCommand
from dbops.models import ApiToken
from dbops.rights import Role
from dbops.tokens import CannotMakeError, make


class Command(PersonCommand):
    help = "Make a token of the JSON API for a person. Its text is printed once and kept nowhere."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "owner", metavar="USER", help="in whose name it acts; it never may more than they"
        )
        parser.add_argument("name", metavar="NAME", help="what uses it; it stands in the audit trail")
        parser.add_argument(
            "--scope", action="append", dest="scopes", choices=ApiToken.Scope.values, required=True
        )
        parser.add_argument("--days", type=int, default=30, help="it expires after so many (30)")
        parser.add_argument(
            "--target", action="append", dest="targets", metavar="NAME", help="only there; all without one"
        )
        parser.add_argument("--json", action="store_true")

    def perform(self, *, owner: str, name: str, **options: Any) -> None:
        user = self._owner(owner)
        targets = [self.find_target(one) for one in options["targets"]] if options["targets"] else None
        try:
            made = make(user, name, set(options["scopes"]), options["days"], self.actor, targets=targets)
        except CannotMakeError as refused:
            self.refuse(Exit.REFUSED, str(refused))
        if options["json"]:
            self.print_json({"version": VERSION, "token": token_entry(made.token), "text": made.text})
        else:
            # Nothing but the token, so that a script can take it as it is.
            self.tell(made.text)

    def _owner(self, name: str) -> User:
        if (
            self.actor.user
            and self.actor.user.get_username() != name
            and self.rights.highest < Role.SUPERUSER
        ):
            self.refuse(
                Exit.REFUSED,
                f"{self.actor.user.get_username()} makes tokens of their own only. Nothing was made.",
            )
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no user {name}. Nothing was made.")
        return user
