"""The live tail: what a worker wrote into the rows, told to the web processes through Redis.

A message is one JSON document on the channel of a job: {"kind": "lines", "first": N, "lines": [...]},
{"kind": "tail", "text": "..."} or {"kind": "job"} (state or steps changed: read the rows). Nothing is kept
in Redis, so there is nothing to trim, to expire or to lose.
"""

import json
import logging
from functools import cache
from typing import Any

import redis

from dbops import conf

logger = logging.getLogger(__name__)


def channel(job_id: int) -> str:
    return f"opsdash:job:{job_id}"


def publish_lines(job_id: int, first: int, lines: list[str]) -> None:
    _publish(job_id, {"kind": "lines", "first": first, "lines": lines})


def publish_tail(job_id: int, text: str) -> None:
    _publish(job_id, {"kind": "tail", "text": text})


def publish_change(job_id: int) -> None:
    """State, steps or progress of the job changed."""
    _publish(job_id, {"kind": "job"})


def _publish(job_id: int, message: dict[str, Any]) -> None:
    try:
        _client().publish(channel(job_id), json.dumps(message))
    except redis.RedisError as error:
        logger.warning("job %s: the live tail is not told, followers read the rows: %s", job_id, error)


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(conf.redis_url(), socket_timeout=1, socket_connect_timeout=1)
