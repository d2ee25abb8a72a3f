"""The live tail: what a worker wrote into the rows, told to the web processes through Redis.

A message is one JSON document on the channel of a job: {"kind": "lines", "first": N, "at": T, "lines": [...],
"gap": [a, b] or null}, {"kind": "tail", "text": "..."} or {"kind": "job"} (state or steps changed: read the
rows). All that Redis keeps is the unfinished last line, for those who come while it stands, and that expires
by itself.
"""

import json
import logging
import time
from functools import cache
from typing import Any

import redis

from dbops import conf
from dbops.transcript.reading import Lines

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


def publish_lines(job_id: int, lines: Lines, gap: tuple[int, int] | None = None) -> None:
    _publish(job_id, {"kind": "lines", **lines.document(), "gap": gap})


def publish_tail(job_id: int, text: str) -> None:
    _publish(job_id, {"kind": "tail", "text": text}, keep=text)


def current_tail(job_id: int) -> str:
    """The unfinished last line as it was published last; "" where there is none or Redis is away."""
    try:
        kept = _client().get(tail_key(job_id))
    except redis.RedisError:
        return ""
    return kept.decode() if isinstance(kept, bytes) else ""


def publish_change(job_id: int) -> None:
    """State, steps or progress of the job changed."""
    _publish(job_id, {"kind": "job"})


def _publish(job_id: int, message: dict[str, Any], keep: str | None = None) -> None:
    if time.monotonic() < _away.until:
        return
    try:
        with _client().pipeline(transaction=False) as commands:
            if keep is not None:
                commands.set(tail_key(job_id), keep, ex=TAIL_KEPT_S)
            commands.publish(channel(job_id), json.dumps(message))
            commands.execute()
    except redis.RedisError as error:
        _away.until = time.monotonic() + PAUSE_S
        logger.warning("job %s: the live tail is not told, followers read the rows: %s", job_id, error)


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(conf.redis_url(), socket_timeout=1, socket_connect_timeout=1)
