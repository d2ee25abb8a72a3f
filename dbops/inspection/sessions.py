"""The session in which a target's database is read."""

from typing import Any

from dbops import conf


def session() -> dict[str, Any]:
    """Reading must neither wait for a lock for long nor run for ever."""
    return {
        "application_name": "opsdash inspection",
        "lock_timeout_ms": conf.knob("LOCK_TIMEOUT_MS"),
        "statement_timeout_ms": 1000 * conf.knob("INSPECTION_TIMEOUT_S"),
    }
