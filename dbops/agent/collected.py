"""The SQL of operations, collected by Django's own schema editor and never sent.

The editor writes down what it would send; what it looks up in the database it reads over a session that is
read-only. Nothing that runs Python is called. A transaction is begun as migrate would begin one, since some
operations look at that, and always rolled back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict

from django.db import transaction
from django.db.migrations.operations import RunPython, RunSQL, SeparateDatabaseAndState

from . import failures
from .session import is_read_only

if TYPE_CHECKING:
    from typing import Any, Callable

LONGEST = 100_000
PYTHON = "It runs Python code, which is no SQL; what it does is known only when it runs."
NO_SQL = "This kind of operation says of itself that it cannot be written as SQL."
UNSAFE = (
    "It is an operation of the project's own. Its SQL is collected only over a session that the server confirmed "
    "to be read-only, and this one's server did not."
)
LOOKED_UP = (
    "Migrate finds this statement by looking at the database just before it is applied; the names here are those "
    "that the migrations before it give."
)
LOOKS = (
    "Found wrong number",
    "This statement is found by looking at the database just before it is applied, and what it looks for is not "
    "there now: {}",
)
REFUSED = (
    "25006",
    "The operation did not only tell its SQL but began to write by itself, which was refused: {}",
)


class Sql:
    """Of one operation in one direction. `statements` None: it cannot be had, `problem` says why."""

    def __init__(self, statements: list[str] | None, problem: str = "", cut: bool = False) -> None:
        self.statements = statements
        self.problem = problem
        self.cut = cut


class Collector:
    """What one migration would send, in one direction."""

    def __init__(self, connection: Any, is_atomic: bool) -> None:
        self.connection = connection
        self.editor = connection.schema_editor(collect_sql=True, atomic=is_atomic)
        # SQLite's would look through all of the database's foreign keys when it is left, and some settings
        # make it begin a transaction that writes.
        self.enters = connection.vendor != "sqlite"
        self.deferred: list[Any] = []

    def __enter__(self) -> Collector:
        self.editor.deferred_sql = []
        self._enter()
        return self

    def _enter(self) -> None:
        if self.enters:
            self.editor.__enter__()
        # Since Django 6.1 it looks up a renamed table by the name that the database has; `supposed` answers by
        # the one that it has by then.
        self.editor.collected_table_renames = Forgetful()

    def __exit__(self, *_: Any) -> None:
        self._leave()

    def _leave(self) -> None:
        if not self.enters:
            return
        if self.connection.in_atomic_block:
            transaction.set_rollback(True, using=self.connection.alias)
        # As after an error: what is deferred is not executed.
        problem = Stop()
        self.editor.__exit__(Stop, problem, None)

    def _begin_again(self) -> None:
        """After an error the server takes nothing more in its transaction."""
        deferred = self.editor.deferred_sql
        self._leave()
        self._enter()
        self.editor.deferred_sql = deferred

    def collect(self, act: Callable[[Any], None]) -> Sql:
        """`act` lets an operation work with the editor."""
        before, deferred = len(self.editor.collected_sql), list(self.editor.deferred_sql)
        try:
            act(self.editor)
            return cleaned(self.editor.collected_sql[before:])
        except Exception as problem:
            failures.let_a_stop_through(problem)
            self._begin_again()
            self.editor.deferred_sql = deferred
            return Sql(None, in_words(problem))
        finally:
            del self.editor.collected_sql[before:]

    def left_for_the_end(self) -> Sql:
        """What the editor keeps for the end of the migration."""
        statements, self.editor.deferred_sql = list(self.editor.deferred_sql), []

        def execute(editor: Any) -> None:
            for statement in statements:
                editor.execute(statement, None)

        return self.collect(execute)


class Forgetful(Dict[str, str]):
    def __setitem__(self, key: str, value: str) -> None:
        return


class Stop(Exception):
    """Ends the editor's transaction."""


def is_refused(operation: Any, is_confirmed: bool) -> str:
    """Why its SQL is not even asked for; "" where it is."""
    if isinstance(operation, RunPython):
        return PYTHON
    if not operation.reduces_to_sql:
        return NO_SQL
    if runs_python(operation):
        return PYTHON
    if not (is_confirmed or type(operation).__module__.startswith("django.")):
        return UNSAFE
    return ""


def runs_python(operation: Any) -> bool:
    inner = getattr(operation, "database_operations", None) or []
    return isinstance(operation, RunPython) or any(map(runs_python, inner))


def is_taken_apart(operation: Any) -> bool:
    """Its operations within are told one by one."""
    names = ("state_forwards", "database_forwards", "database_backwards")
    return isinstance(operation, SeparateDatabaseAndState) and all(
        getattr(type(operation), name) is getattr(SeparateDatabaseAndState, name) for name in names
    )


def confirmed(connection: Any) -> bool:
    try:
        return is_read_only(connection)
    except Exception:
        return False


def script(operation: Any, backwards: bool) -> Sql | None:
    """Of a RunSQL that is one long text: SQLite's would be taken apart for minutes. None: not such a one."""
    if not isinstance(operation, RunSQL) or type(operation)._run_sql is not RunSQL._run_sql:  # type: ignore[attr-defined]
        return None
    text = operation.reverse_sql if backwards else operation.sql
    return cleaned([text]) if isinstance(text, str) and len(text) > LONGEST else None


def cleaned(statements: list[Any]) -> Sql:
    texts = list(map(str, statements))
    size = sum(map(len, texts))
    if size <= LONGEST:
        return Sql([failures.clean(text, 4 * LONGEST) for text in texts])
    room, kept = LONGEST, []
    for text in texts:
        if room <= 0:
            break
        kept.append(failures.clean(text, min(room, LONGEST)))
        room -= len(text)
    more = (
        f"; {len(texts) - len(kept)} of its {len(texts)} statements are left out"
        if len(kept) < len(texts)
        else ""
    )
    return Sql(kept, f"Its SQL has {size:,} characters and is shown in part{more}.", cut=True)


def in_words(problem: BaseException) -> str:
    text = failures.describe(problem)
    if LOOKS[0] in text:
        return failures.clean(LOOKS[1].format(text))
    if failures.sqlstate(problem) == REFUSED[0] or "attempt to write a readonly database" in text:
        return failures.clean(REFUSED[1].format(text))
    return failures.clean(text)
