"""The project's own makemigrations, run so that nothing is written and nothing is asked of a database.

Projects override it: some change how fields are deconstructed, some refuse, some print an essay. Called
directly, Django's autodetector would report changes that are none.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from django.db.migrations.loader import MigrationLoader

from .failures import clean, describe, let_a_stop_through, render

if TYPE_CHECKING:
    from typing import Any, Iterator

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
WORDS_LIMIT = 20_000
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# What another program writes cannot be seen from here.
PROGRAMS = ("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.spawn")
CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree", "shutil.move")


class Writes(Exception):
    """It wants to change a source file, or might, although it was told to write nothing."""


class Run:
    """How it ended. `refused`: by its own words, with CommandError or an exit; `problem`: anything else."""

    def __init__(self) -> None:
        self.printed = io.StringIO()
        self.refused: BaseException | None = None
        self.problem: BaseException | None = None

    @property
    def words(self) -> str:
        """All that it said, the reason of its refusal last."""
        said = [ANSI.sub("", self.printed.getvalue()).strip()]
        if isinstance(self.refused, CommandError):
            said.append(str(self.refused))
        elif self.refused is not None and not said[0]:
            said.append(describe(self.refused))
        return clean("\n".join(filter(None, said)), WORDS_LIMIT)

    @property
    def traceback(self) -> str:
        return clean(render(self.problem), 60_000) if self.problem is not None else ""

    def add(self, problem: BaseException) -> None:
        let_a_stop_through(problem)
        if isinstance(problem, (CommandError, SystemExit, Writes)):
            self.refused = problem
        else:
            self.problem = problem


def run(command: Any, *words: str) -> Run:
    """`command`: an instance of the project's class. What it is to tell is caught by the caller's hooks."""
    done = Run()
    with captured(done.printed), no_database(), nothing_written():
        try:
            options = {"stdout": done.printed, "stderr": done.printed, "no_color": True}
            call_command(command, "--dry-run", "--noinput", *words, **options)
        except (Exception, SystemExit) as problem:
            done.add(problem)
    return done


def import_urls(command: Any) -> Run:
    """Some models are only imported by it. By hand, the system checks do that before the command runs."""
    done = Run()
    name = getattr(settings, "ROOT_URLCONF", None)
    if not isinstance(name, str) or not getattr(command, "requires_system_checks", "__all__"):
        return done
    with captured(done.printed):
        try:
            import_module(name)
        except (Exception, SystemExit) as problem:
            let_a_stop_through(problem)
            done.problem = problem
    return done


@contextlib.contextmanager
def captured(printed: io.StringIO) -> Iterator[None]:
    """What is printed past the command's own streams, too."""
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        yield


class Unasked:
    """In place of django.db.connections: a missing driver is no reason not to look at the models."""

    def __iter__(self) -> Iterator[str]:
        return iter([alias for alias in connections if is_there(alias)])

    def __getitem__(self, alias: str) -> Any:
        return connections[alias] if is_there(alias) else NoDatabase(alias)

    def __getattr__(self, name: str) -> Any:
        return getattr(connections, name)


class NoDatabase:
    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.settings_dict = {"ENGINE": "django.db.backends.dummy"}


def is_there(alias: str) -> bool:
    try:
        return connections[alias] is not None
    except Exception:
        # Why not is told by the report on that alias.
        return False


@contextlib.contextmanager
def no_database() -> Iterator[None]:
    """It would compare the rows with the files first: they are judged by themselves, also when it is down."""
    module: Any = import_module("django.core.management.commands.makemigrations")
    loader: Any = MigrationLoader
    check, kept = loader.check_consistent_history, module.connections
    loader.check_consistent_history = lambda self, connection: None
    module.connections = Unasked()
    try:
        yield
    finally:
        loader.check_consistent_history = check
        module.connections = kept


class Watch:
    """An audit hook cannot be taken away again: it is switched off."""

    def __init__(self) -> None:
        self.is_on = False
        self.is_hooked = False

    def look(self, event: str, args: tuple[Any, ...]) -> None:
        if self.is_on and event in PROGRAMS:
            raise Writes("It wants to start another program, which might write; it was not let.")
        if self.is_on and (event in CHANGES or (event == "open" and is_writing(args))):
            for path in args[:2] if event in ("os.rename", "shutil.move") else args[:1]:
                refuse_source(path)


watch = Watch()


def is_writing(args: tuple[Any, ...]) -> bool:
    _, mode, flags = args
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return bool(isinstance(flags, int) and flags & WRITES)


def refuse_source(path: Any) -> None:
    """A source file or a folder of migrations; what else it writes (a log, a cache) is its own affair."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        return
    text = os.fsdecode(path)
    folders = os.path.abspath(text).split(os.sep)
    if text.endswith(".py") or "migrations" in folders[-2:]:
        raise Writes(f"It wants to change {text}, although it was told to write nothing; it was not let.")


@contextlib.contextmanager
def nothing_written() -> Iterator[None]:
    if not watch.is_hooked:
        sys.addaudithook(watch.look)
        watch.is_hooked = True
    watch.is_on = True
    try:
        yield
    finally:
        watch.is_on = False
