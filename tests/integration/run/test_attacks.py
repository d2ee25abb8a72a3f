"""What a hostile or unlucky target did to a job before; each was seen once."""

import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dbops import launch
from dbops.execute import execute
from dbops.inspection import inspect_now
from dbops.models import Inspection, Job, Step, Target
from dbops.redaction import MASK, Redactor
from dbops.steps import Steps
from tests.integration.conftest import ALICE, PASSWORD, MakeTarget, default_of
from tests.integration.test_truth import look, lost
from tests.integration.worker import descendants_of, until, worker
from tests.targets.builder import Project

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def mini(make_target: MakeTarget, tmp_path: Path) -> Iterator[tuple[Target, Path]]:
    """A project of one app on SQLite, whose migrations a test writes."""
    project = Project(tmp_path / "mini")
    project.path.mkdir()
    folder = project.path / "shop" / "migrations"
    folder.mkdir(parents=True)
    for package in (folder, folder.parent):
        (package / "__init__.py").touch()
    (project.path / "manage.py").write_text(MANAGE)
    (project.path / "settings.py").write_text(SETTINGS)
    target = make_target("mini", working_directory=str(project.path), python=[sys.executable])
    yield target, folder


MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
SETTINGS = """
SECRET_KEY = "a miniature project has nothing to hide"
INSTALLED_APPS = ["shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""


def write(folder: Path, name: str, after: str | None, code: str) -> None:
    dependencies = f"[('shop', '{after}')]" if after else "[]"
    (folder / f"{name}.py").write_text(
        f"from django.db import migrations\ndef work(apps, schema_editor):\n    {code}\n"
        f"class Migration(migrations.Migration):\n    dependencies = {dependencies}\n"
        "    operations = [migrations.RunPython(work)]\n"
    )


def run(target: Target) -> Job:
    inspect_now(target)
    job = launch.start(default_of(target), "migrate", {}, ALICE, key=uuid.uuid4()).job
    execute(job.pk, "worker")
    job.refresh_from_db()
    return job


def test_a_megabyte_of_letters_before_a_url_costs_no_minute() -> None:
    began = time.process_time()
    Redactor(["secret-value"]).clean("ab" * 500_000 + " see http://x/ and http://u:hunter2@h/")
    assert time.process_time() - began < 5


@pytest.mark.parametrize("quoted", [repr, lambda text: __import__("json").dumps(text), str])
def test_a_secret_is_masked_also_inside_a_repr_or_a_document(quoted: Callable[[str], str]) -> None:
    secret = "it's\\a\"secret"
    assert secret not in (cleaned := Redactor([secret]).clean(f"value: {quoted(secret)}"))
    assert MASK in cleaned and "secret" not in cleaned


def test_a_migration_that_exits_quietly_did_not_succeed(mini: tuple[Target, Path]) -> None:
    target, folder = mini
    write(folder, "0001_one", None, "pass")
    write(folder, "0002_two", "0001_one", "raise SystemExit(0)")
    job = run(target)
    assert job.state == "failed", job.outcome
    assert "shop.0002_two" in job.outcome
    assert {step.name: step.state for step in job.steps.filter(kind="migration")}[
        "shop.0002_two"
    ] != "succeeded"
    assert (job.done_count, job.facts["recorded"]) == (1, [["shop", "0001_one"]])


def test_a_name_that_no_database_can_hold_ends_the_job_all_the_same(mini: tuple[Target, Path]) -> None:
    target, folder = mini
    write(folder, "0001_one", None, "pass")
    write(folder, "0002_plain", "0001_one", "pass")
    (folder / "0002_plain.py").rename(folder / os.fsdecode(b"0002_caf\xe9.py"))
    job = run(target)
    assert job.state in ("succeeded", "failed") and job.error_type != "WorkerLost"
    assert not Inspection.objects.filter(outcome="running").exists()


def test_a_very_long_name_is_kept_whole(mini: tuple[Target, Path]) -> None:
    target, folder = mini
    name = "0001_" + "long" * 55
    write(folder, name, None, "pass")
    job = run(target)
    assert (job.state, job.steps.get(kind="migration").name) == ("succeeded", f"shop.{name}")


def test_a_step_that_cannot_be_kept_does_not_stop_the_target(
    mini: tuple[Target, Path], monkeypatch: Any
) -> None:
    target, folder = mini
    write(folder, "0001_one", None, "pass")
    monkeypatch.setattr(Steps, "begin", lambda *_: 1 / 0)
    job = run(target)
    assert job.state == "succeeded" and job.facts["recorded"] == [["shop", "0001_one"]]
    assert "a step could not be kept (ZeroDivisionError)" in "".join(
        job.chunks.values_list("text", flat=True)
    )


@pytest.mark.parametrize("alias", ["a/b", "", "..", "x" * 300])
def test_an_alias_that_cannot_stand_in_an_address_breaks_no_page(
    make_target: MakeTarget, people: dict[str, User], alias: str
) -> None:
    database = make_target("odd").databases.create(alias=alias, pending_count=1)
    database.judge([])
    database.statuses = [{"state": "pending"}]
    database.inspected_at = database.target.created_at
    database.save()
    client = Client()
    client.login(username="operator", password=PASSWORD)
    for url in ("/", "/targets/odd/"):
        response = client.get(url)
        assert response.status_code == 200
        if len(alias) < 10:
            assert "its alias cannot stand in an address" in response.content.decode()


def test_a_lost_job_whose_plan_was_never_written_is_judged_by_the_inspection_before(
    mini: tuple[Target, Path], make_job: Any
) -> None:
    target, folder = mini
    write(folder, "0001_one", None, "pass")
    inspect_now(target)
    run(target)
    Inspection.objects.order_by("-pk").first().delete()  # type: ignore[union-attr]
    first = Inspection.objects.earliest("pk")
    Inspection.objects.exclude(pk=first.pk).delete()
    Job.objects.all().delete()
    job = lost(target, make_job, started_at=first.finished_at)
    assert look(job).facts["recorded"] == [["shop", "0001_one"]]
    assert "Recorded in the database by now: shop.0001_one" in job.outcome


def test_a_lost_job_of_which_nothing_is_known_claims_nothing(shop: Target, make_job: Any) -> None:
    job = lost(shop, make_job, started_at=shop.created_at)
    look(job)
    assert job.facts["recorded"] is None
    assert "could not be read" in job.outcome and "No migration was recorded" not in job.outcome


@pytest.mark.slow
def test_a_cancel_that_nobody_answers_ends_with_a_sentence(mini: tuple[Target, Path], tmp_path: Path) -> None:
    """The agent's supervisor is frozen: nothing of its ladder comes back."""
    target, folder = mini
    write(folder, "0001_one", None, "import time; time.sleep(600)")
    inspect_now(target)
    with worker(tmp_path / "jobs.log", OPSDASH_CANCEL_GRACE_S="1") as running:
        job = launch.start(default_of(target), "migrate", {}, ALICE, key=uuid.uuid4()).job
        until(lambda: Step.objects.filter(job=job, state="running").exists(), "the migration sleeps")
        frozen = [pid for pid in descendants_of(running.pid) if b"\0-c\0" in cmdline(pid)]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            launch.cancel(job, ALICE)
            until(lambda: Job.objects.get(pk=job.pk).state == "failed", "it is given up", seconds=90)
        finally:
            for pid in frozen:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    job.refresh_from_db()
    assert job.error_type == "ConnectionLost" and "was silent for" in job.outcome


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
