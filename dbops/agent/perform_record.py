"""perform, operation "record": one migration is recorded as applied, after its schema was proven again.

Arguments: app, migration. Events: plan, working, step_started, step_finished. Answer: alias, identity,
recorded_before, recorded_after, recorded_known.

By one INSERT and nothing else: `migrate --fake` would also run the receivers of post_migrate, and whatever an
overridden command does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.migrations.recorder import MigrationRecorder

from . import databases, failures, targets
from .examine_verb import examined
from .failures import Failure
from .progress import Progress

if TYPE_CHECKING:
    from typing import Any

    from .channel import Channel
    from .guard import Watch


class Record:
    def __init__(self, arguments: dict[str, Any], channel: Channel, utility: Any) -> None:
        self.app = arguments.get("app") or ""
        self.name = arguments.get("migration") or ""
        targets.check_words(self.app, self.name)
        self.channel = channel
        self.progress = Progress(channel)
        self.working = False

    def run(self, connection: Any, watch: Watch) -> dict[str, Any]:
        self.alias = connection.alias
        self.before = databases.recorded(connection)
        self.prove(connection)
        self.channel.event("plan", migrations=[[self.app, self.name]])
        self.channel.leave_a_fork()
        try:
            self.working = True
            self.channel.event("working")
            self.progress.start("migration", app=self.app, name=self.name, backwards=False, fake=True)
            with connection.execute_wrapper(self.progress.count):
                self.record(connection)
            self.progress.finish()
            return dict(
                self.newly_recorded(),
                alias=self.alias,
                identity=databases.identity(connection),
                recorded_before=self.before,
            )
        except BaseException as problem:
            raise self.failure(problem, watch.lost)

    def prove(self, connection: Any) -> None:
        facts = examined(connection, self.app, self.name)
        if not facts["recordable"]:
            message = f"It is not proven that {self.app}.{self.name} is applied: {why(facts)}."
            raise Failure("not_proven", message, "person", {"examined": facts})

    def record(self, connection: Any) -> None:
        with transaction.atomic(self.alias):
            if connection.vendor == "postgresql":
                # Its rows have no unique key: who else records one waits.
                with connection.cursor() as cursor:
                    table = connection.ops.quote_name(MigrationRecorder.Migration._meta.db_table)
                    cursor.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
            recorder = MigrationRecorder(connection)
            if (self.app, self.name) in recorder.applied_migrations():
                raise Failure("not_proven", f"{self.app}.{self.name} was recorded just now.", "person")
            recorder.record_applied(self.app, self.name)
        if not connection.get_autocommit():
            connection.commit()

    def failure(self, problem: BaseException, lost: str) -> Failure:
        self.progress.fail()
        facts = dict(self.newly_recorded(), sqlstate=failures.sqlstate(problem))
        if lost:
            return Failure("guard_lost", lost, "server", facts)
        return failures.of(problem, "act_failed", facts)

    def newly_recorded(self) -> dict[str, Any]:
        try:
            now = databases.recorded(databases.renewed(self.alias))
        except Exception:
            return {"recorded_known": False, "recorded_after": []}
        return {"recorded_known": True, "recorded_after": [row[:2] for row in now if row not in self.before]}


def why(facts: dict[str, Any]) -> str:
    if facts["why"]:
        return str(facts["why"])
    if facts["recorded"]:
        return "it is recorded already"
    if facts["unseen"]:
        return f"what {', '.join(facts['unseen'])} did cannot be seen"
    if facts["verdict"] == "untouched":
        return "nothing of it is in the schema"
    missing = [*facts["lacking"], *facts["otherwise"], *facts["invalid"]]
    return f"the schema is not as it makes it ({'; '.join(missing[:3]) or facts['verdict']})"
