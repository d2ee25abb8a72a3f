"""A polite stop, from a thread beside the work: psycopg2 does not react to a signal until its query ends."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Iterator

# Why it stops, as type, words and fault of the failure that comes of it; the first reason counts.
ON_REQUEST = ("cancelled", "It was stopped on request.", "person")
FROM_OUTSIDE = (
    "ended_from_outside",
    "Its process was told to end from outside opsdash, or what led to it is gone.",
    "server",
)

requested: tuple[str, str, str] | None = None
_connections: list[Any] = []
_main_thread = _thread.get_ident()
_shielded = _postponed = False


def follow(connection: Any) -> None:
    """From now on a polite stop ends what this connection (a DatabaseWrapper) is doing."""
    if connection not in _connections:
        _connections.append(connection)


def followed() -> list[Any]:
    """The connections of the work, in the order in which they were opened."""
    return list(_connections)


def stop(why: tuple[str, str, str]) -> None:
    """End the running queries, then interrupt the main thread and whatever programs it waits for."""
    global requested
    requested = requested or why
    for connection in list(_connections):
        stop_query(connection.connection)
    os.killpg(os.getpgid(0), signal.SIGINT)


def stop_query(raw: Any) -> None:
    """`raw` is the driver's connection or None. psycopg 2 and 3: cancel(); sqlite3: interrupt()."""
    act = getattr(raw, "cancel", None) or getattr(raw, "interrupt", None)
    if act is None:
        return
    try:
        act()
    except Exception as problem:
        os.write(2, b"opsdash: the running query could not be cancelled: %r\n" % problem)


def on_interrupt(*_: Any) -> None:
    """Python's own reaction to SIGINT, put off while a frame is sent: half a frame would spoil all others."""
    global _postponed
    if not _shielded:
        raise KeyboardInterrupt
    _postponed = True


@contextlib.contextmanager
def shield() -> Iterator[None]:
    """No interrupt of the main thread in here; one that came is raised behind it."""
    global _shielded, _postponed
    if _thread.get_ident() != _main_thread:
        yield
        return
    _shielded = True
    try:
        yield
    finally:
        _shielded = False
    if _postponed:
        _postponed = False
        raise KeyboardInterrupt
