"""What opsdash's commands share: find a target, one database of it, speak JSON, end with a code."""

import json
import sys
from typing import Any, NoReturn

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as OwnDatabaseError

from dbops import launch
from dbops.access import Actor, shell_actor
from dbops.exits import Exit
from dbops.models import Target, TargetDatabase
from dbops.models.away import is_away
from dbops.plain import plain
from dbops.rights import Rights
from dbops.sealing import CannotUnsealError


class ShellCommand(BaseCommand):
    """A command that people and scripts read: plain sentences, or one JSON document with --json."""

    requires_system_checks = ()
    requires_migrations_checks = False

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except CommandError as error:
            # It may name what a target calls its databases.
            raise CommandError(plain(str(error)), returncode=error.returncode) from None
        except CannotUnsealError as error:
            raise CommandError(str(error)) from None
        except OwnDatabaseError as error:
            if not is_away(error):
                raise
            raise CommandError(away_words(error)) from None

    def tell(self, text: str) -> None:
        """A text for a person, whose terminal nothing in it may steer."""
        self.stdout.write(plain(text))

    def print_json(self, document: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(document, indent=2))

    def end(self, code: Exit) -> None:
        if code:
            sys.exit(int(code))

    def refuse(self, code: Exit, sentence: str) -> NoReturn:
        self.stderr.write(plain(sentence))
        sys.exit(int(code))


class PersonCommand(ShellCommand):
    """One that may be performed as a user: with `--as NAME` it sees and does what that user may, no more."""

    # Who asks; known from the moment at which the command is performed.
    actor: Actor

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument(
            "--as", dest="as_user", metavar="USER", help="see and do what this user may, no more"
        )
        return parser

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except launch.NotAllowedError as refused:
            self.refuse(Exit.REFUSED, str(refused))

    def handle(self, *args: Any, **options: Any) -> None:
        self.actor = shell_actor(_user(name) if (name := options.pop("as_user", None)) else None)
        self.perform(*args, **options)

    def perform(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError

    @property
    def rights(self) -> Rights:
        return self.actor.rights

    def find_target(self, name: str) -> Target:
        try:
            return self.rights.targets.get(name=name)
        except Target.DoesNotExist:
            known = ", ".join(self.rights.targets.values_list("name", flat=True)) or "none"
            raise CommandError(
                f"There is no target {name}. Nothing was done. Known targets: {known}."
            ) from None


def _user(name: str) -> User:
    user = User.objects.filter(username=name, is_active=True).first()
    if user is None:
        raise CommandError(f"There is no user {name} who may sign in. Nothing was done.")
    return user


def away_words(error: OwnDatabaseError) -> str:
    said = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
    return (
        f"opsdash's own database does not answer: {said}. Jobs that run go on. Whether this command has done "
        "its work is not known: when the database answers (manage.py wait_for_db), look before you ask again."
    )


def find_database(target: Target, alias: str | None) -> TargetDatabase:
    """The named alias; without a name `default`, or the only one there is."""
    databases = {database.alias: database for database in target.databases.filter(in_settings=True)}
    wanted = alias or ("default" if "default" in databases or len(databases) != 1 else next(iter(databases)))
    if wanted not in databases:
        known = ", ".join(databases) or f"none yet; run: manage.py status {target.name} --inspect"
        raise CommandError(
            f"{target.name} has no database {wanted}. Nothing was done. Known aliases: {known}."
        )
    return databases[wanted]
