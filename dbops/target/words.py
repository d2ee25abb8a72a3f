"""The door's sentences, and what may be quoted in them."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from signal import Signals
from urllib.parse import urlsplit

from dbops.redaction import Redactor
from dbops.target.address import Address
from dbops.target.bundle import NO_INPUT, TOO_OLD
from dbops.target.errors import (
    InterpreterMissing,
    NotPython,
    PythonTooOld,
    TargetError,
    TransportFailed,
)
from dbops.target.frames import End
from dbops.target.streams import text_of

TAIL_BYTES = 20_000
QUOTED = 400
SECRET_NAME = re.compile(r"PASS|SECRET|TOKEN|CREDENTIAL|KEY$|URL|URI|DSN", re.IGNORECASE)
SHORTEST_SECRET = 6
# At the beginning of what is kept of an output, so that a secret that is cut in two there is not told.
MARGIN_BYTES = 4_000
COMMAND_NOT_FOUND = (126, 127)
# Why the agent climbs its ladder although nobody asked for it (dbops.agent.supervisor).
CALLER_GONE = "caller gone"


def secrets_of(env: Mapping[str, str]) -> list[str]:
    """The declared values that must not be quoted, the longest first. Of a URL that is its password."""
    secrets = {secret_in(value) for name, value in env.items() if SECRET_NAME.search(name)}
    return sorted((secret for secret in secrets if len(secret) >= SHORTEST_SECRET), key=len, reverse=True)


def secret_in(value: str) -> str:
    if "://" not in value:
        return value
    try:
        return urlsplit(value).password or ""
    except ValueError:
        return value


class Tail:
    """The last bytes of a target's output."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > 2 * TAIL_BYTES + MARGIN_BYTES:
            del self._data[: -(TAIL_BYTES + MARGIN_BYTES)]

    def text(self) -> str:
        """Masked before it is cut."""
        return self._redactor.clean(text_of(self._data))[-TAIL_BYTES:]


def quoted(text: str) -> str:
    """The end of a text, on one line, for the inside of a sentence."""
    text = " ".join(text.split())
    stop = "" if text.endswith(".") else "."
    return f' It said: "{text[-QUOTED:]}"{stop}' if text else " It said nothing."


def is_local(address: Address) -> bool:
    """The argv itself is the interpreter, not a client that leads to one."""
    return len(address.argv) == 1 and not address.through_shell


def cannot_start(address: Address, program: str, problem: OSError) -> TargetError:
    """`program` is argv[0] as it was started."""
    return InterpreterMissing(
        f"The program {program}, which should start the Python of {address.name}, "
        f"{why_not(program, problem)}. Nothing was changed. "
        "Correct the command that starts the target's Python."
    )


def why_not(program: str, problem: OSError) -> str:
    path = Path(program)
    if isinstance(problem, FileNotFoundError):
        return not_found(path) if "/" in program else "is not on the PATH of the worker"
    if isinstance(problem, PermissionError):
        return "is a directory" if path.is_dir() else "may not be executed by the worker's user"
    return f"cannot be started ({problem.strerror})"


def not_found(path: Path) -> str:
    """Also of what is there: a link, or a script whose first line names what is not."""
    if path.exists():
        return "is there, but the program that its first line names is not"
    if path.is_symlink():
        return f"is a link to {path.readlink()}, which does not exist: make its virtual environment anew"
    return "does not exist"


def did_not_start(address: Address, status: int | None, stderr: str, noise: str) -> TargetError:
    """The streams ended before the agent spoke."""
    if TOO_OLD in noise:
        return too_old(address, noise.partition(TOO_OLD)[2].split("\n")[0].strip())
    said = "\n".join(filter(None, [noise.strip(), stderr.strip()]))
    if status in COMMAND_NOT_FOUND:
        return InterpreterMissing(
            f"{' '.join(address.argv)} found no interpreter for {address.name}.{quoted(said)} "
            "Nothing was changed. Correct the command that starts the target's Python.",
            detail=said,
        )
    if NO_INPUT in said:
        return TransportFailed(
            f"What starts the Python of {address.name} keeps its standard input from it, through which the "
            "agent comes. Nothing was changed. Let it pass: docker exec -i, kubectl exec -i, ssh without -n, "
            "no </dev/null.",
            detail=said,
        )
    if is_local(address):
        return NotPython(
            f"{address.argv[0]} of {address.name} is not a Python interpreter that works; it ended with "
            f"{how(status)}.{quoted(said)} Nothing was changed. Name the target's Python.",
            detail=said,
        )
    return TransportFailed(
        f"{PurePath(address.argv[0]).name} did not lead to an interpreter of {address.name}; it ended with "
        f"{how(status)}.{quoted(said)} Nothing was changed. Try the command by hand as the worker's user.",
        detail=said,
    )


def too_old(address: Address, version: str) -> TargetError:
    return PythonTooOld(
        f"{address.name} runs Python {version}; the agent needs 3.8 or newer. Nothing was changed. "
        "Name a newer interpreter."
    )


def too_noisy(address: Address, stderr: str, noise: str) -> TargetError:
    return NotPython(
        f"What starts {address.name} writes without end and is not our agent.{quoted(stderr or noise)} "
        "Nothing was changed. Let the command start the target's Python and nothing else.",
        detail=stderr or noise,
    )


def how(status: int | None) -> str:
    if status is None:
        return "its output closed"
    return signal_words(-status) if status < 0 else f"status {status}"


def signal_words(number: int) -> str:
    try:
        return f"signal {number} ({Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def lost(address: Address, status: int | None, stderr: str) -> str:
    return (
        f"The connection to {address.name} was lost; the transport ended with {how(status)}.{quoted(stderr)} "
        "What runs there ends by itself when it notices that. Make sure that what leads there holds."
    )


def garbage(address: Address, problem: Exception) -> str:
    return (
        f"What came from {address.name} is not our protocol ({problem}). What ran there is stopped. "
        "Make sure that nothing else writes to the standard output of the transport."
    )


def never_started(address: Address, seconds: float) -> str:
    return (
        f"{address.name} did not start an interpreter within {seconds:.0f} s. Nothing was changed. "
        "Try its command by hand as the worker's user."
    )


def timed_out(address: Address, verb: str, seconds: float) -> str:
    return (
        f"{address.name} did not answer to {verb} within {seconds:g} s and was stopped. "
        "What was known before is still shown. See what its settings and apps wait for when they are "
        "imported, or allow it more time (OPSDASH_INSPECTION_TIMEOUT_S)."
    )


def ended_silently(address: Address, end: End, output: str) -> str:
    how_it_ended = signal_words(end.signal) if end.signal is not None else f"status {end.status}"
    wrote = "What it wrote last may say why." if output.strip() else "It wrote nothing."
    return (
        f"The process of {address.name} ended with {how_it_ended} in the middle, without an answer. {wrote} "
        f"{who_ended_it(end)}Correct the cause, then try again."
    )


def who_ended_it(end: End) -> str:
    if end.why == CALLER_GONE:
        return "It was told to end from outside opsdash, or what led to it was gone. "
    if end.rung or end.signal is None:
        return ""
    memory = "; a machine that runs out of memory does that" if end.signal == Signals.SIGKILL else ""
    return f"opsdash did not end it{memory}. "
