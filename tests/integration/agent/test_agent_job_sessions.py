"""Who works on a Postgres database in the name of a job, whether or not the guard is held."""

import os

import psycopg

from dbops.agent.session import STARTED_SQL
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import has_said, inspect_default, listen, start
from tests.targets.builder import Project

SLEEPS = "schema_editor.connection.cursor().execute('SELECT 1')\nprint('ready')\ntime.sleep(600)"
LONG_LABEL = "opsdash job 12 on a-target-with-quite-a-name/and-an-alias-with-a-longer-one"


def test_a_job_shows_its_two_sessions_under_what_the_server_keeps_of_their_name(
    postgres_shop: Project,
) -> None:
    postgres_shop.python("0004_sleeps", SLEEPS)
    with start(postgres_shop.address(), guard={"label": LONG_LABEL}) as job:
        told = listen(job, has_said(b"ready")).events("connection")
        found = inspect_default(postgres_shop.address())["job_sessions"]
    events = {(event["backend_pid"], event["backend_started"]) for event in told}
    assert {(one["pid"], one["started"]) for one in found} == events
    assert {one["application_name"] for one in found} == {LONG_LABEL[:63]}
    assert sorted(one["state"] for one in found) == ["idle", "idle in transaction"]
    assert all(one["since"].startswith("20") and "+" in one["since"] for one in found)


def test_a_session_that_works_on_without_the_guard_is_seen(
    postgres_shop: Project, database: Database
) -> None:
    with database.connect(application_name="opsdash job 9") as left_over:
        found = inspect_default(postgres_shop.address())
        assert found["guard"]["held"] is False
        assert [one["pid"] for one in found["job_sessions"]] == [left_over.info.backend_pid]


def test_nobody_else_is_taken_for_a_job(postgres_shop: Project, database: Database) -> None:
    with database.connect(application_name="opsdash jobs"):
        ours = {"application_name": "opsdash job 2"}
        assert inspect_default(postgres_shop.address(), session=ours)["job_sessions"] == []


def test_a_job_is_seen_in_another_database_of_the_server_too(
    postgres_shop: Project, database: Database
) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], application_name="opsdash job 1") as elsewhere:
        found = inspect_default(postgres_shop.address())["job_sessions"]
        assert [one["pid"] for one in found] == [elsewhere.info.backend_pid]


def test_an_announced_session_is_seen_whatever_it_calls_itself(
    postgres_shop: Project, database: Database
) -> None:
    with database.connect(application_name="webapp") as other:
        pid = other.info.backend_pid
        row = other.execute(STARTED_SQL).fetchone()
        assert row
        found = inspect_default(postgres_shop.address(), announced=[pid, row[0]])["job_sessions"]
        assert [(one["pid"], one["started"]) for one in found] == [(pid, row[0])]
        assert inspect_default(postgres_shop.address(), announced=[pid, row[0] - 1])["job_sessions"] == []


def test_of_another_role_s_session_the_name_is_known_and_the_state_is_not(
    postgres_shop: Project, database: Database
) -> None:
    with database.connect_as_superuser(application_name="opsdash job 9") as other:
        assert inspect_default(postgres_shop.address())["job_sessions"] == [
            {
                "pid": other.info.backend_pid,
                "application_name": "opsdash job 9",
                "state": None,
                "since": None,
                "started": None,
            }
        ]


def test_a_server_that_shows_no_sessions_still_shows_everything_else(
    postgres_shop: Project, database: Database
) -> None:
    postgres_shop.databases["default"]["AUTOCOMMIT"] = False
    postgres_shop.settings()
    postgres_shop.python("0004_sleeps", SLEEPS)
    with database.connect_as_superuser() as superuser:
        superuser.execute("REVOKE SELECT ON pg_stat_activity FROM PUBLIC")
        superuser.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    with database.connect(autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(x'6f707364'::int, x'64617368'::int)")
        found = inspect_default(postgres_shop.address())
        assert (found["job_sessions"], found["identity"]) == (None, "")
        assert found["guard"] == {
            "held": True,
            "by": None,
            "pid": holder.info.backend_pid,
            "since": None,
            "kind": "advisory lock",
        }
    assert (found["reachable"], len(found["plan"])) == (True, 4)


def test_sqlite_has_no_sessions_to_tell_of(shop: Project) -> None:
    assert inspect_default(shop.address())["job_sessions"] is None
