"""A target's tree as this process sees it: is it the same one, does a job write to it, what is there.

Only where the target's Python is started here (see revision.has_file_reach); what is read is compared by its
hash with what the target's own Python reads, before anything rests on it.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dbops.target.address import Address
from dbops.target.errors import NoFileReach
from dbops.target.revision import Unreadable, contents, has_file_reach

MODULE_BYTES = 10_000_000
MOST_COMPARED = 200
NOT_HERE = (
    "the tree of {name} is not seen from the worker: its Python is started elsewhere (through ssh or docker, "
    "say), or without a working directory."
)
ANOTHER = "the worker sees another tree than the Python of {name}: {path} has another content here."


def why_no_reach(address: Address, disk: Iterable[Mapping[str, Any]]) -> str:
    """Why files of this target cannot be written or believed from here, as a sentence; "" where they can.
    `disk`: {file, hash} each, as the target's own Python read them."""
    try:
        seen = as_seen(address, [one["file"] for one in disk])
    except NoFileReach as problem:
        return str(problem)
    told = {one["file"]: one["hash"] for one in disk}
    other = next((path for path in seen if path in told and told[path] not in ("", seen[path])), "")
    return ANOTHER.format(name=address.name, path=other) if other else ""


def as_seen(address: Address, files: Sequence[str]) -> dict[str, str]:
    """{path: sha256} of those of these files that lie in the tree, and of the launcher. NoFileReach."""
    try:
        is_here = has_file_reach(address)
    except OSError:
        is_here = False
    if not is_here:
        raise NoFileReach(NOT_HERE.format(name=address.name))
    tree = Path(address.cwd)
    launcher = [str(tree / word) for word in address.launcher[:1] if not word.startswith("-")]
    inside = [file for file in files if file and tree.resolve() in Path(file).resolve().parents]
    hashes = {path: hash_of(Path(path)) for path in [*launcher, *inside[:MOST_COMPARED]]}
    seen = {path: found for path, found in hashes.items() if found}
    if not seen:
        raise NoFileReach(f"no file of {address.name} can be read from the worker.")
    return seen


def hash_of(path: Path) -> str:
    """ "" of what cannot be read here."""
    try:
        return hashlib.sha256(raw(path)).hexdigest()
    except OSError:
        return ""


def raw(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MODULE_BYTES)


def is_written_to(address: Address) -> bool | None:
    """Whether a job of opsdash writes to the tree at this moment; None where that cannot be seen."""
    try:
        if not has_file_reach(address):
            return None
        descriptor = os.open(address.cwd, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def text_of(path: str) -> str | None:
    """Of a module; None where it is not there, or not to be read."""
    try:
        return contents(Path(path), MODULE_BYTES)
    except (OSError, Unreadable):
        return None
