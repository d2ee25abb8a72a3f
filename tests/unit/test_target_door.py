"""The door against a transport that the test plays itself."""

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from dbops.agent import frames as agent
from dbops.redaction import MASK
from dbops.target import door, errors, frames
from dbops.target.address import Address
from dbops.target.bundle import bundle

ADDRESS = Address("shop", ("python",), env={"SHOP_PASSWORD": "swordfish-4711"})
HELLO = agent.PREAMBLE + agent.encode(
    {"type": "hello", "protocol": 1, "python": "3.11.7", "executable": "", "pid": 1}
)
END = agent.encode(
    {
        "type": "end",
        "exit_status": 0,
        "signal": None,
        "rung": None,
        "why": None,
        "output_open": False,
        "stuck": False,
    }
)


def test_no_nul_comes_out_of_a_frame() -> None:
    data = {"a\0b": ["c\0", {"d": "\0"}, 1, None], "e": r"\u0000"}
    (event,) = frames.Decoder().feed(agent.encode({"type": "event", "name": "n", "data": data}))
    clean = {"a\ufffdb": ["c\ufffd", {"d": "\ufffd"}, 1, None], "e": r"\u0000"}
    assert event == frames.Event("n", clean)


class Played:
    """A transport whose far end is a function of (read, write) in a thread."""

    def __init__(self, far_end: Callable[["Played"], None], status: int = 0) -> None:
        self.pid = 4711
        self.status = status
        self.killed = False
        self.far_stdin, self.stdin = os.pipe()
        self.stdout, self.far_stdout = os.pipe()
        self.stderr, self.far_stderr = os.pipe()
        self.thread = threading.Thread(target=self._run, args=(far_end,))
        self.thread.start()

    def _run(self, far_end: Callable[["Played"], None]) -> None:
        try:
            far_end(self)
        finally:
            os.close(self.far_stdout)
            os.close(self.far_stderr)

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = os.read(self.far_stdin, size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def write(self, data: bytes) -> None:
        os.write(self.far_stdout, data)

    def read_request(self) -> dict[str, Any]:
        self.read(len(bundle()))
        self.write(HELLO)
        return agent.read_one(self.read)

    def read_to_the_end(self) -> bytes:
        data = b""
        while more := os.read(self.far_stdin, 1000):
            data += more
        return data

    def poll(self) -> int | None:
        return None if self.thread.is_alive() else self.status

    def close_stdin(self) -> None:
        os.close(self.stdin)
        self.stdin = -1

    def kill(self) -> None:
        self.killed = True
        if self.stdin >= 0:
            self.close_stdin()
        self.thread.join(5)
        os.close(self.stdout)
        os.close(self.stderr)
        os.close(self.far_stdin)


class Runner:
    def __init__(self, far_end: Callable[[Played], None], status: int = 0) -> None:
        self.far_end = far_end
        self.status = status
        self.argv: list[str] = []
        self.env: dict[str, str] = {}

    def __call__(self, argv: Sequence[str], env: Mapping[str, str]) -> Played:
        self.argv, self.env = list(argv), dict(env)
        self.process = Played(self.far_end, self.status)
        return self.process


def call(runner: Runner, address: Address = ADDRESS) -> Any:
    return door.call(address, "inspect", {}, timeout_s=5, runner=runner)


def test_the_request_carries_the_secrets_and_the_argv_does_not() -> None:
    requests = []

    def far_end(played: Played) -> None:
        requests.append(played.read_request())
        played.write(agent.encode({"type": "answer", "data": {"n": 1}}) + END)

    runner = Runner(far_end)
    assert call(runner) == {"n": 1}
    assert requests[0]["env"] == {"SHOP_PASSWORD": "swordfish-4711"}
    assert "swordfish" not in str(runner.argv) + str(runner.env)
    assert runner.process.killed


def test_secrets_are_sent_to_nobody_who_does_not_say_hello() -> None:
    heard = []

    def far_end(played: Played) -> None:
        played.write(b"Welcome to the wrong program\n")
        os.close(played.far_stdout)
        played.far_stdout = os.dup(2)
        heard.append(played.read_to_the_end())

    with pytest.raises(errors.NotPython):
        call(Runner(far_end))
    assert b"swordfish" not in heard[0]


def test_frames_that_arrive_byte_by_byte() -> None:
    def far_end(played: Played) -> None:
        played.read(len(bundle()))
        for byte in b"noise\n" + HELLO:
            played.write(bytes([byte]))
        agent.read_one(played.read)
        for byte in agent.encode({"type": "answer", "data": {"n": 1}}) + END:
            played.write(bytes([byte]))

    assert call(Runner(far_end)) == {"n": 1}


def test_an_agent_of_another_protocol_is_refused() -> None:
    def far_end(played: Played) -> None:
        played.read(len(bundle()))
        played.write(HELLO.replace(b'"protocol":1', b'"protocol":2'))
        played.read_to_the_end()

    with pytest.raises(errors.ProtocolBroken, match="protocol 2"):
        call(Runner(far_end))


def test_bytes_that_are_no_frames_are_refused() -> None:
    def far_end(played: Played) -> None:
        played.read_request()
        played.write(b"somebody else writes here too\n")
        played.read_to_the_end()

    with pytest.raises(errors.ProtocolBroken):
        call(Runner(far_end))


def test_a_connection_that_ends_in_the_middle_is_lost_and_says_why() -> None:
    def far_end(played: Played) -> None:
        played.read_request()
        os.write(played.far_stderr, b"client_loop: send disconnect: Broken pipe, swordfish-4711\n")

    with pytest.raises(errors.ConnectionLost, match="Broken pipe") as caught:
        call(Runner(far_end, status=255))
    assert "swordfish" not in str(caught.value) + caught.value.detail


def test_an_end_without_an_answer_shows_the_last_words_without_secrets() -> None:
    def far_end(played: Played) -> None:
        played.read_request()
        played.write(
            agent.encode({"type": "output"}, b"x" * 30_000 + b"the password is swordfish-4711") + END
        )

    with pytest.raises(errors.TargetBroken, match="status 0") as caught:
        call(Runner(far_end))
    assert caught.value.output.endswith("xxx" + f"the password is {MASK}")
    assert len(caught.value.output) <= 20_000


def test_a_cancel_waits_for_the_request_and_is_sent_once() -> None:
    heard = []

    def far_end(played: Played) -> None:
        played.read_request()
        heard.append(played.read_to_the_end())

    runner = Runner(far_end)
    with door.open_session(ADDRESS, "perform", {}, runner=runner) as session:
        session.cancel()
        session.cancel()
        assert session.receive(0.3) is None
    assert heard == [frames.encode({"type": "cancel"})]


def test_nothing_yet_is_none() -> None:
    def far_end(played: Played) -> None:
        played.read_request()
        played.read_to_the_end()

    with door.open_session(ADDRESS, "perform", {}, runner=Runner(far_end)) as session:
        assert session.receive(0.05) is None


@pytest.mark.parametrize("kind", [*errors.KINDS, "something new"])
def test_every_failure_is_a_sentence_that_names_the_target(kind: str) -> None:
    error = {"type": kind, "message": "This happened", "traceback": "", "fault": "target", "facts": {}}

    def far_end(played: Played) -> None:
        played.read_request()
        played.write(agent.encode({"type": "error", "error": error}) + END)

    with pytest.raises(errors.TargetError) as caught:
        call(Runner(far_end))
    sentence = str(caught.value)
    assert "shop" in sentence and "This happened. " in sentence and sentence.endswith(".")
    assert json.dumps(caught.value.facts) == "{}"
