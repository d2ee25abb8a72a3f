"""The revision of a target's tree is read from git's own files, in any layout; nothing there can hurt."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbops.target.address import Address
from dbops.target.revision import revision_of

NOBODY = 65534


@pytest.fixture(autouse=True)
def git_of_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def git(directory: Path, *words: str) -> str:
    who = ["-c", "user.name=ann", "-c", "user.email=ann@test", "-c", "protocol.file.allow=always"]
    argv = ["git", "-C", str(directory), *who, *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with a commit on `main`."""
    made = tmp_path / "shop"
    made.mkdir()
    git(made, "init", "--initial-branch=main")
    (made / "manage.py").touch()
    git(made, "add", ".")
    git(made, "commit", "-m", "first")
    return made


def found(directory: Path, **changes: Any) -> dict[str, Any] | None:
    return revision_of(Address("shop", **{"argv": ("/usr/bin/python3",), "cwd": str(directory), **changes}))


def at(tree: Path, branch: str) -> dict[str, str]:
    return {"tree": str(tree), "commit": git(tree, "rev-parse", "HEAD"), "branch": branch}


def why(directory: Path) -> str:
    answer = found(directory)
    assert answer is not None and "commit" not in answer
    return str(answer["unknown"])


# Layouts


def test_a_branch(tree: Path) -> None:
    assert found(tree) == at(tree, "main")


def test_a_branch_with_a_slash(tree: Path) -> None:
    git(tree, "switch", "-c", "fix/the-prices")
    assert found(tree) == at(tree, "fix/the-prices")


def test_no_branch_is_checked_out(tree: Path) -> None:
    git(tree, "switch", "--detach")
    assert found(tree) == at(tree, "")


def test_refs_that_are_packed(tree: Path) -> None:
    git(tree, "tag", "-a", "v1", "-m", "one")
    git(tree, "pack-refs", "--all")
    assert not (tree / ".git/refs/heads/main").exists()
    assert found(tree) == at(tree, "main")


def test_a_ref_that_moved_since_it_was_packed(tree: Path) -> None:
    git(tree, "pack-refs", "--all")
    git(tree, "commit", "--allow-empty", "-m", "second")
    assert found(tree) == at(tree, "main")


@pytest.mark.parametrize("packed", [False, True])
def test_a_worktree_of_its_own(tree: Path, packed: bool) -> None:
    other = tree.parent / "other"
    git(tree, "worktree", "add", "-b", "release", str(other))
    git(other, "commit", "--allow-empty", "-m", "in the other")
    if packed:
        git(tree, "pack-refs", "--all")
    assert found(other) == at(other, "release") != found(tree)


def test_a_submodule(tree: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "--initial-branch=main")
    git(outer, "submodule", "add", str(tree), "shop")
    git(outer, "commit", "-m", "with a submodule")
    assert found(outer / "shop") == at(outer / "shop", "main")


def test_a_project_below_the_tree_and_through_a_link(tree: Path, tmp_path: Path) -> None:
    (tree / "src/site").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tree / "src")
    assert found(tmp_path / "link/site") == at(tree, "main")


def test_a_repository_of_longer_names(tmp_path: Path) -> None:
    made = tmp_path / "long"
    made.mkdir()
    git(made, "init", "--initial-branch=main", "--object-format=sha256")
    git(made, "commit", "--allow-empty", "-m", "first")
    assert found(made) == at(made, "main")
    assert len(git(made, "rev-parse", "HEAD")) == 64


# Without file reach nothing is said


@pytest.mark.parametrize(
    "changes",
    [
        {"argv": ("ssh", "host", "/srv/python")},
        {"argv": ("docker", "exec", "-i", "shop", "python")},
        {"argv": ("/usr/bin/python3",), "through_shell": True},
        {"cwd": ""},
        {"cwd": "/there/is/no/such/directory"},
        {"cwd": "/nul\0"},
    ],
)
def test_without_file_reach_nothing_is_read(tree: Path, changes: dict[str, Any]) -> None:
    assert found(tree, **changes) is None


@pytest.mark.parametrize(
    "python", ["python", "python3.13", "/srv/.venv/bin/python3", "pypy3.10", "python3.14t"]
)
def test_any_python_that_is_started_here_has_it(tree: Path, python: str) -> None:
    assert found(tree, argv=(python, "-X", "dev")) == at(tree, "main")


# What is not known


def test_a_tree_without_git(tmp_path: Path) -> None:
    assert why(tmp_path) == "no git repository is seen there"


def test_a_branch_without_a_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "--initial-branch=main")
    assert why(tmp_path) == "main has no commit yet"


def bad(tree: Path, name: str) -> Path:
    file = tree / ".git" / name
    if file.is_dir():
        shutil.rmtree(file)
    else:
        file.unlink(missing_ok=True)
    return file


def put(text: str | bytes, name: str = "HEAD") -> Callable[[Path], object]:
    data = text if isinstance(text, bytes) else text.encode()
    return lambda tree: bad(tree, name).write_bytes(data)


def packed(tree: Path) -> Path:
    bad(tree, "refs/heads/main")
    return bad(tree, "packed-refs")


SPOILED: dict[str, Callable[[Path], Any]] = {
    "no HEAD": lambda tree: bad(tree, "HEAD"),
    "an empty HEAD": put(""),
    "a HEAD of words": put("root:x:0:0"),
    "a HEAD that leads out": put("ref: refs/../../../../etc/passwd"),
    "a HEAD that names an absolute path": put("ref: /etc/passwd"),
    "a HEAD with a control character": put("ref: refs/heads/a\x1b[31m"),
    "a HEAD of bytes": put(b"ref: refs/heads/\xff\xfe\0"),
    "a HEAD that is large": put("ref: refs/heads/" + "a" * 9000),
    "a HEAD that is a pipe": lambda tree: os.mkfifo(bad(tree, "HEAD")),
    "a HEAD that is a directory": lambda tree: bad(tree, "HEAD").mkdir(),
    "a HEAD that links to a secret": lambda tree: bad(tree, "HEAD").symlink_to("/etc/passwd"),
    "a ref that is no commit": put("f" * 39, "refs/heads/main"),
    "a ref that leads to itself": put("ref: refs/heads/main", "refs/heads/main"),
    "a ref that is a pipe": lambda tree: os.mkfifo(bad(tree, "refs/heads/main")),
    "packed refs that are a pipe": lambda tree: os.mkfifo(packed(tree)),
    "packed refs of nonsense": lambda tree: packed(tree).write_bytes(b"\xff\0 refs/heads/main\n"),
    "a commondir of nonsense": put(b"\0\xff", "commondir"),
    "a commondir that is not there": put("../nowhere", "commondir"),
}


@pytest.mark.parametrize("spoil", SPOILED)
def test_whatever_git_holds_it_is_said_to_be_unknown_and_never_shown(tree: Path, spoil: str) -> None:
    SPOILED[spoil](tree)
    said = why(tree)
    assert said and not any(word in said for word in ("root", "passwd", "\x1b", "\0"))


@pytest.mark.parametrize(
    "text", ["", "gitdir: ", "gitdir: nowhere", "gitdir: \0", "nonsense", "gitdir: /dev/zero"]
)
def test_a_git_file_that_leads_nowhere(tree: Path, text: str) -> None:
    shutil.rmtree(tree / ".git")
    (tree / ".git").write_text(text)
    assert why(tree)


def test_a_directory_whose_name_is_no_text_is_written_all_the_same(tree: Path) -> None:
    """Our database takes no lone surrogate."""
    odd = Path(os.fsdecode(os.fsencode(tree) + b"-\xff"))
    tree.rename(odd)
    (tree.parent / "link").symlink_to(odd)
    answer = found(tree.parent / "link")
    assert answer is not None and answer["tree"].endswith("shop-?")
    answer["tree"].encode()


def test_what_may_not_be_read() -> None:
    """As an ordinary user, whoever runs the tests."""
    with tempfile.TemporaryDirectory() as place:
        tree, myself = Path(place), os.geteuid()
        git(tree, "init")
        tree.chmod(0o755)
        (tree / ".git").chmod(0)
        os.seteuid(NOBODY if myself == 0 else myself)
        try:
            assert why(tree) == "git's files cannot be read"
        finally:
            os.seteuid(myself)
            (tree / ".git").chmod(0o700)
