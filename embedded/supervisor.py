"""Keeps programs running: starts them, restarts what ends unexpectedly, stops all in order."""

import contextlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from embedded import leftovers
from embedded.keeper import Notice, reap_adopted
from embedded.processes import Program, Running, stop_all
from embedded.screen import say
from embedded.state import State, write_private

POLL_SECONDS = 0.2
READY_POLL_SECONDS = 0.03
BACK_OFF = (1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_SECONDS = 60.0
# The servers log what their clients do wrong as well; that is told where it happens.
SERVERS = ("postgres", "redis")
TROUBLE = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|^Traceback")
TROUBLE_OF_SERVERS = re.compile(r"\bPANIC\b|No space left on device|MISCONF|Fatal error")
WIDTH = 220


class Stopped(Exception):
    """The person, or the machine, asked to end before everything had started."""


@dataclass
class Kept:
    """A program that has to run: its process, how often it ended in a row, when to start it again."""

    program: Program
    running: Running
    falls: int = 0
    again_at: float | None = None


class Supervisor:
    """Everything that one `make run` has started."""

    def __init__(self, state: State, notice: Notice) -> None:
        self._state = state
        self._notice = notice
        self._kept: dict[str, Kept] = {}
        self._started: list[Running] = []
        self._stopping = False

    def run(self, program: Program) -> Running:
        """Start a program that ends by itself."""
        running = Running(program, self._state.logs / f"{program.name}.log", self._hear)
        self._started.append(running)
        return running

    def keep(self, program: Program) -> Running:
        """Start a program that has to run until the end."""
        running = self.run(program)
        self._kept[program.name] = Kept(program, running)
        self._write_roster()
        return running

    def pauses(self) -> Iterator[None]:
        """The beats of waiting for something to be ready; raises Stopped when asked to end meanwhile."""
        while True:
            yield
            if self._notice.wait(READY_POLL_SECONDS):
                raise Stopped

    def watch(self) -> None:
        """Return when asked to end; until then start again whatever ends."""
        while not self._notice.wait(POLL_SECONDS):
            for kept in self._kept.values():
                self._look_after(kept)
            reap_adopted({one.pid for one in self._started})

    def _look_after(self, kept: Kept) -> None:
        now = time.monotonic()
        if kept.again_at is None and kept.running.ended:
            self._take_note_of_fall(kept, now)
        if kept.again_at is not None and now >= kept.again_at:
            kept.again_at = None
            kept.running = self.run(kept.program)
            self._write_roster()

    def _take_note_of_fall(self, kept: Kept, now: float) -> None:
        how = kept.running.how_it_ended()  # and children that it left would work on beside its successor
        self._started.remove(kept.running)
        kept.falls = 0 if now - kept.running.started > STEADY_SECONDS else kept.falls
        delay = BACK_OFF[min(kept.falls, len(BACK_OFF) - 1)]
        kept.falls += 1
        kept.again_at = now + delay
        say(kept.program.name, f"ended {how}; it is started again in {delay:.0f} s. See {kept.running.log}")

    def stop(self) -> None:
        """End opsdash's processes, then Redis, then Postgres: each while what it needs is still there."""
        self._stopping = True
        self._end([one for one in self._started if one.program.name not in SERVERS])
        for name in reversed(SERVERS):
            self._end([one for one in self._started if one.program.name == name])
        self._state.roster.unlink(missing_ok=True)

    def _end(self, running: list[Running]) -> None:
        count = self._notice.count
        killed = stop_all(running, hurry=lambda: self._notice.count > count, waiting=self._tell_waiting)
        if killed:
            say("stop", f"{' and '.join(killed)} did not end in time and had to be killed")

    def _tell_waiting(self, names: list[str]) -> None:
        say("stop", f"waiting for {', '.join(names)} to finish (Ctrl-C once more ends them at once)")

    def _write_roster(self) -> None:
        rows = {name: leftovers.identity(kept.running.pid) for name, kept in self._kept.items()}
        with contextlib.suppress(OSError):  # a full disk must not end what runs
            write_private(self._state.roster, json.dumps(rows))

    def _hear(self, name: str, line: str) -> None:
        trouble = TROUBLE_OF_SERVERS if name in SERVERS else TROUBLE
        if not self._stopping and trouble.search(line):
            say(name, printable(line))


def printable(line: str) -> str:
    """A line of a log as a terminal may have it: no control signs, not endless."""
    clean = "".join(sign if sign.isprintable() else " " for sign in line)
    return clean if len(clean) <= WIDTH else f"{clean[:WIDTH]}..."
