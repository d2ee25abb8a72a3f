import errno
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from embedded import clean, state
from embedded.errors import ChoiceError, MachineError
from embedded.state import State
from tests.unit.embedded_help import ROOT


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def place(tmp_path: Path) -> State:
    made = State(tmp_path / "state")
    state.create(made)
    return made


def test_an_ordinary_user_keeps_the_state_in_the_checkout() -> None:
    assert state.locate(Path("/home/alice/opsdash"), euid=1000).root == Path("/home/alice/opsdash/.state")


def test_root_keeps_it_where_a_system_user_can_reach_it_one_per_checkout() -> None:
    one, two = (state.locate(Path(path), euid=0).root for path in ("/root/opsdash", "/srv/opsdash"))
    assert re.fullmatch(r"/var/lib/opsdash/opsdash-[0-9a-f]{8}", str(one))
    assert one != two


def test_directories_are_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        place = State(tmp_path / "state")
        state.create(place)
        state.load_secrets(place)
    finally:
        os.umask(before)
    assert mode(place.root) == (0o711 if os.geteuid() == 0 else 0o700)
    assert {mode(folder) for folder in (place.logs, place.demo, place.run)} == {0o700}
    assert mode(place.secrets) == 0o600


def test_a_directory_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o750)
    state.create(State(tmp_path / "state"))
    assert mode(tmp_path / "state") == 0o750
    assert mode(tmp_path) == 0o700  # and so does its parent


def test_secrets_are_made_once(place: State) -> None:
    assert state.load_secrets(place) == state.load_secrets(place)
    assert len(set(json.loads(place.secrets.read_text()))) == 7


def test_secrets_are_not_in_a_repr(place: State) -> None:
    assert repr(state.load_secrets(place)) == "Secrets()"


def test_the_sealing_key_is_a_fernet_key_and_the_secret_key_is_long() -> None:
    made = state.new_secrets()
    assert Fernet(made.sealing_key)
    assert len(made.secret_key) >= 50


def test_each_person_gets_a_password_that_can_be_typed() -> None:
    people = state.new_secrets().people
    assert list(people) == ["superuser", "staff", "operator", "viewer"]
    assert all(
        re.fullmatch(r"([a-km-np-z2-9]{4}-){3}[a-km-np-z2-9]{4}", password) for password in people.values()
    )
    assert len(set(people.values())) == 4


def test_lost_secrets_are_not_replaced_beside_the_data_they_opened(place: State) -> None:
    place.postgres.mkdir()
    (place.postgres / "PG_VERSION").write_text("18\n")
    with pytest.raises(MachineError, match="is gone, and with it the passwords"):
        state.load_secrets(place)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"postgres": "x"}'])
def test_unreadable_secrets_are_a_sentence(place: State, content: str) -> None:
    place.secrets.write_text(content)
    with pytest.raises(MachineError, match="cannot be read as this version wrote it"):
        state.load_secrets(place)


def test_a_failed_write_leaves_the_old_file(place: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.write_private(place.ports, "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        state.write_private(place.ports, "new")
    assert place.ports.read_text() == "old"


@pytest.mark.parametrize("content", ["", "nonsense", "[1]", '{"postgres": "x"}'])
def test_unreadable_ports_are_chosen_anew(place: State, content: str) -> None:
    place.ports.write_text(content)
    assert state.read_ports(place) == {}


def test_a_second_start_is_refused_and_names_the_first(place: State) -> None:
    refused = pytest.raises(ChoiceError, match=rf"already runs from this checkout \(process {os.getpid()}\)")
    with state.locked(place), refused, state.locked(place):
        pytest.fail("two hold the lock")
    with state.locked(place):
        pass


def test_the_lock_of_a_killed_process_is_free(place: State) -> None:
    code = f"""
import os, signal
from pathlib import Path
from embedded import state
with state.locked(state.State(Path({str(place.root)!r}))):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == -9
    with state.locked(place):
        pass


def test_clean_state_removes_all_of_it(
    place: State, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(state, "locate", lambda: place)
    state.load_secrets(place)
    assert clean.main() == 0
    assert not place.root.exists()
    assert f"Removed {place.root}" in capsys.readouterr().out
    assert clean.main() == 0
    assert "There is no state" in capsys.readouterr().out


def test_clean_state_does_not_touch_what_is_in_use(
    place: State, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(state, "locate", lambda: place)
    with state.locked(place):
        assert clean.main() == 1
    assert place.logs.exists()
    assert "Nothing was removed." in capsys.readouterr().err
