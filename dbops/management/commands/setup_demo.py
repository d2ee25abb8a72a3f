"""The example targets and logins of `make run`. Idempotent: what exists is left as it is."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management.base import CommandError

from dbops.access import Actor
from dbops.declare import declare
from dbops.management.commands._shell import ShellCommand
from dbops.models import Target
from dbops.models.job import SHELL
from dbops.rights import ALL

EXAMPLES = Path(settings.BASE_DIR) / "examples"
DEMO = Actor(None, "make run", SHELL, ALL)

# One start of Django brings a shop to a release, instead of one a migration.
TO_RELEASE = """
import django, json, pathlib, sys
from django.core.management import call_command
django.setup()
for app, name in json.loads(pathlib.Path("releases.json").read_text())[sys.argv[1]].items():
    call_command("migrate", app, name, verbosity=0)
"""


class Command(ShellCommand):
    help = "Register the example targets and the demo's logins (used by make run)."

    def handle(self, **options: Any) -> None:
        passwords = os.environ.get("OPSDASH_DEMO_PASSWORDS")
        if passwords:
            self._people(json.loads(Path(passwords).read_text()))
        installs = [
            self._shop(
                "shop-staging", "staging", "release-2", os.environ.get("OPSDASH_DEMO_SHOP_STAGING_URL")
            ),
            self._shop(
                "shop-production",
                "production",
                "release-1",
                os.environ.get("OPSDASH_DEMO_SHOP_PRODUCTION_URL"),
            ),
        ]
        self._blog(os.environ.get("OPSDASH_DEMO_BLOG_PATH"))
        for name, process in filter(None, installs):
            self._await(name, process)

    def _people(self, passwords: dict[str, str]) -> None:
        for name, password in passwords.items():
            user, new = User.objects.get_or_create(
                username=name,
                defaults={"is_superuser": name == "superuser", "is_staff": name in ("superuser", "staff")},
            )
            if not new and user.check_password(password):
                continue
            user.set_password(password)
            user.save()
            groups = {"operator": ["operators"], "viewer": ["viewers"]}.get(name, [])
            user.groups.set(Group.objects.filter(name__in=groups))

    def _shop(
        self, name: str, environment: str, release: str, url: str | None
    ) -> tuple[str, "subprocess.Popen[str]"] | None:
        """Register one shop and begin to bring its database to a release. One that is there already only gets
        its new URL, where the port of the private server had to change."""
        if not url:
            return None
        known = Target.objects.filter(name=name).first()
        if known is not None:
            self._keep_url(known, url)
            return None
        declare(
            name,
            {
                "label": f"Shop {environment}",
                "environment": environment,
                "working_directory": str(EXAMPLES / "shop"),
                "python": [sys.executable],
                "secret_env": {"DATABASE_URL": url},
            },
            DEMO,
        )
        process = subprocess.Popen(
            [sys.executable, "-c", TO_RELEASE, release],
            cwd=EXAMPLES / "shop",
            env={
                "PATH": os.environ.get("PATH", ""),
                "DATABASE_URL": url,
                "DJANGO_SETTINGS_MODULE": "shop.settings",
                "SHOP_BATCH_PAUSE": "0",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        return name, process

    def _keep_url(self, target: Target, url: str) -> None:
        variable = target.variables.filter(name="DATABASE_URL", is_secret=True).first()
        if variable is not None and variable.value != url:
            variable.keep(url, secret=True)
            variable.save()
            self.stdout.write(f"{target.name}: its database has a new address")

    def _await(self, name: str, process: "subprocess.Popen[str]") -> None:
        _, errors = process.communicate()
        if process.returncode:
            Target.objects.filter(name=name).delete()
            raise CommandError(f"The example {name} could not be made: {errors.strip()[-500:]}")
        self.stdout.write(f"{name}: registered")

    def _blog(self, path: str | None) -> None:
        if not path or Target.objects.filter(name="blog").exists():
            return
        declare(
            "blog",
            {
                "label": "Blog",
                "environment": "development",
                "working_directory": str(EXAMPLES / "blog"),
                "python": [sys.executable],
                "env": {"BLOG_DATABASE": path},
            },
            DEMO,
        )
        self.stdout.write("blog: registered")
