"""What a migration may have done elsewhere than over the connection that it is applied by: what no rollback
there undoes.

Seen are Django's other connections, new ones of its Postgres drivers, and programs that are started. Not seen
are a driver's connection that was open before, what is said over the network in any other way (HTTP, mail, a
queue), files, a program that ran before, and what the server itself does elsewhere (dblink).
"""

from __future__ import annotations

import _posixsubprocess
import contextlib
import sys
from typing import TYPE_CHECKING

from django.db.backends.signals import connection_created

from . import cancel

if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

    Note = Callable[[str], None]

CONNECTION = "it used other connections, too, and what it did there may have stayed"
PROGRAM = "it started a program, and what that did may have stayed"
DRIVERS = ("psycopg", "psycopg2")
# https://docs.python.org/3/library/audit_events.html
PROGRAMS = frozenset(
    ["subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.exec"]
)

# Whom to tell of programs. A hook stays for as long as the process lives.
_listening: list[Note] = []
_hooked = False


@contextlib.contextmanager
def noticed(connection: Any, note: Note) -> Iterator[None]:
    """Meanwhile `note` is told why something may stay, whatever becomes of the work of this connection."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(of_django(connection, note))
        stack.enter_context(of_drivers(note))
        stack.enter_context(programs(note))
        yield


@contextlib.contextmanager
def of_django(connection: Any, note: Note) -> Iterator[None]:
    def count(execute: Callable[..., Any], *arguments: Any) -> Any:
        note(CONNECTION)
        return execute(*arguments)

    def receive(**_: Any) -> None:
        note(CONNECTION)

    connection_created.connect(receive, weak=False)
    try:
        with contextlib.ExitStack() as stack:
            for other in cancel.followed():
                if other is not connection:
                    stack.enter_context(other.execute_wrapper(count))
            yield
    finally:
        connection_created.disconnect(receive)


@contextlib.contextmanager
def of_drivers(note: Note) -> Iterator[None]:
    known = [name for name in DRIVERS if name in sys.modules]
    with contextlib.ExitStack() as stack:
        for thing, name in [door for driver in known for door in doors(sys.modules[driver])]:
            stack.enter_context(replaced(thing, name, telling(getattr(thing, name), note, CONNECTION)))
        yield
    if any(name in sys.modules and name not in known for name in DRIVERS):
        # What it was loaded for was not seen.
        note(CONNECTION)


def doors(driver: Any) -> list[tuple[Any, str]]:
    """What each of its connections comes through, by whatever name its `connect` was imported."""
    if hasattr(driver, "AsyncConnection"):
        return [(driver.Connection, "__init__"), (driver.AsyncConnection, "__init__")]
    return [(driver, "_connect" if hasattr(driver, "_connect") else "connect")]


@contextlib.contextmanager
def programs(note: Note) -> Iterator[None]:
    hook()
    _listening.append(note)
    try:
        # multiprocessing starts its own with this, and no audit event tells of it.
        start = telling(_posixsubprocess.fork_exec, note, PROGRAM)
        with replaced(_posixsubprocess, "fork_exec", start):
            yield
    finally:
        _listening.remove(note)


def hook() -> None:
    global _hooked
    if not _hooked:
        _hooked = True
        sys.addaudithook(hear)


def hear(event: str, _: Any) -> None:
    """Of everything that this process does: it has to be quick, and must not fail."""
    if _listening and event in PROGRAMS:
        for note in list(_listening):
            note(PROGRAM)


def telling(act: Callable[..., Any], note: Note, why: str) -> Callable[..., Any]:
    def tell_and_act(*args: Any, **kwargs: Any) -> Any:
        note(why)
        return act(*args, **kwargs)

    return tell_and_act


@contextlib.contextmanager
def replaced(thing: Any, name: str, by: Any) -> Iterator[None]:
    """On this one object, whatever its class has."""
    before = vars(thing).get(name)
    setattr(thing, name, by)
    try:
        yield
    finally:
        if before is None:
            delattr(thing, name)
        else:
            setattr(thing, name, before)
