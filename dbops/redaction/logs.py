"""What a process of ours logs: without the secrets that it has learned of, each record one of its own.

Everything passes here when it is formatted: message, arguments, traceback. Whatever a target or a person said
in it cannot begin a line, so no record is forged, and steers no terminal.
"""

import logging
from collections.abc import Iterable
from typing import Any

from dbops.plain import plain
from dbops.redaction.redactor import Redactor

# Behind a line of which a text has several.
INDENT = "\n    "


class Learned:
    """The secrets of this process: its own, and those of the targets that it has had to do with."""

    def __init__(self) -> None:
        self._secrets: dict[object, frozenset[str]] = {}
        self._redactor: Redactor | None = None

    def learn(self, whose: object, secrets: Iterable[str]) -> None:
        """In the place of those that were learned of the same before."""
        found = frozenset(filter(None, secrets))
        if self._secrets.get(whose) != found:
            self._secrets = {**self._secrets, whose: found}
            self._redactor = None

    @property
    def redactor(self) -> Redactor:
        if self._redactor is None:
            self._redactor = Redactor(secret for some in self._secrets.values() for secret in some)
        return self._redactor


learned = Learned()


class Formatter(logging.Formatter):
    """As logging's own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's own name)
        record.message = in_the_open(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return in_the_open(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        return in_the_open(super().formatStack(stack_info))


class Guarded(logging.Formatter):
    """Another one's output, for loggers that a library sets up by itself."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        return in_the_open(self._formatter.format(record))


def guard(*names: str) -> None:
    """The handlers that these loggers have by now."""
    for handler in [handler for name in names for handler in logging.getLogger(name).handlers]:
        if not isinstance(handler.formatter, Formatter | Guarded):
            handler.setFormatter(Guarded(handler.formatter or logging.Formatter()))


def in_the_open(text: str) -> str:
    """Indented behind its first line."""
    return learned.redactor.clean(plain(text)).replace("\n", INDENT)
