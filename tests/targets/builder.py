"""Miniature Django projects, made where a test wants them. Each is real: a real interpreter runs it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbops.target.address import Address

MANAGE = """\
import os, sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""

SETTINGS = """\
import os
SECRET_KEY = "a miniature project has nothing to hide"
USE_TZ = True
INSTALLED_APPS = {apps!r}
DATABASES = {databases!r}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""

MIGRATION = """\
from django.db import migrations, models
{head}

class Migration(migrations.Migration):
    dependencies = {dependencies!r}
    {body}
    operations = [{operations}]
"""

CREATE_ITEM = 'migrations.CreateModel("Item", [("id", models.BigAutoField(primary_key=True, serialize=False)), ("n", models.IntegerField(null=True))])'
ADD_NAME = 'migrations.AddField("Item", "name", models.CharField(max_length=10, null=True))'
ADD_PRICE = 'migrations.AddField("Item", "price", models.IntegerField(null=True))'


@dataclass
class Project:
    """A project with one app, `shop`, that has no migrations until it is given some."""

    path: Path
    databases: dict[str, Any] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)

    @property
    def sqlite(self) -> Path:
        return self.path / "db.sqlite3"

    def write(self, name: str, text: str) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def settings(self, extra: str = "", apps: tuple[str, ...] = ("shop",)) -> None:
        self.write("settings.py", SETTINGS.format(apps=list(apps), databases=self.databases) + extra)

    def migration(
        self,
        name: str,
        operations: str,
        *,
        app: str = "shop",
        after: list[tuple[str, str]] | None = None,
        head: str = "",
        body: str = "",
    ) -> None:
        """Follows the app's last one, unless `after` says what it depends on."""
        previous = [(app, self.last[app])] if app in self.last else []
        dependencies = previous if after is None else after
        text = MIGRATION.format(head=head, dependencies=dependencies, body=body, operations=operations)
        self.write(f"{app}/migrations/__init__.py", "")
        self.write(f"{app}/migrations/{name}.py", text)
        self.last[app] = name

    def python(self, name: str, source: str, **options: Any) -> None:
        """A migration that runs Python: `source` is the body of a function of (apps, schema_editor)."""
        body = "\n".join("    " + line for line in source.strip().splitlines())
        head = f"import os, signal, subprocess, sys, time\ndef forwards(apps, schema_editor):\n{body}\n"
        self.migration(
            name, "migrations.RunPython(forwards, migrations.RunPython.noop)", head=head, **options
        )

    def address(self, **changes: Any) -> Address:
        return Address(**{"name": "mini", "argv": (sys.executable,), "cwd": str(self.path), **changes})


def make_project(path: Path, databases: Mapping[str, Any] | None = None) -> Project:
    """A project on SQLite, or on the databases that are given."""
    project = Project(path)
    lite = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(project.sqlite)}}
    project.databases = dict(databases or lite)
    project.write("manage.py", MANAGE)
    project.write("shop/__init__.py", "")
    project.write("shop/models.py", "from django.db import models\n")
    project.settings()
    return project


def shop_project(path: Path, databases: Mapping[str, Any] | None = None) -> Project:
    """With three plain migrations of the app `shop`."""
    project = make_project(path, databases)
    project.migration("0001_initial", CREATE_ITEM)
    project.migration("0002_name", ADD_NAME)
    project.migration("0003_price", ADD_PRICE)
    return project
