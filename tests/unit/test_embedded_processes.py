import signal
import time
from pathlib import Path

import pytest

from embedded.errors import ServerError
from embedded.processes import LOG_BYTES, Program, Running, stop_all
from tests.unit.embedded_help import eventually, processes_with, python_program

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)"
OBEDIENT = "import time; print('here'); time.sleep(60)"


def start(program: Program, log: Path) -> Running:
    running = Running(program, log)
    assert eventually(lambda: running.last_lines() != "")
    return running


def test_each_line_goes_to_the_log_and_is_heard(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []
    code = "import os; os.write(1, b'one\\r\\ntwo \\xff\\nlast without an end')"
    running = Running(
        python_program("talker", code, tmp_path),
        tmp_path / "t.log",
        lambda name, line: heard.append((name, line)),
    )
    running.finish() if eventually(lambda: running.ended) else None
    assert heard == [("talker", "one"), ("talker", "two �"), ("talker", "last without an end")]
    assert (tmp_path / "t.log").read_text() == "one\ntwo �\nlast without an end\n"


def test_a_log_does_not_grow_without_end(tmp_path: Path) -> None:
    code = f"print(('x' * 999 + '\\n') * ({LOG_BYTES} // 1000 * 3))"
    running = Running(python_program("talker", code, tmp_path), tmp_path / "t.log")
    assert eventually(lambda: running.ended, 60)
    running.finish()
    assert sum(file.stat().st_size for file in tmp_path.glob("t.log*")) <= 2 * LOG_BYTES


def test_a_line_without_end_does_not_grow_in_memory(tmp_path: Path) -> None:
    heard: list[int] = []
    code = "import os; [os.write(1, b'x' * 60000) for _ in range(20)]"
    running = Running(
        python_program("talker", code, tmp_path),
        tmp_path / "t.log",
        lambda name, line: heard.append(len(line)),
    )
    assert eventually(lambda: running.ended)
    running.finish()
    assert sum(heard) == 20 * 60000
    assert max(heard) <= 2 * 65536


def test_a_program_is_not_held_up_by_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    heard: list[str] = []
    code = "print('x' * 500000); print('done')"
    running = Running(
        python_program("talker", code, tmp_path), Path("/dev/full"), lambda name, line: heard.append(line)
    )
    assert eventually(lambda: running.ended)
    assert running.finish() == 0
    assert heard[-1] == "done"


def test_stdin_is_empty_unless_something_is_given(tmp_path: Path) -> None:
    running = Running(python_program("reader", "print(repr(input()))", tmp_path), tmp_path / "r.log")
    assert eventually(lambda: running.ended)
    assert running.how_it_ended() == "with status 1"
    assert "EOFError" in running.last_lines()


def test_a_program_can_be_told_to_go_on(tmp_path: Path) -> None:
    program = python_program("waiter", "print('got', repr(input()))", tmp_path)
    running = Running(
        Program(program.name, program.argv, program.env, program.cwd, stdin=b""), tmp_path / "w.log"
    )
    running.write(b"go\n")
    assert eventually(lambda: running.ended)
    assert running.finish() == 0
    assert running.last_lines() == "got 'go'"


def test_the_signal_that_ended_a_program_is_named(tmp_path: Path) -> None:
    running = start(python_program("sleeper", OBEDIENT, tmp_path), tmp_path / "s.log")
    running.ask_to_stop()
    assert eventually(lambda: running.ended)
    assert running.how_it_ended() == "by SIGTERM"


def test_stopping_asks_with_the_programs_own_signal(tmp_path: Path) -> None:
    code = (
        "import time\ntry:\n print('here'); time.sleep(60)\nexcept KeyboardInterrupt:\n print('interrupted')"
    )
    program = python_program("sleeper", code, tmp_path)
    program = Program(program.name, program.argv, program.env, program.cwd, stop_signal=signal.SIGINT)
    running = start(program, tmp_path / "s.log")
    assert stop_all([running]) == []
    assert running.last_lines() == "here\ninterrupted"


def test_what_does_not_stop_in_its_time_is_killed_and_named(tmp_path: Path) -> None:
    deaf = start(python_program("deaf", DEAF, tmp_path, grace=0.3), tmp_path / "d.log")
    obedient = start(python_program("obedient", OBEDIENT, tmp_path), tmp_path / "o.log")
    assert stop_all([deaf, obedient]) == ["deaf"]
    assert deaf.how_it_ended() == "by SIGKILL"


def test_hurry_does_not_wait_for_the_grace(tmp_path: Path) -> None:
    deaf = start(python_program("deaf", DEAF, tmp_path, grace=60), tmp_path / "d.log")
    began = time.monotonic()
    assert stop_all([deaf], hurry=lambda: True) == ["deaf"]
    assert time.monotonic() - began < 5


def test_who_takes_long_is_told_once(tmp_path: Path) -> None:
    told: list[list[str]] = []
    deaf = start(python_program("deaf", DEAF, tmp_path, grace=4.0), tmp_path / "d.log")
    stop_all([deaf], waiting=told.append)
    assert told == [["deaf"]]


def test_children_that_a_program_leaves_end_with_it(tmp_path: Path) -> None:
    mark = f"left-by-{tmp_path.name}"
    code = f"import subprocess; subprocess.Popen(['sh', '-c', 'sleep 60; : {mark}']); print('left one')"
    running = start(python_program("parent", code, tmp_path), tmp_path / "p.log")
    assert eventually(lambda: running.ended)
    assert any(line.startswith("sh") for line in processes_with(mark))
    running.finish()
    assert eventually(lambda: not [line for line in processes_with(mark) if line.startswith("sh")])


def test_a_program_that_does_not_exist_is_a_sentence(tmp_path: Path) -> None:
    program = Program("redis", ("/nowhere/redis-server",), {}, tmp_path)
    with pytest.raises(ServerError, match="redis cannot be started: /nowhere/redis-server: No such file"):
        Running(program, tmp_path / "r.log")


def test_no_repr_shows_environment_or_stdin(tmp_path: Path) -> None:
    program = Program("p", ("true",), {"A": "hidden-1"}, tmp_path, stdin=b"hidden-2")
    assert "hidden" not in repr(program)
