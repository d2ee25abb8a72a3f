"""The same from a shell: documents, sentences, exit codes; and the same record as from the page."""

import json
import subprocess
import sys
import uuid
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from dbops.exits import Exit
from dbops.models import AuditEvent, Job, Target, TargetVariable
from tests.integration.conftest import EXAMPLES, MakeDatabase, MakeTarget, default_of
from tests.integration.worker import test_environment, until, worker

pytestmark = pytest.mark.django_db


def call(*argv: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    out = StringIO()
    try:
        call_command(*argv, stdout=out, stderr=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def document(*argv: str) -> tuple[int, dict[str, Any]]:
    code, text = call(*argv, "--json")
    return code, json.loads(text)


# status


def test_status_without_targets_says_how_to_add_one() -> None:
    assert call("status") == (0, "No targets yet. Add one: manage.py add_target NAME PATH\n")


def test_status_of_a_target_never_inspected_is_unknown(make_database: MakeDatabase) -> None:
    make_database()
    code, text = call("status")
    assert code == Exit.UNKNOWN
    assert "shop/default" in text and "Never inspected." in text


def test_status_of_a_pending_target_tells_so_with_its_code(blog: Target) -> None:
    code, found = document("status", "blog")
    assert code == Exit.PENDING
    assert found["version"] == 1
    (database,) = found["databases"]
    assert (database["target"], database["alias"], database["vendor"]) == ("blog", "default", "sqlite")
    assert database["statuses"][0]["state"] == "pending" and database["pending"] == 5


def test_status_of_a_broken_target_tells_so_with_its_code(make_target: MakeTarget) -> None:
    make_target("gone")
    code, text = call("status", "gone", "--inspect")
    assert code == Exit.BROKEN
    assert "/nowhere/python" in text


def test_status_of_an_unreachable_database_tells_so_with_its_code(
    make_target: MakeTarget, postgres_url: str
) -> None:
    from tests.integration.conftest import make_shop

    make_shop(make_target, postgres_url.rpartition("/")[0] + "/no_such_database_here")
    code, found = document("status", "shop", "--inspect")
    assert code == Exit.UNREACHABLE
    status = found["databases"][0]["statuses"][0]
    assert (status["state"], status["reason"]) == ("unreachable", "no_such_database")


def test_an_unknown_target_is_named_with_those_that_exist(blog: Target) -> None:
    with pytest.raises(CommandError, match="There is no target blgo. Nothing was done. Known targets: blog."):
        call("status", "blgo")


# plan


def test_the_plan_is_in_the_order_of_application(blog: Target) -> None:
    code, found = document("plan", "blog")
    assert code == Exit.PENDING and found["version"] == 1
    assert [entry["name"] for entry in found["plan"]][:2] == ["0001_initial", "0002_comment"]


def test_a_plan_of_an_alias_that_does_not_exist_names_those_that_do(blog: Target) -> None:
    with pytest.raises(CommandError, match="blog has no database other. .* Known aliases: default."):
        call("plan", "blog", "--database", "other")


# run_job


@pytest.mark.django_db(transaction=True)
def test_a_job_from_the_shell_is_performed_by_the_worker_and_followed(blog: Target, tmp_path: Path) -> None:
    with worker(tmp_path / "jobs.log"):
        code, text = call(
            "run_job", "blog", "migrate", "--app", "posts", "--follow", "--reason", "release 12"
        )
    assert code == Exit.DONE
    job = Job.objects.get()
    assert job.state == "succeeded" and job.reason == "release 12"
    assert job.asked_by_name.startswith("shell:") and job.asked_from == "shell"
    assert "Running migrations:" in text and text.endswith(f"{job.outcome}\nJob {job.pk} succeeded.\n")
    event = AuditEvent.objects.get(act="job.migrate")
    assert (event.target, event.job_id, event.reason) == ("blog/default", job.pk, "release 12")


@pytest.mark.django_db(transaction=True)
def test_a_job_that_fails_ends_the_command_with_its_code(blog: Target, tmp_path: Path) -> None:
    TargetVariable.objects.filter(name="BLOG_DATABASE").update(
        plain=str(tmp_path / "no" / "such" / "folder.db")
    )
    with worker(tmp_path / "jobs.log"):
        code, found = document("run_job", "blog", "migrate", "--follow")
    assert code == Exit.JOB_FAILED
    assert found["version"] == 1 and found["job"]["state"] == "failed"


def test_a_refused_job_ends_the_command_with_its_code(blog: Target) -> None:
    assert call("run_job", "blog", "migrate")[0] == 0
    code, text = call("run_job", "blog", "migrate")
    assert code == Exit.REFUSED
    assert f"Job {Job.objects.get().pk} (migrate on blog/default)" in text
    assert AuditEvent.objects.filter(act="job.migrate.refused").count() == 1


def test_a_target_that_does_not_allow_migrate_refuses(blog: Target) -> None:
    Target.objects.update(allow_migrate=False)
    code, text = call("run_job", "blog", "migrate")
    assert code == Exit.REFUSED
    assert "blog does not allow migrate jobs. Nothing was started." in text
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--app", "--settings=evil"], "has no app --settings=evil. Nothing was started. Apps: posts."),
        (["--app", "nope"], "has no app nope. Nothing was started. Apps: posts."),
        (["--app", "posts", "--migration", "0009_x"], "posts has no migration 0009_x. Nothing was started."),
        (["--migration", "0001_initial"], "--migration needs --app. Nothing was started."),
    ],
)
def test_names_that_the_target_does_not_have_are_refused(
    blog: Target, arguments: list[str], words: str
) -> None:
    options = dict(zip(("app", "migration"), ("", ""), strict=True))
    options |= {
        flag.removeprefix("--"): value for flag, value in zip(arguments[::2], arguments[1::2], strict=True)
    }
    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("run_job", "blog", "migrate", stdout=out, stderr=out, **options)
    assert end.value.code == Exit.USAGE
    assert words in out.getvalue()
    assert not Job.objects.exists()


def test_jobs_lists_what_was_asked_for(blog: Target) -> None:
    call("run_job", "blog", "migrate", "--app", "posts")
    code, found = document("jobs", "--state", "active")
    (job,) = found["jobs"]
    assert (code, found["version"], job["title"], job["state"]) == (0, 1, "migrate posts", "queued")
    assert (found["page"], found["pages"]) == (1, 1)
    assert call("jobs", "--target", "nothing") == (0, "No job matches.\n")


def test_jobs_of_a_state_that_there_is_not_are_a_mistake_of_usage() -> None:
    code, text = call("jobs", "--state", "nonsense")
    assert code == Exit.USAGE
    assert text == (
        "There is no state nonsense. States: active, queued, starting, running, cancelling, lost, "
        "succeeded, failed, cancelled.\n"
    )


def test_jobs_says_whether_there_are_more_pages(blog: Target, settings: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "PAGE_SIZE": 2}
    now = timezone.now()
    for _ in range(5):
        Job.objects.create(
            database=default_of(blog),
            operation="migrate",
            state="succeeded",
            idempotency_key=uuid.uuid4(),
            queue="jobs",
            asked_by_name="alice",
            published_at=now,
            finished_at=now,
        )
    _, first = document("jobs")
    _, last = document("jobs", "--page", "3")
    assert (first["page"], first["pages"], len(first["jobs"])) == (1, 3, 2)
    assert (last["page"], last["pages"], len(last["jobs"])) == (3, 3, 1)
    assert call("jobs")[1].endswith("Page 1 of 3. More: --page 2\n")
    assert call("jobs", "--page", "3")[1].endswith("Page 3 of 3.\n")


@pytest.mark.parametrize("page", ["0", "-1", "4"])
def test_a_page_of_jobs_that_there_is_not_is_a_mistake_of_usage(page: str) -> None:
    code, text = call("jobs", "--page", page)
    assert (code, text) == (Exit.USAGE, f"There is no page {page}. Pages: 1 to 1.\n")


# targets


def test_add_target_finds_everything_by_itself_and_inspects(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / ".env").write_text(f"BLOG_DATABASE={tmp_path}/blog.sqlite3\n")
    for name in ("manage.py", "blog", "posts"):
        (tmp_path / name).symlink_to(EXAMPLES / "blog" / name)
    code, text = call("add_target", "blog", str(tmp_path), "--environment", "staging")
    assert "default: pending: 5 to apply" in text, text
    assert code == Exit.DONE
    target = Target.objects.get()
    assert target.python == [str(tmp_path / ".venv/bin/python")]
    assert target.env_file == str(tmp_path / ".env") and target.launcher == ["manage.py"]
    assert "manage.py uses the settings module blog.settings." in text


@pytest.mark.parametrize(
    ("name", "path", "words"),
    [
        ("shop", "/no/such/path", "/no/such/path does not exist. Nothing was added."),
        ("Bad Name", str(EXAMPLES / "blog"), "Use lower-case letters"),
        ("taken", str(EXAMPLES / "blog"), "There is a target taken already."),
        # Root may read everything; that a name is too long it is told as well.
        (
            "shut",
            f"/srv/{'x' * 300}",
            "xxx cannot be read: File name too long. Nothing was added. The user that",
        ),
    ],
)
def test_add_target_refuses_with_a_sentence(
    make_target: MakeTarget, name: str, path: str, words: str
) -> None:
    make_target("taken")
    with pytest.raises(CommandError, match=words):
        call("add_target", name, path, "--python", sys.executable)
    assert Target.objects.count() == 1


def test_a_relative_python_is_meant_from_where_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "venv").symlink_to(sys.prefix)
    monkeypatch.chdir(tmp_path)
    call("add_target", "blog", str(EXAMPLES / "blog"), "--python", "venv/bin/python -X utf8")
    assert Target.objects.get().python == [f"{tmp_path}/venv/bin/python", "-X", "utf8"]


def test_a_python_with_an_open_quote_is_refused() -> None:
    with pytest.raises(CommandError, match="--python cannot be read as words of a command"):
        call("add_target", "blog", str(EXAMPLES / "blog"), "--python", "'oops")
    assert not Target.objects.exists()


def test_add_target_without_a_launcher_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Give a launcher"):
        call("add_target", "empty", str(tmp_path), "--python", sys.executable)


DECLARED = """
[targets.blog]
label = "The blog"
environment = "staging"
working_directory = "{path}"
python = "{python}"
[targets.blog.env]
BLOG_TITLE = "Kettles"
[targets.blog.secret_env]
BLOG_SECRET_KEY = "canary-secret-value"
"""


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    file = tmp_path / "targets.toml"
    file.write_text(DECLARED.format(path=EXAMPLES / "blog", python=sys.executable))
    return file


def test_sync_targets_makes_targets_as_declared(declared: Path) -> None:
    assert call("sync_targets", "--file", str(declared)) == (0, "blog: created\n")
    target = Target.objects.get()
    assert (target.label, target.environment, target.python) == ("The blog", "staging", [sys.executable])
    assert {variable.name: variable.value for variable in target.variables.all()} == {
        "BLOG_TITLE": "Kettles",
        "BLOG_SECRET_KEY": "canary-secret-value",
    }


def test_sync_targets_twice_changes_nothing_and_says_so(declared: Path) -> None:
    call("sync_targets", "--file", str(declared))
    events = AuditEvent.objects.count()
    assert call("sync_targets", "--file", str(declared)) == (0, "blog: unchanged\n")
    assert AuditEvent.objects.count() == events


def test_sync_targets_takes_away_variables_that_are_not_declared_any_more(declared: Path) -> None:
    call("sync_targets", "--file", str(declared))
    declared.write_text(declared.read_text().replace('BLOG_TITLE = "Kettles"', ""))
    assert call("sync_targets", "--file", str(declared)) == (0, "blog: changed\n")
    assert [variable.name for variable in TargetVariable.objects.all()] == ["BLOG_SECRET_KEY"]


def test_sync_targets_leaves_others_alone_and_names_them(declared: Path, make_target: MakeTarget) -> None:
    make_target("by-hand")
    assert "Not in the file and left as they are: by-hand" in call("sync_targets", "--file", str(declared))[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("targets = 3", "must hold tables"),
        ("[target.blog]\n", "must hold tables"),
        ("[targets.blog", "is not TOML"),
        ("[targets.blog]\nlabel = 'x'", "blog: `python` is missing"),
        ("[targets.blog]\npython = 'x'\npyhton = 'y'", "blog: pyhton is not known"),
        ("[targets.blog]\npython = 5", "blog: `python` is not a list of words"),
        (
            "[targets.blog]\npython = 'x'\nenvironment = 'test'",
            "blog: environment: Value 'test' is not a valid",
        ),
        (
            "[targets.blog]\npython = 'x'\nenvironment = 'production'\nallow_reset = true",
            "can never allow reset",
        ),
        ("[targets.blog]\npython = 'x'\nlauncher = []", "Give a launcher"),
        ("[targets.'Bad Name']\npython = 'x'", "Use lower-case letters"),
        (
            "[targets.blog]\npython = 'x'\n[targets.blog.env]\n'A B' = '1'",
            "the variable 'A B' cannot be kept",
        ),
    ],
)
def test_a_bad_declaration_changes_nothing_and_says_why(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "targets.toml"
    file.write_text(text)
    with pytest.raises(CommandError) as refused:
        call("sync_targets", "--file", str(file))
    assert words in str(refused.value) and "Nothing was changed." in str(refused.value)
    assert not Target.objects.exists()


def test_one_bad_declaration_undoes_the_good_ones_before_it(tmp_path: Path) -> None:
    file = tmp_path / "targets.toml"
    file.write_text("[targets.good]\npython = 'x'\n[targets.worse]\nlabel = 'x'\n")
    with pytest.raises(CommandError, match="worse"):
        call("sync_targets", "--file", str(file))
    assert not Target.objects.exists()


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="does not exist. Nothing was changed."):
        call("sync_targets", "--file", str(tmp_path / "none.toml"))


# in a process of its own


@pytest.mark.django_db(transaction=True)
def test_the_exit_code_is_that_of_the_process(blog: Target) -> None:
    process = subprocess.run(
        [sys.executable, "manage.py", "status", "blog"],
        cwd=settings.BASE_DIR,
        env=test_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == Exit.PENDING
    assert "5 pending" in process.stdout and process.stderr == ""


@pytest.mark.django_db(transaction=True)
def test_a_job_without_a_worker_stays_queued_and_can_be_cancelled(blog: Target) -> None:
    from dbops import launch
    from tests.integration.conftest import ALICE

    call("run_job", "blog", "migrate")
    job = Job.objects.get()
    launch.cancel(job, ALICE)
    until(lambda: Job.objects.get().state == "cancelled", "cancelled")
    assert default_of(blog).pending_count == 5
