"""Our own database does not answer, or takes no writes: what then is waited out, and how."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import Error, InterfaceError, OperationalError, connection
from psycopg_pool import PoolTimeout

from dbops import conf

logger = logging.getLogger(__name__)

PAUSE_S = 2.0
# https://www.postgresql.org/docs/current/errcodes-appendix.html: a standby, or a server that protects a disk
# that is nearly full.
READ_ONLY = "25006"
DISK_FULL = "53100"
# statement_timeout, which the web process has (QUERY_TIMEOUT_MS): more was asked for than that.
CANCELED = "57014"
# Besides these: a session that was ended since it paused in a transaction; a lock that others hold; storage.
PASSES = (READ_ONLY, "25P03", "55P03", "58030")
# Connection, transaction undone by others, insufficient resources, the server stops or starts.
PASSING = ("08", "40", "53", "57P")
Result = TypeVar("Result")


def is_away(error: BaseException | None) -> bool:
    """It passes without us. Any other error would come again, also one that Django calls operational."""
    state = sqlstate(error)
    if not state:
        return isinstance(error, OperationalError | InterfaceError)
    return state in PASSES or state.startswith(PASSING)


def is_late(error: BaseException | None) -> bool:
    """The pool gave no connection in time; it does not say whether all are in use or none can be made."""
    return error is not None and isinstance(error.__cause__, PoolTimeout)


def took_too_long(error: BaseException | None) -> bool:
    return sqlstate(error) == CANCELED


def sqlstate(error: BaseException | None) -> str:
    """ "" where the server could give none."""
    return str(getattr(error.__cause__, "sqlstate", None) or "") if isinstance(error, Error) else ""


def words(problem: BaseException) -> str:
    """For whoever asked."""
    if is_late(problem):
        return (
            "opsdash's own database does not answer in time: it is away, or too much is asked of it at once"
        )
    said = {DISK_FULL: "has no room left", READ_ONLY: "takes no writes at the moment"}
    return f"opsdash's own database {said.get(sqlstate(problem), 'does not answer')}"


def words_too_long() -> str:
    """For whoever asked for more than a statement may cost."""
    seconds = f"{conf.knob('QUERY_TIMEOUT_MS') / 1000:g}"
    return (
        f"This was stopped: opsdash's own database worked on it for {seconds} seconds, the limit "
        "(OPSDASH_QUERY_TIMEOUT_MS). Nothing was changed. Ask for less: fewer days, "
        "or one target, person or act."
    )


def patiently(read_or_write: Callable[[], Result]) -> Result:
    """For what must reach the rows, or come from them, however long our database is away."""
    while True:
        try:
            return read_or_write()
        except Error as error:
            if not is_away(error):
                raise
            logger.warning("a job waits, our database fails: %s", error)
            connection.close()
            time.sleep(PAUSE_S)
