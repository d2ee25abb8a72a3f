"""What is around a job fails: the web process, a disk, a clock, the memory."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from tests.faults.assertions import PATIENCE_S, held_up
from tests.faults.conftest import MakeMarked
from tests.faults.marks import TALKS, UNTIL_TOLD
from tests.faults.room import is_told, prints, room, the_next_one_is_performed, works
from tests.integration.at_work import ask, state
from tests.integration.disks import Disk, fill, own_table_on
from tests.integration.test_clocks import is_now
from tests.integration.web import Web, web
from tests.integration.worker import until

pytestmark = pytest.mark.django_db(transaction=True)
VIEWERS = 50
FIRST = [["shop", "0001_table"]]


# The web process


@pytest.mark.slow
@pytest.mark.fault("F24")
def test_the_web_is_killed_and_started_again_under_fifty_viewers(
    marked: MakeMarked, people: dict[str, User], tmp_path: Path
) -> None:
    """Each goes on behind the last line that it has, and has all of them once at the end."""
    place = marked(TALKS)
    with room(tmp_path), ThreadPoolExecutor(VIEWERS) as several:
        with web(tmp_path / "web.log", people["operator"]) as site:
            job = ask(place.target)
            prints(job)
            before = [several.submit(lines_seen, site, job.pk, 0) for _ in range(VIEWERS)]
            until(lambda: is_told(job, "line 60\n"), "it prints on")
            os.killpg(site.process.pid, signal.SIGKILL)
            heard = [one.result(PATIENCE_S) for one in before]
        with web(tmp_path / "again.log", people["operator"], port=site.port) as site:
            after = [several.submit(lines_seen, site, job.pk, len(lines)) for lines in heard]
            place.tell("go-on")
            held_up(place, job, "succeeded")
            whole = [lines + more.result(PATIENCE_S) for lines, more in zip(heard, after, strict=True)]
        job.refresh_from_db()
        assert all(heard), "each had begun to read"
        assert {len(lines) for lines in whole} == {job.last_line}
        assert len({tuple(lines) for lines in whole}) == 1


def lines_seen(site: Web, job_id: int, after: int) -> list[str]:
    """Up to the end of the stream, or of its connection."""
    lines: list[str] = []
    with site.stream(f"/jobs/{job_id}/stream/?after={after}") as events:
        try:
            for name, data in events:
                if name == "lines":
                    assert data["first"] == after + len(lines) + 1, "no gap, no double"
                    lines += data["lines"]
                elif name == "end":
                    return lines
        except OSError:
            return lines
    return lines


# Disks, memory, clocks


@pytest.mark.slow
@pytest.mark.fault("F19")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_opsdashs_own_disk_is_full_for_a_while(
    marked: MakeMarked,
    small_disk: Disk,
    tmp_path: Path,
) -> None:
    """The job goes on; its lines wait, and are written when there is room."""
    place = marked(TALKS)
    with own_table_on(small_disk(1), "dbops_transcriptchunk") as disk, room(tmp_path):
        filler = fill(disk)
        job = ask(place.target)
        until(lambda: place.printed() > 60, "the target works")
        until(lambda: "No space left on device" in (tmp_path / "jobs.log").read_text(), "it is said")
        assert (state(job), job.last_line) == ("running", 0)
        filler.unlink()
        place.tell("go-on")
        held_up(place, job, "succeeded")


MEMORY = Path("/sys/fs/cgroup/memory")
EATS = """
mark.reached('works')
mark.wait_for('limited')
eaten = []
while True:
    eaten.append(bytearray(16 << 20))
"""


@contextmanager
def memory_group(megabytes: int) -> Iterator[Path]:
    group = MEMORY / f"opsdash-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(megabytes << 20))
        yield group
    finally:
        until(lambda: not (group / "cgroup.procs").read_text(), "nothing is in it any more")
        group.rmdir()


@pytest.mark.slow
@pytest.mark.fault("F5")
@pytest.mark.skipif(
    not os.access(MEMORY / "cgroup.procs", os.W_OK), reason="no group whose memory can be bounded here"
)
def test_a_target_that_the_kernel_kills_for_its_memory(marked: MakeMarked, tmp_path: Path) -> None:
    place = marked(EATS)
    with memory_group(200) as group, room(tmp_path):
        job = ask(place.target)
        works(place)
        (group / "cgroup.procs").write_text(str(place.starts()[0]))
        place.tell("limited")
        held_up(place, job, "failed")
        assert "a machine that runs out of memory does that" in job.outcome
        assert job.facts["recorded"] == FIRST


@pytest.mark.slow
@pytest.mark.fault("F5")
def test_a_target_whose_memory_is_bounded_fails_with_its_own_words(
    marked: MakeMarked, tmp_path: Path
) -> None:
    limit = f"import resource\nresource.setrlimit(resource.RLIMIT_AS, ({600 << 20}, {600 << 20}))\n"
    place = marked(limit + "mark.append('limited', '')\n" + EATS)
    with room(tmp_path):
        job = ask(place.target)
        held_up(place, job, "failed")
        assert "MemoryError" in job.outcome and job.facts["recorded"] == FIRST


@pytest.mark.slow
@pytest.mark.fault("F23")
@pytest.mark.skipif(shutil.which("faketime") is None, reason="there is no faketime on this machine")
@pytest.mark.parametrize("shift", ["+1h", "-1h"])
def test_the_clock_of_the_workers_is_an_hour_off(marked: MakeMarked, tmp_path: Path, shift: str) -> None:
    place = marked(UNTIL_TOLD)
    with room(tmp_path, **faked(shift)):
        job = ask(place.target)
        works(place)
        place.tell("go-on")
        held_up(place, job, "succeeded")
        the_next_one_is_performed(place)
    assert is_now(job.started_at) and is_now(job.finished_at)
    assert "was called lost" not in (tmp_path / "jobs.log").read_text()


def faked(shift: str) -> dict[str, str]:
    """The library alone: the program leaves shared memory behind when what it started is killed."""
    show = ["faketime", "-f", shift, "sh", "-c", "printf %s $LD_PRELOAD"]
    shown = subprocess.run(show, capture_output=True, text=True, check=True)
    return {
        "LD_PRELOAD": shown.stdout,
        "FAKETIME": shift,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
    }
