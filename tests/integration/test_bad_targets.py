"""A target that cannot be set up: the sentence that a person reads, on its page and from `status`."""

import sys
import threading
import uuid
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.urls import reverse

from dbops import launch
from dbops.execute import execute
from dbops.inspection import inspect_now
from dbops.models import Job, Target, clock
from dbops.models.status import Status
from dbops.plain import CONTROLS
from tests.integration.conftest import ALICE, MakeDatabase, MakeTarget, default_of
from tests.integration.reading import command, page
from tests.integration.worker import until
from tests.targets.builder import MANAGE, Project, shop_project

pytestmark = pytest.mark.django_db

Break = Callable[[Project, Target], object]
HERE = sys.executable
VERSION = sys.version.split()[0]
WITHOUT_LIBPQ = """
import ctypes.util, sys
sys.modules.update(psycopg2=None, psycopg_c=None, psycopg_binary=None)
ctypes.util.find_library = lambda name: None
"""
DECLARE = "Declare it at the target: under env, in its env_file or, where it is a secret, under secret_env."
COMMAND = "Nothing was changed. Correct the command that starts the target's Python."


def settings(lines: str) -> Break:
    return lambda project, _: project.settings(f"\n{lines}\n")


def manage(text: str) -> Break:
    return lambda project, _: project.write("manage.py", text)


def engine(name: str, model: str = "") -> Break:
    def change(project: Project, _: Target) -> None:
        project.databases = {"default": {"ENGINE": name, "NAME": "x"}}
        # Whatever is installed here, these are not.
        project.settings("\nimport sys\nsys.modules.update(MySQLdb=None, oracledb=None, cx_Oracle=None)\n")
        project.write("shop/models.py", f"from django.db import models\n{model}\n")

    return change


def without_libpq(project: Project, _: Target) -> None:
    project.databases = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "x"}}
    project.settings(WITHOUT_LIBPQ)


def directory(path: str) -> Break:
    return lambda _, target: setattr(target, "working_directory", path)


def python(path: str) -> Break:
    return lambda _, target: setattr(target, "python", [path])


def script(text: str, mode: int = 0o755) -> Break:
    """A program `prog` in the project's directory, named as the target's Python."""

    def change(project: Project, target: Target) -> None:
        project.write("prog", text).chmod(mode)
        target.python = ["./prog"]

    return change


def moved_environment(project: Project, target: Target) -> None:
    (project.path / "python").symlink_to("/usr/lib/gone/bin/python3")
    target.python = ["./python"]


def environment_without_django(project: Project, target: Target) -> None:
    venv.create(project.path / "bare", with_pip=False, symlinks=True)
    target.python = ["bare/bin/python"]


A_THREAD = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()"
A_MODEL = "class Item(models.Model):\n    pass"
# How it is broken, and the words that are expected; {path} is the project's directory.
BROKEN: dict[str, tuple[Break, str]] = {
    # The way to its Python
    "no directory": (
        directory("/srv/nowhere"),
        "Its working directory /srv/nowhere cannot be entered: No such file or directory. Nothing was "
        "changed. Correct the working directory of the target, or let that user enter it.",
    ),
    "a file as directory": (directory("/etc/passwd"), "/etc/passwd cannot be entered: Not a directory."),
    "no launcher": (
        lambda project, _: (project.path / "manage.py").unlink(),
        "mini cannot be started: There is no launcher {path}/manage.py. Nothing was changed. "
        "Correct the launcher or the working directory of the target.",
    ),
    "no interpreter": (
        python("/srv/shop/.venv/bin/python"),
        "The program /srv/shop/.venv/bin/python, which should start the Python of mini, does not exist. "
        + COMMAND,
    ),
    "not on the path": (python("python1.4"), "Python of mini, is not on the PATH of the worker. " + COMMAND),
    "a directory": (python("/srv"), "/srv, which should start the Python of mini, is a directory."),
    "not executable": (script("", 0o644), "prog, which should start the Python of mini, may not be executed"),
    "no first line": (script("hello"), "cannot be started (Exec format error). " + COMMAND),
    "a first line that leads nowhere": (
        script("#!/no/such/python\n"),
        "is there, but the program that its first line names is not. " + COMMAND,
    ),
    "an environment that was moved": (
        moved_environment,
        "is a link to /usr/lib/gone/bin/python3, which does not exist: make its virtual environment anew.",
    ),
    "/bin/true": (
        python("/bin/true"),
        "/bin/true of mini is not a Python interpreter that works; it ended with status 0. It said nothing. "
        "Nothing was changed. Name the target's Python.",
    ),
    "/bin/cat": (python("/bin/cat"), "not a Python interpreter that works; it ended with status 1. It said:"),
    "a script that prints": (
        script("#!/bin/sh\nprintf 'hello \\033[31mred\\033[0m\\n'\n"),
        'it ended with status 0. It said: "hello red". Nothing was changed.',
    ),
    "too old": (
        script("#!/bin/sh\necho 'opsdash-python-too-old 3.7.9'\nexit 4\n"),
        "mini runs Python 3.7.9; the agent needs 3.8 or newer. Nothing was changed. Name a newer "
        "interpreter.",
    ),
    "no Django": (
        environment_without_django,
        "The interpreter of mini has no Django: {path}/bare/bin/python cannot import it "
        "(ModuleNotFoundError: No module named 'django'). Nothing was changed. Name the Python of the "
        "target's virtual environment, or install Django there.",
    ),
    # Settings
    "raise": (
        settings("raise RuntimeError('no \\x1b[31mluck')"),
        "mini cannot be set up: RuntimeError: no luck. Nothing was changed. Make its own command line "
        "(manage.py check) work there, then inspect again.",
    ),
    "raise behind a thread": (
        settings(f"{A_THREAD}\n1/0"),
        "ZeroDivisionError: division by zero. Nothing was changed.",
    ),
    "exit": (settings("raise SystemExit"), "its code ended the process itself, with sys.exit(). Nothing"),
    "exit 0": (settings("__import__('sys').exit(0)"), "ended the process itself, with sys.exit(0). Nothing"),
    "exit 1": (settings("__import__('sys').exit(1)"), "ended the process itself, with sys.exit(1). Nothing"),
    "exit with words": (settings("raise SystemExit('set me up')"), "with sys.exit('set me up'). Nothing"),
    "os._exit": (
        settings("print('my \\x1b[31mlast\\x1b[0m words')\nos._exit(3)"),
        "The process of mini ended with status 3 in the middle, without an answer. What it wrote last may "
        "say why. Correct the cause, then try again.",
    ),
    "killed": (
        settings("os.kill(os.getpid(), 9)"),
        "ended with signal 9 (SIGKILL) in the middle, without an answer. It wrote nothing. opsdash did not "
        "end it; a machine that runs out of memory does that.",
    ),
    "crash": (settings("os.kill(os.getpid(), 11)"), "signal 11 (SIGSEGV) in the middle, without an answer."),
    "os.environ": (
        settings("os.environ['SHOP_TOKEN']"),
        "it wants the environment variable SHOP_TOKEN, which its environment here does not have (KeyError: "
        "'SHOP_TOKEN'). Nothing was changed. " + DECLARE,
    ),
    "os.environ, put in other words": (
        settings("try: os.environ['SHOP_TOKEN']\nexcept KeyError: raise RuntimeError('no token') from None"),
        "environment variable SHOP_TOKEN, which its environment here does not have (RuntimeError: no token).",
    ),
    "django-environ": (
        settings(
            "from django.core.exceptions import ImproperlyConfigured\n"
            "raise ImproperlyConfigured('Set the SHOP_TOKEN environment variable')"
        ),
        "it wants the environment variable SHOP_TOKEN, which",
    ),
    "environs": (
        settings("raise ValueError('Environment variable \"SHOP_TOKEN\" not set')"),
        "it wants the environment variable SHOP_TOKEN, which",
    ),
    "python-decouple": (
        settings(
            "class UndefinedValueError(Exception): pass\n"
            "raise UndefinedValueError('SHOP_TOKEN not found. Declare it as envvar or define a default.')"
        ),
        "it wants the environment variable SHOP_TOKEN, which",
    ),
    "another key": (settings("{}['SHOP_TOKEN']"), "mini cannot be set up: KeyError: 'SHOP_TOKEN'. Nothing"),
    # Code
    "syntax of manage.py": (
        manage(MANAGE + "\ndef f(:\n"),
        f"SyntaxError: invalid syntax (manage.py, line 8), read by Python {VERSION} ({HERE}). Nothing was "
        "changed. Correct the file, or name a newer Python where it is written for one.",
    ),
    "syntax of the settings": (
        settings("def f(:"),
        f"mini cannot be set up: SyntaxError: invalid syntax (settings.py, line 8), read by Python {VERSION} "
        f"({HERE}).",
    ),
    "no settings": (
        lambda project, _: (project.path / "settings.py").unlink(),
        f"No module named 'settings', asked for in {HERE}. Nothing was changed. Name the Python of the "
        "target's virtual environment, install the module there, or correct its name.",
    ),
    "no such app": (
        lambda project, _: project.settings(apps=("shop", "gone")),
        f"ModuleNotFoundError: No module named 'gone', asked for in {HERE}.",
    ),
    # Databases
    "no databases": (
        settings("DATABASES = {}"),
        "Its settings name no database engine for this alias: DATABASES is empty there",
    ),
    "no such engine": (
        engine("django.db.backends.postgres"),
        f"There is no database engine django.db.backends.postgres in {HERE} (ModuleNotFoundError: No module "
        "named 'django.db.backends.postgres'). Nothing was read. Correct ENGINE under DATABASES",
    ),
    "no such engine, with models": (
        engine("django.db.backends.postgres", A_MODEL),
        f"mini cannot be set up: There is no database engine django.db.backends.postgres in {HERE}",
    ),
    "no driver of Oracle": (
        engine("django.db.backends.oracle"),
        f'{HERE} has no module oracledb, the driver of its database; "{HERE} -m pip install oracledb" '
        "installs it there. Nothing was read. Inspect again when it is there.",
    ),
    "no driver of Oracle, with models": (
        engine("django.db.backends.oracle", A_MODEL),
        f'mini cannot be set up: {HERE} has no module oracledb, the driver of its database; "{HERE} -m pip '
        'install oracledb" installs it there. Nothing was changed. Inspect again when it is there.',
    ),
    "no driver of MySQL": (
        engine("django.db.backends.mysql"),
        f'"{HERE} -m pip install mysqlclient" installs it there.',
    ),
    "no driver of MySQL, with models": (
        engine("django.db.backends.mysql", A_MODEL),
        f'"{HERE} -m pip install mysqlclient" installs it there.',
    ),
    "psycopg 3 without libpq": (
        without_libpq,
        f"The database driver of the package psycopg[binary] does not load in {HERE} (ImportError: no pq "
        "wrapper available.",
    ),
}
AWAY = ("no driver of", "psycopg 3 without")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return shop_project(tmp_path / "mini")


@pytest.fixture
def mini(project: Project, make_target: MakeTarget) -> Target:
    return make_target("mini", working_directory=str(project.path), python=[sys.executable])


@pytest.mark.parametrize("broken", BROKEN)
def test_a_target_that_cannot_be_set_up_says_why(project: Project, mini: Target, broken: str) -> None:
    break_it, words = BROKEN[broken]
    words = words.format(path=project.path) if "{path}" in words else words
    break_it(project, mini)
    mini.save()
    inspect_now(mini)
    on_page, in_shell = page("/targets/mini/"), command("status", "mini")
    assert words in on_page
    assert words in in_shell
    assert ("unreachable: driver_missing" if broken.startswith(AWAY) else "broken") in on_page
    assert not CONTROLS.search(on_page + in_shell)
    assert on_page.count(words) == 1, "said twice"
    assert "opsdash-agent" not in on_page, "the traceback is the target's own"


def test_what_it_wrote_last_is_not_called_a_traceback(project: Project, mini: Target) -> None:
    project.settings("\nprint('my \\x1b[31mlast\\x1b[0m words')\nos._exit(3)\n")
    inspect_now(mini)
    text = page("/targets/mini/")
    assert "What it wrote last my last words" in text and "Traceback" not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPTIONS", "['a']"),
        ("OPTIONS", "3"),
        ("NAME", "7"),
        ("NAME", "{1}"),
        ("PORT", "[]"),
        ("HOST", "object()"),
    ],
)
def test_database_settings_of_an_odd_kind_are_the_target_s_own(
    project: Project, mini: Target, name: str, value: str
) -> None:
    engine = "DATABASES['default']['ENGINE'] = 'django.db.backends.postgresql'"
    project.settings(f"\n{engine}\nDATABASES['default'][{name!r}] = {value}\n")
    inspection = inspect_now(mini)
    text = page("/targets/mini/")
    assert "opsdash itself" not in text and "defect of opsdash" not in text
    assert inspection.outcome == "failed" or default_of(mini).found()[0].state in ("unreachable", "broken")


@pytest.mark.parametrize(
    "lines",
    [
        "print('\\x1b[31mred\\x1b[0m\\n' * 200)",
        A_THREAD,
    ],
    ids=["prints", "a thread"],
)
def test_settings_that_are_only_odd_are_inspected(project: Project, mini: Target, lines: str) -> None:
    project.settings(f"\n{lines}\n")
    inspect_now(mini)
    assert "3 pending" in page("/targets/mini/")


def test_settings_that_hang_are_stopped_in_time(project: Project, mini: Target, settings: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "INSPECTION_TIMEOUT_S": 1}
    project.settings("\nprint('so far', flush=True)\nwhile True: __import__('time').sleep(9)\n")
    inspect_now(mini)
    text = page("/targets/mini/")
    assert "mini did not answer to inspect within 1 s and was stopped. What was known before is still" in text
    assert "or allow it more time (OPSDASH_INSPECTION_TIMEOUT_S)." in text
    assert "What it wrote last so far" in text and "unreachable: timeout" in text


def test_a_variable_that_is_there_is_not_called_missing(project: Project, mini: Target) -> None:
    project.settings("\nraise ValueError('environment variable SHOP_TOKEN must be a number')\n")
    mini.variables.create(name="SHOP_TOKEN", plain="seven")
    inspect_now(mini)
    text = page("/targets/mini/")
    assert "mini cannot be set up: ValueError: environment variable SHOP_TOKEN must be a number." in text
    assert "it wants the environment variable" not in text


@pytest.mark.parametrize(("vendor", "said"), [("mysql", True), ("oracle", True), ("sqlite", False)])
def test_a_database_without_a_guard_says_what_that_means(
    make_database: MakeDatabase, vendor: str, said: bool
) -> None:
    database = make_database("mini", vendor=vendor, inspected_at=clock.now(), pending_count=1)
    database.judge([Status("pending", "1 to apply: shop.0001_initial.")])
    database.save()
    for url in ("/targets/mini/", reverse("migrate", args=["mini", "default"])):
        text = page(url)
        assert (f"opsdash has no guard for this kind of database ({vendor})" in text) == said
        assert ("It does not reset one of this kind either." in text) == said


# The same from a job


@contextmanager
def performed(job: Job) -> Iterator[threading.Thread]:
    """A worker's part of it, beside the test."""

    def perform() -> None:
        try:
            execute(job.pk, "worker")
        finally:
            connections.close_all()

    thread = threading.Thread(target=perform)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.django_db(transaction=True)
def test_a_job_whose_settings_hang_says_where_it_is_and_can_be_cancelled(
    project: Project, mini: Target, settings: Any
) -> None:
    inspect_now(mini)
    project.settings("\nprint('importing', flush=True)\nwhile True: __import__('time').sleep(9)\n")
    settings.DBOPS = {**settings.DBOPS, "INSPECTION_TIMEOUT_S": 1}
    job = launch.start(default_of(mini), "migrate", {}, ALICE, key=uuid.uuid4()).job
    with performed(job):
        until(lambda: job.chunks.filter(text__contains="importing").exists(), "its settings hang")
        text = page(job.get_absolute_url())
        assert "starting since" in text and "the target is being set up, nothing is migrated yet" in text
        assert "Cancel the job" in text and "the plan is not known yet" in text
        launch.cancel(job, ALICE)
    job.refresh_from_db()
    assert job.state == "cancelled"
    assert "Cancelled by alice: it was ended before it began to work." in page(job.get_absolute_url())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("broken", ["no launcher", "no interpreter", "os.environ", "syntax of the settings"])
def test_a_job_on_a_target_that_broke_meanwhile_says_why_once(
    project: Project, mini: Target, broken: str
) -> None:
    inspect_now(mini)
    job = launch.start(default_of(mini), "migrate", {}, ALICE, key=uuid.uuid4()).job
    break_it, words = BROKEN[broken]
    words = words.format(path=project.path)
    break_it(project, mini)
    mini.save()
    execute(job.pk, "worker")
    job.refresh_from_db()
    assert job.state == "failed"
    assert job.outcome.count(words) == 1 and words in page(job.get_absolute_url())
    assert (
        "What is recorded in the database could not be read afterwards: for the same reason." in job.outcome
    )
