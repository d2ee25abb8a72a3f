"""The lock that a job waits for, as its agent tells it, and as Job.lock_wait keeps it.

`{"waits": [...], "seen_at": ISO, "retry": null | {"attempt", "attempts", "again_at": ISO}}`; `waits` as
dbops/agent/blockers.py gives them. With `retry` the wait is over: the try ended, and another one follows.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from dbops.models.clock import now, passed

Waits = list[dict[str, Any]]


class LockWait:
    """What was heard last; `clean` takes secrets out of a text."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        self._clean = clean
        self._waits: Waits = []
        # What the try waited for that has just ended.
        self._before: Waits = []
        self._retry: dict[str, Any] | None = None
        self._heard = self._rested = passed()
        self._said: object = None

    def hear(self, waits: Waits) -> None:
        self._waits = cleaned(waits, self._clean)
        # What is shown during a rest was seen before it.
        self._heard = passed() if waits else self._heard

    def rest(self, attempt: int, attempts: int, again_in_s: float, waits: Waits) -> None:
        """`waits`: of the try that ended, at its end; empty where that was not seen."""
        self._before = cleaned(waits, self._clean)
        self._retry = {"attempt": attempt, "attempts": attempts, "again_in_s": again_in_s}
        self._rested = passed()

    def begin(self) -> bool:
        """A step begins, for the first time or again; True when that ends a rest."""
        rested, self._retry, self._before = self._retry is not None, None, []
        return rested

    def news(self) -> str:
        """A line for the transcript, when somebody else is in the way than before."""
        who = [(wait["pid"], wait["relation"], pids_of(wait)) for wait in self._waits]
        if not who or who == self._said:
            return ""
        self._said = who
        return "\n".join(map(sentence, self._waits))

    def document(self) -> dict[str, Any] | None:
        """As it is kept now. Asks our database what time it is."""
        waits = self._waits if self._retry is None else self._before
        if not waits and self._retry is None:
            return None
        retry = self._retry and {
            "attempt": self._retry["attempt"],
            "attempts": self._retry["attempts"],
            "again_at": ago(self._rested + self._retry["again_in_s"]),
        }
        return {"waits": waits, "seen_at": ago(self._heard), "retry": retry}


def ago(moment: float) -> str:
    """A moment of `passed()` by our database's clock."""
    return (now() - timedelta(seconds=passed() - moment)).isoformat()


def cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [cleaned(item, clean) for item in value]
    return {key: cleaned(item, clean) for key, item in value.items()} if isinstance(value, dict) else value


def pids_of(wait: Mapping[str, Any]) -> list[Any]:
    return [one["pid"] or one.get("gid") for one in wait["blockers"] if one["direct"]]


def sentence(wait: Mapping[str, Any]) -> str:
    direct = [who(one) for one in wait["blockers"] if one["direct"]]
    return f"waits for {lock_of(wait)}; blocked by {', '.join(direct) or 'a session that is not seen'}"


def lock_of(wanted: Mapping[str, Any]) -> str:
    """`AccessExclusiveLock on shop_order`"""
    on = {"transactionid": "a row of ", "tuple": "a row of "}.get(wanted["locktype"], "")
    relation = wanted["relation"] or ("another transaction" if on else wanted["locktype"])
    return f"{wanted['mode']} on {on if wanted['relation'] else ''}{relation}"


def who(blocker: Mapping[str, Any]) -> str:
    """`pid 4242 (psql, role shop), idle in transaction`"""
    if not blocker["pid"]:
        return f"the prepared transaction {blocker.get('gid', '')}".rstrip()
    return ", ".join(filter(None, [f"pid {blocker['pid']} ({whom(blocker)})", blocker.get("state")]))


def whom(blocker: Mapping[str, Any]) -> str:
    role = f"role {blocker['user']}" if blocker.get("user") else ""
    return ", ".join(filter(None, [blocker.get("application_name"), role])) or "no name"
