"""Who keeps a job waiting for a lock: said while it waits, and ended on request."""

import os
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from dbops.target.door import Session
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import Record, listen, start
from tests.integration.agent.test_agent_stop import soon
from tests.targets.builder import Project, make_project

PYTHONS = os.environ.get("OPSDASH_TEST_PYTHONS", sys.executable).split(":")
pytestmark = pytest.mark.parametrize("python", PYTHONS)

SESSION = {"application_name": "opsdash job 1", "lock_timeout_ms": 0}
LONG_AGO = "2001-01-01T00:00:00.000000+00:00"


@pytest.fixture
def waiting(tmp_path: Path, database: Database) -> Project:
    """Its migration needs the table `wanted` for itself."""
    with database.connect() as connection:
        connection.execute("CREATE TABLE wanted (n integer, name text)")
        connection.execute("INSERT INTO wanted VALUES (1, 'one'), (2, 'two')")
        connection.execute("CREATE TABLE other (n integer)")
    project = make_project(tmp_path / "mini", {"default": database.settings})
    project.migration("0001_alter", 'migrations.RunSQL("ALTER TABLE wanted ADD COLUMN more integer")')
    return project


@contextmanager
def job(project: Project, python: str) -> Iterator[Session]:
    with start(project.address(argv=(python,)), session=SESSION) as session:
        yield session


@contextmanager
def hold(database: Database, statement: str, **options: Any) -> Iterator[psycopg.Connection[Any]]:
    """A session that is idle in its transaction, with the locks of this statement."""
    holder = database.connect(autocommit=False, **{"application_name": "somebody", **options})
    try:
        holder.execute(statement.encode())
        yield holder
    finally:
        holder.close()


@contextmanager
def locked_for_all(database: Database) -> Iterator[None]:
    """By a session that is in no transaction: its lock outlives them."""
    with database.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(42)")
        yield


@contextmanager
def running(connection: psycopg.Connection[Any], statement: str) -> Iterator[list[str]]:
    """It runs beside the test; behind it, how it failed, if it did."""
    said: list[str] = []

    def run() -> None:
        try:
            connection.execute(statement.encode())
        except psycopg.Error as problem:
            said.append(str(problem))

    thread = threading.Thread(target=run)
    thread.start()
    yield said
    thread.join(30)


def waits(record: Record) -> list[dict[str, Any]]:
    """The latest that was told."""
    told = record.events("lock_wait")
    return list(told[-1]["waits"]) if told else []


def blocked_by(count: int) -> Callable[[Record], bool]:
    return lambda record: len(waits(record)) == 1 and len(waits(record)[0]["blockers"]) == count


def until_blocked(session: Session, count: int = 1) -> tuple[Record, dict[str, Any]]:
    record = listen(session, blocked_by(count))
    return record, waits(record)[0]


def end(session: Session, number: int, blocker: dict[str, Any], act: str = "terminate") -> None:
    """As it was told."""
    starts = blocker["backend_start"], blocker["transaction_start"]
    session.end_session(number, blocker["pid"], *starts, act)


def ending(session: Session, record: Record) -> dict[str, Any]:
    heard = listen(session, lambda more: bool(more.events("session_ended")))
    record.frames += heard.frames
    return dict(heard.events("session_ended")[0])


def test_it_is_said_what_is_waited_for_and_who_is_in_the_way(
    waiting: Project, database: Database, python: str
) -> None:
    with (
        hold(database, "SELECT n FROM wanted WHERE name = 'secret'") as holder,
        job(waiting, python) as session,
    ):
        record, wait = until_blocked(session)
        pid = holder.info.backend_pid
        holder.rollback()
        record.frames += listen(session).frames
    assert (wait["mode"], wait["locktype"], wait["relation"]) == ("AccessExclusiveLock", "relation", "wanted")
    work = next(event for event in record.events("connection") if event["purpose"] == "work")
    assert (wait["pid"], wait["waited_s"] < 60) == (work["backend_pid"], True)
    (blocker,) = wait["blockers"]
    assert (blocker["pid"], blocker["direct"], blocker["state"]) == (
        pid, True, "idle in transaction",
    )  # fmt: skip
    assert (blocker["application_name"], blocker["user"]) == ("somebody", database.server.username)
    assert blocker["query"] == "SELECT n FROM wanted WHERE name = '?'"
    assert (blocker["held"], blocker["waits_for"]) == (["AccessShareLock"], None)
    assert blocker["backend_start"].endswith("+00:00") and blocker["transaction_s"] >= 0
    assert blocker["transaction_start"].endswith("+00:00")
    assert blocker["transaction_start"] > blocker["backend_start"]
    assert record.answer["recorded_after"] == [["shop", "0001_alter"]]


def test_it_is_said_that_it_is_over(waiting: Project, database: Database, python: str) -> None:
    waiting.python("0002_sleeps", "time.sleep(600)")
    with hold(database, "LOCK TABLE wanted") as holder, job(waiting, python) as session:
        until_blocked(session)
        holder.rollback()
        listen(session, lambda record: bool(record.events("lock_wait")) and not waits(record))
        session.cancel()
        assert listen(session).failure.type == "cancelled"


def test_it_is_told_again_while_it_lasts(waiting: Project, database: Database, python: str) -> None:
    with hold(database, "LOCK TABLE wanted") as holder, job(waiting, python) as session:
        record = listen(session, lambda record: len(record.events("lock_wait")) == 2)
        holder.rollback()
        listen(session)
    first, second = (event["waits"][0]["waited_s"] for event in record.events("lock_wait"))
    assert second > first


def test_two_in_the_way_are_two(waiting: Project, database: Database, python: str) -> None:
    with (
        hold(database, "SELECT 1 FROM wanted") as one,
        hold(database, "SELECT 1 FROM wanted") as two,
        job(waiting, python) as session,
    ):
        _, wait = until_blocked(session, 2)
        assert {one["pid"] for one in wait["blockers"]} == {one.info.backend_pid, two.info.backend_pid}
        assert all(one["direct"] for one in wait["blockers"])
        one.rollback()
        _, wait = until_blocked(session)
        assert [one["pid"] for one in wait["blockers"]] == [two.info.backend_pid]
        two.rollback()
        assert listen(session).answer["recorded_after"]


def test_behind_a_blocker_that_waits_stands_the_one_that_it_waits_for(
    waiting: Project, database: Database, python: str
) -> None:
    with (
        hold(database, "LOCK TABLE other") as root,
        hold(database, "LOCK TABLE wanted", application_name="middle") as middle,
        running(middle, "LOCK TABLE other"),
        job(waiting, python) as session,
    ):
        _, wait = until_blocked(session, 2)
        near, far = wait["blockers"]
        assert (near["pid"], near["direct"], near["blocked_by"]) == (
            middle.info.backend_pid, True, [root.info.backend_pid],
        )  # fmt: skip
        assert near["waits_for"]["relation"] == "other"
        assert (far["pid"], far["direct"]) == (root.info.backend_pid, False)
        end(session, 1, far)
        end(session, 2, near)
        assert listen(session).answer["recorded_after"]


def test_a_row_that_is_waited_for_names_its_table(waiting: Project, database: Database, python: str) -> None:
    waiting.migration(
        "0001_alter", "migrations.RunSQL(\"UPDATE wanted SET name = 'x' WHERE n = 1\")", after=[]
    )
    with (
        hold(database, "UPDATE wanted SET name = 'y' WHERE n = 1") as holder,
        job(waiting, python) as session,
    ):
        _, wait = until_blocked(session)
        assert (wait["locktype"], wait["relation"]) == ("transactionid", "wanted")
        assert wait["blockers"][0]["held"] == ["ExclusiveLock"]
        holder.rollback()
        assert listen(session).answer["recorded_after"]


def test_a_session_is_ended_and_the_job_goes_on(waiting: Project, database: Database, python: str) -> None:
    with hold(database, "LOCK TABLE wanted") as holder, job(waiting, python) as session:
        record, wait = until_blocked(session)
        assert wait["blockers"][0]["pid"] == holder.info.backend_pid
        end(session, 7, wait["blockers"][0])
        told = ending(session, record)
        record.frames += listen(session).frames
        with pytest.raises(psycopg.OperationalError):
            holder.execute("SELECT 1")
    assert told == {"id": 7, "done": "done", "words": "The session was ended, its transaction rolled back."}
    assert record.answer["recorded_after"] == [["shop", "0001_alter"]]


def test_a_statement_is_cancelled_and_its_session_stays(
    waiting: Project, database: Database, python: str
) -> None:
    with database.connect() as holder, running(holder, "SELECT pg_sleep(600) FROM wanted") as said:
        assert soon(lambda: bool(database.rows("SELECT 1 FROM pg_locks WHERE relation = 'wanted'::regclass")))
        with job(waiting, python) as session:
            record, wait = until_blocked(session)
            (blocker,) = wait["blockers"]
            assert (blocker["state"], blocker["query"]) == ("active", "SELECT pg_sleep(?) FROM wanted")
            end(session, 8, blocker, "cancel")
            assert ending(session, record)["done"] == "done"
            assert listen(session).answer["recorded_after"]
        assert soon(lambda: bool(said))
        assert "canceling statement due to user request" in said[0]
        assert holder.execute("SELECT 1").fetchone() == (1,)


def test_another_session_with_the_same_pid_is_left_alone(
    waiting: Project, database: Database, python: str
) -> None:
    with hold(database, "LOCK TABLE wanted") as holder, job(waiting, python) as session:
        record, wait = until_blocked(session)
        end(session, 9, {**wait["blockers"][0], "backend_start": LONG_AGO})
        assert ending(session, record)["words"] == "The session had gone already. Nothing was done."
        assert holder.execute("SELECT 1").fetchone() == (1,)
        holder.rollback()
        listen(session)


@pytest.mark.parametrize("act", ["cancel", "terminate"])
def test_another_transaction_of_the_same_session_is_left_alone(
    waiting: Project, database: Database, python: str, act: str
) -> None:
    waiting.python("0002_sleeps", "time.sleep(600)")
    with hold(database, "LOCK TABLE wanted") as holder, job(waiting, python) as session:
        record, wait = until_blocked(session)
        holder.commit()
        holder.execute("INSERT INTO other VALUES (7)")
        end(session, 10, wait["blockers"][0], act)
        told = ending(session, record)
        holder.commit()
        session.cancel()
        listen(session)
    assert told["done"] == "gone" and "another transaction than the one that was shown" in told["words"]
    assert database.rows("SELECT n FROM other") == [(7,)]


def test_a_session_that_is_in_the_way_without_a_transaction_is_ended(
    waiting: Project, database: Database, python: str
) -> None:
    waiting.migration("0001_alter", 'migrations.RunSQL("SELECT pg_advisory_lock(42)")', after=[])
    with locked_for_all(database), job(waiting, python) as session:
        record, wait = until_blocked(session)
        (blocker,) = wait["blockers"]
        assert (blocker["state"], blocker["transaction_start"]) == ("idle", None)
        end(session, 11, blocker)
        assert ending(session, record)["done"] == "done"
        assert listen(session).answer["recorded_after"]


def test_a_session_of_the_job_itself_is_never_ended(
    waiting: Project, database: Database, python: str
) -> None:
    starts_of = """SELECT to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
                          to_char(xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
                     FROM pg_stat_activity WHERE pid = """
    with hold(database, "LOCK TABLE wanted") as holder, job(waiting, python) as session:
        record, _ = until_blocked(session)
        for number, event in enumerate(record.events("connection")):
            backend, transaction = database.rows(starts_of + str(event["backend_pid"]))[0]
            session.end_session(number, event["backend_pid"], backend, transaction, "terminate")
            assert ending(session, record)["done"] == "refused"
        holder.rollback()
        assert listen(session).answer["recorded_after"]


def test_a_cancel_works_with_endings_in_flight(waiting: Project, database: Database, python: str) -> None:
    with hold(database, "LOCK TABLE wanted"), job(waiting, python) as session:
        until_blocked(session)
        for number in range(50):
            session.end_session(number, 1, LONG_AGO, LONG_AGO, "terminate")
        session.cancel()
        session.end_session(51, 1, LONG_AGO, LONG_AGO, "terminate")
        record = listen(session)
    assert (record.failure.type, record.end.rung) == ("cancelled", "polite")


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """A role that may do everything in this database, and nothing to the sessions of others."""
    name = f"plain_{uuid.uuid4().hex[:8]}"
    with database.connect_as_superuser() as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'plain-password'")
        connection.execute(f"GRANT ALL ON DATABASE {database.name} TO {name}")
        connection.execute(f"GRANT ALL ON SCHEMA public TO {name}")
        connection.execute(f"ALTER TABLE wanted OWNER TO {name}")
    yield name
    with database.connect_as_superuser() as connection:
        connection.execute(f"DROP OWNED BY {name} CASCADE")
        connection.execute(f"DROP ROLE {name}")


def test_a_role_without_rights_sees_what_it_may_and_is_told_what_it_lacks(
    waiting: Project, database: Database, role: str, python: str
) -> None:
    waiting.databases["default"].update(USER=role, PASSWORD="plain-password")
    waiting.settings()
    with database.connect_as_superuser(autocommit=False, application_name="root's") as holder:
        holder.execute("LOCK TABLE wanted")
        with job(waiting, python) as session:
            _, wait = until_blocked(session)
            (blocker,) = wait["blockers"]
            assert (blocker["pid"], blocker["hidden"], blocker["query"]) == (
                holder.info.backend_pid, True, "",
            )  # fmt: skip
            assert (blocker["backend_start"], blocker["transaction_start"], blocker["state"]) == (
                None, None, None,
            )  # fmt: skip
            assert blocker["application_name"] == "root's"
            holder.rollback()
            assert listen(session).answer["recorded_after"]


@pytest.mark.parametrize(
    ("superuser", "words"), [(False, "GRANT pg_signal_backend TO"), (True, "only a superuser")]
)
def test_a_role_that_may_see_and_not_end_is_told_what_it_lacks(
    waiting: Project, database: Database, role: str, python: str, superuser: bool, words: str
) -> None:
    waiting.databases["default"].update(USER=role, PASSWORD="plain-password")
    waiting.settings()
    with database.connect_as_superuser() as connection:
        connection.execute(f"GRANT pg_read_all_stats TO {role}")
        connection.execute(f"GRANT ALL ON wanted TO {urlsplit(os.environ['DATABASE_URL']).username}")
    connect = database.connect_as_superuser if superuser else database.connect
    with connect(autocommit=False) as holder:
        holder.execute("LOCK TABLE wanted")
        with job(waiting, python) as session:
            record, wait = until_blocked(session)
            end(session, 3, wait["blockers"][0])
            told = ending(session, record)
            assert told["done"] == "not_allowed" and words in told["words"]
            holder.rollback()
            assert listen(session).answer["recorded_after"]


def test_what_it_cannot_see_is_said_once_and_does_not_stop_the_work(
    waiting: Project, database: Database, python: str
) -> None:
    hidden = "CREATE SCHEMA odd; CREATE FUNCTION odd.pg_blocking_pids(integer) RETURNS integer[] LANGUAGE sql"
    hidden += " AS 'SELECT ARRAY[1/0]'"
    with database.connect() as connection:
        connection.execute(hidden.encode())
        connection.execute(f"ALTER DATABASE {database.name} SET search_path = odd, pg_catalog, public")
    with hold(database, "LOCK TABLE wanted") as holder, job(waiting, python) as session:
        record = listen(session, lambda record: bool(record.events("lock_wait")))
        assert "division by zero" in record.events("lock_wait")[0]["problem"]
        guard = next(event for event in record.events("connection") if event["purpose"] == "guard")
        question = f"SELECT query_start FROM pg_stat_activity WHERE pid = {guard['backend_pid']}"
        first = database.rows(question)
        assert soon(lambda: database.rows(question) > first)
        second = database.rows(question)
        assert soon(lambda: database.rows(question) > second)
        holder.rollback()
        record.frames += listen(session).frames
    assert len(record.events("lock_wait")) == 1
    assert record.answer["recorded_after"] == [["shop", "0001_alter"]]
