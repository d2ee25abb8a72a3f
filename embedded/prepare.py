"""The one-shot step: migrate opsdash's own database, register the examples. One process: Django starts once.

It imports everything first, while the servers are still starting, and then waits for a line on stdin.
"""

import os
import sys

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsdash.settings")
    try:
        django.setup()
        if not sys.stdin.readline():  # whoever started this is gone
            sys.exit(1)
        call_command("migrate", interactive=False)
        call_command("setup_demo")
    except (ImproperlyConfigured, CommandError) as error:
        sys.exit(f"opsdash cannot start: {error}")


if __name__ == "__main__":
    main()
