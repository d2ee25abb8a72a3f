"""perform: one operation under the guard: the target's own migrate, forward; or see perform_record and
perform_drop_index. perform_makemigrations changes no database and takes no guard.

Arguments: operation ("migrate"), alias, app, migration, session, guard {label}, forbidden_identity,
expected_identity: of the database that the person saw when asking; "" or none: not compared,
expected_plan: the fingerprint of the plan that the person saw (see planning); "" or none: not compared.
Another one is the error plan_changed, with facts plan: [[app, name, backwards, hash]] as it is now, and
fingerprint,
retries {tries, backoff_ms}: of an atomic migration that waited too long for a lock (see retries).
Events: connection, session, guard, about (see there), plan, working, step_started, sql, step_finished,
step_failed, step_retried {try, tries, again_in_s, waits}: it failed, and the same step is started again;
lock_wait (see blockers), session_ended (see endings).
Answer: alias, identity, recorded_before, recorded_after (what is newly recorded), recorded_known,
nothing_to_do, size_after (see about.size). An error after `working` has the facts recorded_known,
recorded_after (now, read over a new connection), size_after, sqlstate and rights (see there; None where these
were not the reason); behind a lock that was not given also undone: [app, name] of the migration of which it
is proven that it was rolled back, or null.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from django.core.management import CommandError
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from . import about, databases, failures, guard, held_plan, lacking, planning, retries, rights, targets
from .failures import Failure
from .perform_drop_index import DropIndex
from .perform_makemigrations import MakeMigrations
from .perform_record import Record
from .progress import Progress, followed

if TYPE_CHECKING:
    from typing import Any

    from .channel import Channel

PLAN_CHANGED = (
    "The plan is not the one that was looked at: migrations were changed, added, taken away or applied since."
)


def run(arguments: dict[str, Any], session: Any, channel: Channel, utility: Any) -> dict[str, Any]:
    if arguments.get("operation") == "makemigrations":
        return MakeMigrations(arguments, channel, utility).run()
    kinds = {"migrate": Migrate, "record": Record, "drop_index": DropIndex}
    kind = kinds.get(arguments.get("operation") or "")
    if kind is None:
        raise Failure(
            "bad_request", f"The agent knows no operation {arguments.get('operation')!r}.", "caller"
        )
    operation: Any = kind(arguments, channel, utility)
    forbidden = arguments.get("forbidden_identity") or ""
    expected = arguments.get("expected_identity") or ""
    connection = databases.open_or_refuse(arguments.get("alias") or "default", forbidden, expected)
    label = (arguments.get("guard") or {}).get("label") or "opsdash"
    # What a migration starts beside us (psql, pg_restore, a script) is known to the server as this job's too.
    os.environ["PGAPPNAME"] = label
    try:
        with guard.held(connection, label) as watch:
            lock = watch.guard.kind
            channel.event("guard", alias=connection.alias, taken=lock != guard.NoGuard.kind, kind=lock)
            watch.look_for_blockers(channel, session.pids, [session.wishes["application_name"] or "", label])
            channel.event("about", **about.about(connection))
            answer: dict[str, Any] = operation.run(connection, watch)
            return answer
    except BaseException as problem:
        # Giving the guard back can fail too; by then nobody may say that nothing was changed.
        if isinstance(problem, Failure) or not operation.working:
            raise
        raise operation.failure(problem, "") from problem


class Migrate:
    def __init__(self, arguments: dict[str, Any], channel: Channel, utility: Any) -> None:
        self.app = arguments.get("app") or ""
        self.name = arguments.get("migration") or ""
        targets.check_words(self.app, self.name)
        self.channel = channel
        self.utility = utility
        self.expected_plan = arguments.get("expected_plan") or ""
        self.retries = arguments.get("retries") or {}
        self.tries: retries.Tries | None = None
        self.held: planning.Plan | None = None
        self.progress = Progress(channel)
        self.working = False

    def run(self, connection: Any, watch: guard.Watch) -> dict[str, Any]:
        self.alias = connection.alias
        self.before = databases.recorded(connection)
        identity = databases.identity(connection)
        plan = self.forward_plan(connection)
        self.channel.event("plan", migrations=plan)
        self.channel.leave_a_fork()
        try:
            self.working = True
            self.channel.event("working")
            self.tries = retries.Tries(self.retries, self.progress, watch)
            following = followed(connection, self.progress)
            with following, retries.repeated(connection, self.tries), self.only_the_plan(connection):
                self.call_command()
            self.progress.settle()
            newly = self.newly_recorded()
        except BaseException as problem:
            raise self.failure(problem, watch.lost)
        return dict(
            newly, alias=self.alias, identity=identity, recorded_before=self.before, nothing_to_do=not plan
        )

    def forward_plan(self, connection: Any) -> list[list[str]]:
        """[[app, name]] in order; refused when it would reverse anything, or is not the expected one.

        What cannot be planned at all is left to Django's own migrate to explain.
        """
        try:
            executor = MigrationExecutor(connection)
        except Exception as problem:
            if self.expected_plan:
                raise self.cannot_be_planned(problem) from problem
            return []
        self.check_expected(executor)
        nodes = targets.resolve(executor.loader, self.app, self.name)
        if self.name:
            self.name = nodes[0][1] or targets.ZERO
        plan = executor.migration_plan(nodes)
        reverse = [f"{migration.app_label}.{migration.name}" for migration, backwards in plan if backwards]
        if reverse:
            message = f"To reach {self.app}.{self.name}, {', '.join(reverse)} would be reversed."
            raise Failure("would_reverse", message, "person", {"reversed": reverse})
        return [[migration.app_label, migration.name] for migration, _ in plan]

    def check_expected(self, executor: Any) -> None:
        """Before anything is done. From here on this process keeps the migrations that it has read."""
        if not self.expected_plan:
            return
        plan = planning.Plan(executor, self.app, self.name)
        if plan.fingerprint != self.expected_plan:
            facts = {"plan": plan.rows(), "fingerprint": plan.fingerprint}
            raise Failure("plan_changed", PLAN_CHANGED, "person", facts)
        self.held = plan

    def only_the_plan(self, connection: Any) -> Any:
        if self.held is None:
            return contextlib.nullcontext()
        return held_plan.only(self.alias, self.held, lambda names: self.not_of_the_plan(connection, names))

    def not_of_the_plan(self, connection: Any, names: list[str]) -> Failure:
        """Files came while this process began."""
        if self.progress.has_begun:
            words = f"{', '.join(names)} would follow, and is not of the plan that was looked at."
            return Failure("failed", words, "person")
        try:
            plan = planning.Plan(MigrationExecutor(connection), self.app, self.name)
        except Exception as problem:
            return self.cannot_be_planned(problem)
        facts = {"plan": plan.rows(), "fingerprint": plan.fingerprint}
        return Failure("plan_changed", PLAN_CHANGED, "person", facts)

    def cannot_be_planned(self, problem: Exception) -> Failure:
        words = f"{PLAN_CHANGED} Now none can be made: {failures.describe(problem)}"
        return Failure(
            "plan_changed", words, "person", {"plan": [], "fingerprint": ""}, failures.render(problem)
        )

    def call_command(self) -> None:
        """Through its command line, as the project does it: its own arguments, system checks, overrides."""
        words = [word for word in (self.app, self.name) if word]
        options = ["--database", self.alias, "--noinput", "--no-color", "--traceback", "--verbosity", "1"]
        command = self.utility.fetch_command("migrate")
        try:
            command.run_from_argv([self.utility.prog_name, "migrate", *words, *options])
        except SystemExit as problem:
            if problem.code not in (None, 0) or self.progress.in_migration:
                raise

    # When it did not work

    def failure(self, problem: BaseException, lost: str) -> Failure:
        self.progress.fail()
        facts = dict(self.newly_recorded(), sqlstate=failures.sqlstate(problem))
        if facts["recorded_known"]:
            facts["rights"] = rights.denied(connections[self.alias], problem)
        if lost:
            return Failure("guard_lost", lost, "server", facts)
        failure = failures.of(problem, "failed", facts)
        if failure is problem:
            failure.facts.update(facts)
        elif failure.kind == "failed":
            failure.message = lacking.typed(problem)[1]
            if facts["sqlstate"] == retries.LOCK_NOT_AVAILABLE and self.tries and self.tries.sentence:
                failure.message = f"{failure.message.rstrip('.')}. {self.tries.sentence}"
                facts["undone"] = self.tries.undone
            show(problem)
        return failure

    def newly_recorded(self) -> dict[str, Any]:
        try:
            connection = databases.renewed(self.alias)
            now = databases.recorded(connection)
        except Exception as problem:
            # The target's own code takes part in opening a connection, so it may be anything.
            return {
                "recorded_known": False,
                "recorded_after": [],
                "recorded_problem": failures.clean(problem),
            }
        return {
            "recorded_known": True,
            "recorded_after": [row[:2] for row in now if row not in self.before],
            "size_after": about.size(connection),
        }


def show(problem: BaseException) -> None:
    """In the transcript, as the command line shows it; a SystemExit has had its say."""
    if isinstance(problem, CommandError):
        sys.stderr.write(failures.clean(f"{failures.describe(problem)}\n"))
    elif not isinstance(problem, SystemExit):
        sys.stderr.write(failures.clean(failures.render(problem), failures.TRACEBACK_LIMIT))
