import os
import shlex
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from dbops.access import shell_actor
from dbops.declare import DeclarationError, declare
from dbops.exits import Exit, exit_for
from dbops.inspection import inspect_now
from dbops.inspection.knowledge import database_statuses, target_statuses
from dbops.management.commands._shell import ShellCommand
from dbops.models import Target
from dbops.target.discovery import Discovery, discover


class Command(ShellCommand):
    help = (
        "Add a target: looks at PATH for manage.py, its settings module, a virtual environment and .env, "
        "says what it found, and inspects it at once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("path", metavar="PATH", type=Path)
        parser.add_argument("--label", default="")
        parser.add_argument("--environment", choices=Target.Environment.values, default="development")
        parser.add_argument("--python", metavar="WORDS", help="instead of the virtual environment found")
        parser.add_argument(
            "--settings-module", metavar="MODULE", default="", help="where there is no launcher"
        )

    def handle(self, *, name: str, path: Path, **options: Any) -> None:
        if Target.objects.filter(name=name).exists():
            raise CommandError(f"There is a target {name} already. Nothing was added. Choose another name.")
        found = self._look(path, needs_python=not options["python"])
        target = self._declare(name, found, options)
        self.tell(f"Added the target {name}.")
        self._inspect(target)

    def _look(self, path: Path, *, needs_python: bool) -> Discovery:
        try:
            if not path.exists():
                raise CommandError(f"{path} does not exist. Nothing was added.")
            found = discover(path, needs_python=needs_python)
        except OSError as problem:
            raise CommandError(
                f"{problem.filename} cannot be read: {problem.strerror}. Nothing was added. The user that "
                f"runs this (uid {os.getuid()}), and the workers' user, must be able to read the project."
            ) from None
        for note in found.notes:
            self.tell(note)
        return found

    def _declare(self, name: str, found: Discovery, options: dict[str, Any]) -> Target:
        python = as_seen_from_here(options["python"] or "") or list(found.argv)
        if not python:
            raise CommandError("No Python was found. Nothing was added. Name one: --python /path/to/python")
        declaration = {
            "label": options["label"],
            "environment": options["environment"],
            "working_directory": found.cwd,
            "python": python,
            "launcher": list(found.launcher),
            "settings_module": options["settings_module"],
            "env_file": found.env_file,
        }
        try:
            return declare(name, declaration, shell_actor()).target
        except DeclarationError as error:
            raise CommandError(str(error)) from None

    def _inspect(self, target: Target) -> None:
        inspect_now(target)
        target.refresh_from_db()
        databases = list(target.databases.filter(in_settings=True))
        for database in databases:
            for status in database_statuses(database):
                self.tell(f"{database.alias}: {status.state}: {status.detail} {status.next_step}")
        for status in [] if databases else target_statuses(target):
            self.tell(f"{status.state}: {status.detail} {status.next_step}")
        found = [status for database in databases for status in database_statuses(database)]
        code = exit_for(found or target_statuses(target))
        # Migrations that wait are no reason to call the adding a failure.
        self.end(Exit.DONE if code == Exit.PENDING else code)


def as_seen_from_here(command: str) -> list[str]:
    """The words of a command line. A relative path was typed in this folder; the target starts elsewhere."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        sentence = f"--python cannot be read as words of a command: {error}. Nothing was added."
        raise CommandError(sentence) from None
    if words and "/" in words[0] and Path(words[0]).exists():
        words[0] = str(Path(words[0]).absolute())
    return words
