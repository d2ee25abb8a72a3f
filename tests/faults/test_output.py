"""Whatever a target prints, and whoever prints on when it has ended, the transcript is what it says it is."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from dbops.models import Job
from dbops.transcript.reading import read_all
from tests.faults.assertions import PATIENCE_S, held_up
from tests.faults.conftest import MakeMarked
from tests.faults.marks import UNTIL_TOLD
from tests.faults.room import pool_process, room
from tests.integration.at_work import ask, state
from tests.integration.web import Web, web
from tests.integration.worker import runs, until

pytestmark = pytest.mark.django_db(transaction=True)
MEGABYTE = 1 << 20
FLOOD = """
chunk = b'x' * (1 << 20)
for _ in range({megabytes}):
    written = 0
    while written < len(chunk):
        written += os.write(1, chunk[written:])
print(flush=True)
"""


def lines_of(job: Job) -> list[str]:
    return [line.rstrip("\n") for line in read_all(job.pk)]


def most_memory_of(pid: int) -> int:
    """Bytes of memory that a process has held at most."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmHWM" in line]
    return int(line.split()[1]) * 1024


@pytest.mark.slow
@pytest.mark.fault("F20")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("megabytes", [30, 1024])
def test_of_a_flood_without_a_line_feed_the_first_and_the_last_part_are_kept(
    marked: MakeMarked, tmp_path: Path, megabytes: int
) -> None:
    place = marked(FLOOD.format(megabytes=megabytes) + UNTIL_TOLD)
    with room(tmp_path) as worker:
        job = ask(place.target)
        until(lambda: place.has("works"), "all is printed", seconds=500)
        memory = most_memory_of(pool_process(worker, place))
        place.tell("go-on")
        held_up(place, job, "succeeded")
    kept = sum(len(line) for line in lines_of(job) if set(line) == {"x"})
    if megabytes < 100:
        assert kept == megabytes * MEGABYTE and job.gap is None
    else:
        assert 90_000_000 < kept < 100_000_000
        assert job.gap
        begin = sum(len(line) for line in list(read_all(job.pk))[: job.gap[0] - 1])
        assert 49_000_000 < begin < 51_000_000
        assert f"opsdash: lines {job.gap[0]:,} to {job.gap[1]:,} are not kept" in "".join(read_all(job.pk))
        missing = (job.gap[1] - job.gap[0] + 1) * (len("x") * 16384)
        assert abs(kept + missing - megabytes * MEGABYTE) < MEGABYTE, "the numbers are true"
    assert memory < 400 * MEGABYTE, f"the worker held {memory >> 20} MB"


BYTES = r"""
out = lambda data: (os.write(1, data), time.sleep(0.3))
out(b'nul \0 here\n')
out(b'caf\xc3')
out(b'\xa9 whole\n')
out(b'broken \xff\xe2\x82')
out(b'\nbar 1 %\rbar 2 %')
out(b'\rbar 100 %\r')
out(b'\n')
"""


@pytest.mark.fault("F20")
def test_nul_and_utf_8_that_is_broken_or_cut_at_the_edge_of_a_batch(
    marked: MakeMarked, tmp_path: Path
) -> None:
    place = marked(BYTES)
    with room(tmp_path):
        job = ask(place.target)
        held_up(place, job, "succeeded")
    lines = lines_of(job)
    begin = lines.index("line 20") + 1
    assert lines[begin : begin + 4] == [
        "nul \ufffd here",
        "café whole",
        "broken \ufffd\ufffd",
        "bar 100 %",
    ]


FORGED = r"""
for end in ('\n', '\r', '\r\n'):
    print('event: job_state' + end + 'data: <b>succeeded</b>' + end + end, flush=True)
print('\revent: end\rdata: {"state": "succeeded"}\r\rid: 99999\r\r', flush=True)
print('a separator \u2028 and \x85 and \x0b\x0c here', flush=True)
"""


@pytest.mark.slow
@pytest.mark.fault("F20")
def test_carriage_returns_forge_no_event_of_the_stream(
    marked: MakeMarked, people: dict[str, User], tmp_path: Path
) -> None:
    place = marked(FORGED + "raise ValueError('it fails')")
    with room(tmp_path), web(tmp_path / "web.log", people["operator"]) as site:
        job = ask(place.target)
        held_up(place, job, "failed")
        events = list(events_of(site, job))
    assert {name for name, _ in events} <= {"lines", "tail", "fragments", "end"}
    assert [data for name, data in events if "<b>succeeded" in data and name != "lines"] == []
    assert [name for name, _ in events].count("end") == 1


def events_of(site: Web, job: Job) -> Iterator[tuple[str, str]]:
    """As a browser reads them: a carriage return ends a line, too."""
    text = site.get(f"{job.get_absolute_url()}stream/", Accept="text/event-stream").text
    for block in re.split(r"(?:\r\n|\r|\n){2}", text):
        fields = [line.partition(":") for line in re.split(r"\r\n|\r|\n", block)]
        named = {name: value.strip() for name, _, value in fields if name in ("event", "data")}
        if named:
            yield named.get("event", "message"), named.get("data", "")


MANY = """
for thousand in range({thousands}):
    sys.stdout.write("".join("fast %d\\n" % (1000 * thousand + number) for number in range(1000)))
"""


@pytest.mark.slow
@pytest.mark.fault("F20")
@pytest.mark.timeout(600)
def test_lines_that_come_faster_than_they_can_be_kept_are_all_kept(
    marked: MakeMarked, tmp_path: Path
) -> None:
    """500,000 of them, as fast as the target can: it waits in its write."""
    place = marked(MANY.format(thousands=500) + UNTIL_TOLD)
    with room(tmp_path) as worker:
        job = ask(place.target)
        until(lambda: place.has("works"), "all is printed", seconds=300)
        memory = most_memory_of(pool_process(worker, place))
        place.tell("go-on")
        held_up(place, job, "succeeded")
    numbers = [int(line[5:]) for line in lines_of(job) if line.startswith("fast ")]
    assert numbers == list(range(500_000))
    assert memory < 400 * MEGABYTE, f"the worker held {memory >> 20} MB"


# Who prints on when it has ended


LEFT_RUNNING = "A process that the target started in a session of its own was left running"
DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        mark.append('daemon', '%d' % os.getpid())
        while not os.path.exists(mark.HERE + '/daemon-ends'):
            time.sleep(0.05)
    os._exit(0)
os.wait()
mark.wait_for('daemon')
"""


@pytest.mark.fault("F21")
@pytest.mark.parametrize(
    ("more", "ends"),
    [
        pytest.param("", "succeeded", id="after success"),
        pytest.param("raise ValueError('no')", "failed", id="after failure", marks=pytest.mark.slow),
    ],
)
def test_a_daemon_that_keeps_the_output_open_holds_up_no_job_and_is_told_of(
    marked: MakeMarked, tmp_path: Path, more: str, ends: str
) -> None:
    place = marked(DAEMON + more)
    with room(tmp_path):
        job = ask(place.target)
        until(lambda: state(job) == ends, "it does not wait for the daemon", PATIENCE_S)
        daemon = int((place.folder / "daemon").read_text())
        assert runs(daemon), "which works on"
        place.tell("daemon-ends")
        held_up(place, job, ends)
    assert LEFT_RUNNING in job.outcome
    assert any(LEFT_RUNNING in line for line in lines_of(job))


@pytest.mark.slow
@pytest.mark.fault("F21")
def test_a_fork_in_the_group_of_the_job_is_ended_with_it(marked: MakeMarked, tmp_path: Path) -> None:
    place = marked("if os.fork() == 0:\n    time.sleep(600)\n    os._exit(0)")
    with room(tmp_path):
        job = ask(place.target)
        held_up(place, job, "succeeded")
    assert LEFT_RUNNING not in job.outcome
