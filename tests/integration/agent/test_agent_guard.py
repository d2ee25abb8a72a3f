"""At most one changing job on a database, whichever way it is reached."""

import json
import os
import time
from pathlib import Path

import psycopg
import pytest

from dbops.target import errors
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import has_said, inspect_default, listen, migrate, start
from tests.targets.builder import Project, shop_project

SLEEPS = "print('ready')\ntime.sleep(600)"
LABEL = "opsdash job 12 on shop-staging"


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest) -> Project:
    found: Project = request.getfixturevalue("shop" if request.param == "sqlite" else "postgres_shop")
    return found


def kind_on(project: Project) -> str:
    return "file lock" if "sqlite" in project.databases["default"]["ENGINE"] else "advisory lock"


def test_a_second_job_on_the_same_database_is_refused_and_names_the_first(either: Project) -> None:
    either.python("0004_sleeps", SLEEPS)
    with start(either.address(), guard={"label": LABEL}) as first:
        listen(first, has_said(b"ready"))
        record = migrate(either.address())
        assert record.failure.type == "guard_busy"
        assert record.events("working") == []
        error = errors.from_failure("shop", record.failure)
        assert isinstance(error, errors.GuardBusy)
        assert error.holder["by"] == LABEL
        assert LABEL in str(error)
        guard = inspect_default(either.address())["guard"]
        assert (guard["held"], guard["by"], guard["kind"]) == (True, LABEL, kind_on(either))
        assert guard["pid"] and guard["since"]


def test_two_targets_on_one_database_meet_at_the_guard(tmp_path: Path, either: Project) -> None:
    either.python("0004_sleeps", SLEEPS)
    other = shop_project(tmp_path / "other", either.databases)
    with start(either.address(), guard={"label": LABEL}) as first:
        listen(first, has_said(b"ready"))
        assert migrate(other.address(name="other")).failure.type == "guard_busy"


def test_two_jobs_on_two_databases_do_not(tmp_path: Path, postgres_shop: Project, shop: Project) -> None:
    postgres_shop.python("0004_sleeps", SLEEPS)
    with start(postgres_shop.address()) as first:
        listen(first, has_said(b"ready"))
        assert len(migrate(shop.address()).answer["recorded_after"]) == 3


@pytest.mark.parametrize("ending", ["migrate", "cancel", "kill"])
def test_the_guard_is_free_after_the_job(either: Project, ending: str) -> None:
    either.python("0004_sleeps", "pass" if ending == "migrate" else SLEEPS)
    with start(either.address()) as session:
        if ending == "cancel":
            listen(session, has_said(b"ready"))
            session.cancel()
        if ending != "kill":
            listen(session)
        else:
            listen(session, has_said(b"ready"))
    assert inspect_default(either.address())["guard"] == {
        "held": False,
        "by": None,
        "pid": None,
        "since": None,
        "kind": kind_on(either),
    }
    (either.path / "shop/migrations/0004_sleeps.py").unlink()
    assert migrate(either.address()).answer["nothing_to_do"]


def test_it_says_which_kind_of_guard_it_took(shop: Project, postgres_shop: Project) -> None:
    assert migrate(shop.address()).events("guard")[0]["kind"] == "file lock"
    assert migrate(postgres_shop.address()).events("guard")[0]["kind"] == "advisory lock"


def test_a_database_in_memory_has_no_guard_and_says_so(shop: Project) -> None:
    shop.databases["default"]["NAME"] = ":memory:"
    shop.settings()
    told = migrate(shop.address()).events("guard")[0]
    assert (told["kind"], told["taken"]) == ("none", False)
    assert inspect_default(shop.address())["guard"] == {"held": None, "kind": "none"}


def test_of_a_database_that_does_not_answer_nothing_is_claimed(
    postgres_shop: Project, database: Database
) -> None:
    postgres_shop.databases["default"] = {**database.settings, "NAME": "not_there_at_all"}
    postgres_shop.settings()
    found = inspect_default(postgres_shop.address())
    assert (found["reachable"], found["job_sessions"]) == (False, None)
    assert (found["guard"]["held"], found["guard"]["kind"]) == (None, "")


def test_a_postgres_guard_that_is_lost_stops_the_job_and_says_so(
    postgres_shop: Project, database: Database
) -> None:
    postgres_shop.python("0004_sleeps", SLEEPS)
    with start(postgres_shop.address()) as session:
        record = listen(session, has_said(b"ready"))
        guard = next(event for event in record.events("connection") if event["purpose"] == "guard")
        began = time.monotonic()
        database.rows(f"SELECT pg_terminate_backend({guard['backend_pid']})")
        record = listen(session)
    assert time.monotonic() - began < 10
    assert (record.failure.type, record.failure.fault) == ("guard_lost", "server")
    assert len(record.failure.facts["recorded_after"]) == 3
    assert isinstance(errors.from_failure("shop", record.failure), errors.GuardLost)


def test_a_guard_that_is_lost_before_the_work_began_is_told_as_such_and_as_no_request(
    postgres_shop: Project, database: Database
) -> None:
    """In the middle of reading the migrations, one of which takes its time."""
    slow = "import sys, time\nif 'migrate' in sys.argv:\n    print('ready', flush=True)\n    time.sleep(600)"
    postgres_shop.migration("0004_slow", "", head=slow)
    with start(postgres_shop.address()) as session:
        record = listen(session, has_said(b"ready"))
        guard = next(event for event in record.events("connection") if event["purpose"] == "guard")
        database.rows(f"SELECT pg_terminate_backend({guard['backend_pid']})")
        record = listen(session)
    assert (record.failure.type, record.failure.fault) == ("guard_lost", "server")
    assert "request" not in record.failure.message


def test_a_sqlite_guard_whose_file_is_replaced_is_lost(shop: Project) -> None:
    shop.python("0004_sleeps", SLEEPS)
    with start(shop.address()) as session:
        listen(session, has_said(b"ready"))
        Path(f"{shop.sqlite}.opsdash-guard").unlink()
        assert listen(session).failure.type == "guard_lost"


def test_the_file_of_a_sqlite_guard_names_its_holder(shop: Project) -> None:
    shop.python("0004_reads", f"print(open('{shop.sqlite}.opsdash-guard').read(), '!')")
    record = migrate(shop.address(), guard={"label": LABEL})
    words = json.loads(record.output.partition(b"0004_reads...")[2].partition(b" !")[0])
    assert words["by"] == LABEL


def test_a_guard_that_cannot_be_tried_stops_before_anything(shop: Project) -> None:
    migrate(shop.address())
    guard = Path(f"{shop.sqlite}.opsdash-guard")
    guard.unlink()
    guard.mkdir()
    assert migrate(shop.address()).failure.type == "guard_unavailable"


def test_a_role_with_an_idle_timeout_does_not_lose_the_guard(
    postgres_shop: Project, database: Database
) -> None:
    superuser = os.environ["TEST_POSTGRES_SUPERUSER_URL"]
    with psycopg.connect(superuser, autocommit=True) as connection:
        for name in ("idle_session_timeout", "idle_in_transaction_session_timeout", "statement_timeout"):
            connection.execute(f"ALTER DATABASE {database.name} SET {name} = '700ms'".encode())
    postgres_shop.python("0004_idles", "time.sleep(5)")
    record = migrate(postgres_shop.address(), session={"statement_timeout_ms": 0})
    assert len(record.answer["recorded_after"]) == 4


def test_a_daemon_that_a_migration_left_behind_does_not_keep_the_guard(shop: Project) -> None:
    source = "if os.fork() == 0:\n    os.setsid()\n    null = os.open(os.devnull, os.O_RDWR)\n"
    source += "    for fd in (0, 1, 2):\n        os.dup2(null, fd)\n    time.sleep(15)\n    os._exit(0)"
    shop.python("0004_daemon", source)
    assert len(migrate(shop.address()).answer["recorded_after"]) == 4
    assert inspect_default(shop.address())["guard"]["held"] is False
    assert migrate(shop.address()).answer["nothing_to_do"]


def test_a_forked_process_that_ends_does_not_give_the_guard_back(shop: Project) -> None:
    source = f"pid = os.fork()\nif pid == 0:\n    sys.exit(0)\nos.waitpid(pid, 0)\nfile = open('{shop.sqlite}"
    source += ".opsdash-guard')\nimport fcntl\ntry:\n    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)\n"
    source += "    print('lost')\nexcept BlockingIOError:\n    print('still guarded')"
    shop.python("0004_forks", source)
    assert b"still guarded" in migrate(shop.address()).output
