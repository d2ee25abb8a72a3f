"""perform: the target's own migrate, forward, under the guard.

Arguments: operation ("migrate"), alias, app, migration, session, guard {label}, forbidden_identity.
Events: connection, session, guard, plan, working, step_started, sql, step_finished, step_failed.
Answer: alias, identity, recorded_before, recorded_after (what is newly recorded), nothing_to_do.
An error after `working` has the facts recorded_known and recorded_after: what is recorded now, read over a fresh connection.
"""

import sys

from django.core.management import CommandError
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import Error as DatabaseError

from . import cancel, databases, failures, guard, targets
from .failures import Failure
from .progress import Progress, followed


def run(arguments, session, channel, utility):
    if arguments.get("operation") != "migrate":
        raise Failure(
            "bad_request", "The agent knows no operation %r." % (arguments.get("operation"),), "caller"
        )
    alias = arguments.get("alias") or "default"
    connection = databases.open_or_refuse(alias, arguments.get("forbidden_identity") or "")
    with guard.held(connection, (arguments.get("guard") or {}).get("label") or "opsdash") as watch:
        channel.event("guard", alias=alias, taken=True, kind=watch.guard.kind)
        return Migrate(arguments, connection, channel, utility, watch).run()


class Migrate:
    def __init__(self, arguments, connection, channel, utility, watch):
        self.app = arguments.get("app") or ""
        self.name = arguments.get("migration") or ""
        self.connection = connection
        self.alias = connection.alias
        self.channel = channel
        self.utility = utility
        self.watch = watch
        self.progress = Progress(channel)

    def run(self):
        self.before = databases.recorded(self.connection)
        identity = databases.identity(self.connection)
        plan = self.forward_plan()
        self.channel.event("plan", migrations=plan)
        self.channel.event("working")
        try:
            with followed(self.connection, self.progress):
                self.call_command()
            self.progress.finish()
            newly = self.newly_recorded()
        except BaseException as problem:
            raise self.failure(problem)
        return dict(
            newly, alias=self.alias, identity=identity, recorded_before=self.before, nothing_to_do=not plan
        )

    def forward_plan(self):
        """[[app, name]] in order. A plan that would reverse anything is refused; one that Django cannot make is Django's to explain."""
        try:
            executor = MigrationExecutor(self.connection)
        except Exception:
            return []
        nodes, name = targets.resolve(executor.loader, self.app, self.name)
        self.name = nodes[0][1] if name and name != "zero" else name
        plan = executor.migration_plan(nodes)
        reversed_ = ["%s.%s" % (step.app_label, step.name) for step, backwards in plan if backwards]
        if reversed_:
            raise would_reverse(self.app, self.name, reversed_)
        return [[step.app_label, step.name] for step, _ in plan]

    def call_command(self):
        """Through its command line, as the project does it: its own arguments, its system checks, its overrides."""
        words = [word for word in (self.app, self.name) if word]
        options = ["--database", self.alias, "--noinput", "--no-color", "--traceback", "--verbosity", "1"]
        command = self.utility.fetch_command("migrate")
        try:
            command.run_from_argv([self.utility.prog_name, "migrate", *words, *options])
        except SystemExit as problem:
            if problem.code not in (None, 0):
                raise

    # When it did not work

    def failure(self, problem):
        self.progress.fail()
        facts = self.newly_recorded()
        facts["sqlstate"] = sqlstate(problem)
        if self.watch.lost:
            return Failure("guard_lost", self.watch.lost, "server", facts)
        if cancel.requested:
            return Failure("cancelled", "The migrate was stopped on request.", "person", facts)
        self.print(problem)
        return failures.of(problem, "failed", "target", facts)

    def newly_recorded(self):
        try:
            now = databases.recorded(databases.renewed(self.alias))
        except DatabaseError as problem:
            return {
                "recorded_known": False,
                "recorded_after": [],
                "recorded_problem": failures.clean(problem),
            }
        return {"recorded_known": True, "recorded_after": [row[:2] for row in now if row not in self.before]}

    def print(self, problem):
        """Into the transcript, as the command line shows it."""
        if isinstance(problem, CommandError):
            text = "%s: %s\n" % (type(problem).__name__, problem)
        elif isinstance(problem, SystemExit):
            return
        else:
            text = failures.render(problem)
        sys.stderr.write(failures.clean(text))


def would_reverse(app, name, reversed_):
    goal = "%s.%s" % (app, name)
    return Failure(
        "would_reverse",
        "To reach %s, %s would be reversed." % (goal, ", ".join(reversed_)),
        "person",
        {"reversed": reversed_},
    )


def sqlstate(problem):
    """Of the driver's error behind Django's, or None."""
    while problem is not None:
        found = getattr(problem, "sqlstate", None) or getattr(problem, "pgcode", None)
        if found:
            return found
        problem = problem.__cause__
    return None
