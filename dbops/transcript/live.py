"""The live tail: what a worker wrote into the rows, told to the web processes through Redis.

A message is one JSON document on the channel of a job: {"kind": "lines", "first": N, "at": T, "lines": [...],
"gap": [a, b] or null}, {"kind": "tail", "after": N, "text": "..."} (the unfinished line behind line N) or
{"kind": "job"} (state or steps changed: read the rows). All that Redis keeps is the unfinished last line, for
those who come while it stands; it expires by itself, and is out of date as soon as line N is not the last
one."""

import json
import logging
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import redis

from dbops import conf
from dbops.transcript.reading import Gap, Lines

logger = logging.getLogger(__name__)

TAIL_KEPT_S = 3600
# After a failure Redis is left alone for this long, so that a job does not wait for it.
PAUSE_S = 2.0


class Away:
    """Until when Redis is not asked (time.monotonic)."""

    until = 0.0


_away = Away()


def channel(job_id: int) -> str:
    return f"opsdash:job:{job_id}"


def tail_key(job_id: int) -> str:
    return f"{channel(job_id)}:tail"


@dataclass(frozen=True)
class LinesCame:
    lines: Lines
    gap: Gap | None


@dataclass(frozen=True)
class Tail:
    """The unfinished line behind line `after`."""

    after: int
    text: str


NO_TAIL = Tail(0, "")


def publish_lines(job_id: int, lines: Lines, gap: Gap | None = None) -> None:
    _publish(job_id, {"kind": "lines", **lines.document(), "gap": gap})


def publish_tail(job_id: int, after: int, text: str) -> bool:
    """False where it could not be told."""
    return _publish(job_id, {"kind": "tail", "after": after, "text": text}, is_kept=True)


def publish_change(job_id: int) -> None:
    """State, steps or progress of the job changed."""
    _publish(job_id, {"kind": "job"})


def heard(data: bytes) -> LinesCame | Tail | None:
    """A message as it came. None: the rows must be read, since something changed, or it is not understood."""
    try:
        message = json.loads(data)
        if message["kind"] == "lines":
            return _lines_of(message)
        if message["kind"] != "tail":
            return None
        _insist(int, message["after"])
        _insist(str, message["text"])
        return Tail(message["after"], message["text"])
    except (ValueError, KeyError, TypeError, OverflowError):
        logger.exception("a message of the live tail is not understood, the rows are read instead")
        return None


def _lines_of(message: dict[str, Any]) -> LinesCame:
    """Whoever may write to Redis may write anything there."""
    _insist(list, message["lines"])
    _insist(str, *message["lines"])
    _insist(int, message["first"], *(message["gap"] or ()))
    first_and_last = message["gap"]
    if first_and_last and len(first_and_last) != 2:
        raise ValueError(first_and_last)
    return LinesCame(Lines.of(message), tuple(first_and_last) if first_and_last else None)


def _insist(kind: type, *values: Any) -> None:
    if not all(isinstance(value, kind) for value in values):
        raise TypeError(kind)


def current_tail(job_id: int) -> Tail:
    """The unfinished last line as it was published last; NO_TAIL where there is none or Redis is away."""
    if time.monotonic() < _away.until:
        return NO_TAIL
    try:
        kept = _client().get(tail_key(job_id))
    except redis.RedisError as error:
        _leave_alone(job_id, error)
        return NO_TAIL
    found = heard(kept) if isinstance(kept, bytes) else None
    return found if isinstance(found, Tail) else NO_TAIL


def _publish(job_id: int, message: dict[str, Any], *, is_kept: bool = False) -> bool:
    if time.monotonic() < _away.until:
        return False
    text = json.dumps(message)
    try:
        with _client().pipeline(transaction=False) as commands:
            if is_kept:
                commands.set(tail_key(job_id), text, ex=TAIL_KEPT_S)
            commands.publish(channel(job_id), text)
            commands.execute()
    except redis.RedisError as error:
        _leave_alone(job_id, error)
        return False
    return True


def _leave_alone(job_id: int, error: redis.RedisError) -> None:
    _away.until = time.monotonic() + PAUSE_S
    logger.warning("job %s: the live tail is not told, followers read the rows: %s", job_id, error)


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(conf.redis_url(), socket_timeout=1, socket_connect_timeout=1)
