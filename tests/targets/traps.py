"""What real projects do to a tool that looks at them, each as small as it can be: a function that does it to a
miniature project."""

import sys
from pathlib import Path

from tests.targets.builder import MANAGE, Project

# The models that the three migrations of shop_project make.
ITEM = """\
from django.db import models

class Item(models.Model):
    id = models.BigAutoField(primary_key=True)
    n = models.IntegerField(null=True)
    name = models.CharField(max_length=10, null=True)
    price = models.IntegerField(null=True)
"""
MAKEMIGRATIONS = "from django.core.management.commands.makemigrations import Command as Django\n"
READY = """\
from django.apps import AppConfig

class Shop(AppConfig):
    name = "shop"

    def ready(self):
{body}
"""


def with_models(project: Project, more: str = "", item: str = ITEM) -> None:
    """What its migrations say."""
    project.write("shop/models.py", item + more)


def renamed_field(project: Project) -> None:
    with_models(project, item=ITEM.replace("price =", "cost ="))


def renamed_model(project: Project) -> None:
    with_models(project, item=ITEM.replace("class Item", "class Article"))


def command(project: Project, name: str, source: str) -> None:
    """The project's own."""
    project.write("shop/management/__init__.py", "")
    project.write("shop/management/commands/__init__.py", "")
    project.write(f"shop/management/commands/{name}.py", source)


def at_set_up(project: Project, body: str) -> None:
    """In AppConfig.ready()."""
    indented = "\n".join("        " + line for line in body.strip().splitlines())
    project.write("shop/apps.py", READY.format(body=indented))


def noise_at_set_up(project: Project) -> None:
    """206 lines with ANSI codes, one with the name of a password variable; a wrapper around stdout; threads,
    a socket, a program, a file."""
    at_set_up(
        project,
        "import os, socket, subprocess, sys, threading\n"
        "class Wrapper:\n"
        "    def __init__(self, stream): self.stream = stream\n"
        "    def write(self, text): return self.stream.write(text.upper())\n"
        "    def flush(self): self.stream.flush()\n"
        "for number in range(206): print('\\x1b[31mDATABASE_PASSWORD is set\\x1b[0m', number)\n"
        "sys.stderr.write('no newline at the end')\n"
        "sys.stdout = Wrapper(sys.stdout)\n"
        "self.socket = socket.socket()\n"
        "self.socket.bind(('127.0.0.1', 0))\n"
        "self.socket.listen()\n"
        "for _ in range(10): threading.Thread(target=threading.Event().wait, daemon=False).start()\n"
        "subprocess.run([sys.executable, '-c', 'print(1)'], check=True)\n"
        "open('set-up.log', 'a').write('set up')\n",
    )


def migrates_itself(project: Project) -> None:
    """On any command."""
    at_set_up(
        project, "from django.core.management import call_command\ncall_command('migrate', verbosity=0)"
    )


def patched_deconstruction(project: Project) -> None:
    """Its fields differ from its migrations by what its own makemigrations leaves out."""
    with_models(
        project, item=ITEM.replace("IntegerField(null=True)", "IntegerField(null=True, help_text='n')")
    )
    command(
        project,
        "makemigrations",
        MAKEMIGRATIONS + "from django.db import models\n"
        "deconstruct = models.Field.deconstruct\n"
        "def without_help_text(self):\n"
        "    name, path, args, kwargs = deconstruct(self)\n"
        "    kwargs.pop('help_text', None)\n"
        "    return name, path, args, kwargs\n"
        "models.Field.deconstruct = without_help_text\n"
        "class Command(Django):\n"
        "    pass\n",
    )


def refusing_makemigrations(project: Project) -> None:
    essay = "Migrations are not made here.\\nAsk the data team, channel #data."
    source = (
        "import sys\n" + MAKEMIGRATIONS + "class Command(Django):\n    def handle(self, *args, **options):\n"
    )
    command(
        project, "makemigrations", source + f"        self.stdout.write('{essay}')\n        sys.exit(1)\n"
    )


def checking_makemigrations(project: Project) -> None:
    """It lets itself be called with --check only."""
    command(
        project,
        "makemigrations",
        "from django.core.management.base import CommandError\n" + MAKEMIGRATIONS + "class Command(Django):\n"
        "    def handle(self, *args, **options):\n"
        "        if not options['check_changes']:\n"
        "            raise CommandError('Developers only: use --check')\n"
        "        super().handle(*args, **options)\n",
    )


def writing_makemigrations(project: Project) -> None:
    """It writes, whatever it is told."""
    command(
        project,
        "makemigrations",
        MAKEMIGRATIONS + "class Command(Django):\n"
        "    def handle(self, *args, **options):\n"
        "        open('shop/migrations/max_migration.txt', 'w').write('0003')\n"
        "        super().handle(*args, **options)\n",
    )


def models_of_the_urlconf(project: Project) -> None:
    """The model of one migration is only imported by the URLconf."""
    project.write("shop/later.py", ITEM)
    project.write("urls.py", "import shop.later\nurlpatterns = []\n")


def crashing_checks(project: Project) -> None:
    at_set_up(
        project,
        "from django.core.checks import register\n"
        "def crash(**_): raise RuntimeError('a check that crashes')\n"
        "register(crash)\n",
    )


def router(project: Project, body: str, extra: str = "") -> str:
    """`body` of allow_migrate(self, db, app_label, model_name=None, **hints). Gives what the settings need."""
    project.write(
        "routers.py",
        "class Router:\n"
        "    def allow_migrate(self, db, app_label, model_name=None, **hints):\n"
        f"        {body}\n",
    )
    return "\nDATABASE_ROUTERS = ['routers.Router']\n" + extra


def custom_user(project: Project) -> str:
    project.write("people/__init__.py", "")
    project.write(
        "people/models.py",
        "from django.contrib.auth.models import AbstractUser\nclass Person(AbstractUser):\n    pass\n",
    )
    project.write("people/migrations/__init__.py", "")
    return "\nAUTH_USER_MODEL = 'people.Person'\n"


def backend_folder(project: Project) -> None:
    """manage.py below the root, and a .env that is read relative to the working directory."""
    load = "    os.environ['SHOP_KEY'] = open('.env').read().partition('=')[2].strip()\n"
    project.write(".env", "SHOP_KEY=from the file\n")
    for name in ("settings.py", "shop"):
        project.write("backend/__init__.py", "").parent.joinpath(name)
        (project.path / name).rename(project.path / "backend" / name)
    text = MANAGE.replace('__main__":\n', '__main__":\n' + load)
    project.write("backend/manage.py", text)
    (project.path / "manage.py").unlink()


def django_inside(project: Project) -> None:
    """Its interpreter has no Django: it lies in a folder of the project that its launcher knows."""
    vendor = project.path / "inside" / "vendor"
    vendor.mkdir(parents=True)
    for name in ("django", "asgiref", "sqlparse", "psycopg", "psycopg_binary", "psycopg_binary.libs"):
        found = [Path(folder) / name for folder in sys.path if (Path(folder) / name).is_dir()]
        if found:
            (vendor / name).symlink_to(found[0])
    paths = "sys.path[:] = [p for p in sys.path if 'site-packages' not in p] + ['inside/vendor']\n"
    project.write("manage.py", "import sys\n" + paths + MANAGE)
