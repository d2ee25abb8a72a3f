"""Reads that our database itself ends when they take too long, whatever a parameter asked for."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

from dbops.models.away import sqlstate

# query_canceled
CANCELED = "57014"


class TookTooLongError(Exception):
    """str() says so, and what to do."""


@contextmanager
def within(milliseconds: int, hint: str) -> Iterator[None]:
    """Each statement may take so long. `hint`: how to ask for less."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(milliseconds)])
        try:
            yield
        except OperationalError as error:
            if sqlstate(error) != CANCELED:
                raise
            seconds = f"{milliseconds / 1000:g}"
            raise TookTooLongError(
                f"This was stopped: opsdash's own database worked on it for {seconds} seconds, which is the "
                f"limit. Nothing was changed. {hint}"
            ) from None
