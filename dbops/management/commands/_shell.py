"""What opsdash's commands share: find a target, one database of it, speak JSON, end with a code."""

import json
import sys
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as OwnDatabaseError

from dbops.exits import Exit
from dbops.models import Target, TargetDatabase
from dbops.models.away import is_away
from dbops.plain import plain
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


def away_words(error: OwnDatabaseError) -> str:
    said = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
    return (
        f"opsdash's own database does not answer: {said}. Jobs that run go on. Whether this command has done "
        "its work is not known: when the database answers (manage.py wait_for_db), look before you ask again."
    )


def find_target(name: str) -> Target:
    try:
        return Target.objects.get(name=name)
    except Target.DoesNotExist:
        known = ", ".join(Target.objects.values_list("name", flat=True)) or "none"
        raise CommandError(f"There is no target {name}. Nothing was done. Known targets: {known}.") from None


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
