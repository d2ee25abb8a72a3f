"""The argv that starts an interpreter, and which of its words a remote shell will parse again."""

import pytest

from dbops.target.address import Address
from dbops.target.door import transport_env, with_program_found

PROGRAM = "import os\nprint('x y', \"$z\")"
QUOTED = "'import os\nprint('\"'\"'x y'\"'\"', \"$z\")'"


def test_without_a_shell_words_stay_as_they_are() -> None:
    assert Address("shop", ("docker", "exec", "-i", "web", "python")).command(PROGRAM) == [
        "docker", "exec", "-i", "web", "python", "-c", PROGRAM,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("local", "remote"),
    [
        (["ssh", "host"], ["/srv/shop/bin/python"]),
        (["ssh", "-p", "22", "-i", "/my keys/id", "user@host"], ["/srv/shop/bin/python"]),
        (["ssh", "-vp", "22", "-o", "ProxyCommand=ssh -W %h:%p jump", "host"], ["python"]),
        (["ssh", "-p22", "-A", "host", "-l", "me"], ["sudo", "-u", "shop", "python"]),
        (["/usr/bin/ssh", "-J", "jump", "host"], ["env", "A=b c", "python"]),
        (["gcloud-like"], ["host", "python"]),
    ],
)
def test_through_a_shell_only_what_it_parses_is_quoted(local: list[str], remote: list[str]) -> None:
    argv = Address("shop", (*local, *remote), through_shell=True).command(PROGRAM)
    assert argv[: len(local)] == local
    assert argv[len(local) :] == ["'A=b c'" if word == "A=b c" else word for word in remote] + ["-c", QUOTED]


def test_an_address_shows_no_values_of_its_environment() -> None:
    assert "swordfish" not in repr(Address("shop", ("python",), env={"PASSWORD": "swordfish"}))


def test_a_relative_program_is_meant_from_the_working_directory() -> None:
    assert with_program_found(["venv/bin/python", "-c"], "/srv/shop") == ["/srv/shop/venv/bin/python", "-c"]
    assert with_program_found(["python"], "/srv/shop") == ["python"]
    assert with_program_found(["/usr/bin/python"], "/srv/shop") == ["/usr/bin/python"]


def test_what_a_started_process_inherits_is_named() -> None:
    worker = dict.fromkeys(("PATH", "HOME", "DATABASE_URL", "OPSDASH_SECRET_KEY", "SSH_AUTH_SOCK"), "x")
    assert set(transport_env("/srv/shop/bin/python3.11", worker)) == {"PATH", "HOME"}
    assert set(transport_env("ssh", worker)) == {"PATH", "HOME", "SSH_AUTH_SOCK"}
