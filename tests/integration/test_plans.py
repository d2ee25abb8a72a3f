"""Plans: the newest comes with its inspection, any other is asked for; kept as rows, never performed."""

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from dbops import launch, tasks
from dbops.inspection import give_up_hanging, inspect_now, make_plan
from dbops.inspection.open_plan import plan_in_the_open
from dbops.inspection.plans import changed_at, current, details, keep_found, thin, why_outdated
from dbops.models import AuditEvent, Inspection, Plan, Target, TargetDatabase, clock
from dbops.redaction import Redactor
from tests.integration.conftest import ALICE, MakeDatabase, MakeTarget, default_of
from tests.integration.planned import a_plan, column, keep, migration, table
from tests.integration.test_again import run
from tests.integration.worker import until, worker
from tests.targets.builder import Project, shop_project

rows = pytest.mark.django_db
transactional = pytest.mark.django_db(transaction=True)
MakePlan = Callable[..., Plan]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return shop_project(tmp_path)


@pytest.fixture
def small(make_target: MakeTarget, project: Project) -> Target:
    """Three migrations on a SQLite file that is not there yet, inspected once."""
    target = make_target("small", working_directory=str(project.path), python=[sys.executable])
    inspect_now(target)
    return target


def names(plan: Plan) -> list[str]:
    assert plan.content is not None
    return [f"{entry['app']}.{entry['name']}" for entry in plan.content["migrations"]]


def asked(database: TargetDatabase, app: str = "", migration: str = "") -> Plan:
    """Asked for and made, by this process instead of a worker."""
    plan = launch.plan(database, app, migration, ALICE)
    make_plan(plan.pk)
    plan.refresh_from_db()
    return plan


# With an inspection


@rows
def test_an_inspection_brings_the_plan_of_each_database(small: Target) -> None:
    plan = Plan.objects.get()
    assert (plan.database, plan.app, plan.migration, plan.state) == (default_of(small), "", "", "done")
    assert names(plan) == ["shop.0001_initial", "shop.0002_name", "shop.0003_price"]
    assert plan.count == 3 and not plan.backwards and plan.with_inspection
    assert plan.content is not None and plan.content["fingerprint"] == plan.fingerprint
    assert plan.content["migrations"][0]["operations"][0]["sql"]


@rows
def test_the_report_itself_holds_no_plan_in_full(small: Target) -> None:
    (report,) = (Inspection.objects.get().report or {})["databases"]
    assert "plan_detail" not in report and len(report["plan"]) == 3


@rows
def test_the_same_plan_is_not_kept_twice_and_is_confirmed(small: Target) -> None:
    before = Plan.objects.get()
    assert details(small) == {"default": before.fingerprint}
    inspect_now(small)
    after = Plan.objects.get()
    assert before.confirmed_at and after.confirmed_at and after.confirmed_at > before.confirmed_at
    assert after.read_at == before.read_at


def reported(**more: Any) -> dict[str, Any]:
    answers = {"reachable": True, "read_only_confirmed": True}
    return {**answers, "plan": [{"app": "shop", "name": "0001"}], "plan_detail": None, **more}


@rows
def test_two_inspections_at_once_keep_what_both_found_once(make_database: MakeDatabase) -> None:
    database = make_database()
    for _ in range(2):
        report = reported(plan_detail=a_plan(migration("shop", "0001")))
        keep_found(database, report, Redactor(()), clock.now())
    assert Plan.objects.count() == 1


@rows
@pytest.mark.parametrize(
    ("trouble", "confirmed"),
    [
        ({}, True),
        ({"errors": [{"type": "bad_migration"}]}, False),
        ({"plan_problem": "Traceback"}, False),
        ({"own_database": True}, False),
        ({"reachable": False}, False),
        ({"read_only_confirmed": False}, False),
        ({"plan": []}, False),
    ],
)
def test_only_what_read_it_confirms_a_plan(
    make_database: MakeDatabase, trouble: dict[str, Any], confirmed: bool
) -> None:
    database = make_database()
    before = keep(database, migration("shop", "0001"), minutes_ago=5)
    now = clock.now()
    keep_found(database, reported(**trouble), Redactor(()), now)
    assert Plan.objects.get().confirmed_at == (now if confirmed else before.confirmed_at)


@rows
def test_the_same_plan_of_another_database_is_read_anew_and_kept(make_database: MakeDatabase) -> None:
    """Restored into a new one, say, with the same migrations to apply."""
    database = make_database(identity="postgres:1:2")
    old = keep(database, migration("shop", "0001"), minutes_ago=5, identity="postgres:1:1")
    assert details(database.target) == {"default": ""}
    keep_found(database, reported(), Redactor(()), clock.now())
    old.refresh_from_db()
    assert old.confirmed_at == old.read_at
    found = a_plan(migration("shop", "0001"), identity="postgres:1:2", fingerprint=old.fingerprint)
    keep_found(database, reported(plan_detail=found), Redactor(()), clock.now())
    assert Plan.objects.newest_forward(database)[0].identity == "postgres:1:2"
    assert details(database.target) == {"default": old.fingerprint}


@rows
@pytest.mark.parametrize("trouble", [{"own_database": True}, {"read_only_confirmed": False}])
def test_a_plan_of_our_own_database_or_of_a_session_that_could_write_is_not_kept(
    make_database: MakeDatabase, trouble: dict[str, Any]
) -> None:
    report = reported(plan_detail=a_plan(migration("shop", "0001")), **trouble)
    keep_found(make_database(), report, Redactor(()), clock.now())
    assert not Plan.objects.exists()


@rows
def test_another_plan_is_kept_beside_the_one_before(small: Target, project: Project) -> None:
    project.migration("0004_more", 'migrations.RemoveField("Item", "price")')
    inspect_now(small)
    newest, before = Plan.objects.newest_forward(default_of(small))
    assert (newest.count, before.count) == (4, 3)
    assert changed_at(default_of(small)) == newest.read_at


@rows
def test_of_a_target_that_breaks_the_last_plan_stays_and_is_not_confirmed(
    small: Target, project: Project
) -> None:
    before = Plan.objects.get()
    project.write("shop/migrations/0004_broken.py", "raise ValueError('no')")
    inspect_now(small)
    after = Plan.objects.get()
    assert after.confirmed_at == before.confirmed_at


# Asked for


@rows
@pytest.mark.parametrize(
    ("app", "to", "expected", "backwards"),
    [
        ("shop", "0002_name", ["shop.0001_initial", "shop.0002_name"], False),
        ("shop", "", ["shop.0001_initial", "shop.0002_name", "shop.0003_price"], False),
        ("shop", "zero", [], False),
    ],
)
def test_a_plan_of_a_part_is_asked_for(
    small: Target, app: str, to: str, expected: list[str], backwards: bool
) -> None:
    plan = asked(default_of(small), app, to)
    assert (plan.state, plan.error_sentence) == ("done", "")
    assert (names(plan), plan.backwards, plan.asked_by_name) == (expected, backwards, "alice")
    event = AuditEvent.objects.get(act="plan.ask")
    assert (event.actor, event.target) == ("alice", "small/default")
    assert event.details == {"plan": plan.pk, "app": app, "migration": to}


@transactional
def test_a_plan_leads_backwards_from_what_is_applied_and_changes_nothing(
    small: Target, project: Project
) -> None:
    run(small)
    inspect_now(small)
    before = project.sqlite.read_bytes()
    plan = asked(default_of(small), "shop", "0001_initial")
    assert plan.backwards and names(plan) == ["shop.0003_price", "shop.0002_name"]
    assert names(asked(default_of(small), "shop", "zero"))[-1] == "shop.0001_initial"
    assert project.sqlite.read_bytes() == before


@rows
def test_what_is_on_its_way_is_not_asked_for_again(make_database: MakeDatabase) -> None:
    database = make_database()
    first = launch.plan(database, "shop", "", ALICE)
    assert launch.plan(database, "shop", "", ALICE) == first
    assert launch.plan(database, "shop", "0001_initial", ALICE) != first
    assert AuditEvent.objects.filter(act="plan.ask").count() == 2
    with pytest.raises(IntegrityError), transaction.atomic():
        Plan.objects.create(database=database, app="shop")


@rows
def test_one_worker_makes_it(make_database: MakeDatabase) -> None:
    plan = launch.plan(make_database(), "", "", ALICE)
    assert Plan.objects.claim(plan.pk) is not None
    assert Plan.objects.claim(plan.pk) is None


@rows
def test_a_target_that_cannot_be_started_is_a_failure_with_its_sentence(make_database: MakeDatabase) -> None:
    plan = asked(make_database())
    assert (plan.state, plan.error_type) == ("failed", "InterpreterMissing")
    assert "/nowhere/python" in plan.error_sentence and plan.content is None


@rows
def test_a_migration_that_cannot_be_imported_is_a_failure_with_its_traceback(
    small: Target, project: Project
) -> None:
    project.write("shop/migrations/0004_broken.py", "raise ValueError('no')")
    plan = asked(default_of(small))
    assert plan.state == "failed"
    assert "ValueError: no" in plan.error_traceback


@rows
def test_an_app_that_there_is_not_is_refused_in_words(small: Target) -> None:
    plan = asked(default_of(small), "nothing")
    assert (plan.state, plan.error_type) == ("failed", "BadArgument")
    assert "nothing" in plan.error_sentence and "Nothing was changed." in plan.error_sentence


@rows
def test_an_error_of_our_own_is_kept_too(small: Target, monkeypatch: Any, caplog: Any) -> None:
    monkeypatch.setattr("dbops.inspection.plans.plan_in_the_open", lambda *_: 1 / 0)
    plan = asked(default_of(small))
    assert (plan.state, plan.error_type) == ("failed", "ZeroDivisionError")
    assert "opsdash itself failed" in plan.error_sentence and "ZeroDivisionError" in caplog.text


@rows
def test_what_comes_after_it_was_given_up_is_not_kept(small: Target) -> None:
    plan = launch.plan(default_of(small), "", "", ALICE)
    claimed = Plan.objects.claim(plan.pk)
    assert claimed is not None
    Plan.objects.filter(pk=plan.pk).update(started_at=timezone.now() - timedelta(hours=1))
    assert give_up_hanging() == 1
    assert not Plan.objects.end(claimed, "failed", error_sentence="late")
    plan.refresh_from_db()
    assert plan.error_type == "WorkerLost" and "Ask for the plan again." in plan.error_sentence


@transactional
def test_a_worker_makes_what_was_asked_for_also_where_the_message_was_lost(
    small: Target, tmp_path: Path
) -> None:
    target_queue = f"q{clock.now():%f}"
    Target.objects.update(queue=target_queue)
    database = default_of(Target.objects.get())
    told = launch.plan(database, "shop", "0001_initial", ALICE)
    lost = Plan.objects.create(
        database=database, app="shop", asked_by_name="alice", published_at=clock.now() - timedelta(hours=1)
    )
    with worker(tmp_path / "worker.log", queues=f"{target_queue}-inspect"):
        until(lambda: Plan.objects.get(pk=told.pk).state == "done", "the plan is made")
        tasks.sweep_plans()
        until(lambda: Plan.objects.get(pk=lost.pk).state == "done", "the lost one is published again")


# Kept


@rows
def test_no_secret_is_kept_and_names_are_left_alone() -> None:
    secret = "0002_hunter2"
    one = migration(
        "shop",
        secret,
        docstring=f"uses {secret}",
        operations=[{"words": "Raw", "kind": "RunSQL", "sql": [f"SELECT '{secret}'\x1b[31m"]}],
        after={"t": {"columns": {}, "indexes": {"name": f"on {secret}"}, "constraints": {}, "comment": ""}},
    )
    opened = plan_in_the_open(a_plan(one), Redactor([secret]))["migrations"][0]
    assert opened["name"] == secret
    texts = [opened["docstring"], *opened["operations"][0]["sql"], opened["after"]["t"]["indexes"]["name"]]
    assert not any(secret in text or "\x1b" in text for text in texts)


@rows
def test_a_plan_that_is_too_large_is_kept_without_the_texts_beyond(settings: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "PLAN_BYTES": 100_000}
    long = [
        migration("shop", f"000{n}", operations=[{"words": "Raw", "sql": ["x" * 60_000]}]) for n in (1, 2)
    ]
    first, second = plan_in_the_open(a_plan(*long), Redactor(()))["migrations"]
    assert len(first["operations"][0]["sql"][0]) == 60_000
    assert second["operations"][0]["sql"] is None
    assert "more than 100,000 characters" in second["operations"][0]["sql_problem"]


@rows
def test_a_column_is_kept_whatever_it_is_called(settings: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "PLAN_BYTES": 1}
    columns = {name: column() for name in ("sql", "id", "source", "name", "indexes", "reverse_sql")}
    one = migration(
        "shop", "0001", operations=[{"words": "Raw", "sql": ["xx"]}], after={"t": table(**columns)}
    )
    opened = plan_in_the_open(a_plan(one), Redactor(()))["migrations"][0]
    assert list(opened["after"]["t"]["columns"].items()) == list(columns.items())


@rows
def test_only_so_many_are_kept_and_never_without_the_newest(
    make_database: MakeDatabase, settings: Any
) -> None:
    settings.DBOPS = {**settings.DBOPS, "PLANS_KEPT": 2}
    database = make_database()
    newest, open_one = keep(database), launch.plan(database, "shop", "", ALICE)
    others = [keep(database, app="shop", to=f"000{n}") for n in (1, 2, 3)]
    thin(database)
    assert set(Plan.objects.all()) == {newest, open_one, *others[1:]}


@rows
def test_what_was_read_before_something_changed_is_outdated(make_database: MakeDatabase) -> None:
    database = make_database(identity="postgres:1:1")
    keep(database, fingerprint="a" * 64, minutes_ago=9)
    part = keep(database, app="shop", minutes_ago=5)
    assert current(database, "shop", "") == part
    keep(database, fingerprint="b" * 64, minutes_ago=2)
    assert "changed since it was read" in why_outdated(part, database)
    assert current(database, "shop", "") is None
    assert current(database, "", "") is not None


@rows
def test_what_was_read_long_ago_or_from_another_database_is_outdated(make_database: MakeDatabase) -> None:
    database = make_database(identity="postgres:1:1")
    assert "long ago" in why_outdated(keep(database, minutes_ago=60), database)
    other = keep(database, identity="postgres:1:2")
    assert "another database" in why_outdated(other, database)


@rows
def test_a_deleted_person_leaves_the_plan_and_its_name(
    people: dict[str, User], make_database: MakeDatabase
) -> None:
    plan = keep(make_database(), asked_by_name="operator")
    Plan.objects.update(asked_by=people["operator"])
    people["operator"].delete()
    plan.refresh_from_db()
    assert (plan.asked_by, plan.asked_by_name) == (None, "operator")
