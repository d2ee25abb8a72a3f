import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded import leftovers, state, supervisor
from embedded.errors import ServerError
from embedded.keeper import FORWARDED, Notice
from embedded.processes import Program
from embedded.state import State
from embedded.supervisor import Stopped, Supervisor, printable
from tests.unit.embedded_help import eventually, processes_with, python_program

SLEEPER = "import time; print('here'); time.sleep(60)"


class Driven:
    """A supervisor whose `watch` runs until the keeper's pipe is closed."""

    def __init__(self, root: Path) -> None:
        self.place = State(root / "state")
        state.create(self.place)
        reader, self._writer = os.pipe()
        self._reader = reader
        self.notice = Notice(reader)
        self.supervisor = Supervisor(self.place, self.notice)
        self._watching = threading.Thread(target=self.supervisor.watch)

    def watch(self) -> None:
        self._watching.start()

    def give_notice(self) -> None:
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1

    def close(self) -> None:
        self.give_notice()
        if self._watching.is_alive():
            self._watching.join()
        self.supervisor.stop()
        os.close(self._reader)


@pytest.fixture
def driven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driven]:
    monkeypatch.setattr(supervisor, "BACK_OFF", (0.1, 0.4))
    before = {number: signal.getsignal(number) for number in FORWARDED}
    one = Driven(tmp_path)
    yield one
    one.close()
    for number, handler in before.items():
        signal.signal(number, handler)


def ending(what: str, folder: Path) -> Program:
    return python_program("web", f"print('here'); {what}", folder)


def test_what_ends_unexpectedly_is_started_again_and_told(
    driven: Driven, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    driven.supervisor.keep(ending("raise SystemExit(3)", tmp_path))
    driven.watch()
    log = driven.place.logs / "web.log"
    assert eventually(lambda: log.read_text().count("here") >= 3)
    assert "web        ended with status 3; it is started again in 0 s." in capsys.readouterr().out


def test_it_waits_longer_from_one_fall_to_the_next(
    driven: Driven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BACK_OFF", (0.1, 2.0))
    driven.supervisor.keep(python_program("web", "import time; print(time.monotonic())", tmp_path))
    driven.watch()
    log = driven.place.logs / "web.log"
    assert eventually(lambda: log.read_text().count("\n") >= 3)
    first, second, third = (float(line) for line in log.read_text().splitlines()[:3])
    assert second - first < 2.0 <= third - second


def test_children_of_what_fell_do_not_work_on_beside_its_successor(driven: Driven, tmp_path: Path) -> None:
    mark = f"child-of-fallen-{tmp_path.name}"
    code = f"""
import pathlib, subprocess, time
print('here')
if pathlib.Path('fallen').exists(): time.sleep(60)
pathlib.Path('fallen').touch()
subprocess.Popen(['sh', '-c', 'sleep 60; : {mark}'])
"""
    driven.supervisor.keep(python_program("jobs", code, tmp_path))
    driven.watch()
    assert eventually(lambda: (driven.place.logs / "jobs.log").read_text().count("here") == 2)
    assert not [line for line in processes_with(mark) if line.startswith("sh")]


def test_stopping_ends_opsdash_before_redis_and_redis_before_postgres(driven: Driven, tmp_path: Path) -> None:
    order = tmp_path / "order"
    code = """
import signal, sys, time
def end(*_):
    time.sleep(0.3); open('order', 'a').write(sys.argv[1] + ' '); sys.exit()
signal.signal(signal.SIGTERM, end); print('here'); time.sleep(60)
"""
    for name in ("postgres", "redis", "web"):
        driven.supervisor.keep(python_program(name, code, tmp_path, name))
        log = driven.place.logs / f"{name}.log"
        assert eventually(lambda log=log: "here" in log.read_text())  # type: ignore[misc]
    driven.supervisor.stop()
    assert order.read_text() == "web redis postgres "


def test_waiting_for_readiness_ends_with_the_notice(driven: Driven) -> None:
    pauses = driven.supervisor.pauses()
    next(pauses)
    driven.give_notice()
    with pytest.raises(Stopped):
        next(pauses)


def test_a_signal_is_a_notice(driven: Driven) -> None:
    assert not driven.notice.wait(0)
    os.kill(os.getpid(), signal.SIGTERM)
    assert driven.notice.wait(5)
    assert driven.notice.count == 1


@pytest.mark.parametrize(
    ("name", "line", "told"),
    [
        ("web", "2026-01-01 ERROR django.request: Internal Server Error", True),
        ("jobs", "Traceback (most recent call last):", True),
        ("jobs", "2026-01-01 INFO celery: ready", False),
        ("postgres", "ERROR:  relation does not exist", False),
        ("postgres", "PANIC:  could not write to file: No space left on device", True),
        ("redis", "# WARNING Memory overcommit must be enabled!", False),
    ],
)
def test_the_terminal_shows_what_is_wrong_and_not_the_rest(
    driven: Driven, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, line: str, told: bool
) -> None:
    running = driven.supervisor.run(python_program(name, f"print({line!r})", tmp_path))
    assert eventually(lambda: running.ended)
    running.finish()
    assert (line in capsys.readouterr().out) is told


def test_a_line_of_a_log_cannot_steer_the_terminal() -> None:
    assert printable("\x1b[2Jred\x07 \u202egreen") == " [2Jred   green"
    assert len(printable("x" * 10_000)) < 300


def test_what_an_interrupted_start_left_is_ended_by_the_next(driven: Driven, tmp_path: Path) -> None:
    running = driven.supervisor.keep(python_program("redis", SLEEPER, tmp_path))
    assert eventually(lambda: running.last_lines() == "here")
    assert json.loads(driven.place.roster.read_text()) == {"redis": leftovers.identity(running.pid)}
    threading.Thread(target=lambda: eventually(lambda: running.ended) and running.finish()).start()
    told: list[tuple[str, str]] = []
    leftovers.end(driven.place, lambda subject, what: told.append((subject, what)))
    assert running.ended
    assert told == [("state", "ending what an interrupted start left running: redis")]


def test_a_process_that_only_has_the_same_number_is_left_alone(driven: Driven, tmp_path: Path) -> None:
    running = driven.supervisor.keep(python_program("redis", SLEEPER, tmp_path))
    number, _, boot = leftovers.identity(running.pid)
    driven.place.roster.write_text(json.dumps({"redis": [number, "1", boot]}))
    leftovers.end(driven.place, lambda subject, what: pytest.fail("it was taken for ours"))
    assert not running.ended


def write_pid_file(data: Path, pid: int) -> Path:
    data.mkdir()
    pid_file = data / "postmaster.pid"
    pid_file.write_text(f"{pid}\n{data}\n")
    return pid_file


def quiet(subject: str, what: str) -> None:
    return None


def test_a_postmaster_file_that_names_some_other_process_is_removed(tmp_path: Path) -> None:
    pid_file = write_pid_file(tmp_path / "data", os.getpid())
    leftovers.clear_stale_pid_file(tmp_path / "data", quiet)
    assert not pid_file.exists()


def test_a_postmaster_that_works_on_the_data_is_not_disturbed(tmp_path: Path, driven: Driven) -> None:
    (tmp_path / "data").mkdir()
    running = driven.supervisor.run(python_program("by-hand", SLEEPER, tmp_path / "data"))
    (tmp_path / "data" / "postmaster.pid").write_text(f"{running.pid}\n")
    with pytest.raises(ServerError, match=rf"A Postgres \(process {running.pid}\) already works on"):
        leftovers.clear_stale_pid_file(tmp_path / "data", quiet)
    assert (tmp_path / "data" / "postmaster.pid").exists()


@pytest.mark.parametrize("content", ["", "nonsense", "2147483646\n"])
def test_a_postmaster_file_that_names_no_process_is_left_to_postgres(tmp_path: Path, content: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "postmaster.pid").write_text(content)
    leftovers.clear_stale_pid_file(tmp_path / "data", quiet)
    assert (tmp_path / "data" / "postmaster.pid").exists()
