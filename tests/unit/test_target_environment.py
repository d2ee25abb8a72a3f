"""A target's environment: a file, what is declared, references that are allowed."""

import os
from pathlib import Path

import pytest

from dbops.target.environment import resolve
from dbops.target.errors import UnresolvedEnvironment

WORKER = {
    "SHOP_PASSWORD": "swordfish",
    "DATABASE_URL": "postgres://canary",
    "REDIS_URL": "redis://canary",
    "OPSDASH_SECRET_KEY": "canary",
}


def test_references_are_taken_from_the_worker() -> None:
    declared = {"DATABASE_URL": "postgres://shop:${SHOP_PASSWORD}@db/shop", "MODE": "plain $HOME {x}"}
    assert resolve(declared, None, WORKER) == {
        "DATABASE_URL": "postgres://shop:swordfish@db/shop",
        "MODE": "plain $HOME {x}",
    }


def test_nothing_of_the_worker_comes_without_a_reference() -> None:
    assert resolve({}, None, WORKER) == {}


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "OPSDASH_SECRET_KEY", "OPSDASH_ANYTHING"])
def test_opsdash_s_own_are_refused(name: str) -> None:
    with pytest.raises(UnresolvedEnvironment, match="opsdash's own") as caught:
        resolve({"X": f"${{{name}}}"}, None, WORKER)
    assert "canary" not in str(caught.value)


def test_a_reference_that_is_not_set_is_named() -> None:
    with pytest.raises(UnresolvedEnvironment, match=r"KEY refers to \$\{NOT_THERE\}.*Set NOT_THERE"):
        resolve({"KEY": "${NOT_THERE}"}, None, WORKER)


def test_a_fallback_stands_in_for_what_the_worker_does_not_have() -> None:
    declared = {"A": "${NOT_THERE:-5432}", "B": "${SHOP_PASSWORD:-nothing}", "C": "${NOT_THERE:-}"}
    assert resolve(declared, None, WORKER) == {"A": "5432", "B": "swordfish", "C": ""}


def test_a_file_may_refer_to_its_own_lines_and_to_the_worker(tmp_path: Path) -> None:
    """Also by a name that opsdash has too: the file's own line is the target's value."""
    file = tmp_path / ".env"
    file.write_text("DATABASE_URL=postgres://u:${SHOP_PASSWORD}@db/shop\nREPLICA_URL=${DATABASE_URL}?ro\n")
    assert resolve({}, str(file), WORKER) == {
        "DATABASE_URL": "postgres://u:swordfish@db/shop",
        "REPLICA_URL": "postgres://u:swordfish@db/shop?ro",
    }


def test_a_file_cannot_get_at_opsdash_s_own_either(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("URL=${DATABASE_URL}\n")
    with pytest.raises(UnresolvedEnvironment, match="opsdash's own"):
        resolve({}, str(tmp_path / ".env"), WORKER)


def test_the_declared_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("export A=1\nB='two words' # comment\nC=${SHOP_PASSWORD}\nEMPTY=\nBARE\n")
    assert resolve({"A": "declared"}, str(file), WORKER) == {
        "A": "declared",
        "B": "two words",
        "C": "swordfish",
        "EMPTY": "",
    }


def test_what_is_there_and_is_no_file_is_called_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ""):
        with pytest.raises(UnresolvedEnvironment, match="is no file with lines"):
            resolve({}, str(tmp_path / name), WORKER)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnresolvedEnvironment, match=r"\.env is not there"):
        resolve({}, str(tmp_path / ".env"), WORKER)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe")
    with pytest.raises(UnresolvedEnvironment, match="cannot be read"):
        resolve({}, str(tmp_path / ".env"), WORKER)


@pytest.mark.parametrize("name", ["", "A B", "A=B", "1A", "Ä"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UnresolvedEnvironment, match="not a name"):
        resolve({name: "x"}, None, WORKER)


def test_a_nul_is_refused_without_showing_the_value() -> None:
    with pytest.raises(UnresolvedEnvironment, match="NUL") as caught:
        resolve({"A": "secret\0"}, None, WORKER)
    assert "secret" not in str(caught.value)
