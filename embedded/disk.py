"""What the disk refuses, as a sentence."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from embedded.errors import MachineError

FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextlib.contextmanager
def refusals_in_words(folder: Path) -> Iterator[None]:
    """Turn an OSError of a full or closed disk into a MachineError; `folder` is what is being filled."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise MachineError(f"The disk that holds {folder} is full: make room and start again.") from error
        if error.errno in CLOSED:
            raise MachineError(
                f"{error.filename} cannot be written ({error.strerror}): run this as the user it belongs to, "
                "or from a checkout of your own."
            ) from error
        raise
