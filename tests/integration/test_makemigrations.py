"""Migrations are made by staff, on development targets whose tree is seen: as they were seen before."""

import fcntl
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from dbops import launch, writing
from dbops.execute import execute
from dbops.inspection import inspect_now
from dbops.loss import resolve_lost
from dbops.models import AuditEvent, Inspection, Job, Target
from tests.integration.agent.test_agent_makemigrations import MODELS, MORE, files, grown
from tests.integration.conftest import ALICE, MakeTarget, default_of
from tests.integration.reading import command, words_of
from tests.integration.test_bad_targets import performed
from tests.integration.worker import until
from tests.targets.builder import Project

__all__ = ["grown"]
pytestmark = pytest.mark.django_db(transaction=True)

NEW = "shop/migrations/0002_item_name.py"


@pytest.fixture
def mini(grown: Project, make_target: MakeTarget) -> Target:
    target = make_target("mini", working_directory=str(grown.path), python=[sys.executable])
    inspect_now(target)
    return Target.objects.get(pk=target.pk)


def signed_in(people: dict[str, User], name: str) -> Client:
    client = Client()
    client.force_login(people[name])
    return client


def url(target: Target, merge: bool = False) -> str:
    return reverse("merge" if merge else "makemigrations", args=[target.name])


def see(client: Client, target: Target, merge: bool = False) -> tuple[str, dict[str, str]]:
    """The words of the page, and its form."""
    response = client.get(url(target, merge))
    assert response.status_code == 200
    form = response.context["form"]
    sent = {"key": str(form["key"].value()), "expected": form["expected"].value(), "reason": "so it is"}
    return words_of(response.content.decode()), sent


def asked(client: Client, target: Target, sent: dict[str, str], merge: bool = False) -> Job:
    response = client.post(url(target, merge), sent)
    assert response.status_code == 302, words_of(response.content.decode())
    return Job.objects.latest("pk")


def work_on(job: Job) -> Job:
    execute(job.pk, "worker")
    return Job.objects.select_related("database__target").get(pk=job.pk)


def expected(target: Target, kind: str = "unmade") -> str:
    report = Inspection.objects.filter(target=target, outcome="done").latest("pk").report
    return str((report or {})["previews"][kind])


def ask(target: Target, **changes: Any) -> Job:
    arguments = {"merge": False, "expected": expected(target), **changes}
    return launch.start(default_of(target), "makemigrations", arguments, ALICE, key=uuid.uuid4()).job


def test_staff_sees_what_would_be_written_and_has_it_written(
    mini: Target, grown: Project, people: dict[str, User]
) -> None:
    staff = signed_in(people, "staff")
    said, form = see(staff, mini)
    assert "shop.0002_item_name" in said and "Add field name to item" in said
    assert "dependencies = [" in said and "AddField (" in said
    job = work_on(asked(staff, mini, form))
    assert (job.state, job.outcome) == (
        "succeeded",
        f"makemigrations wrote 1 new file. In the tree by now: {NEW}.",
    )
    text = (grown.path / NEW).read_text()
    assert job.facts["files"] == [
        {"app": "shop", "name": "0002_item_name", "path": str(grown.path / NEW), "text": text}
    ]
    page = words_of(staff.get(job.get_absolute_url()).content.decode())
    assert f"{grown.path / NEW} {len(text.splitlines())} lines added" in page
    assert "+ operations = [" in page
    assert "Server not known" not in page and "Size of the database" not in page
    assert list(job.steps.values_list("kind", "name", "state")) == [("file", NEW, "succeeded")]
    assert AuditEvent.objects.filter(act="job.makemigrations", job_id=job.pk).exists()


def test_afterwards_the_target_is_inspected_and_nothing_is_left_to_write(
    mini: Target, people: dict[str, User]
) -> None:
    staff = signed_in(people, "staff")
    job = work_on(asked(staff, mini, see(staff, mini)[1]))
    assert job.facts["after"]["plan"] == [["shop", "0001_initial"], ["shop", "0002_item_name"]]
    said, _ = see(staff, mini)
    assert "Every change of its models has a migration: there is nothing to write." in said
    assert "Write 0 files" not in said


def test_a_conflict_is_merged(mini: Target, grown: Project, people: dict[str, User]) -> None:
    grown.write("shop/models.py", MODELS)
    for name in ("0002_left", "0002_right"):
        grown.migration(name, 'migrations.RunSQL("SELECT 1")', after=[("shop", "0001_initial")])
    inspect_now(mini)
    staff = signed_in(people, "staff")
    assert "Its migrations are in conflict" in see(staff, mini)[0]
    said, form = see(staff, mini, merge=True)
    assert "merges 0002_left and 0002_right" in said
    job = work_on(asked(staff, mini, form, merge=True))
    assert job.state == "succeeded", job.outcome
    (one,) = job.facts["files"]
    assert one["name"].startswith("0003_merge_") and "0002_right" in one["text"]
    assert "there is nothing to merge" in see(staff, mini, merge=True)[0]


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_nothing_is_written_where_the_project_is_not_developed(
    mini: Target, grown: Project, people: dict[str, User], environment: str
) -> None:
    staff = signed_in(people, "staff")
    _, form = see(staff, mini)
    Target.objects.filter(pk=mini.pk).update(environment=environment)
    response = staff.post(url(mini), form)
    assert response.status_code == 409
    why = f"Migrations are made where the project is developed; mini is a {environment} target."
    assert why in words_of(response.content.decode())
    with pytest.raises(launch.RefusedError, match="Migrations are made where the project is developed"):
        ask(mini)
    assert not Job.objects.exists() and len(files(grown)) == 2
    assert "Make migrations" not in words_of(staff.get(mini.get_absolute_url()).content.decode())


def test_an_operator_neither_sees_nor_writes(mini: Target, people: dict[str, User]) -> None:
    operator = signed_in(people, "operator")
    assert operator.get(url(mini)).status_code == 403
    assert operator.post(url(mini), {}).status_code == 403
    assert "Make migrations" not in words_of(operator.get(mini.get_absolute_url()).content.decode())


def test_what_was_not_seen_is_not_written(mini: Target, grown: Project, people: dict[str, User]) -> None:
    staff = signed_in(people, "staff")
    _, form = see(staff, mini)
    grown.write("shop/models.py", MODELS + MORE.replace("name", "title"))
    job = work_on(asked(staff, mini, form))
    assert (job.state, job.error_type) == ("failed", "PreviewChanged")
    assert "something else by now than what was seen: shop.0002_item_title." in job.outcome
    assert "Nothing was written." in job.outcome and "No file was written." in job.outcome
    assert len(files(grown)) == 2


def test_a_tree_that_the_worker_does_not_see_is_refused_with_the_reason(
    mini: Target, people: dict[str, User]
) -> None:
    Target.objects.filter(pk=mini.pk).update(python=["env", sys.executable])
    inspect_now(Target.objects.get(pk=mini.pk))
    said, _ = see(signed_in(people, "staff"), mini)
    assert "the tree of mini is not seen from the worker" in said and "0002_item_name" in said
    with pytest.raises(launch.RefusedError, match="is not seen from the worker"):
        ask(mini)


def test_a_tree_that_became_another_since_is_not_written_to(
    mini: Target, grown: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the worker sees another disk than the target's Python."""
    job = ask(mini)
    monkeypatch.setattr("dbops.target.tree.raw", lambda path: b"another")
    assert work_on(job).error_type == "NoFileReach"
    assert len(files(grown)) == 2


def test_a_target_that_was_never_inspected_has_no_preview(
    make_target: MakeTarget, people: dict[str, User]
) -> None:
    target, staff = make_target("unknown"), signed_in(people, "staff")
    said, form = see(staff, target)
    assert "unknown was never inspected, so that nobody knows what would be written." in said
    assert staff.post(url(target), form).status_code == 409


def test_two_at_once_on_one_target_are_impossible(mini: Target) -> None:
    first = ask(mini)
    with pytest.raises(launch.RefusedError, match=f"Job {first.pk} .* one job at a time writes"):
        ask(mini)
    with pytest.raises(IntegrityError):
        Job.objects.create(
            database=default_of(mini), operation="makemigrations", changing=False, writes_tree_of=mini,
            idempotency_key=uuid.uuid4(), queue="jobs", asked_by_name="x", published_at=first.created_at,
        )  # fmt: skip


def test_a_migrate_job_does_not_stand_in_its_way(mini: Target) -> None:
    launch.start(default_of(mini), "migrate", {}, ALICE, key=uuid.uuid4())
    assert work_on(ask(mini)).state == "succeeded"


def test_a_tree_that_another_opsdash_writes_to_is_left_alone(mini: Target, grown: Project) -> None:
    descriptor = os.open(grown.path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        assert work_on(ask(mini)).error_type == "TreeBusy"
    finally:
        os.close(descriptor)
    assert len(files(grown)) == 2


def test_a_question_is_told_before_and_one_that_needs_an_answer_is_not_offered(
    mini: Target, grown: Project, people: dict[str, User]
) -> None:
    staff = signed_in(people, "staff")
    grown.write("shop/models.py", MODELS.replace("n = ", "number = "))
    inspect_now(mini)
    said, _ = see(staff, mini)
    assert "Was shop.Item.n renamed to number?" in said and "Write 1 file" in said
    grown.write("shop/models.py", MODELS + "    must = models.IntegerField()\n")
    inspect_now(mini)
    said, _ = see(staff, mini)
    assert "Django would ask which value the existing rows get" in said and "Write 1 file" not in said


def test_a_secret_of_the_target_in_a_new_file_is_masked(mini: Target, grown: Project) -> None:
    variable = mini.variables.model(target=mini, name="TOKEN")
    variable.keep("correct-horse-battery", secret=True)
    variable.save()
    grown.write("shop/models.py", MODELS + MORE.replace("null", "default='correct-horse-battery', null"))
    inspect_now(mini)
    job = work_on(ask(mini))
    assert job.state == "succeeded", job.outcome
    assert "correct-horse-battery" in (grown.path / NEW).read_text()
    told = {key: value for key, value in job.facts.items() if "correct-horse-battery" in str(value)}
    assert told == {} and "default='***'" in job.facts["files"][0]["text"]


HANGS = (
    "from django.core.management.commands.makemigrations import Command as Django\n"
    "class Command(Django):\n"
    "    def write_migration_files(self, changes, *args):\n"
    "        super().write_migration_files(changes, *args)\n"
    "        if not self.dry_run:\n"
    "            import time; print('hangs', flush=True); time.sleep(600)\n"
)


def override(project: Project, source: str) -> None:
    project.write("shop/management/__init__.py", "")
    project.write("shop/management/commands/__init__.py", "")
    project.write("shop/management/commands/makemigrations.py", source)


def test_a_cancelled_one_says_which_files_are_there(mini: Target, grown: Project) -> None:
    override(grown, HANGS)
    job = ask(mini)
    with performed(job):
        until(lambda: (grown.path / NEW).exists(), "the file is written")
        launch.cancel(job, ALICE)
    job.refresh_from_db()
    assert job.state == "cancelled", job.outcome
    assert job.outcome.endswith(f"In the tree by now: {NEW}.")
    assert job.facts["files"][0]["text"] == (grown.path / NEW).read_text()


def test_one_whose_connection_breaks_is_ended_by_what_is_in_the_tree(mini: Target, grown: Project) -> None:
    """Its supervisor is killed behind the first file: what works for it ends, and the lock is free."""
    override(grown, HANGS.replace("time.sleep(600)", "import os; os.kill(os.getppid(), 9); time.sleep(600)"))
    job = work_on(ask(mini))
    assert (job.state, job.error_type) == ("failed", "ConnectionLost"), job.outcome
    assert job.outcome.endswith(f"In the tree by now: {NEW}.")
    assert job.facts["lacking"] == []


def test_one_that_is_resolved_frees_its_tree(mini: Target, grown: Project) -> None:
    said = launch.resolve(lost(mini, grown), ALICE, "looked at it")
    assert said.endswith("Its tree is free for other jobs.")
    assert work_on(ask(mini)).state == "succeeded"


def lost(target: Target, grown: Project) -> Job:
    """Its worker vanished behind its first word on the files."""
    job = ask(target)
    planned = [["shop", "0002_item_name", str(grown.path / NEW)], ["shop", "x", str(grown.path / "x.py")]]
    Job.objects.filter(pk=job.pk).update(state="lost", fence=1, facts={"to_write": planned})
    job.refresh_from_db()
    return job


def test_a_lost_one_ends_when_nobody_writes_to_the_tree_and_says_which_files_are_there(
    mini: Target, grown: Project
) -> None:
    job = lost(mini, grown)
    (grown.path / NEW).write_text(
        "from django.db import migrations\nclass Migration(migrations.Migration): pass\n"
    )
    descriptor = os.open(grown.path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    resolve_lost(job.pk)
    job.refresh_from_db()
    assert job.state == "lost" and "something still holds the lock of its tree" in job.outcome
    os.close(descriptor)
    Job.objects.filter(pk=job.pk).update(look_again_at=None)
    resolve_lost(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error_type) == ("failed", "WorkerLost")
    assert (
        f"In the tree by now: {NEW}. Not there: {'/'.join((grown.path / 'x.py').parts[-3:])}." in job.outcome
    )


def test_a_lost_one_whose_tree_is_not_seen_stays_lost(mini: Target, grown: Project) -> None:
    job = lost(mini, grown)
    Target.objects.filter(pk=mini.pk).update(python=["env", sys.executable])
    resolve_lost(job.pk)
    job.refresh_from_db()
    assert job.state == "lost" and writing.UNSEEN in job.outcome


def test_the_shell_shows_the_files_first_and_writes_what_was_shown(mini: Target, grown: Project) -> None:
    said = command("run_job", "mini", "makemigrations")
    assert "shop.0002_item_name" in said and "migrations.AddField(" in said
    assert f"add: --expected {expected(mini)}" in said and not Job.objects.exists()
    command("run_job", "mini", "makemigrations", "--expected", expected(mini))
    assert work_on(Job.objects.get()).state == "succeeded" and Path(grown.path / NEW).exists()


def test_a_repeated_form_leads_to_its_job(mini: Target, people: dict[str, User]) -> None:
    staff = signed_in(people, "staff")
    _, form = see(staff, mini)
    job = asked(staff, mini, form)
    assert asked(staff, mini, form) == job
