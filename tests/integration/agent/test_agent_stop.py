"""Stopping: the ladder, a caller that is gone, a supervisor that is killed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dbops.target import door
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import Record, has_said, listen, start
from tests.targets.builder import Project, make_project

IGNORES_INTERRUPTS = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("ready", os.getpid(), "!")
while True:
    time.sleep(1)
"""


WORKER = """
import sys, time
from pathlib import Path
import django

django.setup()
from tests.integration.agent.frames_of import has_said, listen, start
from tests.targets.builder import Project

record = listen(start(Project(Path(sys.argv[1])).address()), has_said(b"!"))
print(record.output.partition(b"ready ")[2].split()[0].decode(), flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def soon(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def pid_in(record: Record) -> int:
    return int(record.output.partition(b"ready ")[2].split()[0])


def test_a_polite_stop_interrupts_python(project: Project) -> None:
    project.python("0001_sleeps", "print('ready')\ntry:\n    time.sleep(600)\nfinally:\n    print('unwound')")
    with start(project.address()) as session:
        listen(session, has_said(b"ready"))
        session.cancel()
        session.cancel()
        record = listen(session)
    assert record.failure.type == "cancelled"
    assert record.failure.facts["recorded_after"] == []
    assert b"unwound" in record.output
    assert (record.end.rung, record.end.why) == ("polite", "cancelled")
    assert [event["name"] for event in record.events("step_failed")] == ["0001_sleeps"]


def test_a_running_query_is_cancelled_on_the_server(tmp_path: Path, database: Database) -> None:
    project = make_project(tmp_path / "mini", {"default": database.settings})
    project.migration("0001_item", 'migrations.RunSQL("CREATE TABLE item (n integer)")')
    project.migration("0002_query", 'migrations.RunSQL("INSERT INTO item SELECT 1 FROM pg_sleep(600)")')
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT%' AND state = 'active'"
    with start(project.address()) as session:
        listen(session, has_said(b"0002_query..."))
        assert soon(lambda: database.rows(running) == [(1,)])
        began = time.monotonic()
        session.cancel()
        record = listen(session)
    assert time.monotonic() - began < 4
    assert record.end.rung == "polite"
    assert record.failure.facts["recorded_after"] == [["shop", "0001_item"]]
    assert database.rows(running) == [(0,)]
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    assert database.rows(f"{held} AND {here}") == [(0,)]


def test_a_running_query_of_sqlite_is_interrupted(project: Project) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    project.migration("0001_endless", f'migrations.RunSQL("{numbers}")')
    with start(project.address()) as session:
        listen(session, has_said(b"0001_endless..."))
        time.sleep(0.3)
        session.cancel()
        record = listen(session)
    assert (record.end.rung, record.failure.type) == ("polite", "cancelled")


def test_a_target_that_swallows_the_query_s_cancellation_is_interrupted_all_the_same(
    project: Project,
) -> None:
    source = "print('ready')\nwhile True:\n    try:\n        time.sleep(0.2)\n"
    source += "    except Exception:\n        continue"
    project.python("0001_stubborn", source)
    with start(project.address()) as session:
        listen(session, has_said(b"ready"))
        session.cancel()
        assert listen(session).end.rung == "polite"


def test_a_stop_ends_an_exception_whose_words_never_end(project: Project) -> None:
    source = "class Endless(Exception):\n    def __str__(self):\n        print('ready')\n"
    source += "        while True:\n            time.sleep(0.05)\nraise Endless"
    project.python("0001_endless", source)
    with start(project.address()) as session:
        listen(session, has_said(b"ready"))
        session.cancel()
        record = listen(session)
    assert (record.end.rung, record.failure.type) == ("polite", "cancelled")
    assert record.failure.facts["recorded_after"] == []


def test_one_that_ignores_interrupts_is_terminated(project: Project) -> None:
    project.python("0001_deaf", IGNORES_INTERRUPTS)
    with start(project.address(), grace_s=0.5) as session:
        heard = listen(session, has_said(b"!"))
        session.cancel()
        record = listen(session)
    assert (record.end.rung, record.end.signal) == ("terminate", signal.SIGTERM)
    assert not alive(pid_in(heard))


def test_one_that_ignores_that_too_is_killed(project: Project) -> None:
    project.python(
        "0001_deaf", "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)" + IGNORES_INTERRUPTS
    )
    with start(project.address(), grace_s=0.5) as session:
        heard = listen(session, has_said(b"!"))
        session.cancel()
        record = listen(session)
    assert (record.end.rung, record.end.signal) == ("kill", signal.SIGKILL)
    assert not alive(pid_in(heard))


def test_a_stop_reaches_the_programs_that_a_migration_started(project: Project) -> None:
    source = "child = subprocess.Popen(['sleep', '600'])\nprint('ready', child.pid, '!')\nchild.wait()"
    project.python("0001_program", source)
    with start(project.address()) as session:
        heard = listen(session, has_said(b"!"))
        session.cancel()
        assert listen(session).failure.type == "cancelled"
    assert not alive(pid_in(heard))


def test_a_cancel_before_the_work_began_ends_it_at_once(shop: Project) -> None:
    shop.settings("\nimport time\nprint('ready')\ntime.sleep(600)\n")
    with start(shop.address()) as session:
        listen(session, has_said(b"ready"))
        began = time.monotonic()
        session.cancel()
        record = listen(session)
    assert time.monotonic() - began < 3
    assert (record.end.rung, record.end.signal) == ("at once", signal.SIGKILL)
    assert not shop.sqlite.exists()


def test_a_cancel_before_anything_started_ends_it_at_once(shop: Project) -> None:
    shop.settings("\nimport time\ntime.sleep(600)\n")
    with start(shop.address()) as session:
        session.cancel()
        assert listen(session).end.rung == "at once"


@pytest.mark.parametrize("source", ["time.sleep(600)", "while True:\n    pass"])
def test_end_of_stdin_stops_the_target(project: Project, source: str) -> None:
    project.python("0001_endless", f"print('ready', os.getpid(), '!')\n{source}")
    with start(project.address()) as session:
        heard = listen(session, has_said(b"!"))
    assert session.end is not None
    assert session.end.why == "caller gone"
    assert not alive(pid_in(heard))


def test_a_caller_that_is_killed_takes_the_target_with_it(project: Project) -> None:
    project.python("0001_endless", "print('ready', os.getpid(), '!')\ntime.sleep(600)")
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(project.path)], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout
    pid = int(worker.stdout.readline())
    assert alive(pid)
    worker.kill()
    worker.communicate()
    assert soon(lambda: not alive(pid))


def test_a_killed_supervisor_takes_the_child_with_it(project: Project) -> None:
    project.python("0001_endless", "print('ready', os.getpid(), '!')\ntime.sleep(600)")
    session = start(project.address())
    heard = listen(session, has_said(b"!"))
    os.kill(session.pid, signal.SIGKILL)
    assert soon(lambda: not alive(pid_in(heard)), 3)
    session.close()


def test_a_killed_supervisor_takes_a_child_in_native_code_with_it(project: Project) -> None:
    source = "import ctypes\nprint('ready', os.getpid(), '!')\nctypes.PyDLL(None).sleep(600)"
    project.python("0001_native", source)
    session = start(project.address())
    heard = listen(session, has_said(b"!"))
    os.kill(session.pid, signal.SIGKILL)
    assert soon(lambda: not alive(pid_in(heard)), 3)
    session.close()


def test_a_supervisor_that_is_told_to_terminate_stops_politely(project: Project) -> None:
    project.python("0001_sleeps", "print('ready')\ntime.sleep(600)")
    with start(project.address()) as session:
        listen(session, has_said(b"ready"))
        os.kill(session.pid, signal.SIGTERM)
        record = listen(session)
    assert (record.end.rung, record.end.why) == ("polite", "caller gone")
    assert (record.failure.type, record.failure.fault) == ("ended_from_outside", "server")


@pytest.mark.slow
def test_threads_that_do_not_end_are_not_waited_for(project: Project) -> None:
    project.settings("\nimport threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\n")
    project.python("0001_fine", "pass")
    with start(project.address()) as session:
        record = listen(session)
    assert record.answer["recorded_after"] == [["shop", "0001_fine"]]
    assert record.end.why == "lingered"


def test_closing_leaves_no_process_behind(project: Project) -> None:
    project.python("0001_endless", "time.sleep(600)")
    for wait_s in (0, 0.01, 0.1, 0.5):
        session = start(project.address())
        time.sleep(wait_s)
        session.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(session.pid, 0)
            raise AssertionError(f"group {session.pid} is still there after {wait_s} s")


def test_a_call_that_takes_too_long_is_stopped(shop: Project) -> None:
    shop.settings("\nimport time, os\nprint('ready', os.getpid(), flush=True)\ntime.sleep(600)\n")
    with pytest.raises(door.TimedOut) as caught:
        door.call(shop.address(), "inspect", {}, timeout_s=1.5)
    assert not alive(int(caught.value.output.split()[1]))


def test_a_backend_of_a_killed_target_is_gone_soon(tmp_path: Path, database: Database) -> None:
    project = make_project(tmp_path / "mini", {"default": database.settings})
    project.python("0001_query", "schema_editor.execute('SELECT pg_sleep(600)')")
    mine = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    session = start(project.address())
    listen(session, has_said(b"0001_query..."))
    os.kill(session.pid, signal.SIGKILL)
    assert soon(lambda: database.rows(mine) == [(0,)])
    session.close()


@pytest.mark.parametrize(
    "started", ["subprocess.Popen(['sleep', '600'])", "subprocess.Popen('sleep 600 & wait', shell=True)"]
)
def test_a_killed_supervisor_takes_the_programs_of_a_migration_with_it(
    project: Project, started: str
) -> None:
    project.python("0001_program", f"child = {started}\nprint('ready', child.pid, '!')\nchild.wait()")
    session = start(project.address())
    pid = pid_in(listen(session, has_said(b"!")))
    os.kill(session.pid, signal.SIGKILL)
    assert soon(lambda: not alive(pid), 3)
    session.close()


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("ending", ["itself", "cancel", "os._exit"])
def test_what_watches_the_supervisor_ends_with_the_job(project: Project, ending: str) -> None:
    source = "print('ready', os.getpid(), '!')\ntime.sleep(1)\n"
    project.python("0001_waits", source + ("os._exit(3)" if ending == "os._exit" else "pass"))
    with start(project.address()) as session:
        listen(session, has_said(b"!"))
        pids = children_of(session.pid)
        if ending == "cancel":
            session.cancel()
        assert not listen(session).end.output_open
        assert len(pids) == 2
        assert soon(lambda: not any(map(alive, pids)), 2)


def test_the_target_has_no_children_that_it_did_not_start(project: Project) -> None:
    source = (
        "try:\n    print(os.waitpid(-1, os.WNOHANG))\nexcept ChildProcessError:\n    print('none of mine')"
    )
    project.python("0001_waits", source)
    with start(project.address()) as session:
        assert b"none of mine" in listen(session).output
