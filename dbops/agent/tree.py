"""The target's tree while it is written to: nobody else of ours writes there, and it is the one that the
worker sees.

The lock is an flock on the working directory itself: nothing is written for it, it ends with its process, and
whoever sees the directory can tell that it is free.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from typing import TYPE_CHECKING

from .failures import Failure

if TYPE_CHECKING:
    from typing import Iterator

BUSY = "another job of opsdash writes to {} at this moment"
DIFFERENT = "{} is not the same for the target's Python as for the worker"
OUTSIDE = "{} would be written, which is no file of the project in {}."
INSTALLED = {"site-packages", "dist-packages"}


@contextlib.contextmanager
def held(directory: str) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure("tree_busy", f"{BUSY.format(directory)}.", "person") from None
        except OSError as problem:
            message = f"{directory} cannot be locked ({problem.strerror})."
            raise Failure("tree_unavailable", message, "server") from problem
        yield
    finally:
        os.close(descriptor)


def prove(seen: dict[str, str]) -> None:
    """`seen`: {path: sha256 of its bytes} as the worker reads them."""
    if not seen:
        raise Failure("tree_differs", "nothing shows that the worker sees the target's tree.", "person")
    for path, expected in seen.items():
        if hash_of(path) != expected:
            raise Failure("tree_differs", f"{DIFFERENT.format(path)}.", "person")


def refuse_outside(directory: str, paths: list[str]) -> None:
    """An installed package is nobody's to develop here, and the lock holds for this tree alone."""
    tree = os.path.realpath(directory)
    for path in paths:
        real = os.path.realpath(path)
        if os.path.commonpath([tree, real]) != tree or INSTALLED & set(real.split(os.sep)):
            raise Failure("outside_tree", OUTSIDE.format(path, directory), "person")


def hash_of(path: str) -> str:
    """ "" where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return ""


def modules(folders: set[str]) -> dict[str, tuple[int, int]]:
    """{path: (size, mtime)} of all files right in these folders; a folder that is not there has none."""
    found = {}
    for folder in folders:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for entry in os.scandir(folder):
                if entry.is_file():
                    about = entry.stat()
                    found[entry.path] = (about.st_size, about.st_mtime_ns)
    return found
