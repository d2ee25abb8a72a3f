from typing import Any

from django.core.management.base import CommandParser

from dbops.documents import VERSION, token_entry
from dbops.management.commands._shell import PersonCommand
from dbops.models import clock
from dbops.pages.tokens import TokenRow, seen_by
from dbops.templatetags.ages import age_words


class Command(PersonCommand):
    help = "The tokens of the JSON API, without their text, which nobody can tell."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--owner", default="", metavar="USER")
        parser.add_argument("--json", action="store_true")

    def perform(self, *, owner: str, **options: Any) -> None:
        tokens = seen_by(self.actor.user).order_by("-pk")
        found = list(tokens.filter(owner__username=owner) if owner else tokens)
        if options["json"]:
            self.print_json({"version": VERSION, "tokens": [token_entry(token) for token in found]})
            return
        if not found:
            self.tell("There is no token.")
        for row in (TokenRow(token, clock.now()) for token in found):
            token, scopes = row.token, ", ".join(row.token.scopes)
            self.tell(
                f"{token.pk:>5} {token.prefix}... {token.whose:<30} {row.words}, until "
                f"{token.expires_at:%Y-%m-%d}, {scopes}, used {age_words(token.last_used_at)}"
            )
