"""`manage.py plan`: what the page of a plan says, from a shell."""

import sys
from pathlib import Path

import pytest

from dbops.exits import Exit
from dbops.inspection import inspect_now
from dbops.models import AuditEvent, Job, Plan, Target, clock
from tests.integration.conftest import MakeTarget, default_of
from tests.integration.planned import keep
from tests.integration.test_again import run
from tests.integration.test_commands import call, document
from tests.integration.worker import worker
from tests.targets.builder import Project, shop_project

pytestmark = pytest.mark.django_db
transactional = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = shop_project(tmp_path)
    project.migration("0004_no_price", 'migrations.RemoveField("Item", "price")')
    return project


@pytest.fixture
def small(make_target: MakeTarget, project: Project) -> Target:
    target = make_target("small", working_directory=str(project.path), python=[sys.executable])
    inspect_now(target)
    return target


def test_the_newest_plan_is_told_in_full(small: Target) -> None:
    code, found = document("plan", "small")
    assert code == Exit.PENDING and found["version"] == 1
    assert [entry["name"] for entry in found["plan"]][-1] == "0004_no_price"
    first, last = found["plan"][0], found["plan"][-1]
    assert first["operations"][0]["words"] == "Create model Item" and first["sql"]
    assert "+++ shop_item" in first["diff"] and last["reverse_sql"]
    plan = Plan.objects.get()
    assert (found["read"]["id"], found["read"]["fingerprint"]) == (plan.pk, plan.fingerprint)
    assert found["read"]["summary"].startswith("4 migrations: 1 table created")
    assert found["read"]["read_only_confirmed"] and not found["read"]["outdated"]


def test_as_text_it_has_operations_and_what_was_asked_for_beside(small: Target) -> None:
    code, text = call("plan", "small")
    assert code == Exit.PENDING
    assert "  shop.0001_initial\n      1. Create model Item\n" in text
    assert f"fingerprint {Plan.objects.get().fingerprint}." in text and "CREATE TABLE" not in text
    assert 'CREATE TABLE "shop_item"' in call("plan", "small", "--sql")[1]
    assert "+++ shop_item" in call("plan", "small", "--diff")[1]


def test_what_was_not_read_is_told_by_name(small: Target) -> None:
    Plan.objects.all().delete()
    code, found = document("plan", "small")
    assert code == Exit.PENDING and found["read"] is None
    assert found["plan"][0] == {"app": "shop", "name": "0001_initial"}
    assert "has not been read yet" in call("plan", "small", "--sql")[1]


def test_a_part_is_read_first(small: Target) -> None:
    code, found = document("plan", "small", "--app", "shop", "--to", "0002_name")
    assert code == Exit.PENDING and (found["app"], found["to"]) == ("shop", "0002_name")
    assert [entry["name"] for entry in found["plan"]] == ["0001_initial", "0002_name"]
    event = AuditEvent.objects.get(act="plan.ask")
    assert event.actor.startswith("shell:") and event.address == "shell"


@transactional
def test_the_way_back_is_shown_and_not_run(small: Target) -> None:
    run(small)
    inspect_now(small)
    code, found = document("plan", "small", "--app", "shop", "--reverse")
    assert code == Exit.DONE and found["read"]["backwards"] and found["to"] == "zero"
    assert found["plan"][0]["name"] == "0004_no_price"
    code, text = call("plan", "small", "--app", "shop", "--to", "0003_price")
    assert code == Exit.DONE and "Backwards, which is shown and not run: 1 migration:" in text


def test_a_way_back_that_leads_forward_is_refused(small: Target) -> None:
    code, text = call("plan", "small", "--app", "shop", "--to", "0002_name", "--reverse")
    assert code == Exit.USAGE and "the way there leads forward" in text


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--to", "0001_initial"], Exit.USAGE, "need --app"),
        (["--reverse"], Exit.USAGE, "need --app"),
        (["--app", "nothing"], Exit.USAGE, "nothing"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(
    small: Target, words: list[str], code: Exit, sentence: str
) -> None:
    found, text = call("plan", "small", *words)
    assert found == code and sentence in text


def test_a_plan_that_cannot_be_read_ends_with_the_traceback(small: Target, project: Project) -> None:
    project.write("shop/migrations/0005_broken.py", "raise ValueError('no')")
    code, text = call("plan", "small", "--app", "shop")
    assert code == Exit.BROKEN and "ValueError: no" in text


@transactional
def test_of_a_target_that_is_served_elsewhere_its_worker_reads_it(small: Target, tmp_path: Path) -> None:
    queue = f"q{clock.now():%f}"
    Target.objects.update(queue=queue)
    with worker(tmp_path / "worker.log", queues=f"{queue}-inspect"):
        code, found = document("plan", "small", "--app", "shop")
    assert code == Exit.PENDING and len(found["plan"]) == 4
    assert "make_plan" in (tmp_path / "worker.log").read_text()


def test_where_no_worker_reads_it_that_is_said(small: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbops.management.commands._planning.MARGIN_S", -60)
    Target.objects.update(queue=f"q{clock.now():%f}")
    code, text = call("plan", "small", "--app", "shop")
    assert code == Exit.TIMED_OUT and "waits for a worker of the queue" in text


# run_job


def test_a_job_from_the_shell_is_held_to_a_plan_where_one_is_named(small: Target) -> None:
    plan = keep(default_of(small), fingerprint="ab" * 32)
    code, _ = call("run_job", "small", "migrate", "--plan", plan.fingerprint)
    assert code == Exit.DONE
    assert Job.objects.get().arguments == {"expected_plan": plan.fingerprint}


def test_what_is_no_fingerprint_is_refused(small: Target) -> None:
    code, text = call("run_job", "small", "migrate", "--plan", "x")
    assert code == Exit.USAGE and "--plan takes a fingerprint" in text
    assert not Job.objects.exists()
