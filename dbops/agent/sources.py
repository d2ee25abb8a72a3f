"""Where a migration's code stands, and what it says."""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
from typing import TYPE_CHECKING

from . import failures

if TYPE_CHECKING:
    from typing import Any


def file_of(migration: Any) -> str:
    """Its path; "" where it does not come from a file."""
    return str(getattr(sys.modules.get(type(migration).__module__), "__file__", None) or "")


def hash_of(migration: Any) -> str:
    """The sha256 of its file's bytes in hexadecimal; "" where they cannot be read."""
    return hash_of_file(file_of(migration))


def hash_of_file(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except (OSError, ValueError):
        return ""


def docstring(migration: Any) -> str:
    """Of its class or, where that has none, of its module."""
    own = type(migration).__dict__.get("__doc__")
    return inspect.cleandoc(own or getattr(sys.modules.get(type(migration).__module__), "__doc__", "") or "")


def code_of(function: Any) -> str:
    """The source of what a RunPython calls or, where there is none, what it is instead."""
    if isinstance(function, functools.partial):
        given = [repr(one) for one in function.args]
        given += [f"{name}={value!r}" for name, value in function.keywords.items()]
        return f"# functools.partial of this, called with {', '.join(given) or 'nothing'}\n" + code_of(
            function.func
        )
    if not (inspect.isroutine(function) or inspect.isclass(function)):
        return f"# An object of {named(type(function))}, which is called\n" + text_of(type(function).__call__)
    return text_of(function)


def text_of(function: Any) -> str:
    try:
        return inspect.cleandoc("\n" + inspect.getsource(inspect.unwrap(function)))
    except (OSError, TypeError, ValueError, IndexError, SyntaxError):
        what = "It is built into Python" if inspect.isbuiltin(function) else "Its source cannot be found"
        return f"# {named(function)}: {what}."


def named(thing: Any) -> str:
    """Its dotted name."""
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
    module = getattr(thing, "__module__", None)
    return failures.words(".".join(filter(None, (module, name))) or type(thing).__name__)
