"""Through a real sshd on loopback: a remote shell parses the words again, no environment crosses."""

import getpass
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from dbops.target import errors
from dbops.target.address import Address
from embedded import ports
from tests.integration.agent.frames_of import has_said, inspect, inspect_default, listen, migrate, start
from tests.integration.agent.test_agent_stop import alive, pid_in, soon
from tests.integration.netns import elsewhere, why_not
from tests.targets.builder import Project

SSHD = "/usr/sbin/sshd"
CONFIGURATION = """\
Port {port}
ListenAddress {address}
HostKey {folder}/host
PidFile {folder}/pid
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd yes
Banner {folder}/banner
"""

# What ForceCommand, a .bashrc that prints or an account for one purpose come to: options of a key.
KEYS = {
    "user": "",
    "restricted": "restrict",
    "noisy": 'command="echo Welcome to the shop; echo motd >&2; eval \\"$SSH_ORIGINAL_COMMAND\\""',
    "single_purpose": 'command="echo This account is for backups only."',
    "ends_at_once": 'command="exit 1"',
}


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """The words that lead to a shell on this machine."""
    folder = tmp_path_factory.mktemp("ssh")
    with sshd(folder, "127.0.0.1") as port:
        yield words(folder, port)


@contextmanager
def sshd(folder: Path, address: str, *more: str, through: Sequence[str] = ()) -> Iterator[int]:
    """Its port. Each user of KEYS is let in with a key of that name."""
    (folder / "banner").write_text("Authorised use only.\n")
    for key in ("host", "other", *KEYS):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    allowed = [f"{options} {(folder / key).with_suffix('.pub').read_text()}" for key, options in KEYS.items()]
    (folder / "authorized_keys").write_text("".join(line.lstrip() for line in allowed))
    port = ports.choose()
    configuration = CONFIGURATION.format(folder=folder, port=port, address=address)
    (folder / "sshd_config").write_text(configuration + "".join(f"{line}\n" for line in more))
    if os.geteuid() == 0:
        # sshd's privilege separation insists on it; Debian's service makes it at its start.
        Path("/run/sshd").mkdir(exist_ok=True)
    argv = [*through, SSHD, "-D", "-e", "-f", str(folder / "sshd_config")]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as server:
        try:
            assert soon(lambda: listens(address, port))
            yield port
        finally:
            server.terminate()


def listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


def words(
    folder: Path, port: int, *more: str, key: str = "user", to: str = "127.0.0.1", known: str = "host"
) -> tuple[str, ...]:
    """As the manual recommends it."""
    public_key = (folder / known).with_suffix(".pub").read_text()
    (folder / f"known_{known}").write_text(f"[{to}]:{port} {public_key}")
    options = (
        *more,
        "BatchMode=yes",
        f"UserKnownHostsFile={folder}/known_{known}",
        "ServerAliveInterval=10",
        "ServerAliveCountMax=3",
        "ConnectTimeout=10",
        "IdentitiesOnly=yes",
    )
    with_o = tuple(word for option in options for word in ("-o", option))
    user = f"{getpass.getuser()}@{to}"
    return ("ssh", "-T", "-p", str(port), "-i", str(folder / key), *with_o, user)


def folder_of(ssh: tuple[str, ...]) -> Path:
    return Path(ssh[ssh.index("-i") + 1]).parent


def port_of(ssh: tuple[str, ...]) -> int:
    return int(ssh[ssh.index("-p") + 1])


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


def failing(shop: Project, ssh: tuple[str, ...], python: str = sys.executable) -> errors.TargetError:
    with pytest.raises(errors.TargetError) as caught:
        inspect(shop.address(argv=(*ssh, python), through_shell=True))
    return caught.value


def test_a_host_whose_key_is_another_is_not_spoken_to(shop: Project, ssh: tuple[str, ...]) -> None:
    error = failing(shop, words(folder_of(ssh), port_of(ssh), known="other"))
    assert isinstance(error, errors.TransportFailed)
    assert "Host key verification failed" in str(error) and "Nothing was changed." in str(error)


def test_a_host_whose_key_is_not_known_is_not_spoken_to(shop: Project, ssh: tuple[str, ...]) -> None:
    error = failing(shop, words(folder_of(ssh), port_of(ssh), "UserKnownHostsFile=/dev/null"))
    assert isinstance(error, errors.TransportFailed) and "Host key verification failed" in str(error)


def test_a_host_that_does_not_exist(shop: Project, ssh: tuple[str, ...]) -> None:
    error = failing(shop, words(folder_of(ssh), port_of(ssh), to="shop.invalid"))
    assert isinstance(error, errors.TransportFailed) and "Could not resolve hostname shop.invalid" in str(
        error
    )


def test_a_host_where_nobody_listens(shop: Project, ssh: tuple[str, ...]) -> None:
    error = failing(shop, words(folder_of(ssh), ports.choose()))
    assert isinstance(error, errors.TransportFailed) and "Connection refused" in str(error)


def test_a_question_for_a_password_is_not_waited_for(shop: Project, ssh: tuple[str, ...]) -> None:
    """Also without BatchMode: nobody sits at a terminal."""
    asks = words(folder_of(ssh), port_of(ssh), "BatchMode=no", "PreferredAuthentications=password")
    began = time.monotonic()
    error = failing(shop, asks)
    assert isinstance(error, errors.TransportFailed) and "Permission denied" in str(error)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("key", ["noisy", "restricted"])
def test_a_shell_that_greets_and_a_restricted_key_lead_there(
    shop: Project, ssh: tuple[str, ...], key: str
) -> None:
    noisy = words(folder_of(ssh), port_of(ssh), key=key)
    address = shop.address(argv=(*noisy, sys.executable), through_shell=True)
    assert len(inspect_default(address)["plan"]) == 3


@pytest.mark.parametrize(
    ("key", "said"),
    [("single_purpose", "This account is for backups only."), ("ends_at_once", "it ended with status 1.")],
)
def test_an_account_that_runs_another_command_leads_to_no_interpreter(
    shop: Project, ssh: tuple[str, ...], key: str, said: str
) -> None:
    error = failing(shop, words(folder_of(ssh), port_of(ssh), key=key))
    assert isinstance(error, errors.TransportFailed)
    assert said in str(error) and "ssh did not lead to an interpreter" in str(error)


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


def test_the_end_of_the_session_over_there_stops_the_target(project: Project, ssh: tuple[str, ...]) -> None:
    """As when an administrator ends it, or its host goes down."""
    project.python("0001_endless", "print('ready', os.getpid(), '!')\ntime.sleep(600)")
    with start(project.address(argv=(*ssh, sys.executable), through_shell=True)) as session:
        pid = pid_in(listen(session, has_said(b"!")))
        os.kill(session_of_sshd(pid), signal.SIGKILL)
        with pytest.raises(errors.ConnectionLost) as caught:
            listen(session)
    assert "ssh" not in str(caught.value).partition("It said")[0]
    assert soon(lambda: not alive(pid))


def session_of_sshd(pid: int) -> int:
    """The nearest ancestor that is an sshd."""
    while "sshd" not in Path(f"/proc/{pid}/comm").read_text():
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


def test_a_line_that_is_cut_without_a_word_is_noticed_on_both_sides(project: Project, tmp_path: Path) -> None:
    if why := why_not():
        pytest.skip(f"{why}: the line cannot be cut")
    project.python("0001_endless", "print('ready', os.getpid(), '!')\ntime.sleep(600)")
    watchful = ("ClientAliveInterval 1", "ClientAliveCountMax 2")
    with elsewhere() as there, sshd(tmp_path, there.there, *watchful, through=there.words) as port:
        fast = ("ServerAliveInterval=1", "ServerAliveCountMax=2")
        ssh = words(tmp_path, port, *fast, to=there.there)
        with start(project.address(argv=(*ssh, sys.executable), through_shell=True)) as session:
            pid = pid_in(listen(session, has_said(b"!")))
            there.cut()
            with pytest.raises(errors.ConnectionLost, match="not responding"):
                listen(session)
        assert soon(lambda: not alive(pid), seconds=20)
