"""The agent in targets on every Django and Python that opsdash promises (tests.versions.pairs)."""

from pathlib import Path
from typing import Any

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
from tests.integration.agent.test_agent_makemigrations import arguments
from tests.integration.agent.test_agent_retries import LOCK, MARK, ROW, Bench, hold, until_retried
from tests.integration.agent.test_agent_stop import soon
from tests.targets.builder import Project, shop_project
from tests.versions.pairs import PAIRS, Pair

ITEM = """\
from django.db import models

class Item(models.Model):
    id = models.BigAutoField(primary_key=True)
    n = models.IntegerField(null=True)
    name = models.CharField(max_length=10, null=True)
    price = models.IntegerField(null=True)
"""
ALL = [["shop", "0001_initial"], ["shop", "0002_name"], ["shop", "0003_price"]]


def at(project: Project, python: str) -> Address:
    return project.address(argv=(python,))


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    found: Project = request.getfixturevalue("shop" if request.param == "sqlite" else "postgres_shop")
    return found


def test_no_machine_tries_fewer_than_two() -> None:
    assert len([pair for pair in PAIRS if pair.is_ready]) >= 2


def test_inspect_migrate_inspect(either: Project, pair: Pair, python: str) -> None:
    address = at(either, python)
    report = inspect(address)
    before = report["databases"][0]
    assert (before["reachable"], before["read_only_confirmed"], before["errors"]) == (True, True, [])
    assert [[one["app"], one["name"]] for one in before["plan"]] == ALL
    assert report["python"].startswith(f"{pair.version}.") and report["django"].startswith(pair.django)
    record = migrate(address, session={"application_name": "opsdash job 7", "lock_timeout_ms": 1500})
    assert record.answer["recorded_after"] == ALL
    steps = [event for event in record.events("step_finished") if event["kind"] == "migration"]
    assert all(event["statements"] > 0 for event in steps)
    assert inspect_default(address)["plan"] == []


def test_a_plan_tells_sql_and_tables(postgres_shop: Project, python: str) -> None:
    sent: dict[str, Any] = {"alias": "default", "schema": True}
    answer = door.call(at(postgres_shop, python), "plan", sent, timeout_s=LONG_S)
    assert (answer["read_only_confirmed"], answer["complete"], answer["stopped"]) == (True, True, "")
    assert [[one["app"], one["name"]] for one in answer["migrations"]] == ALL
    first, second, _ = answer["migrations"]
    (create,) = first["operations"]
    assert create["words"] == "Create model Item" and 'CREATE TABLE "shop_item"' in create["sql"][0]
    assert 'DROP TABLE "shop_item"' in create["reverse_sql"][0]
    assert list(first["before"]) == [] and list(first["after"]["shop_item"]["columns"]) == ["id", "n"]
    assert second["after"]["shop_item"]["columns"]["name"]["type"] == "varchar(10)"


def test_makemigrations_writes_what_was_seen(shop: Project, python: str) -> None:
    """Where it is in conflict, first what merges it."""
    shop.write("shop/models.py", ITEM + "    title = models.CharField(max_length=9, null=True)\n")
    shop.migration("0003_other", 'migrations.RunSQL("SELECT 1")', after=[("shop", "0002_name")])
    for kind, name in (("merges", "0004_"), ("unmade", "0005_")):
        expected = inspect(at(shop, python))["previews"][kind]
        sent = {**arguments(shop, expected=expected), "merge": kind == "merges"}
        with door.open_session(at(shop, python), "perform", sent) as session:
            (file,) = listen(session).answer["files"]
        assert file["name"].startswith(name) and Path(file["path"]).read_text() == file["text"]
    found = inspect(at(shop, python))
    assert (found["unmade"]["state"], found["merges"]) == ("none", {})


@pytest.mark.edges
def test_output_is_complete_and_in_order(project: Project, python: str) -> None:
    project.python("0001_says", "print('one')\nsys.stderr.write('two')\nos.write(1, b'three')")
    project.python("0002_leaves", "print('x' * 100_000, end='')\nos._exit(3)")
    record = migrate(at(project, python))
    story = "".join(record.story)
    assert (
        "<step_started 0001_says>  Applying shop.0001_says...one\ntwothree OK\n<step_finished 0001_says>"
        in story
    )
    assert record.output.endswith(b"x" * 100_000)
    assert record.end.status == 3


@pytest.mark.edges
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


def test_a_lock_that_is_released_meanwhile_lets_it_succeed_once(
    tmp_path: Path, database: Database, python: str
) -> None:
    bench = Bench(tmp_path, database, python)
    bench.project.python("0002_alter", MARK + ROW + LOCK)
    with hold(bench.database) as holder, start(bench.address, **bench.wishes(20)) as session:
        record = until_retried(session)
        holder.rollback()
        record.frames += listen(session).frames
    assert record.answer["recorded_after"] == [["shop", "0002_alter"]]
    assert bench.starts() == len(record.events("step_retried")) + 1
    assert (bench.rows(), bench.database.recorded()) == (1, ["0001_tables", "0002_alter"])


@pytest.mark.edges
def test_a_second_job_is_refused(shop: Project, python: str) -> None:
    shop.python("0004_sleeps", "print('ready')\ntime.sleep(600)")
    with start(at(shop, python), guard={"label": "opsdash job 12"}) as first:
        listen(first, has_said(b"ready"))
        assert migrate(at(shop, python)).failure.facts["by"] == "opsdash job 12"


@pytest.mark.edges
def test_a_wrong_password_has_its_reason(tmp_path: Path, database: Database, python: str) -> None:
    project = shop_project(tmp_path / "mini", {"default": {**database.settings, "PASSWORD": "wrong"}})
    assert inspect_default(at(project, python))["reason"] == "auth"


@pytest.mark.edges
def test_a_failure_has_its_code_and_traceback(postgres_shop: Project, python: str) -> None:
    postgres_shop.migration("0004_bad", 'migrations.RunSQL("SELECT nothing")')
    failure = migrate(at(postgres_shop, python)).failure
    assert (failure.type, failure.facts["sqlstate"]) == ("failed", "42703")
    assert "opsdash-agent" not in failure.traceback


@pytest.mark.edges
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


def test_what_is_in_the_schema_is_told(postgres_shop: Project, python: str) -> None:
    what_is_in_the_schema_is_told(postgres_shop, python)


@pytest.mark.edges
def test_what_is_in_the_schema_of_sqlite_is_told(shop: Project, python: str) -> None:
    what_is_in_the_schema_is_told(shop, python)


def what_is_in_the_schema_is_told(project: Project, python: str) -> None:
    """Before each change and behind it; what stands behind one stands before the next."""
    address = at(project, python)
    assert migrate(address).answer["recorded_known"]
    names = [f"002{number}_change" for number in range(len(CHANGES))]
    for name, operations in zip(names, CHANGES, strict=True):
        project.migration(name, operations)
    for name in names:
        assert told_of(address, name) == ("untouched", False, "")
        assert migrate(address, app="shop", migration=name).answer["recorded_after"] == [["shop", name]]
        assert told_of(address, name) == ("applied", True, "")


def told_of(address: Address, name: str) -> tuple[str, bool | None, str]:
    sent = {"alias": "default", "migrations": [["shop", name]]}
    (found,) = door.call(address, "examine", sent, timeout_s=LONG_S)["migrations"]
    return found["verdict"], found["recorded"], found["why"]
