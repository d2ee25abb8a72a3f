"""What a target writes arrives complete, as it is, and in the order of the events."""

import time

import pytest

from dbops.target import errors
from tests.integration.agent.frames_of import has_said, inspect, listen, migrate, start
from tests.targets.builder import Project


@pytest.mark.parametrize("attempt", range(10))
def test_what_was_written_before_os_exit_arrives_complete(project: Project, attempt: int) -> None:
    project.python("0001_leaves", 'print("x" * 200_000, end="")\nsys.stdout.write("the end")\nos._exit(3)')
    record = migrate(project.address())
    written = record.output.partition(b"0001_leaves...")[2]
    assert written == b"x" * 200_000 + b"the end"
    assert record.end.status == 3


def test_events_and_output_keep_their_order(project: Project) -> None:
    names = [f"{number:04}_step" for number in range(1, 41)]
    for name in names:
        project.python(name, f'print("inside {name}")')
    story = "".join(migrate(project.address()).story)
    positions = [
        story.index(part.format(name))
        for name in names
        for part in (
            "<step_started {}>",
            "Applying shop.{}...",
            "inside {}\n",
            "<step_finished {}>",
        )
    ]
    assert positions == sorted(positions)
    assert all(f" OK\n<step_finished {name}>" in story for name in names)


def test_a_megabyte_written_by_c_code_that_holds_the_gil_does_not_hang(project: Project) -> None:
    project.python("0001_native", 'import ctypes\nctypes.PyDLL(None).write(1, b"c" * (1 << 20), 1 << 20)')
    assert migrate(project.address()).output.count(b"c" * 1000) == (1 << 20) // 1000


def test_input_meets_end_of_file_instead_of_the_protocol(project: Project) -> None:
    project.python("0001_asks", "input('sure? ')")
    record = migrate(project.address())
    assert record.failure.type == "failed"
    assert record.failure.message.startswith("EOFError")
    assert b"sure? " in record.output


def test_the_target_s_stdin_is_not_the_protocol_s(project: Project) -> None:
    project.python("0001_tells", "print(os.path.samestat(os.fstat(0), os.stat(os.devnull)))")
    assert b"0001_tells...True" in migrate(project.address()).output


def test_a_password_prompt_finds_no_terminal(project: Project) -> None:
    project.python("0001_asks", "open('/dev/tty')")
    assert "OSError" in migrate(project.address()).failure.message


def test_a_forked_grandchild_that_keeps_the_output_open_is_ended_with_its_group(project: Project) -> None:
    project.python(
        "0001_forks", "if os.fork() == 0:\n    print('grandchild')\n    time.sleep(600)\n    os._exit(0)"
    )
    began = time.monotonic()
    record = migrate(project.address())
    assert record.answer["recorded_after"] == [["shop", "0001_forks"]]
    assert not record.end.output_open
    assert time.monotonic() - began < 10


def test_a_grandchild_in_a_session_of_its_own_does_not_hang_the_end_and_is_named(project: Project) -> None:
    source = "subprocess.Popen(['sleep', '20'], start_new_session=True)"
    project.python("0001_daemon", source)
    began = time.monotonic()
    record = migrate(project.address())
    assert record.end.output_open
    assert time.monotonic() - began < 10


def test_a_forked_grandchild_cannot_speak_on_the_protocol(project: Project) -> None:
    project.migration("0001_first", "")
    source = "pid = os.fork()\nif pid:\n    os.waitpid(pid, 0)"
    project.python("0002_forks", source)
    project.python("0003_last", "pass")
    record = migrate(project.address())
    started = [event["name"] for event in record.events("step_started") if event["kind"] == "migration"]
    assert started == ["0001_first", "0002_forks", "0003_last"]


def test_prints_at_import_and_in_settings_do_not_disturb(shop: Project) -> None:
    noise = (
        "\nimport sys, os\nprint('noise' * 50)\nos.write(1, b'raw noise')\nsys.stderr.write('error noise')\n"
    )
    shop.write("settings.py", noise + (shop.path / "settings.py").read_text())
    shop.write("manage.py", noise + (shop.path / "manage.py").read_text())
    shop.write("shop/models.py", noise)
    assert len(inspect(shop.address())["databases"][0]["plan"]) == 3
    assert b"raw noise" in migrate(shop.address()).output


def test_a_target_that_replaces_its_streams_is_heard(project: Project) -> None:
    replaced = "\nimport io, sys\nclass Loud(io.TextIOBase):\n    def write(self, text):\n"
    replaced += "        sys.__stdout__.write(text.upper())\n        return len(text)\nsys.stdout = Loud()\n"
    project.settings(replaced)
    project.python("0001_says", "print('hello')")
    assert b"HELLO" in migrate(project.address()).output


def test_bytes_pass_as_they_are(project: Project) -> None:
    strange = bytes(range(256)) * 3 + b"\xff\xfe\r\n\x00\xc3"
    project.python("0001_bytes", f"sys.stdout.buffer.write({strange!r})\nsys.stdout.flush()")
    assert strange in migrate(project.address()).output


def test_a_failure_with_nul_and_lone_surrogates_is_storable_text(project: Project) -> None:
    project.python("0001_strange", r"raise ValueError('nul \x00 lone \udcff end')")
    failure = migrate(project.address()).failure
    assert "\0" not in failure.message + failure.traceback
    assert r"nul \x00 lone \udcff end" in failure.message
    failure.traceback.encode()


def test_a_line_is_seen_before_it_is_finished(project: Project) -> None:
    project.python("0001_slow", "print('half a line', end='')\ntime.sleep(60)")
    with start(project.address()) as session:
        began = time.monotonic()
        listen(session, has_said(b"0001_slow...half a line"))
        assert time.monotonic() - began < 10


def test_a_reader_that_pauses_holds_the_target_back_and_loses_nothing(project: Project) -> None:
    source = (
        "for n in range(400):\n    print('%06d' % n + 'y' * 50_000)\n    open('written', 'w').write(str(n))"
    )
    project.python("0001_much", source)
    with start(project.address()) as session:
        record = listen(session, has_said(b"000001y"))
        time.sleep(1.5)
        assert int((project.path / "written").read_text()) < 100
        record.frames += listen(session).frames
    lines = record.output.partition(b"0001_much...")[2].splitlines()[:400]
    assert [line[:6] for line in lines] == [b"%06d" % number for number in range(400)]
    assert {len(line) for line in lines} == {50_006}
    assert record.answer["recorded_after"] == [["shop", "0001_much"]]


def test_a_cancel_is_heard_while_the_reader_reads_nothing(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    beat = tmp_path_factory.mktemp("beat") / "beat"
    source = f"while True:\n    print('z' * 100_000)\n    open({str(beat)!r}, 'w').write(str(time.time()))"
    project.python("0001_endless", source)
    with start(project.address(), grace_s=0.5) as session:
        listen(session, has_said(b"zzz"))
        time.sleep(1.0)
        session.cancel()
        time.sleep(4.0)
        stopped = beat.stat().st_mtime
        time.sleep(0.5)
        assert beat.stat().st_mtime == stopped
        assert listen(session).end.why == "cancelled"


WRITES_INTO_PIPES = """
import stat
for fd in range({first}, {last}):
    try:
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.write(fd, {data!r})
    except OSError:
        continue
"""


@pytest.mark.parametrize("data", [b"A" * 64, b"\0\0\0\2\0\0\0\0[]", b'\0\0\0\x0e\0\0\0\0{"type":"end"}'])
def test_a_target_that_writes_into_the_agent_s_channel_is_stopped_and_told(
    project: Project, data: bytes
) -> None:
    source = "print('before')" + WRITES_INTO_PIPES.format(first=3, last=300, data=data) + "time.sleep(600)"
    project.python("0001_strays", source)
    began = time.monotonic()
    record = migrate(project.address())
    assert time.monotonic() - began < 10
    assert (record.failure.type, record.failure.fault) == ("spoiled", "target")
    assert (record.end.why, record.end.signal) == ("spoiled", 9)
    assert b"before" in record.output
    assert not record.failure.facts["recorded_known"]
    assert "inspect the target" in str(errors.from_failure("shop", record.failure))


def test_stray_bytes_for_low_descriptors_do_not_reach_the_agent(project: Project) -> None:
    project.python("0001_strays", WRITES_INTO_PIPES.format(first=3, last=64, data=b"A" * 64))
    assert migrate(project.address()).answer["recorded_after"] == [["shop", "0001_strays"]]
