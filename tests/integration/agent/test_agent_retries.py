"""A lock that an atomic migration waited for too long: tried again, and only where nothing of it stayed."""

import os
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbops.target.door import Event, Session
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import Record, has_said, listen, start
from tests.targets.builder import Project, make_project

PYTHONS = os.environ.get("OPSDASH_TEST_PYTHONS", sys.executable).split(":")
pytestmark = pytest.mark.parametrize("python", PYTHONS)

SHORT = {"application_name": "opsdash job 1", "lock_timeout_ms": 300}
# A mark that no rollback takes back, and a row that one does.
MARK = "with open(os.environ['MARKS'], 'a') as file:\n    file.write('x')\n"
ROW = "schema_editor.execute('INSERT INTO counted DEFAULT VALUES')\n"
LOCK = "schema_editor.execute('ALTER TABLE wanted ADD COLUMN more integer')\n"
# As a driver's connection that Django knows nothing of.
RAW = """
try:
    import psycopg as driver
except ImportError:
    import psycopg2 as driver
kept = {k: v for k, v in schema_editor.connection.get_connection_params().items()
        if k in ('dbname', 'database', 'user', 'password', 'host', 'port')}
"""
ITS_OWN = "INSERT INTO counted DEFAULT VALUES"
PROGRAM = f"""
import json
code = 'import sys, json, ' + driver.__name__ + ' as d; c = d.connect(**json.loads(sys.argv[1]));'
code += ' c.autocommit = True; c.cursor().execute("{ITS_OWN}")'
argv = [sys.executable, '-c', code, json.dumps(kept)]
"""
COMMIT = "schema_editor.execute('COMMIT')\nschema_editor.execute('BEGIN')\n"


class Bench:
    """A project with tables `wanted` and `counted`, applied up to 0001."""

    def __init__(self, path: Path, database: Database, python: str) -> None:
        self.database = database
        self.marks = path / "marks"
        self.project = make_project(path / "mini", {"default": database.settings})
        self.project.migration("0001_tables", 'migrations.RunSQL("SELECT 1")')
        self.address = self.project.address(argv=(python,), env={"MARKS": str(self.marks)})
        with database.connect() as connection:
            connection.execute("CREATE TABLE wanted (n integer)")
            connection.execute("CREATE TABLE counted (n serial)")
        with start(self.address) as session:
            assert listen(session).answer["recorded_after"] == [["shop", "0001_tables"]]

    def starts(self) -> int:
        return len(self.marks.read_text()) if self.marks.exists() else 0

    def rows(self) -> int:
        return int(self.database.rows("SELECT count(*) FROM counted")[0][0])

    def migrate(self, tries: int = 3, lock_timeout_ms: int = 300) -> Record:
        wishes = self.wishes(tries)
        wishes["session"] = dict(SHORT, lock_timeout_ms=lock_timeout_ms)
        with start(self.address, **wishes) as session:
            return listen(session)

    def wishes(self, tries: int, backoff_ms: int = 50) -> dict[str, Any]:
        return {"session": SHORT, "retries": {"tries": tries, "backoff_ms": backoff_ms}}


@pytest.fixture
def bench(tmp_path: Path, database: Database, python: str) -> Bench:
    return Bench(tmp_path, database, python)


def hold(database: Database, table: str = "wanted") -> psycopg.Connection[Any]:
    """Locked until it is closed."""
    holder = database.connect(autocommit=False, application_name="somebody")
    holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
    return holder


def until_retried(session: Session) -> Record:
    record = listen(session, lambda record: bool(record.events("step_retried")))
    assert record.events("step_retried"), record.failure.message
    return record


def tried(record: Record) -> list[tuple[int, int]]:
    return [(event["try"], event["tries"]) for event in record.events("step_retried")]


def outcomes(record: Record) -> list[str]:
    names = ("step_started", "step_retried", "step_failed", "step_finished")
    events = [frame for frame in record.frames if isinstance(frame, Event)]
    return [one.name for one in events if one.name in names and one.data["kind"] == "migration"]


def test_a_lock_that_is_released_meanwhile_lets_it_succeed_once(bench: Bench) -> None:
    bench.project.python("0002_alter", MARK + ROW + LOCK)
    with hold(bench.database) as holder, start(bench.address, **bench.wishes(20)) as session:
        record = until_retried(session)
        holder.rollback()
        record.frames += listen(session).frames
    assert record.answer["recorded_after"] == [["shop", "0002_alter"]]
    assert outcomes(record)[:3] == ["step_started", "step_retried", "step_started"]
    assert outcomes(record)[-1] == "step_finished" and "step_failed" not in outcomes(record)
    assert bench.starts() == len(record.events("step_retried")) + 1
    assert (bench.rows(), bench.database.recorded()) == (1, ["0001_tables", "0002_alter"])
    retried = record.events("step_retried")[0]
    assert (retried["app"], retried["name"], retried["try"], retried["again_in_s"]) == (
        "shop", "0002_alter", 1, 0.05,
    )  # fmt: skip


def test_a_lock_that_is_held_for_ever_ends_it_after_the_last_try(bench: Bench) -> None:
    bench.project.python("0002_alter", MARK + ROW + LOCK)
    with hold(bench.database):
        record = bench.migrate(tries=4)
    assert tried(record) == [(1, 4), (2, 4), (3, 4)]
    assert [event["again_in_s"] for event in record.events("step_retried")] == [0.05, 0.1, 0.2]
    assert (bench.starts(), bench.rows(), outcomes(record)[-1]) == (4, 0, "step_failed")
    failure = record.failure
    assert (failure.type, failure.facts["sqlstate"], failure.facts["recorded_after"]) == (
        "failed",
        "55P03",
        [],
    )
    ran = "its statement ran 0.3 s, 0.3 s, 0.3 s, 0.3 s until the lock was given up."
    assert f"It was tried 4 times; {ran}" in failure.message
    assert failure.facts["undone"] == ["shop", "0002_alter"]
    assert "Its transaction was rolled back each time." in failure.message


def test_it_is_said_who_was_in_the_way_of_the_last_try(bench: Bench) -> None:
    bench.project.python("0002_alter", MARK + ROW + LOCK)
    with hold(bench.database) as holder:
        record = bench.migrate(tries=2, lock_timeout_ms=2500)
        pid = holder.info.backend_pid
    assert f"In its way stood pid {pid} (somebody, role " in record.failure.message
    (wait,) = record.events("step_retried")[0]["waits"]
    assert [one["pid"] for one in wait["blockers"]] == [pid]


def test_who_was_in_the_way_of_a_statement_before_is_not_blamed(bench: Bench) -> None:
    said = [
        "SET LOCAL lock_timeout = '60s'",
        "LOCK TABLE wanted",
        "SET LOCAL lock_timeout = '1ms'",
        "LOCK TABLE counted",
    ]
    bench.project.python("0002_alter", "".join(f"schema_editor.execute({one!r})\n" for one in said))
    with (
        hold(bench.database) as innocent,
        hold(bench.database, "counted"),
        start(bench.address, **bench.wishes(2)) as session,
    ):
        record = listen(session, lambda record: any(one["waits"] for one in record.events("lock_wait")))
        innocent.rollback()
        record.frames += listen(session).frames
    assert "Who held it was not seen." in record.failure.message
    assert [event["waits"] for event in record.events("step_retried")] == [[]]


def test_a_time_that_is_no_wait_is_not_called_one(bench: Bench) -> None:
    bench.project.migration("0002_alter", 'migrations.RunSQL("SELECT pg_sleep(1); LOCK TABLE wanted")')
    with hold(bench.database):
        record = bench.migrate(tries=1 + 1)
    assert "waited" not in record.failure.message
    assert "its statement ran 1." in record.failure.message


@pytest.mark.parametrize("tries", [1, 3])
def test_a_rollback_that_django_refuses_rolls_nothing_back(bench: Bench, tries: int) -> None:
    source = ROW + "try:\n    schema_editor.connection.rollback()\n"
    source += "except Exception as problem:\n    print('refused', type(problem).__name__)\n"
    bench.project.python("0002_rolls", source)
    record = bench.migrate(tries=tries)
    assert b"refused TransactionManagementError" in record.output
    assert (record.answer["recorded_after"], bench.rows()) == ([["shop", "0002_rolls"]], 1)


def test_a_projects_own_executor_makes_the_state_anew(bench: Bench) -> None:
    bench.project.write("shop/management/__init__.py", "")
    bench.project.write("shop/management/commands/__init__.py", "")
    bench.project.write(
        "shop/management/commands/migrate.py",
        "from django.core.management.commands import migrate\n"
        "class Executor(migrate.MigrationExecutor):\n"
        "    def _create_project_state(self, *args, **kwargs):\n"
        "        print('our own state')\n"
        "        return super()._create_project_state(*args, **kwargs)\n"
        "migrate.MigrationExecutor = Executor\n"
        "class Command(migrate.Command):\n    pass\n",
    )
    bench.project.python("0002_alter", LOCK)
    with hold(bench.database):
        once, twice = bench.migrate(tries=1), bench.migrate(tries=2)
    assert twice.output.count(b"our own state") == once.output.count(b"our own state") + 1


def test_one_try_means_that_nothing_is_tried_again(bench: Bench) -> None:
    bench.project.python("0002_alter", MARK + LOCK)
    with hold(bench.database):
        record = bench.migrate(tries=1)
    assert (tried(record), bench.starts()) == ([], 1)


ONE = "not proven that all of it ran in one transaction"
REFUSED = {
    "not atomic": (MARK + ROW + LOCK, "atomic = False", "it is not atomic"),
    "a COMMIT in it": (MARK + ROW + COMMIT + ROW + LOCK, "", ONE),
    "a COMMIT by the driver": (
        MARK + ROW + "schema_editor.connection.connection.commit()\n" + ROW + LOCK,
        "",
        "not proven that all of it ran in one transaction",
    ),
    "a COMMIT after the time-out": (
        MARK + "from django.db import transaction\n"
        "try:\n    with transaction.atomic():\n        " + LOCK.strip() + "\n"
        "except Exception:\n    " + ROW + "    schema_editor.connection.connection.commit()\n    raise\n",
        "",
        "not proven that all of it ran in one transaction",
    ),
    "another connection": (
        MARK + "from django.db import connections\nother = connections.create_connection('default')\n"
        "other.cursor().execute('INSERT INTO counted DEFAULT VALUES')\n" + LOCK,
        "",
        "it used other connections",
    ),
    "a connection of the driver's": (
        MARK + RAW + "other = driver.connect(**kept)\nother.autocommit = True\n"
        f"other.cursor().execute('{ITS_OWN}')\n" + LOCK,
        "",
        "it used other connections",
    ),
    "a program": (
        MARK + RAW + PROGRAM + "subprocess.run(argv, check=True)\n" + LOCK,
        "",
        "it started a program",
    ),
    "a process as multiprocessing spawns it": (
        MARK + RAW + PROGRAM + "from multiprocessing.util import spawnv_passfds\n"
        "os.waitpid(spawnv_passfds(os.fsencode(sys.executable), argv, []), 0)\n" + LOCK,
        "",
        "it started a program",
    ),
    "a fork": (
        MARK + RAW + "pid = os.fork()\nif pid == 0:\n"
        "    other = driver.connect(**kept)\n    other.autocommit = True\n"
        f"    other.cursor().execute('{ITS_OWN}')\n    os._exit(0)\nos.waitpid(pid, 0)\n" + LOCK,
        "",
        "it started a program",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_may_have_left_something_is_never_tried_again(bench: Bench, name: str) -> None:
    source, body, words = REFUSED[name]
    bench.project.python("0002_alter", source, body=body)
    with hold(bench.database):
        record = bench.migrate()
    assert (tried(record), bench.starts(), record.failure.facts["sqlstate"]) == ([], 1, "55P03")
    assert bench.rows() == 1
    assert record.failure.facts["undone"] is None
    assert words in record.failure.message
    assert "rolled back" not in record.failure.message


def test_sql_with_a_commit_of_its_own_is_never_tried_again(bench: Bench) -> None:
    sql = "INSERT INTO counted DEFAULT VALUES; COMMIT; BEGIN; LOCK TABLE wanted"
    bench.project.migration("0002_alter", f'migrations.RunSQL("{sql}")')
    with hold(bench.database):
        record = bench.migrate()
    assert (tried(record), bench.rows()) == ([], 1)
    assert "not proven that all of it ran in one transaction" in record.failure.message


def test_a_time_out_while_recording_after_the_commit_is_never_tried_again(bench: Bench) -> None:
    """An index makes Django record it behind the commit."""
    bench.project.migration(
        "0002_indexed",
        'migrations.CreateModel("Thing", [("id", models.BigAutoField(primary_key=True)),'
        ' ("n", models.IntegerField(db_index=True))])',
    )
    with (
        start(bench.address, **bench.wishes(3)) as session,
        bench.database.connect(autocommit=False) as holder,
    ):
        # Reading stays possible, so that the plan can be made.
        holder.execute("LOCK TABLE django_migrations IN SHARE MODE")
        record = listen(session)
    assert (tried(record), record.failure.facts["sqlstate"]) == ([], "55P03")
    assert bench.database.rows("SELECT to_regclass('shop_thing') IS NOT NULL") == [(True,)]
    assert bench.database.recorded() == ["0001_tables"]
    assert "rolled back" not in record.failure.message


def test_a_time_out_while_recording_inside_the_transaction_is_tried_again(bench: Bench) -> None:
    bench.project.python("0002_plain", MARK + ROW)
    with bench.database.connect(autocommit=False) as holder:
        holder.execute("LOCK TABLE django_migrations IN SHARE MODE")
        with start(bench.address, **bench.wishes(20)) as session:
            record = until_retried(session)
            holder.rollback()
            record.frames += listen(session).frames
    assert (bench.rows(), bench.database.recorded()) == (1, ["0001_tables", "0002_plain"])


def test_a_deferred_constraint_that_waits_is_tried_again(bench: Bench) -> None:
    """The schema editor adds foreign keys after the operations, still inside the transaction."""
    with bench.database.connect() as connection:
        connection.execute("CREATE TABLE shop_far (id bigint PRIMARY KEY)")
    far = 'migrations.CreateModel("Far", [("id", models.BigAutoField(primary_key=True))])'
    bench.project.migration("0002_far", f"migrations.SeparateDatabaseAndState(state_operations=[{far}])")
    bench.project.migration(
        "0003_near",
        'migrations.CreateModel("Near", [("id", models.BigAutoField(primary_key=True)),'
        ' ("far", models.ForeignKey("shop.Far", models.CASCADE))])',
    )
    with hold(bench.database, "shop_far") as holder, start(bench.address, **bench.wishes(20)) as session:
        record = until_retried(session)
        holder.rollback()
        record.frames += listen(session).frames
    assert bench.database.recorded() == ["0001_tables", "0002_far", "0003_near"]


def test_the_state_of_the_project_is_that_before_the_try(bench: Bench) -> None:
    """Operations that name what an operation before them made: applied twice to one state they would fail."""
    bench.project.migration(
        "0002_many",
        'migrations.CreateModel("Thing", [("id", models.BigAutoField(primary_key=True))]),'
        ' migrations.RenameModel("Thing", "Other"),'
        ' migrations.AddField("Other", "n", models.IntegerField(null=True)),'
        ' migrations.RenameField("Other", "n", "m")',
    )
    gone = 'migrations.RemoveField("Other", "m"), migrations.RunSQL("LOCK TABLE wanted")'
    bench.project.migration("0003_more", gone)
    with hold(bench.database) as holder, start(bench.address, **bench.wishes(20)) as session:
        record = until_retried(session)
        holder.rollback()
        record.frames += listen(session).frames
    assert record.answer["recorded_after"] == [["shop", "0002_many"], ["shop", "0003_more"]]
    assert "step_failed" not in outcomes(record)


def test_what_fails_behind_a_migration_that_was_tried_again_is_another_matter(bench: Bench) -> None:
    bench.project.write(
        "shop/apps.py",
        "from django.apps import AppConfig\nfrom django.db import connection\n"
        "from django.db.models.signals import post_migrate\n"
        "def after(**_):\n    with connection.cursor() as cursor:\n"
        "        cursor.execute('ALTER TABLE counted ADD COLUMN more integer')\n"
        "class Shop(AppConfig):\n    name = 'shop'\n"
        "    def ready(self):\n        post_migrate.connect(after, sender=self)\n",
    )
    bench.project.migration("0002_alter", 'migrations.RunSQL("LOCK TABLE wanted")')
    with (
        hold(bench.database, "counted"),
        hold(bench.database) as holder,
        start(bench.address, **bench.wishes(20)) as session,
    ):
        record = until_retried(session)
        holder.rollback()
        record.frames += listen(session).frames
    failure = record.failure
    assert (failure.facts["sqlstate"], failure.facts["recorded_after"]) == ("55P03", [["shop", "0002_alter"]])
    assert "It was tried" not in failure.message and failure.facts.get("undone") is None


def test_an_overridden_migrate_runs_once(bench: Bench) -> None:
    bench.project.write("shop/management/__init__.py", "")
    bench.project.write("shop/management/commands/__init__.py", "")
    bench.project.write(
        "shop/management/commands/migrate.py",
        "from django.core.management.commands.migrate import Command as Migrate\n"
        "class Command(Migrate):\n    def handle(self, *args, **options):\n        print('our own migrate')\n"
        "        return super().handle(*args, **options)\n",
    )
    bench.project.python("0002_alter", MARK + LOCK)
    with hold(bench.database):
        record = bench.migrate(tries=3)
    assert (bench.starts(), record.output.count(b"our own migrate")) == (3, 1)


def test_inside_another_transaction_nothing_is_tried_again(bench: Bench) -> None:
    bench.project.write("shop/management/__init__.py", "")
    bench.project.write("shop/management/commands/__init__.py", "")
    bench.project.write(
        "shop/management/commands/migrate.py",
        "from django.core.management.commands.migrate import Command as Migrate\n"
        "from django.db import transaction\n"
        "class Command(Migrate):\n    def handle(self, *args, **options):\n"
        "        with transaction.atomic():\n            return super().handle(*args, **options)\n",
    )
    bench.project.python("0002_alter", MARK + LOCK)
    with hold(bench.database):
        record = bench.migrate()
    assert (bench.starts(), tried(record)) == (1, [])
    assert "it ran inside another transaction" in record.failure.message


def test_a_project_without_autocommit_is_not_tried_again(bench: Bench) -> None:
    """There no migration has a transaction of its own."""
    bench.project.databases["default"]["AUTOCOMMIT"] = False
    bench.project.settings()
    bench.project.python("0002_alter", MARK + LOCK)
    with hold(bench.database):
        record = bench.migrate()
    assert (bench.starts(), tried(record)) == (1, [])


def test_a_time_out_that_the_migration_catches_itself_is_its_own(bench: Bench) -> None:
    source = "from django.db import transaction\ntry:\n    with transaction.atomic():\n        " + LOCK
    source += "except Exception as problem:\n    print('caught', type(problem).__name__)\n"
    bench.project.python("0002_alter", MARK + source + ROW)
    with hold(bench.database):
        record = bench.migrate()
    assert (bench.starts(), bench.rows(), tried(record)) == (1, 1, [])
    assert record.answer["recorded_after"] == [["shop", "0002_alter"]]


@pytest.mark.parametrize("before", ["", "/* first */ ", "SET LOCAL work_mem = '8MB'; "])
def test_a_migration_may_choose_its_isolation_level(bench: Bench, before: str) -> None:
    sql = before + "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"
    bench.project.migration("0002_level", f'migrations.RunSQL("{sql}")')
    assert bench.migrate().answer["recorded_after"] == [["shop", "0002_level"]]


@pytest.mark.parametrize("deaf", ["", "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"])
def test_a_cancel_ends_the_rest_between_two_tries(bench: Bench, deaf: str) -> None:
    bench.project.python("0002_alter", MARK + deaf + LOCK)
    with hold(bench.database), start(bench.address, **bench.wishes(5, 600_000)) as session:
        record = until_retried(session)
        session.cancel()
        record.frames += listen(session).frames
    assert (record.failure.type, record.end.rung, bench.starts()) == ("cancelled", "polite", 1)
    assert record.failure.facts["recorded_after"] == []


def test_without_the_guard_nothing_is_tried_again(bench: Bench) -> None:
    bench.project.python("0002_alter", MARK + LOCK)
    with hold(bench.database), start(bench.address, **bench.wishes(5, 600_000)) as session:
        record = until_retried(session)
        guard = next(event for event in record.events("connection") if event["purpose"] == "guard")
        bench.database.rows(f"SELECT pg_terminate_backend({guard['backend_pid']})")
        record.frames += listen(session).frames
    assert (record.failure.type, bench.starts()) == ("guard_lost", 1)


def test_sqlite_knows_nothing_of_it(project: Project, python: str) -> None:
    project.python("0001_says", "print('once')")
    with start(project.address(argv=(python,)), retries={"tries": 5, "backoff_ms": 10}) as session:
        record = listen(session, has_said(b"once"))
        record.frames += listen(session).frames
    assert record.answer["recorded_after"] == [["shop", "0001_says"]]
    assert record.events("lock_wait") == []
