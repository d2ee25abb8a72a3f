"""The migrations on disk, read once for all aliases and for makemigrations.

Read as Django does it; where that stops at a broken file, each file is tried by itself, so that one of them
hides none of the others.
"""

from __future__ import annotations

import contextlib
import pkgutil
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from django.apps import apps
from django.db.migrations.exceptions import BadMigrationError
from django.db.migrations.loader import MigrationLoader

from . import graph_errors, source_files
from .failures import let_a_stop_through

if TYPE_CHECKING:
    from typing import Any, Iterator

    Key = tuple[str, str]


class Disk:
    """`migrations` {(app, name): Migration} that could be loaded; `files` {(app, name): path or ""} of those
    that are broken, too; `errors` as graph_errors.entry."""

    def __init__(self) -> None:
        self.migrations: dict[Key, Any] = {}
        self.migrated: set[str] = set()
        self.unmigrated: set[str] = set()
        # Named by MIGRATION_MODULES and not there: makemigrations would make them.
        self.missing: set[str] = set()
        self.packages: dict[str, Any] = {}
        self.files: dict[Key, str] = {}
        self.errors: list[dict[str, str]] = []
        self.problem: BaseException | None = None
        self._read()

    def _read(self) -> None:
        loader = MigrationLoader(None, load=False)
        try:
            loader.load_disk()
        except Exception as problem:
            self.problem = problem
        except SystemExit as problem:
            let_a_stop_through(problem)
            self.problem = problem
        if self.problem is None:
            self.migrations = dict(loader.disk_migrations)
            self.migrated, self.unmigrated = set(loader.migrated_apps), set(loader.unmigrated_apps)
            self.packages = {app: sys.modules.get(module_name(app)) for app in self.migrated}
        else:
            self._read_one_by_one()
        for key in self.migrations:
            self.files[key] = source_files.of_module(sys.modules.get(self._module_of(key)))

    def _read_one_by_one(self) -> None:
        for config in apps.get_app_configs():
            self._read_package(config.label)
        if not self.errors and self.problem is not None:
            # Whatever Django stumbled over, it did not come again.
            self.errors.append(graph_errors.entry(self.problem))

    def _read_package(self, app: str) -> None:
        name, explicit = MigrationLoader.migrations_module(app)
        if name is None:
            self.unmigrated.add(app)
            return
        package, problem = imported(name)
        if isinstance(problem, ModuleNotFoundError) and is_absent(problem, name, explicit):
            self.unmigrated.add(app)
            return
        if problem is not None:
            if isinstance(problem, ModuleNotFoundError) and explicit and problem.name == name:
                self.missing.add(app)
            self._broken(problem, app, "", source_files.of_name(name))
            return
        if not is_package(package):
            self.unmigrated.add(app)
            return
        self.migrated.add(app)
        self.packages[app] = package
        for _, found, is_folder in pkgutil.iter_modules(package.__path__):
            if not is_folder and found[0] not in "_~":
                self._read_file(app, found, f"{name}.{found}")

    def _read_file(self, app: str, name: str, module: str) -> None:
        code, problem = imported(module)
        if problem is None:
            problem, migration = made(code, app, name)
        if problem is None:
            self.migrations[app, name] = migration
        else:
            self.files[app, name] = source_files.of_name(module)
            self._broken(problem, app, name, self.files[app, name])

    def _broken(self, problem: BaseException, app: str, name: str, file: str) -> None:
        self.errors.append(graph_errors.entry(problem, app, name, file))

    def _module_of(self, key: Key) -> str:
        package = self.packages.get(key[0])
        return f"{package.__name__ if package is not None else module_name(key[0])}.{key[1]}"

    def fill(self, loader: Any) -> None:
        """What load_disk leaves in a loader."""
        loader.disk_migrations = dict(self.migrations)
        loader.migrated_apps = set(self.migrated)
        loader.unmigrated_apps = set(self.unmigrated)
        if loader.ignore_no_migrations:
            loader.unmigrated_apps |= self.missing

    def load(self, loader: Any) -> None:
        """In place of load_disk: from memory, and with the refusal that Django came to."""
        forgiven = loader.ignore_no_migrations and {error["app"] for error in self.errors} <= self.missing
        if self.problem is not None and not forgiven:
            raise self.problem
        self.fill(loader)

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Whoever makes a loader gets this reading."""
        kept: Any = MigrationLoader.load_disk
        replaced: Any = MigrationLoader
        replaced.load_disk = lambda loader: self.load(loader)
        try:
            yield
        finally:
            replaced.load_disk = kept

    def broken_apps(self) -> set[str]:
        return {error["app"] for error in self.errors}


def module_name(app: str) -> str:
    return str(MigrationLoader.migrations_module(app)[0])


def imported(name: str) -> tuple[Any, BaseException | None]:
    try:
        return import_module(name), None
    except Exception as problem:
        return None, problem
    except SystemExit as problem:
        let_a_stop_through(problem)
        return None, problem


def made(module: Any, app: str, name: str) -> tuple[BaseException | None, Any]:
    if not hasattr(module, "Migration"):
        return BadMigrationError(f"Migration {name} in app {app} has no Migration class"), None
    try:
        return None, module.Migration(name, app)
    except Exception as problem:
        return problem, None


def is_absent(problem: ModuleNotFoundError, name: str, explicit: bool) -> bool:
    """The app has no migrations at all; not: a module is missing that its package imports."""
    return not explicit and "migrations" in str(problem.name).split(".")


def is_package(module: Any) -> bool:
    """As Django sees it: neither a plain module nor an empty folder."""
    if not hasattr(module, "__path__"):
        return False
    return getattr(module, "__file__", None) is not None or isinstance(module.__path__, list)
