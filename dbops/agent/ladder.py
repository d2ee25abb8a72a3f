"""Stopping a child, one rung after the other. Pure: it says what is due and the supervisor does it."""

from __future__ import annotations

POLITE, TERMINATE, KILL, AT_ONCE = "polite", "terminate", "kill", "at once"
ALL = (POLITE, TERMINATE, KILL)
STUCK_AFTER_S = 10.0
# What the child is told at the polite rung: that a person asked for it, or that something else did.
ASKED, NOT_ASKED = b"a", b"n"


class Ladder:
    """`grace_s` is how long a rung may take before the next one is due."""

    def __init__(self, grace_s: float) -> None:
        self.grace_s = grace_s
        self.rung: str | None = None
        self.why: str | None = None
        self.stuck = False
        self._due: list[str] = []
        self._next_at: float | None = None

    @property
    def climbing(self) -> bool:
        return self.why is not None

    def start(self, why: str, now: float, rungs: tuple[str, ...] = ALL, grace_s: float | None = None) -> None:
        """Begin to climb. A second reason changes nothing: it does not make the child die slower."""
        if self.climbing:
            return
        self.why = why
        self.grace_s = self.grace_s if grace_s is None else grace_s
        self._due = list(rungs)
        self._next_at = now

    def due(self, now: float) -> str | None:
        """The rung to climb at this moment, or None."""
        if self._next_at is None or now < self._next_at:
            return None
        if not self._due:
            self.stuck = True
            self._next_at = None
            return None
        self.rung = self._due.pop(0)
        self._next_at = now + (self.grace_s if self._due else STUCK_AFTER_S)
        return self.rung

    def wait_s(self, now: float) -> float | None:
        """Seconds until something is due, or None."""
        return None if self._next_at is None else max(0.0, self._next_at - now)
