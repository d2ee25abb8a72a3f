"""Nothing may be left running, whoever is killed. The marks are words in the command lines of what runs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.embedded_help import ROOT, eventually, processes_with

WORK = """
import os, subprocess, sys, time
from embedded import keeper
mark = sys.argv[1]
if "deaf" in mark:
    keeper.LADDER = tuple((number, 0.5) for number, _ in keeper.LADDER)

def work(notice):
    # One child in the group, one with a session of its own, one whose parent has gone.
    subprocess.Popen(["sh", "-c", f"sleep 60; : {mark} plain"])
    subprocess.Popen(["sh", "-c", f"sleep 60; : {mark} own session"], start_new_session=True)
    deaf = "trap '' TERM INT;" if "deaf" in mark else ""
    orphan = f"({deaf} setsid sh -c 'sleep 60; : {mark} orphan') >/dev/null 2>&1 &"
    subprocess.run(["sh", "-c", orphan])
    print(os.getpid(), flush=True)
    while not notice.wait(60):
        pass
    print("in order", flush=True)
    return 7

sys.exit(keeper.keep(work, own_session=sys.argv[2] == "own"))
"""


class Kept:
    """A keeper with its worker, and what the worker has started."""

    def __init__(self, mark: str, session: str) -> None:
        self.mark = mark
        self.keeper = subprocess.Popen(
            [sys.executable, "-c", WORK, mark, session],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.keeper.stdout is not None
        self.output = self.keeper.stdout
        self.worker = int(self.output.readline())
        assert eventually(lambda: len(self.left()) >= 3)

    def left(self) -> list[str]:
        return [line for line in processes_with(self.mark) if "sleep 60" in line and "keep(" not in line]

    def ends_with(self, status: int) -> bool:
        return self.keeper.wait(20) == status and eventually(lambda: not processes_with(self.mark), 20)

    def close(self) -> None:
        self.output.close()
        self.keeper.kill()
        self.keeper.wait()


@pytest.fixture(params=["own", "shared"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    one = Kept(f"mark-{os.getpid()}-{tmp_path.name}", request.param)
    yield one
    one.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_keeper_ends_the_work_in_order(kept: Kept, number: signal.Signals) -> None:
    kept.keeper.send_signal(number)
    assert kept.output.readline() == "in order\n"
    assert kept.ends_with(7)


def test_ctrl_c_ends_the_work_in_order(kept: Kept) -> None:
    os.killpg(kept.keeper.pid, signal.SIGINT)  # as a terminal does
    assert kept.output.readline() == "in order\n"
    assert kept.ends_with(7)


def test_nothing_is_left_when_the_worker_is_killed(kept: Kept) -> None:
    os.kill(kept.worker, signal.SIGKILL)
    assert kept.ends_with(128 + 9)


def test_the_work_ends_in_order_when_the_keeper_is_killed(kept: Kept) -> None:
    kept.keeper.kill()
    assert kept.output.readline() == "in order\n"
    assert eventually(lambda: not Path(f"/proc/{kept.worker}/exe").exists())
    assert not processes_with(kept.mark)


@pytest.mark.parametrize("killed", ["worker", "keeper"])
def test_what_ignores_every_request_is_killed(tmp_path: Path, killed: str) -> None:
    kept = Kept(f"mark-deaf-{os.getpid()}-{tmp_path.name}", "own")
    os.kill(kept.worker if killed == "worker" else kept.keeper.pid, signal.SIGKILL)
    assert eventually(lambda: not processes_with(kept.mark), 20)
    kept.close()
