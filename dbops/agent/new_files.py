"""Files that appear whole or not at all, in the place of none: for what makemigrations writes."""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
from typing import TYPE_CHECKING

from .failures import Failure

if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

SUFFIX = ".opsdash-new"
# Disks without a second name for a file.
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


@contextlib.contextmanager
def only_new(folders: set[str], on_new: Callable[[str], Any]) -> Iterator[None]:
    """Modules that are opened for writing in one of these folders are new ones, or the write is refused.
    `on_new` is called with the path of each that is there."""
    original = builtins.open

    def open_new(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        path = os.path.abspath(os.fsdecode(file)) if isinstance(file, (str, bytes, os.PathLike)) else ""
        if not set(mode) & set("wxa+") or not path.endswith(".py") or os.path.dirname(path) not in folders:
            return original(file, mode, *args, **options)
        return NewFile(path, on_new)

    builtins.open = open_new  # type: ignore[assignment]
    try:
        yield
    finally:
        builtins.open = original


class NewFile(io.StringIO):
    """It is there when it is closed; one whose writing was broken off never is."""

    def __init__(self, path: str, on_new: Callable[[str], Any]) -> None:
        refuse_existing(path)
        super().__init__(newline="")
        self.path = path
        self.on_new = on_new

    def __exit__(self, kind: Any, *problem: Any) -> None:
        if kind is not None:
            super().close()
        self.close()

    def close(self) -> None:
        if not self.closed:
            data = self.getvalue().encode("utf-8")
            super().close()
            put(self.path, data)
            self.on_new(self.path)


def refuse_existing(path: str) -> None:
    if os.path.lexists(path):
        raise Failure("file_exists", f"{path} is there already, and is left as it is.", "person")


def put(path: str, data: bytes) -> None:
    """Under another name first, which no import takes for a module."""
    aside = f"{path}{SUFFIX}-{os.getpid()}"
    try:
        write(aside, data)
        try:
            os.link(aside, path)
        except OSError as problem:
            if problem.errno not in NO_LINKS:
                raise
            write(path, data)
    except FileExistsError:
        refuse_existing(path)
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)


def write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except BaseException as problem:
        os.unlink(path)
        if isinstance(problem, OSError) and not problem.filename:
            # A full disk tells none.
            problem.filename = path
        raise
