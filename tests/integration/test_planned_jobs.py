"""A job that is held to the plan that a person saw: another one is refused, and nothing is done."""

import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from dbops import launch
from dbops.execute import execute
from dbops.inspection import inspect_now
from dbops.models import Job, Plan, Target
from tests.integration.conftest import ALICE, MakeTarget, default_of
from tests.integration.test_again import run
from tests.integration.test_plan_pages import words
from tests.integration.test_plans import asked
from tests.targets.builder import Project, shop_project

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return shop_project(tmp_path)


@pytest.fixture
def small(make_target: MakeTarget, project: Project) -> Target:
    target = make_target("small", working_directory=str(project.path), python=[sys.executable])
    inspect_now(target)
    return target


def seen() -> dict[str, str]:
    return {"expected_plan": Plan.objects.get().fingerprint}


def recorded(job: Job) -> Any:
    return job.facts.get("recorded")


def test_the_plan_that_was_seen_is_applied(small: Target) -> None:
    job = run(small, **seen())
    assert (job.state, job.outcome[:34]) == ("succeeded", "Applied and recorded 3 migrations:")


def test_of_a_part_too(small: Target) -> None:
    plan = asked(default_of(small), "shop", "0002_name")
    job = run(small, app="shop", migration="0002_name", expected_plan=plan.fingerprint)
    assert job.state == "succeeded" and recorded(job) == [["shop", "0001_initial"], ["shop", "0002_name"]]


def test_another_plan_is_refused_with_the_difference_and_nothing_is_done(
    small: Target, project: Project
) -> None:
    arguments = seen()
    project.write("shop/migrations/0002_name.py", file(project, "0002_name") + "\n# edited\n")
    project.migration("0004_more", 'migrations.RemoveField("Item", "price")')
    job = run(small, **arguments)
    assert (job.state, job.error_type) == ("failed", "PlanChanged")
    assert "new in it: shop.0004_more; with another source: shop.0002_name." in job.outcome
    assert job.facts["plan_change"] == {
        "added": ["shop.0004_more"], "gone": [], "edited": ["shop.0002_name"], "applied": [],
    }  # fmt: skip
    assert recorded(job) == [] and not job.steps.exists()
    inspect_now(small)
    assert default_of(small).applied_count == 0


def file(project: Project, name: str) -> str:
    return (project.path / f"shop/migrations/{name}.py").read_text()


def test_what_somebody_applied_meanwhile_is_told_from_what_is_gone(small: Target, project: Project) -> None:
    arguments = seen()
    run(small, app="shop", migration="0001_initial")
    (project.path / "shop/migrations/0003_price.py").unlink()
    job = run(small, **arguments)
    assert job.facts["plan_change"]["applied"] == ["shop.0001_initial"]
    assert job.facts["plan_change"]["gone"] == ["shop.0003_price"]
    assert "applied meanwhile: shop.0001_initial" in job.outcome
    assert recorded(job) == []


def test_where_the_plan_that_was_seen_is_not_kept_any_more_it_is_refused_all_the_same(small: Target) -> None:
    arguments = {"expected_plan": "ab" * 32}
    job = run(small, **arguments)
    assert (job.state, job.error_type) == ("failed", "PlanChanged")
    assert "plan_change" not in job.facts and "Nothing was changed." in job.outcome


def test_its_page_shows_the_difference_and_leads_to_the_newest_plan(
    small: Target, project: Project, admin_client: Any
) -> None:
    arguments = seen()
    project.migration("0004_more", 'migrations.RemoveField("Item", "price")')
    job = run(small, **arguments)
    page = words(admin_client.get(job.get_absolute_url()))
    assert "new in it: shop.0004_more" in page
    assert 'href="/targets/small/databases/default/plan/"' in page


def test_run_again_is_not_refused_for_ever(small: Target, project: Project) -> None:
    arguments = seen()
    project.migration("0004_more", 'migrations.RemoveField("Item", "price")')
    job = run(small, **arguments)
    now = Plan.objects.newest_forward(default_of(small))[0].fingerprint
    again = launch.again(job, ALICE, key=uuid.uuid4(), seen=now).job
    execute(again.pk, "worker-of-the-test")
    again.refresh_from_db()
    assert again.state == "succeeded" and len(recorded(again)) == 4
