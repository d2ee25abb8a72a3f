"""That this process is about to end, told to those who should end something before it does.

Imports nothing: it is told by who serves the process (opsdash.worker), heard by who works in it.
"""

from collections.abc import Callable

_listeners: list[Callable[[], None]] = []


def when_told(listener: Callable[[], None]) -> Callable[[], None]:
    """A decorator."""
    _listeners.append(listener)
    return listener


def tell() -> None:
    """In the event loop of the process."""
    for listener in _listeners:
        listener()
