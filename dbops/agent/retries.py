"""A migration that waited too long for a lock is applied again: only where it is proven that it was
rolled back, and nothing was seen that a rollback does not undo.

Proven is: it is atomic, all of it ran in one transaction of its own, that was rolled back, and it is not
recorded. In front of its first statement a savepoint is set whose name nobody else knows, and another
connection (the guard's) sees in pg_stat_activity that the transaction is still the one that began with the
migration. Before Django rolls back, the work goes back to that savepoint: a COMMIT or a ROLLBACK of the
migration's own would have ended it, however it was sent. What was done elsewhere meanwhile (see
there) is not undone by that, so that nothing is tried again then.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import time
import uuid
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.migrations.executor import MigrationExecutor

from . import blockers, cancel, elsewhere, failures, session
from .elsewhere import replaced

if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

    from .guard import Watch
    from .progress import Progress

LOCK_NOT_AVAILABLE = "55P03"
LISTEN_S = 0.1
PLAIN = ("django.db.migrations.operations.models", "django.db.migrations.operations.fields")
# Begins the transaction like any statement, and unlike a SELECT takes no snapshot: behind one a migration
# could not choose its isolation level any more.
HARMLESS_SQL = "SHOW server_version"
# Behind a savepoint these could not be said any more. What may stand before them waits for no lock.
NOT_BEHIND_A_SAVEPOINT = re.compile(r"transaction|snapshot", re.IGNORECASE)
BEFORE = re.compile(r"\s*(set|show|reset)\b", re.IGNORECASE)


class Tries:
    """`wishes`: tries (1: none is repeated), backoff_ms (before the second try; then doubled each time)."""

    def __init__(self, wishes: dict[str, Any], progress: Progress, watch: Watch) -> None:
        self.limit = int(wishes.get("tries") or 1)
        self.backoff_s = int(wishes.get("backoff_ms") or 0) / 1000
        self.progress = progress
        self.watch = watch
        # Of the migration at work: how long the statement ran that failed, in each try; None: not known.
        self.ran_s: list[float | None] = []
        # Who stood in the way of the latest one, as it was seen while it ran.
        self.waits: list[dict[str, Any]] = []
        self.sentence = ""
        # [app, name] of the one that failed, where it is proven that it was rolled back.
        self.undone: list[str] | None = None

    def apply(self, executor: Any, migration: Any, once: Callable[[Any], Any], state: Any) -> Any:
        """`once(state)` applies the migration and changes the state that it is given, also when it fails."""
        if self.limit <= 1:
            return once(state)
        self.ran_s, self.sentence, self.undone = [], "", None
        while True:
            self.watch.forget_blockers()
            attempt = Attempt(executor.connection, migration, self.watch.guard)
            try:
                with attempt:
                    return once(state)
            except Exception as problem:
                if not timed_out(problem) or cancel.requested:
                    raise
                self.ran_s.append(attempt.ran_s(problem))
                self.waits = attempt.waits(problem, self.watch)
                doubt = attempt.doubt() or self.doubt_of_guard()
                self.sentence = self.words(doubt)
                self.undone = None if doubt else [migration.app_label, migration.name]
                if doubt or len(self.ran_s) >= self.limit:
                    raise
                self.rest()
                if cancel.requested or self.doubt_of_guard():
                    raise
            state, self.sentence, self.undone = state_anew(executor), "", None

    def doubt_of_guard(self) -> str:
        try:
            held = not self.watch.lost and self.watch.guard.is_held()
        except Exception:
            # It is the error of the migration that goes on.
            return "whether the guard is still held could not be read"
        return "" if held else "the guard is not held any more"

    def rest(self) -> None:
        """Without any lock; a cancel ends it at once."""
        done = len(self.ran_s)
        rest_s = self.backoff_s * 2 ** (done - 1)
        about = {"try": done, "tries": self.limit, "again_in_s": rest_s, "waits": self.waits}
        self.progress.finish("step_retried", **about)
        until = time.monotonic() + rest_s
        while not cancel.requested and time.monotonic() < until:
            time.sleep(min(LISTEN_S, max(0.0, until - time.monotonic())))

    def words(self, doubt: str) -> str:
        """Said with the failure, if it is one."""
        tries = len(self.ran_s)
        times = ", ".join("unknown" if seconds is None else f"{seconds:.1f} s" for seconds in self.ran_s)
        ran = f"ran {times} until the lock was given up"
        by = blockers.words(self.waits)
        last = f" In its way stood {by}." if by else " Who held it was not seen."
        if doubt:
            before = " Each try before was rolled back." if tries > 1 else ""
            return f"Its statement {ran}, and it was not tried again, since {doubt}.{before}{last}"
        how = f"It was tried {tries} time{'s' if tries > 1 else ''}; its statement {ran}."
        undone = f"Its transaction was rolled back{' each time' if tries > 1 else ''}."
        return f"{how} {undone}{last} Start it again when that is over, or let it wait longer."


class Attempt:
    """One try, and what is known of it: entered before it, left after it."""

    def __init__(self, connection: Any, migration: Any, guard: Any) -> None:
        self.connection = connection
        self.migration = migration
        self.guard = guard
        self.pid = session.backend_pid(connection) if connection.connection else None
        # When the transaction began, as the server says; None: not known.
        self.began: int | None = None
        self.mark = "opsdash_" + uuid.uuid4().hex
        self.marked: bool | None = None
        self.rolled_back = self.inside_another = False
        # Why something may have stayed that no rollback of this connection undoes.
        self.elsewhere = ""
        # The statement that waited too long, the latest one: the driver's error, its begin and its end.
        self.failed: tuple[BaseException | None, float, float] | None = None

    def __enter__(self) -> None:
        self.inside_another = bool(self.connection.in_atomic_block)
        with contextlib.ExitStack() as stack:
            stack.enter_context(replaced(self.migration, "apply", self.noted(self.migration.apply)))
            stack.enter_context(replaced(self.connection, "rollback", self.seen(self.connection.rollback)))
            stack.enter_context(self.connection.execute_wrapper(self.timed))
            stack.enter_context(elsewhere.noticed(self.connection, self.note_elsewhere))
            self._stack = stack.pop_all()

    def __exit__(self, kind: Any, problem: BaseException | None, trace: Any) -> None:
        try:
            if timed_out(problem) and self.connection.in_atomic_block and not self.inside_another:
                # What the schema editor defers (foreign keys) fails in front of the end of its own block.
                transaction.atomic(using=self.connection.alias).__exit__(kind, problem, trace)
        finally:
            self._stack.close()

    def doubt(self) -> str:
        """Why something of it may have stayed, or its locks; "" where it is proven that nothing did."""
        if not self.migration.atomic:
            return "it is not atomic: part of it may have stayed"
        if self.connection.in_atomic_block:
            return "it ran inside another transaction, which keeps its locks"
        if self.elsewhere:
            return self.elsewhere
        if not self.rolled_back:
            return "it is not proven that all of it ran in one transaction: part of it may have stayed"
        names = [(self.migration.app_label, self.migration.name), *self.migration.replaces]
        return self.guard.doubt_about_record(names)  # type: ignore[no-any-return]

    def ran_s(self, problem: BaseException) -> float | None:
        """How long the statement ran whose failure this is; its wait for the lock is only the end of that."""
        return self.failed[2] - self.failed[1] if self.failed and self.is_of(problem) else None

    def waits(self, problem: BaseException, watch: Watch) -> list[dict[str, Any]]:
        """What that statement was seen to wait for at its end."""
        known = self.failed and self.pid and self.is_of(problem)
        return watch.waits_within(self.pid, *self.failed[1:]) if known else []

    def is_of(self, problem: BaseException) -> bool:
        return bool(self.failed) and failures.from_server(problem) is self.failed[0]

    # What is heard meanwhile

    def noted(self, apply: Callable[..., Any]) -> Callable[..., Any]:
        """Inside the transaction of the migration, and before anything of its own."""

        def note_and_apply(*args: Any, **kwargs: Any) -> Any:
            if self.migration.atomic and self.connection.in_atomic_block and is_plain(self.migration):
                self.marked = self.say("SAVEPOINT " + self.mark)
            elif self.migration.atomic and self.connection.in_atomic_block:
                self.say(HARMLESS_SQL)
                self.pid = session.backend_pid(self.connection)
                self.began = self.guard.transaction_of(self.pid)
            return apply(*args, **kwargs)

        return note_and_apply

    def set_mark(self, statement: str) -> None:
        if NOT_BEHIND_A_SAVEPOINT.search(statement):
            self.marked = False
        elif not BEFORE.match(statement):
            self.marked = self.say("SAVEPOINT " + self.mark) and self.is_the_same()

    def is_the_same(self) -> bool:
        return self.guard.transaction_of(self.pid) == self.began

    def say(self, statement: str) -> bool:
        """To the driver itself: no statement of the migration, and no state of Django's."""
        try:
            with self.connection.connection.cursor() as cursor:
                cursor.execute(statement)
        except Exception:
            return False
        return True

    def seen(self, rollback: Callable[[], None]) -> Callable[[], None]:
        def prove_and_roll_back() -> None:
            if self.connection.in_atomic_block:
                # Django refuses it there; its own comes when the block is left.
                return rollback()
            same = bool(self.marked) and self.say("ROLLBACK TO SAVEPOINT " + self.mark)
            rollback()
            self.rolled_back = same
            return None

        return prove_and_roll_back

    def timed(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        if self.began is not None and self.marked is None and self.connection.in_atomic_block:
            self.set_mark(str(arguments[0]))
        began = time.monotonic()
        try:
            return execute(*arguments)
        except Exception as problem:
            if timed_out(problem):
                self.failed = failures.from_server(problem), began, time.monotonic()
            raise

    def note_elsewhere(self, why: str) -> None:
        self.elsewhere = self.elsewhere or why


def timed_out(problem: BaseException | None) -> bool:
    return failures.sqlstate(problem) == LOCK_NOT_AVAILABLE


def state_anew(executor: Any) -> Any:
    """Of the project, as it is before the first migration that is not recorded. To keep a copy of each one
    for the case that it fails takes as long as to apply it."""
    arguments = (executor.connection, executor.progress_callback)
    return maker(executor, arguments)(*arguments)._create_project_state(with_applied_migrations=True)


def maker(executor: Any, arguments: tuple[Any, ...]) -> Any:
    """The project's own class, where it is made like Django's."""
    try:
        inspect.signature(type(executor)).bind(*arguments)
    except TypeError:
        return MigrationExecutor
    return type(executor)


def is_plain(migration: Any) -> bool:
    """Django's own operations on the schema: none of them says anything about its transaction."""
    return all(type(operation).__module__ in PLAIN for operation in migration.operations)


@contextlib.contextmanager
def repeated(connection: Any, tries: Tries) -> Iterator[None]:
    """Every executor on this database applies a migration as often as `tries` has it."""
    if connection.vendor != "postgresql":
        yield
        return
    apply: Any = MigrationExecutor.apply_migration

    def apply_again(executor: Any, state: Any, migration: Any, *args: Any, **kwargs: Any) -> Any:
        def once(state: Any) -> Any:
            return apply(executor, state, migration, *args, **kwargs)

        if executor.connection.alias != connection.alias:
            return once(state)
        return tries.apply(executor, migration, once, state)

    MigrationExecutor.apply_migration = apply_again  # type: ignore[method-assign]
    try:
        yield
    finally:
        MigrationExecutor.apply_migration = apply  # type: ignore[method-assign]
