"""The agent in other interpreters: OPSDASH_TEST_PYTHONS, separated by colons, each with Django and a driver.

Without it, the interpreter that runs the tests.
"""

import os
import sys
from pathlib import Path

import pytest

from dbops.target import door
from dbops.target.address import Address
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import (
    LONG_S,
    has_said,
    inspect,
    inspect_default,
    listen,
    migrate,
    start,
)
from tests.integration.agent.test_agent_stop import soon
from tests.targets.builder import Project, shop_project

PYTHONS = os.environ.get("OPSDASH_TEST_PYTHONS", sys.executable).split(":")
ALL = [["shop", "0001_initial"], ["shop", "0002_name"], ["shop", "0003_price"]]

pytestmark = pytest.mark.parametrize("python", PYTHONS)


def at(project: Project, python: str) -> Address:
    return project.address(argv=(python,))


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    found: Project = request.getfixturevalue("shop" if request.param == "sqlite" else "postgres_shop")
    return found


def test_inspect_migrate_inspect(either: Project, python: str) -> None:
    address = at(either, python)
    report = inspect(address)
    before = report["databases"][0]
    assert (before["reachable"], before["read_only_confirmed"], before["errors"]) == (True, True, [])
    assert [[one["app"], one["name"]] for one in before["plan"]] == ALL
    record = migrate(address, session={"application_name": "opsdash job 7", "lock_timeout_ms": 1500})
    assert record.answer["recorded_after"] == ALL
    steps = [event for event in record.events("step_finished") if event["kind"] == "migration"]
    assert all(event["statements"] > 0 for event in steps)
    assert inspect_default(address)["plan"] == []
    assert report["python"] and report["django"]


def test_output_is_complete_and_in_order(project: Project, python: str) -> None:
    project.python("0001_says", "print('one')\nsys.stderr.write('two')\nos.write(1, b'three')")
    project.python("0002_leaves", "print('x' * 100_000, end='')\nos._exit(3)")
    record = migrate(at(project, python))
    story = "".join(record.story)
    assert (
        "<step_started 0001_says>  Applying shop.0001_says...one\ntwothree<step_finished 0001_says> OK\n"
        in story
    )
    assert record.output.endswith(b"x" * 100_000)
    assert record.end.status == 3


def test_a_running_query_is_cancelled(tmp_path: Path, database: Database, python: str) -> None:
    project = shop_project(tmp_path / "mini", {"default": database.settings})
    project.migration("0004_query", 'migrations.RunSQL("SELECT pg_sleep(600)")')
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'"
    )
    with start(at(project, python)) as session:
        listen(session, has_said(b"0004_query..."))
        assert soon(lambda: database.rows(running) == [(1,)])
        session.cancel()
        record = listen(session)
    assert (record.failure.type, record.end.rung) == ("cancelled", "polite")
    assert record.failure.facts["recorded_after"] == ALL
    assert database.rows(running) == [(0,)]


def test_a_second_job_is_refused(either: Project, python: str) -> None:
    either.python("0004_sleeps", "print('ready')\ntime.sleep(600)")
    with start(at(either, python), guard={"label": "opsdash job 12"}) as first:
        listen(first, has_said(b"ready"))
        assert migrate(at(either, python)).failure.facts["by"] == "opsdash job 12"


def test_a_wrong_password_has_its_reason(tmp_path: Path, database: Database, python: str) -> None:
    project = shop_project(tmp_path / "mini", {"default": {**database.settings, "PASSWORD": "wrong"}})
    assert inspect_default(at(project, python))["reason"] == "auth"


def test_a_failure_has_its_code_and_traceback(postgres_shop: Project, python: str) -> None:
    postgres_shop.migration("0004_bad", 'migrations.RunSQL("SELECT nothing")')
    failure = migrate(at(postgres_shop, python)).failure
    assert (failure.type, failure.facts["sqlstate"]) == ("failed", "42703")
    assert "opsdash-agent" not in failure.traceback


def test_a_broken_target_shows_its_traceback(shop: Project, python: str) -> None:
    shop.settings("\nraise RuntimeError('no luck')\n")
    with start(at(shop, python)) as session:
        failure = listen(session).failure
    assert (failure.type, failure.message) == ("broken", "RuntimeError: no luck")
    assert "opsdash-agent" not in failure.traceback


CHANGES = (
    'migrations.CreateModel("Shelf", [("id", models.AutoField(primary_key=True)), '
    '("code", models.CharField(max_length=9, unique=True)), ("at", models.DateTimeField(null=True)), '
    '("item", models.ForeignKey("shop.Item", models.CASCADE)), ("items", models.ManyToManyField("shop.Item", '
    'related_name="+"))], options={"unique_together": {("code", "at")}})',
    'migrations.AddField("Item", "shelf", models.ForeignKey("shop.Shelf", models.SET_NULL, null=True)), '
    'migrations.AddField("Item", "size", models.PositiveIntegerField(default=3)), '
    'migrations.AddIndex("Item", models.Index(fields=["size"], name="by_size"))',
    'migrations.RenameField("Item", "name", "title"), migrations.RenameModel("Shelf", "Rack"), '
    'migrations.AlterField("Item", "price", models.BigIntegerField(default=0)), '
    'migrations.AddConstraint("Item", models.UniqueConstraint(fields=["n", "size"], name="once"))',
)


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_what_is_in_the_schema_is_told(either: Project, python: str, number: int) -> None:
    for place, operations in enumerate(CHANGES[:number]):
        either.migration(f"001{place}_before", operations)
    address = at(either, python)
    assert migrate(address).answer["recorded_known"]
    either.migration("0020_change", CHANGES[number])
    sent = {"alias": "default", "migrations": [["shop", "0020_change"]]}

    def told() -> tuple[str, bool | None, str]:
        (found,) = door.call(address, "examine", sent, timeout_s=LONG_S)["migrations"]
        return found["verdict"], found["recorded"], found["why"]

    assert told() == ("untouched", False, "")
    assert migrate(address).answer["recorded_known"]
    assert told() == ("applied", True, "")
