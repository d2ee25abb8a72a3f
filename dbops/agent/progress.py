"""Progress of a migrate, from the executor's own callback, never from its text."""

import contextlib
import time

from django.db.migrations.executor import MigrationExecutor
from django.db.models.signals import post_migrate

SQL_EVERY_S = 0.5
STARTS = {"apply_start": False, "unapply_start": True}
SUCCESSES = ("apply_success", "unapply_success")


class Progress:
    """Says step_started, sql (a running count), step_finished or step_failed. One step at a time; the last one open is named."""

    def __init__(self, channel, clock=time.monotonic):
        self.channel = channel
        self.clock = clock
        self.step = None
        self.statements = 0
        self.started = self.told = 0.0

    def on_executor(self, action, migration=None, fake=False):
        if action in STARTS:
            backwards = STARTS[action]
            self.start(
                "migration", app=migration.app_label, name=migration.name, backwards=backwards, fake=fake
            )
        elif action in SUCCESSES:
            self.finish()

    def start(self, kind, **facts):
        self.step = dict(facts, kind=kind)
        self.statements = 0
        self.started = self.told = self.clock()
        self.channel.event("step_started", **self.step)

    def finish(self, name="step_finished"):
        if self.step is None:
            return
        step, self.step = self.step, None
        duration_ms = round((self.clock() - self.started) * 1000)
        self.channel.event(name, duration_ms=duration_ms, statements=self.statements, **step)

    def fail(self):
        self.finish("step_failed")

    def count(self, execute, sql, params, many, context):
        """A wrapper of the connection's execute()."""
        result = execute(sql, params, many, context)
        self.statements += 1
        now = self.clock()
        if self.step is not None and now - self.told >= SQL_EVERY_S:
            self.told = now
            self.channel.event("sql", statements=self.statements, **self.step)
        return result


@contextlib.contextmanager
def followed(connection, progress):
    """Every executor on this database tells `progress` too, also that of an overridden command."""
    with connection.execute_wrapper(progress.count), executors_tell(connection.alias, progress), signals_tell(
        progress
    ):
        yield


@contextlib.contextmanager
def executors_tell(alias, progress):
    initialise = MigrationExecutor.__init__

    def initialise_and_tell(executor, connection, progress_callback=None, *args, **kwargs):
        def tell(action, migration=None, fake=False):
            if connection.alias == alias:
                progress.on_executor(action, migration, fake)
            if progress_callback is not None:
                progress_callback(action, migration, fake)

        initialise(executor, connection, tell, *args, **kwargs)

    MigrationExecutor.__init__ = initialise_and_tell
    try:
        yield
    finally:
        MigrationExecutor.__init__ = initialise


@contextlib.contextmanager
def signals_tell(progress):
    """What follows the last migration (content types, permissions, triggers) is a step too: it can fail with everything applied."""
    send = post_migrate.send

    def tell_and_send(*args, **kwargs):
        if progress.step is None:
            progress.start("post_migrate")
        return send(*args, **kwargs)

    post_migrate.send = tell_and_send
    try:
        yield
    finally:
        post_migrate.send = send
