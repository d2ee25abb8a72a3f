"""A project of many migrations, written to a folder: what a grown one looks like to migrate."""

from pathlib import Path

MODELS_AN_APP = 10
SETTINGS = """\
import os
from urllib.parse import urlsplit

url = urlsplit(os.environ["DATABASE_URL"])
SECRET_KEY = "a generated project has nothing to hide"
USE_TZ = True
INSTALLED_APPS = {apps!r}
DATABASES = {{"default": {{
    "ENGINE": "django.db.backends.postgresql", "NAME": url.path[1:], "USER": url.username,
    "PASSWORD": url.password, "HOST": url.hostname, "PORT": url.port,
}}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
MANAGE = """\
import os
import sys

from django.core.management import execute_from_command_line

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
execute_from_command_line(sys.argv)
"""
MIGRATION = """\
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = {dependencies!r}
    operations = [{operation}]
"""
CREATE = 'migrations.CreateModel("Model{model}", [("id", models.BigAutoField(primary_key=True))])'
ADD = 'migrations.AddField("Model{model}", "field{number}", models.{kind})'
INDEX = (
    'migrations.AddIndex("Model{model}", models.Index(fields=["field{column}"], name="{app}_{number}_index"))'
)
KINDS = ("IntegerField(null=True)", 'CharField(max_length=80, default="")', "DateTimeField(null=True)")


def write(folder: Path, migrations: int, apps: int = 3) -> None:
    """`migrations` of them, spread over `apps` apps: models are made, then get columns and indexes."""
    names = [f"app{number}" for number in range(apps)]
    folder.mkdir(parents=True)
    (folder / "manage.py").write_text(MANAGE)
    (folder / "settings.py").write_text(SETTINGS.format(apps=names))
    for app in names:
        (folder / app / "migrations").mkdir(parents=True)
        (folder / app / "__init__.py").touch()
        (folder / app / "migrations" / "__init__.py").touch()
    for number in range(migrations):
        _write_one(folder, names[number % apps], number // apps)


def _write_one(folder: Path, app: str, number: int) -> None:
    dependencies = [(app, name_of(number - 1))] if number else []
    text = MIGRATION.format(dependencies=dependencies, operation=_operation(app, number))
    (folder / app / "migrations" / f"{name_of(number)}.py").write_text(text)


def name_of(number: int) -> str:
    return f"{number + 1:04}_generated"


def _operation(app: str, number: int) -> str:
    model = number % MODELS_AN_APP
    if number < MODELS_AN_APP:
        return CREATE.format(model=model)
    if number % (4 * MODELS_AN_APP) >= 3 * MODELS_AN_APP:
        return INDEX.format(model=model, column=number - MODELS_AN_APP, app=app, number=number)
    return ADD.format(model=model, number=number, kind=KINDS[number % len(KINDS)])
