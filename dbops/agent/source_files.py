"""The files that migrations stand in: where, what is in them, and what tells that one has changed."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from typing import TYPE_CHECKING

from django.apps import apps
from django.conf import settings
from django.db.migrations.loader import MigrationLoader

from .failures import clean

if TYPE_CHECKING:
    from typing import Any, Iterator

# Characters of one text; bytes of all texts of an answer: what is too much comes with the next one.
TEXT_LIMIT = 300_000
TEXTS_LIMIT = 32 << 20


def of_module(module: Any) -> str:
    """Its path, or "" (a namespace package, a module made in memory)."""
    return str(getattr(module, "__file__", None) or "")


def of_name(name: str) -> str:
    """Of a module that cannot be imported."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return ""
    return str(spec.origin) if spec is not None and spec.has_location else ""


def content(file: str) -> bytes | None:
    """None where there is no source: in an archive, compiled only."""
    if not file or file.endswith(".pyc"):
        return None
    try:
        with open(file, "rb") as opened:
            return opened.read()
    except OSError:
        return None


class Sources:
    """Texts by their hash, of those that are not known yet."""

    def __init__(self, known: list[str]) -> None:
        self.known = set(known)
        self.texts: dict[str, dict[str, Any]] = {}
        self.size = 0

    def hash_of(self, file: str) -> str:
        data = content(file)
        if data is None:
            return ""
        found = hashlib.sha256(data).hexdigest()
        if found not in self.known and found not in self.texts and self.size < TEXTS_LIMIT:
            text = decoded(data)
            self.texts[found] = {"text": clean(text, TEXT_LIMIT), "cut": len(text.encode()) > TEXT_LIMIT}
            self.size += min(len(data), TEXT_LIMIT)
        return found


def decoded(data: bytes) -> str:
    """As it is, where it is UTF-8: its reader can tell that it has this hash. Else as Python reads it, where
    it can."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        text = importlib.util.decode_source(data)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        text = data.decode("utf-8", "backslashreplace")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def packages(found: dict[str, Any], unmigrated: set[str]) -> list[dict[str, Any]]:
    """What a look at the folders alone can be compared with: [{app, directory, files: [[name, size, mtime in
    ns, ctime in ns]]}], one a folder; also those that would be there if an app had migrations."""
    there = [
        (app, directory)
        for app, package in sorted(found.items())
        for directory in map(str, getattr(package, "__path__", ()))
    ]
    return [
        {"app": app, "directory": directory, "files": sorted(files_in(directory))}
        for app, directory in [*there, *later(unmigrated)]
    ]


def later(unmigrated: set[str]) -> Iterator[tuple[str, str]]:
    for config in apps.get_app_configs():
        module = MigrationLoader.migrations_module(config.label)[0]
        if config.label in unmigrated and module == config.name + ".migrations":
            yield config.label, os.path.join(config.path, "migrations")


def settings_files() -> list[list[Any]]:
    """[[path, size, mtime in ns, ctime in ns]] of the module of settings and those beside it in its package:
    they say which apps there are."""
    name = str(getattr(settings, "SETTINGS_MODULE", "") or "")
    package = name.rpartition(".")[0]
    modules = [
        module
        for known, module in list(sys.modules.items())
        if known == name or (package and (known == package or known.rpartition(".")[0] == package))
    ]
    return [[file, *told_of(file)] for file in sorted({of_module(one) for one in modules}) if file]


def told_of(file: str) -> list[int]:
    """[] of what is no file (any more)."""
    try:
        about = os.stat(file)
    except OSError:
        return []
    return [about.st_size, about.st_mtime_ns, about.st_ctime_ns]


def files_in(directory: str, prefix: str = "") -> list[list[Any]]:
    try:
        with os.scandir(directory) as entries:
            return [facts for entry in entries for facts in told(entry, prefix)]
    except OSError:
        # In an archive, or gone in this moment.
        return []


def told(entry: os.DirEntry[str], prefix: str) -> list[list[Any]]:
    if not prefix and entry.is_dir() and not entry.name.startswith((".", "__")):
        return [one for one in files_in(entry.path, entry.name + "/") if one[0].endswith("/__init__.py")]
    if not entry.name.endswith(".py") or not entry.is_file():
        return []
    about = entry.stat()
    return [[prefix + entry.name, about.st_size, about.st_mtime_ns, about.st_ctime_ns]]
