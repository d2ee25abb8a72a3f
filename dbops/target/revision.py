"""Which commit a target's tree is at, read from git's own files: no git runs, nothing is raised, and what
cannot be read is said to be unknown. Whether files differ from that commit is not looked at.

https://git-scm.com/docs/gitrepository-layout
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from dbops.target.about import storable
from dbops.target.address import Address

COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
REF = re.compile(r"refs/[^\x00-\x20\x7f~^:?*\[\\]+")
PYTHON = re.compile(r"(?:python|pypy)[0-9.]*t?")
HEAD_BYTES = 4096
PACKED_BYTES = 64_000_000
# A ref may name another.
DEEPEST = 5


class Unreadable(Exception):
    """Why the revision is unknown, in a few words; nothing of a file's content."""


def revision_of(address: Address) -> dict[str, Any] | None:
    """{"tree", "commit", "branch"}: the branch is "" where none is checked out; or {"tree", "unknown": why}.

    None where this process cannot reach the tree.
    """
    try:
        if not has_file_reach(address):
            return None
        found = repository(Path(address.cwd))
    except (OSError, RuntimeError):
        return None
    if found is None:
        return {"tree": written(Path(address.cwd)), "unknown": "no git repository is seen there"}
    return read(*found)


def written(tree: Path) -> str:
    """A name on a disk may be no text that our rows take."""
    return storable(str(tree))


def has_file_reach(address: Address) -> bool:
    """Its Python is started here, in a directory that is there: what is read here is what runs."""
    is_local = not address.through_shell and bool(PYTHON.fullmatch(PurePath(address.argv[0]).name))
    return is_local and bool(address.cwd) and Path(address.cwd).is_dir()


def repository(directory: Path) -> tuple[Path, Path] | None:
    """(tree, its .git) of the nearest directory that has one, upwards."""
    real = directory.resolve()
    for tree in (real, *real.parents):
        if os.path.lexists(tree / ".git"):
            return tree, tree / ".git"
    return None


def read(tree: Path, git: Path) -> dict[str, Any]:
    try:
        own = directory_of(git)
        commit, branch = head(own, common(own))
    except (Unreadable, OSError, ValueError) as problem:
        why = str(problem) if isinstance(problem, Unreadable) else "git's files cannot be read"
        return {"tree": written(tree), "unknown": why}
    return {"tree": written(tree), "commit": commit, "branch": branch}


def directory_of(git: Path) -> Path:
    """The directory itself, or the one that the file of a worktree or submodule names."""
    if git.is_dir():
        return git
    word, _, path = text(git).partition(": ")
    if word != "gitdir" or not path:
        raise Unreadable("its .git is neither a directory nor names one")
    return git.parent / path


def common(own: Path) -> Path:
    """What a worktree shares with the others: refs."""
    file = own / "commondir"
    return own / text(file) if file.exists() else own


def head(own: Path, shared: Path) -> tuple[str, str]:
    """(commit, branch)"""
    value, branch = text(own / "HEAD"), ""
    for _ in range(DEEPEST):
        if COMMIT.fullmatch(value):
            return value, branch
        ref = ref_in(value)
        branch = branch or ref.removeprefix("refs/heads/")
        value = ref_value(ref, shared)
    raise Unreadable("its refs lead from one to the next")


def ref_in(value: str) -> str:
    word, _, ref = value.partition(": ")
    if word != "ref" or not REF.fullmatch(ref) or ".." in PurePath(ref).parts:
        raise Unreadable("its HEAD or a ref holds neither a commit nor the name of a ref")
    return ref


def ref_value(ref: str, shared: Path) -> str:
    if (shared / ref).exists():
        return text(shared / ref)
    for line in packed(shared / "packed-refs"):
        commit, _, name = line.partition(" ")
        if name == ref:
            return commit
    if (shared / "reftable").is_dir():
        raise Unreadable("it keeps its refs in a way that is not read here (reftable)")
    raise Unreadable(f"{ref.removeprefix('refs/heads/')} has no commit yet")


def packed(file: Path) -> Iterator[str]:
    if file.exists():
        yield from contents(file, PACKED_BYTES).splitlines()


def text(file: Path) -> str:
    return contents(file, HEAD_BYTES).strip()


def contents(file: Path, most: int) -> str:
    """Of a regular file only: a pipe in its place would be waited for."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable("git's files are not regular files")
        data = opened.read(most + 1)
    if len(data) > most:
        raise Unreadable("git's files are larger than is read here")
    return data.decode(errors="replace")
