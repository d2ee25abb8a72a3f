"""Running a job again: what changed since is shown first, and it is the same job on the same database."""

import json
import sys
import uuid
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from dbops import configured, declare, launch
from dbops.execute import execute
from dbops.inspection import inspect_now
from dbops.models import AuditEvent, Job, Target, TargetDatabase, clock
from tests.integration.at_work import ask, inspected
from tests.integration.conftest import ALICE, MakeDatabase, MakeTarget
from tests.integration.test_facts import git, kept_by_git
from tests.integration.test_pages import plan
from tests.targets.builder import ADD_NAME, ADD_PRICE, Project, shop_project

transactional = pytest.mark.django_db(transaction=True)
rows = pytest.mark.django_db
MakeJob = Callable[..., Job]
IDENTITY = "postgres:1:1"


@pytest.fixture
def operator(people: dict[str, User]) -> Client:
    return signed_in(people["operator"])


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def ended(make_database: MakeDatabase, make_job: MakeJob) -> Callable[..., Job]:
    """A job that has ended, on a database that the latest inspection saw with a migration to apply."""

    def make(*planned: str, **fields: Any) -> Job:
        from dbops.models.status import Status

        database = make_database(vendor="postgresql", identity=IDENTITY)
        database.name = "shop"
        database.inspected_at = clock.now()
        database.judge([Status("pending", "1 to apply.")])
        database.save()
        plan(database, *(planned or ("shop.0002_more",)))
        told: dict[str, Any] = {
            "state": "failed",
            "finished_at": clock.now(),
            "identity": IDENTITY,
            "database_name": "shop",
        }
        return make_job(database, **{**told, **fields})

    return make


def url(job: Job) -> str:
    return f"{job.get_absolute_url()}again/"


def text(client: Client, address: str, status: int = 200) -> str:
    response = client.get(address)
    assert response.status_code == status
    return " ".join(unescape(response.content.decode()).split())


def post(client: Client, job: Job, key: uuid.UUID | None = None, **data: str) -> Any:
    return client.post(url(job), {"key": str(key or uuid.uuid4()), "reason": "", **data})


def words(response: Any) -> str:
    return " ".join(unescape(response.content.decode()).split())


def run(target: Target, **arguments: str) -> Job:
    job = ask(target, **arguments)
    execute(job.pk, "worker-of-the-test")
    job.refresh_from_db()
    return job


# Asking


@rows
def test_it_starts_the_same_with_the_same_arguments_and_both_pages_say_so(
    operator: Client, ended: Any
) -> None:
    job = ended("shop.0001_initial", "shop.0002_more", arguments={"app": "shop"})
    answer = post(operator, job, reason="the lock is gone")
    again = Job.objects.exclude(pk=job.pk).get()
    assert (answer.status_code, answer["Location"]) == (302, again.get_absolute_url())
    assert (again.operation, again.arguments, again.database, again.again_of) == (
        "migrate", {"app": "shop"}, job.database, job,
    )  # fmt: skip
    event = AuditEvent.objects.get(act="job.migrate")
    assert (event.job_id, event.reason) == (again.pk, "the lock is gone")
    assert event.details == {"arguments": {"app": "shop"}, "again_of": job.pk}
    assert f'Runs <a href="/jobs/{job.pk}/">job {job.pk}</a> again.' in text(
        operator, again.get_absolute_url()
    )
    assert f'Run again as <a href="/jobs/{again.pk}/">job {again.pk}</a>.' in text(
        operator, job.get_absolute_url()
    )


@rows
def test_a_form_that_is_sent_twice_leads_to_its_one_job(operator: Client, ended: Any) -> None:
    job, key = ended(), uuid.uuid4()
    first, second = post(operator, job, key), post(operator, job, key)
    assert first["Location"] == second["Location"]
    assert Job.objects.filter(again_of=job).count() == 1
    # Also when it could not be asked for any more.
    TargetDatabase.objects.update(identity="postgres:1:2")
    assert post(operator, job, key)["Location"] == first["Location"]
    assert post(operator, job).status_code == 409


@rows
@pytest.mark.parametrize("operation", ["record", "drop_index"])
def test_a_remedy_is_asked_for_where_its_reason_stands_and_not_again(
    people: dict[str, User], ended: Any, operation: str
) -> None:
    """What was proven of the schema then is not proven now."""
    staff = signed_in(people["staff"])
    arguments = {"app": "shop", "migration": "0002_more", "schema": "public", "index": "i", "job": 1}
    job = ended(operation=operation, arguments=arguments)
    assert "Run again" not in text(staff, job.get_absolute_url())
    answer = post(staff, job)
    assert answer.status_code == 409 and "was a remedy" in words(answer)
    assert not Job.objects.exclude(pk=job.pk).exists()


@rows
def test_a_form_of_one_job_does_not_pass_for_that_of_another(operator: Client, ended: Any) -> None:
    job, key = ended(), uuid.uuid4()
    first = launch.again(job, ALICE, key=key).job
    Job.objects.filter(pk=first.pk).update(state="failed", finished_at=clock.now())
    other = Job.objects.get(pk=first.pk)
    with pytest.raises(launch.RefusedError, match="This form was already sent for job"):
        launch.again(other, ALICE, key=key)
    with pytest.raises(launch.RefusedError, match="This form was already sent for job"):
        launch.start(job.database, "migrate", {}, ALICE, key=key)


@rows
@pytest.mark.parametrize(("who", "may"), [("viewer", False), ("operator", True), ("staff", True)])
def test_it_is_offered_to_those_who_may_ask_for_it(
    people: dict[str, User], ended: Any, who: str, may: bool
) -> None:
    job, client = ended(), signed_in(people[who])
    assert ("Run again</a>" in text(client, job.get_absolute_url())) is may
    assert client.get(url(job)).status_code == (200 if may else 403)
    assert post(client, job).status_code == (302 if may else 403)
    assert Job.objects.filter(again_of=job).exists() is may


@rows
def test_the_form_wants_its_key_and_a_short_reason(operator: Client, ended: Any) -> None:
    job = ended()
    assert operator.post(url(job), {}).status_code == 422
    assert post(operator, job, reason="x" * 501).status_code == 422
    assert Job.objects.count() == 1


# Refused


@rows
@pytest.mark.parametrize("state", ["queued", "running", "lost"])
def test_a_job_that_has_not_ended_is_not_run_again(operator: Client, ended: Any, state: str) -> None:
    job = ended(state=state, finished_at=None)
    sentence = f"Job {job.pk} is {state}: it can be run again when it has ended."
    assert "Run again</a>" not in text(operator, job.get_absolute_url())
    page = text(operator, url(job))
    assert sentence in page and "again_form" not in page
    answer = post(operator, job)
    assert answer.status_code == 409 and f"{sentence} Nothing was started." in words(answer)
    refusal = AuditEvent.objects.get()
    assert (refusal.act, refusal.job_id) == ("job.migrate.refused", job.pk)


@rows
@pytest.mark.parametrize(
    ("then", "now", "sentence"),
    [
        (
            (IDENTITY, "shop"),
            ("postgres:1:2", "other"),
            "leads to another database now: to other, not to shop.",
        ),
        ((IDENTITY, "shop"), ("postgres:1:2", "shop"), "to another one that is called shop too."),
        ((IDENTITY, "shop"), ("", "shop"), "does not tell which database it leads to now."),
        (("", "shop"), (IDENTITY, "other"), "leads to another database now: to other, not to shop."),
    ],
)
def test_another_database_is_refused(
    operator: Client, ended: Any, then: tuple[str, str], now: tuple[str, str], sentence: str
) -> None:
    job = ended(identity=then[0], database_name=then[1])
    TargetDatabase.objects.update(identity=now[0], name=now[1])
    page = text(operator, url(job))
    assert sentence in page and "again_form" not in page
    answer = post(operator, job)
    assert answer.status_code == 409 and sentence in words(answer)
    assert Job.objects.count() == 1


@rows
def test_where_nothing_told_which_database_it_was_that_is_said(operator: Client, ended: Any) -> None:
    job = ended(identity="")
    page = text(operator, url(job))
    assert "whether it is the same one now is not known" in page and "again_form" in page
    assert "whether it is the same one" not in text(operator, url(ended_as_known(job)))


def ended_as_known(job: Job) -> Job:
    job.identity = IDENTITY
    job.save()
    return job


@rows
def test_an_alias_that_is_gone_is_refused(operator: Client, ended: Any) -> None:
    job = ended()
    TargetDatabase.objects.update(in_settings=False)
    answer = post(operator, job)
    assert answer.status_code == 409
    assert "do not name the alias default any more" in words(answer)


@rows
def test_what_refuses_a_migrate_refuses_it_too(operator: Client, ended: Any, make_job: MakeJob) -> None:
    job = ended()
    Target.objects.update(allow_migrate=False)
    assert "A migrate job is not offered: migrate is not allowed here." in text(operator, url(job))
    assert post(operator, job).status_code == 409
    Target.objects.update(allow_migrate=True)
    other = make_job(job.database, identity=IDENTITY)
    answer = post(operator, job)
    assert answer.status_code == 409
    assert f"Job {other.pk} (migrate on shop/default) by alice is queued." in words(answer)
    assert f'href="{other.get_absolute_url()}">See job {other.pk}' in words(answer)


# What changed since


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Its tree is kept by git; its third migration fails."""
    project = shop_project(tmp_path)
    project.python("0004_fails", "raise ValueError('no')")
    return project


@transactional
def test_what_changed_is_shown(make_target: MakeTarget, project: Project, people: dict[str, User]) -> None:
    before = kept_by_git(project, "release-1")
    target = inspected(make_target, project, [sys.executable])
    job = run(target)
    assert job.facts["recorded"] == [["shop", "0001_initial"], ["shop", "0002_name"], ["shop", "0003_price"]]
    Job.objects.filter(pk=job.pk).update(
        facts={**job.facts, "versions": {**job.facts["versions"], "django": "3.2"}}
    )
    # Another release: the migration is repaired, a further one came.
    git(project.path, "switch", "-c", "release-2")
    project.migration("0004_fails", 'migrations.RemoveField("Item", "price")', after=[("shop", "0003_price")])
    project.migration("0005_price_again", ADD_PRICE)
    git(project.path, "commit", "--allow-empty", "-m", "second")
    Target.objects.update(env_file="")
    declare.declare("mini", {**declared(target), "label": "Mini"}, ALICE)
    inspect_now(target)
    client = signed_in(people["operator"])
    page = text(client, url(job))
    assert (
        f"{before[:12]} on release-1" in page
        and f"{git(project.path, 'rev-parse', 'HEAD')[:12]} on release-2" in page
    )
    assert '<th scope="row">Django</th> <td data-label="Then" class="breakable">3.2</td>' in page
    assert page.count("<strong>changed</strong>") == 2
    assert "The target's configuration was changed" in page and "by alice</li>" in page
    assert "Plan: 4 then, 2 now" in page
    new = page[page.index("<h3>New since</h3>") :]
    assert new.index("shop.0005_price_again") and "shop.0004_fails" not in new
    assert "not recorded any more" not in page and "is not known.</p>" not in page
    assert "No later job of opsdash on this database is known." in page
    # It is run, and does now what it could not then.
    answer = post(client, job)
    again = Job.objects.get(again_of=job)
    assert answer["Location"] == again.get_absolute_url()
    execute(again.pk, "worker-of-the-test")
    again.refresh_from_db()
    assert (again.state, again.facts["recorded"]) == (
        "succeeded", [["shop", "0004_fails"], ["shop", "0005_price_again"]],
    )  # fmt: skip
    page = text(client, url(job))
    assert f'<a href="/jobs/{again.pk}/">{again.pk}: migrate</a>' in page and again.outcome[:40] in page
    assert "Left to apply after it, and recorded since" in page
    assert "A migrate job is not offered: nothing to apply." in page


def declared(target: Target) -> dict[str, Any]:
    return {field: getattr(target, field) for field in configured.FIELDS if getattr(target, field)}


@transactional
def test_what_it_recorded_and_is_not_recorded_any_more_is_said(
    make_target: MakeTarget, tmp_path: Path, people: dict[str, User]
) -> None:
    """As when an older state of the database was restored."""
    project = shop_project(tmp_path)
    target = inspected(make_target, project, [sys.executable])
    job = run(target)
    project.sqlite.unlink()
    inspect_now(target)
    page = text(signed_in(people["operator"]), url(job))
    assert "Recorded by it, and not recorded any more" in page and "Plan: 3 then, 3 now" in page


@transactional
def test_where_the_database_did_not_answer_last_it_is_not_said_that_anything_is_gone(
    make_target: MakeTarget, tmp_path: Path, people: dict[str, User]
) -> None:
    target = inspected(make_target, shop_project(tmp_path), [sys.executable])
    job = run(target)
    (tmp_path / "db.sqlite3").unlink()
    (tmp_path / "db.sqlite3").mkdir()
    inspect_now(target)
    page = text(signed_in(people["operator"]), url(job))
    assert "not recorded any more" not in page
    assert "Whether what it recorded is still recorded is not known." in page


@transactional
def test_a_named_migration_that_is_applied_already_or_gone_is_said(
    make_target: MakeTarget, tmp_path: Path, people: dict[str, User]
) -> None:
    project = shop_project(tmp_path)
    target = inspected(make_target, project, [sys.executable])
    job, client = run(target, app="shop", migration="0002_name"), signed_in(people["operator"])
    page = text(client, url(job))
    assert "shop.0002_name is applied already." in page and "Plan: 2 then, 0 now" in page
    (tmp_path / "shop/migrations/0003_price.py").unlink()
    (tmp_path / "shop/migrations/0002_name.py").rename(tmp_path / "shop/migrations/0002_other.py")
    inspect_now(target)
    assert "The project has no migration shop.0002_name any more." in text(client, url(job))


@transactional
def test_of_an_app_the_plan_is_that_of_the_app(
    make_target: MakeTarget, tmp_path: Path, people: dict[str, User]
) -> None:
    project = shop_project(tmp_path)
    project.settings(apps=("shop", "stock"))
    project.write("stock/__init__.py", "")
    project.write("stock/models.py", "")
    project.migration(
        "0001_initial",
        'migrations.CreateModel("Box", [("id", models.BigAutoField(primary_key=True))])',
        app="stock",
    )
    target = inspected(make_target, project, [sys.executable])
    job, client = run(target, app="stock"), signed_in(people["operator"])
    project.migration("0002_name", ADD_NAME.replace("Item", "Box"), app="stock")
    inspect_now(target)
    page = text(client, url(job))
    assert "Plan: 1 then, 1 now" in page and "stock.0002_name" in page
    assert "shop.0001_initial" not in page


@rows
def test_what_is_not_known_is_not_called_the_same(operator: Client, ended: Any) -> None:
    page = text(operator, url(ended()))
    assert "Plan: not known then, 1 now" in page
    assert "Whether what it left to apply was recorded since is not known." in page
    assert "Whether what it recorded is still recorded is not known." in page
    assert "not known: nobody looked" in page
    assert page.count("cannot be compared") == 5 and page.count(">the same<") == 1


@rows
def test_later_jobs_are_those_that_began_on_the_same_database_through_whatever_alias(
    operator: Client, ended: Any, make_job: MakeJob, make_database: MakeDatabase
) -> None:
    job, elsewhere = ended(), make_database("copy", identity=IDENTITY)
    over: dict[str, Any] = {"state": "cancelled", "finished_at": clock.now()}
    make_job(job.database, identity=IDENTITY, **over)
    make_job(elsewhere, identity="postgres:1:2", started_at=clock.now(), **over)
    assert "No later job of opsdash on this database is known." in text(operator, url(job))
    later = make_job(elsewhere, identity=IDENTITY, started_at=clock.now(), **over)
    assert f'<a href="/jobs/{later.pk}/">{later.pk}: migrate</a> on copy/default' in text(operator, url(job))


@rows
def test_without_any_inspection_it_says_that_nothing_tells(operator: Client, make_job: MakeJob) -> None:
    job = make_job(state="failed", finished_at=clock.now())
    page = text(operator, url(job))
    assert "No inspection tells what is true now." in page and "Plan: not known then, not known now" in page
    assert "again_form" not in page


@rows
@pytest.mark.parametrize("many", [1, 9])
def test_the_page_asks_a_constant_number(
    operator: Client, ended: Any, make_job: MakeJob, django_assert_num_queries: Any, many: int
) -> None:
    job = ended()
    for _ in range(many):
        make_job(job.database, state="failed", finished_at=clock.now())
        AuditEvent.objects.record("target.change", ALICE, target="shop")
    with django_assert_num_queries(3 + 8):
        operator.get(url(job))


@rows
def test_production_is_said(operator: Client, ended: Any) -> None:
    job = ended()
    Target.objects.update(environment="production")
    assert "This is production: shop, database shop." in text(operator, url(job))


# From a shell


def shell(*argv: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        call_command(*argv)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


@rows
def test_the_command_does_the_same(ended: Any, capsys: pytest.CaptureFixture[str]) -> None:
    job = ended(arguments={"app": "shop", "migration": "0002_more"})
    code, out, _ = shell("run_job", "--again", str(job.pk), "--reason", "once more", "--json", capsys=capsys)
    document = json.loads(out)["job"]
    again = Job.objects.get(again_of=job)
    assert (code, document["id"], document["again_of"]) == (0, again.pk, job.pk)
    assert (again.arguments, again.reason, again.operation) == (job.arguments, "once more", "migrate")
    assert AuditEvent.objects.get().details["again_of"] == job.pk


@rows
def test_the_command_is_refused_where_the_page_is(ended: Any, capsys: pytest.CaptureFixture[str]) -> None:
    job = ended(state="running", finished_at=None)
    code, _, err = shell("run_job", "--again", str(job.pk), capsys=capsys)
    assert code == 7 and "it can be run again when it has ended. Nothing was started." in err


@rows
@pytest.mark.parametrize("more", [["shop", "migrate"], ["--app", "shop"], ["--database", "x"]])
def test_the_command_takes_nothing_else_with_again(
    ended: Any, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    code, _, err = shell("run_job", *more, "--again", str(ended().pk), capsys=capsys)
    assert code == 2 and "the job has its own. Nothing was started." in err and Job.objects.count() == 1


@rows
@pytest.mark.parametrize("argv", [["run_job"], ["run_job", "shop"]])
def test_the_command_wants_a_target_and_an_operation_or_again(
    capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    code, _, err = shell(*argv, capsys=capsys)
    assert code == 2 and "Name a target and an operation, or --again ID." in err


@rows
def test_a_job_that_there_is_not(db: None) -> None:
    with pytest.raises(CommandError, match=r"There is no job 7\. Nothing was started\."):
        call_command("run_job", "--again", "7")
