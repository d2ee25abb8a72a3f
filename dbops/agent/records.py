"""The rows of django_migrations: read once, for whoever asks for them afterwards; or why they cannot be."""

from __future__ import annotations

import contextlib
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING

from django.db.migrations.recorder import MigrationRecorder

from . import rights
from .failures import clean, sqlstate

if TYPE_CHECKING:
    from typing import Any, Iterator

# https://www.postgresql.org/docs/current/errcodes-appendix.html
UNDEFINED_COLUMN = "42703"
# SQLite; MySQL.
COLUMN_TEXTS = re.compile(r"no such column|Unknown column")


class Unreadable(Exception):
    """The server refused to show them; what it said is the cause."""


def problem(error: BaseException) -> dict[str, str]:
    return {"type": kind_of(error), "message": clean(error)}


def kind_of(error: BaseException) -> str:
    code = sqlstate(error)
    if code == UNDEFINED_COLUMN or COLUMN_TEXTS.search(str(error)):
        return "missing_columns"
    return "permission" if code == rights.NO_RIGHT else "other"


@contextlib.contextmanager
def known(alias: str, rows: list[list[Any]]) -> Iterator[None]:
    """Django's recorder answers for this alias with these: a server may be far away."""
    replaced: Any = MigrationRecorder
    ask = replaced.applied_migrations
    applied = {(app, name): SimpleNamespace(app=app, name=name, applied=time) for app, name, time in rows}

    def answer(recorder: Any) -> Any:
        if recorder.connection is not None and recorder.connection.alias == alias:
            return dict(applied)
        return ask(recorder)

    replaced.applied_migrations = answer
    try:
        yield
    finally:
        replaced.applied_migrations = ask
