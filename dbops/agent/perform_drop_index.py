"""perform, operation "drop_index": one invalid index is dropped, concurrently, if it is still one that nobody
builds and no constraint uses.

Arguments: schema, index. Events: working, step_started, step_finished. Answer: alias, identity, dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import databases, failures
from .failures import Failure
from .invalid_indexes import invalid_indexes
from .progress import Progress

if TYPE_CHECKING:
    from typing import Any

    from .channel import Channel
    from .guard import Watch

# It fails then; the index stays invalid, and can be dropped again.
LOCK_TIMEOUT_S = 5


class DropIndex:
    def __init__(self, arguments: dict[str, Any], channel: Channel, utility: Any) -> None:
        self.name = (arguments.get("schema") or "", arguments.get("index") or "")
        self.channel = channel
        self.progress = Progress(channel)
        self.working = False

    def run(self, connection: Any, watch: Watch) -> dict[str, Any]:
        statement = self.proven(connection)
        self.channel.leave_a_fork()
        try:
            self.working = True
            self.channel.event("working")
            self.progress.start("drop_index")
            with connection.execute_wrapper(self.progress.count):
                drop(connection, statement)
            if self.found(connection):
                raise Failure("act_failed", f"{self.words} is still there.", "server")
            self.progress.finish()
        except BaseException as problem:
            raise self.failure(problem, watch.lost)
        return {
            "alias": connection.alias,
            "identity": databases.identity(connection),
            "dropped": self.words,
        }

    def proven(self, connection: Any) -> str:
        """The statement that drops it."""
        found = self.found(connection)
        if not found:
            raise Failure("not_proven", f"There is no invalid index {self.words}.", "person")
        if not found["droppable"]:
            raise Failure("not_proven", f"The index {self.words} is not dropped: {why(found)}.", "person")
        return str(found["statement"])

    def found(self, connection: Any) -> dict[str, Any]:
        indexes = invalid_indexes(connection)
        if indexes is None:
            raise Failure("not_proven", "Which indexes are invalid cannot be read.", "server")
        return next((one for one in indexes if (one["schema"], one["name"]) == self.name), {})

    @property
    def words(self) -> str:
        return ".".join(self.name)

    def failure(self, problem: BaseException, lost: str) -> Failure:
        self.progress.fail()
        facts = {"sqlstate": failures.sqlstate(problem)}
        if lost:
            return Failure("guard_lost", lost, "server", facts)
        return failures.of(problem, "act_failed", facts)


def drop(connection: Any, statement: str) -> None:
    """It cannot run inside a transaction, and one that only read is open where AUTOCOMMIT is off."""
    if not connection.get_autocommit():
        connection.rollback()
        connection.set_autocommit(True)
    with connection.cursor() as cursor:
        # It waits for every transaction that uses the table, and who else alters that waits behind it.
        cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'")
        cursor.execute(statement)


def why(index: dict[str, Any]) -> str:
    if index["constraint"]:
        return f"the constraint {index['constraint']} uses it"
    if index["building"]:
        return "somebody holds a lock on it or its table and may be building it"
    return "it belongs to a partitioned table"
