"""Through a real sshd on loopback: a remote shell parses the words again, no environment crosses."""

import getpass
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbops.target import errors
from dbops.target.address import Address
from tests.integration.agent.frames_of import has_said, inspect, inspect_default, listen, migrate, start
from tests.integration.agent.test_agent_stop import alive, pid_in, soon
from tests.targets.builder import Project

SSHD = "/usr/sbin/sshd"
CONFIGURATION = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile {folder}/pid
AuthorizedKeysFile {folder}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd yes
Banner {folder}/banner
"""


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """The words that lead to a shell on this machine."""
    folder = tmp_path_factory.mktemp("ssh")
    (folder / "banner").write_text("Authorised use only.\n")
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    port = free_port()
    (folder / "sshd_config").write_text(CONFIGURATION.format(folder=folder, port=port))
    if os.geteuid() == 0:
        # sshd's privilege separation insists on it; Debian's service makes it at its start.
        Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen(
        [SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL
    ) as server:
        assert soon(lambda: listens(port))
        yield words(folder, port)
        server.terminate()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def words(folder: Path, port: int) -> tuple[str, ...]:
    options = (
        "UserKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=no",
        "BatchMode=yes",
        "IdentitiesOnly=yes",
    )
    with_o = tuple(word for option in options for word in ("-o", option))
    return ("ssh", "-p", str(port), "-i", str(folder / "user"), *with_o, f"{getpass.getuser()}@127.0.0.1")


@pytest.fixture
def over_ssh(shop: Project, ssh: tuple[str, ...]) -> Address:
    return shop.address(argv=(*ssh, sys.executable), through_shell=True)


def test_inspect_and_migrate(over_ssh: Address) -> None:
    assert len(inspect_default(over_ssh)["plan"]) == 3
    record = migrate(over_ssh)
    assert len(record.answer["recorded_after"]) == 3
    assert record.end.status == 0
    assert inspect_default(over_ssh)["plan"] == []


def test_the_environment_is_the_declared_one(
    shop: Project, ssh: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://canary-4711")
    shop.settings("\nprint(sorted(os.environ))\nassert os.environ['SHOP_MODE'] == 'quiet \"and\" $HOME'\n")
    address = shop.address(
        argv=(*ssh, sys.executable), through_shell=True, env={"SHOP_MODE": 'quiet "and" $HOME'}
    )
    record = migrate(address)
    assert record.end.status == 0
    assert b"DATABASE_URL" not in record.output
    assert b"SSH_CONNECTION" not in record.output


def test_an_interpreter_whose_path_has_a_space(shop: Project, ssh: tuple[str, ...], tmp_path: Path) -> None:
    link = tmp_path / "my python's" / "python"
    link.parent.mkdir()
    link.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    link.chmod(0o755)
    assert inspect_default(shop.address(argv=(*ssh, str(link)), through_shell=True))["reachable"]


def test_without_the_flag_the_remote_shell_cannot_read_the_program(
    shop: Project, ssh: tuple[str, ...]
) -> None:
    with pytest.raises(errors.TargetError) as caught:
        inspect(shop.address(argv=(*ssh, sys.executable), through_shell=False))
    assert isinstance(caught.value, errors.TransportFailed | errors.InterpreterMissing)
    assert "syntax error" in caught.value.detail.lower()


def test_an_interpreter_that_is_not_there(shop: Project, ssh: tuple[str, ...]) -> None:
    with pytest.raises(errors.InterpreterMissing, match="/nowhere/bin/python"):
        inspect(shop.address(argv=(*ssh, "/nowhere/bin/python"), through_shell=True))


def test_a_host_that_does_not_let_us_in(shop: Project, ssh: tuple[str, ...]) -> None:
    stranger = tuple("nobody@127.0.0.1" if "@" in word else word for word in ssh)
    with pytest.raises(errors.TransportFailed, match="Permission denied"):
        inspect(shop.address(argv=(*stranger, sys.executable), through_shell=True))


def test_closing_the_client_stops_the_target(project: Project, ssh: tuple[str, ...]) -> None:
    project.python("0001_endless", "print('ready', os.getpid(), '!')\ntime.sleep(600)")
    address = project.address(argv=(*ssh, sys.executable), through_shell=True)
    with start(address) as session:
        heard = listen(session, has_said(b"!"))
    assert not alive(pid_in(heard))


def test_killing_the_client_stops_the_target(project: Project, ssh: tuple[str, ...]) -> None:
    project.python("0001_endless", "print('ready', os.getpid(), '!')\ntime.sleep(600)")
    session = start(project.address(argv=(*ssh, sys.executable), through_shell=True))
    heard = listen(session, has_said(b"!"))
    session._streams.kill()
    assert soon(lambda: not alive(pid_in(heard)))


def test_a_cancel_crosses(project: Project, ssh: tuple[str, ...]) -> None:
    project.python("0001_sleeps", "print('ready')\ntime.sleep(600)")
    with start(project.address(argv=(*ssh, sys.executable), through_shell=True)) as session:
        listen(session, has_said(b"ready"))
        began = time.monotonic()
        session.cancel()
        assert listen(session).end.rung == "polite"
    assert time.monotonic() - began < 4
