"""Progress of a migrate, from the executor's own callback, never from its text."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from django.db.migrations.executor import MigrationExecutor
from django.db.models.signals import post_migrate

if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

    from .channel import Channel

SQL_EVERY_S = 0.5
STARTS = {"apply_start": False, "unapply_start": True}
SUCCESSES = ("apply_success", "unapply_success")


class Progress:
    """Says step_started, sql (a running count), then step_finished or step_failed with its measures."""

    def __init__(self, channel: Channel, clock: Callable[[], float] = time.monotonic) -> None:
        self.channel = channel
        self.clock = clock
        self.step: dict[str, Any] | None = None
        self.has_begun = False
        self.statements = 0
        self.started = self.told = 0.0

    def on_executor(self, action: str, migration: Any, fake: bool) -> None:
        if action in STARTS:
            backwards = STARTS[action]
            self.start(
                "migration", app=migration.app_label, name=migration.name, backwards=backwards, fake=fake
            )
        elif action in SUCCESSES:
            self.finish()

    def start(self, kind: str, **facts: Any) -> None:
        self.step = dict(facts, kind=kind)
        self.has_begun = True
        self.statements = 0
        self.started = self.told = self.clock()
        self.channel.event("step_started", **self.step)

    def finish(self, outcome: str = "step_finished", **more: Any) -> None:
        if self.step is None:
            return
        step, self.step = self.step, None
        duration_ms = round((self.clock() - self.started) * 1000)
        self.channel.event(outcome, duration_ms=duration_ms, statements=self.statements, **step, **more)

    def settle(self) -> None:
        """The command is over: a migration that never said that it succeeded did not."""
        if self.in_migration:
            self.fail()
        self.finish()

    @property
    def in_migration(self) -> bool:
        return self.step is not None and self.step["kind"] == "migration"

    def fail(self) -> None:
        self.finish("step_failed")

    def count(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        """A wrapper of the connection's execute()."""
        result = execute(*arguments)
        self.statements += 1
        now = self.clock()
        if self.step is not None and now - self.told >= SQL_EVERY_S:
            self.told = now
            self.channel.event("sql", statements=self.statements, **self.step)
        return result


@contextlib.contextmanager
def followed(connection: Any, progress: Progress) -> Iterator[None]:
    """Every executor on this database tells `progress` too, also that of an overridden command."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(connection.execute_wrapper(progress.count))
        stack.enter_context(executors_tell(connection.alias, progress))
        stack.enter_context(post_migrate_tells(progress))
        yield


@contextlib.contextmanager
def executors_tell(alias: str, progress: Progress) -> Iterator[None]:
    initialise: Any = MigrationExecutor.__init__

    def initialise_and_tell(
        executor: Any, connection: Any, progress_callback: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        def tell(action: str, migration: Any = None, fake: bool = False) -> None:
            told = connection.alias == alias
            # " OK" is the last thing that a migration prints: it is said to have ended behind that.
            if told and action not in SUCCESSES:
                progress.on_executor(action, migration, fake)
            try:
                if progress_callback is not None:
                    progress_callback(action, migration, fake)
            finally:
                if told and action in SUCCESSES:
                    progress.on_executor(action, migration, fake)

        initialise(executor, connection, tell, *args, **kwargs)

    MigrationExecutor.__init__ = initialise_and_tell  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        MigrationExecutor.__init__ = initialise  # type: ignore[method-assign]


@contextlib.contextmanager
def post_migrate_tells(progress: Progress) -> Iterator[None]:
    """What follows the last migration (content types, triggers) is a step too: it can fail by itself."""
    send: Any = post_migrate.send

    def tell_and_send(*args: Any, **kwargs: Any) -> Any:
        if progress.step is None:
            progress.start("post_migrate")
        try:
            return send(*args, **kwargs)
        except BaseException:
            progress.fail()
            raise

    post_migrate.send = tell_and_send  # type: ignore[method-assign]
    try:
        yield
    finally:
        post_migrate.send = send  # type: ignore[method-assign]
