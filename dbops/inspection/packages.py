"""Whether the files of a target's migrations and settings are as its latest inspection saw them: names,
sizes, times of change. The agent tells them (dbops.agent.source_files), and both look in the same way."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


class Look:
    """One look at many directories: those that several targets share (Django's own) are read once."""

    def __init__(self) -> None:
        self._seen: dict[str, list[list[Any]]] = {}

    def is_same(self, packages: Sequence[Mapping[str, Any]]) -> bool:
        return all(self.files_in(package["directory"]) == package["files"] for package in packages)

    @staticmethod
    def are_same(files: Sequence[Sequence[Any]]) -> bool:
        return all(_stat(path) == about for path, *about in files)

    def files_in(self, directory: str) -> list[list[Any]]:
        if directory not in self._seen:
            self._seen[directory] = sorted(_files(directory))
        return self._seen[directory]


def _stat(path: str) -> list[int]:
    try:
        about = Path(path).stat()
    except OSError:
        return []
    return [about.st_size, about.st_mtime_ns, about.st_ctime_ns]


def _files(directory: str, prefix: str = "") -> Iterator[list[Any]]:
    try:
        with os.scandir(directory) as entries:
            found = list(entries)
        for entry in found:
            yield from _told(entry, prefix)
    except OSError:
        # Gone, or not ours to read: then it is not as it was.
        return


def _told(entry: os.DirEntry[str], prefix: str) -> Iterator[list[Any]]:
    if entry.name.endswith(".py") and entry.is_file():
        about = entry.stat()
        # What is put back with its old size and time (rsync, an image that is built) has another ctime.
        yield [prefix + entry.name, about.st_size, about.st_mtime_ns, about.st_ctime_ns]
    elif not prefix and not entry.name.startswith((".", "__")) and entry.is_dir():
        inner = _files(entry.path, f"{entry.name}/")
        yield from (one for one in inner if one[0].endswith("/__init__.py"))
