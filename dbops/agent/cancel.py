"""A polite stop, from a thread beside the work: psycopg2 does not react to a signal until its query ends."""

import _thread
import contextlib
import os
import signal

requested = False
_connections = []
_main_thread = _thread.get_ident()
_shielded = _postponed = False


def on_interrupt(number, frame):
    """Python's own reaction to SIGINT, put off while a frame is being sent: half a frame would be the end of all others."""
    global _postponed
    if _shielded:
        _postponed = True
        return
    raise KeyboardInterrupt


@contextlib.contextmanager
def shield():
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


def follow(connection):
    """From now on a polite stop ends what this connection (a DatabaseWrapper) is doing."""
    if connection not in _connections:
        _connections.append(connection)


def listen(control):
    """Wait for the supervisor's word; when it is gone, so are we, with everything we started."""
    word = os.read(control, 1)
    if not word:
        os.killpg(os.getpgid(0), signal.SIGKILL)
    stop()
    os.read(control, 1)
    os.killpg(os.getpgid(0), signal.SIGKILL)


def stop():
    """End the running queries, then interrupt the main thread and whatever programs it waits for."""
    global requested
    requested = True
    for connection in list(_connections):
        stop_query(connection.connection)
    os.killpg(os.getpgid(0), signal.SIGINT)


def stop_query(raw):
    """`raw` is what the driver calls a connection, or None. psycopg 2 and 3: cancel(); sqlite3: interrupt()."""
    act = getattr(raw, "cancel", None) or getattr(raw, "interrupt", None)
    if act is None:
        return
    try:
        act()
    except Exception as problem:
        os.write(2, ("opsdash: the running query could not be cancelled: %s\n" % problem).encode())
