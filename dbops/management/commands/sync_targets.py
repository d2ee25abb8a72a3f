import tomllib
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from dbops.access import shell_actor
from dbops.declare import DeclarationError, declare
from dbops.management.commands._shell import ShellCommand
from dbops.models import Target


class Command(ShellCommand):
    help = "Make the targets be as targets.toml declares them. Targets that it does not name are left alone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--file", type=Path, default=Path(settings.TARGETS_FILE))

    def handle(self, *, file: Path, **options: Any) -> None:
        declarations = self._read(file)
        actor = shell_actor()
        try:
            with transaction.atomic():
                results = {name: declare(name, found, actor).result for name, found in declarations.items()}
        except DeclarationError as error:
            raise CommandError(f"{file}: {error}") from None
        for name, result in results.items():
            self.tell(f"{name}: {result}")
        others = Target.objects.exclude(name__in=declarations).values_list("name", flat=True)
        if others:
            self.tell(f"Not in the file and left as they are: {', '.join(others)}")

    def _read(self, file: Path) -> dict[str, Any]:
        try:
            document = tomllib.loads(file.read_text())
        except FileNotFoundError:
            raise CommandError(
                f"{file} does not exist. Nothing was changed. docs/targets.md shows one."
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file} cannot be read: {error}. Nothing was changed.") from None
        except tomllib.TOMLDecodeError as error:
            raise CommandError(f"{file} is not TOML: {error}. Nothing was changed.") from None
        targets = document.get("targets")
        if not isinstance(targets, dict) or set(document) != {"targets"}:
            raise CommandError(
                f"{file} must hold tables [targets.NAME] and nothing else. Nothing was changed."
            )
        return targets
