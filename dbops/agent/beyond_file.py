"""What a migration does that does not stand in its own file: SQL that it reads from another, functions and
operations of other modules. A plan that was seen is another one when that has changed."""

from __future__ import annotations

import hashlib
import inspect
import json
import uuid
from typing import TYPE_CHECKING

from django.db.migrations.operations import RunPython, RunSQL

from . import failures, imports, sources

if TYPE_CHECKING:
    from typing import Any, Iterator

PLAIN = (str, bytes, int, float, bool, type(None))


def hash_of(migration: Any) -> str:
    """Of its file's bytes, and of all that it does beyond them; of its file alone where that is all. Where
    the file is not the one any more that this process has imported, it is like no other."""
    file = sources.file_of(migration)
    found = sources.hash_of_file(file)
    further = [text for operation in migration.operations for text in texts(operation, file)]
    if not imports.is_as_imported(file):
        further.append(uuid.uuid4().hex)
    if not further:
        return found
    return hashlib.sha256(json.dumps([found, *further]).encode()).hexdigest()


def texts(operation: Any, file: str) -> Iterator[str]:
    if isinstance(operation, RunSQL):
        yield from (json.dumps(stable(operation.sql)), json.dumps(stable(operation.reverse_sql)))
    code = [operation.code, operation.reverse_code] if isinstance(operation, RunPython) else []
    for thing in (type(operation), *code):
        yield from elsewhere(thing, file)
    for inner in getattr(operation, "database_operations", None) or []:
        yield from texts(inner, file)


def elsewhere(thing: Any, file: str) -> Iterator[str]:
    """Its source, where it is neither the migration's nor Django's own."""
    if thing is None or str(getattr(thing, "__module__", "")).startswith("django."):
        return
    found = file_of(thing)
    if found and found != file:
        yield sources.code_of(thing)
        if not imports.is_as_imported(found):
            yield uuid.uuid4().hex


def file_of(thing: Any) -> str:
    thing = getattr(thing, "func", thing)
    try:
        return inspect.getsourcefile(inspect.unwrap(thing)) or ""
    except Exception as problem:
        # An object that is called, something built in.
        failures.let_a_stop_through(problem)
        return ""


def stable(value: Any) -> Any:
    """What is the same in another process: no address of an object."""
    if isinstance(value, (list, tuple)):
        return [stable(one) for one in value]
    return repr(value) if isinstance(value, PLAIN) else type(value).__name__
