"""A migration that goes wrong: what is recorded, and the words that a person reads on the job's page."""

import os
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connections
from django.urls import reverse
from psycopg import sql

from dbops import launch, loss, truth
from dbops.execute import execute
from dbops.inspection import inspect_now
from dbops.models import Job, Step, Target
from dbops.plain import CONTROLS
from dbops.transcript.reading import read_all
from tests.integration.conftest import ALICE, MakeTarget, default_of
from tests.integration.reading import command, page
from tests.integration.test_bad_targets import A_THREAD, performed
from tests.integration.worker import until
from tests.targets.builder import ADD_NAME, CREATE_ITEM, Project, make_project

pytestmark = pytest.mark.django_db(transaction=True)

Write = Callable[[Project], None]


def python(source: str, **options: Any) -> Write:
    """The bad one runs this."""
    return lambda project: project.python("0002_bad", source, **options)


def statements(*texts: str) -> Write:
    operations = ", ".join(f"migrations.RunSQL({text!r})" for text in texts)
    return lambda project: project.migration("0002_bad", operations)


def databases(url: str, **changes: str) -> dict[str, Any]:
    parts = urlsplit(url)
    default = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path[1:],
        "USER": parts.username,
        "PASSWORD": parts.password,
        "HOST": parts.hostname,
        "PORT": str(parts.port),
    }
    return {"default": {**default, **changes}}


@pytest.fixture
def project(tmp_path: Path, postgres_url: str) -> Project:
    """On Postgres, with one good migration."""
    project = make_project(tmp_path / "mini", databases(postgres_url))
    project.migration("0001_initial", CREATE_ITEM)
    return project


@pytest.fixture
def mini(project: Project, make_target: MakeTarget) -> Target:
    return make_target("mini", working_directory=str(project.path), python=[sys.executable])


def ask(target: Target) -> Job:
    inspect_now(target)
    return launch.start(default_of(target), "migrate", {}, ALICE, key=uuid.uuid4()).job


def run(target: Target) -> Job:
    job = ask(target)
    execute(job.pk, "worker")
    job.refresh_from_db()
    return job


def transcript(job: Job) -> str:
    return "\n".join(job.chunks.order_by("first").values_list("text", flat=True))


def recorded(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT name FROM django_migrations ORDER BY id")]


def has_table(url: str, name: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name]).fetchone() == (True,)


HALF = "schema_editor.execute('CREATE TABLE half (id int)')\n"
EDGE = (
    "undone only if it is atomic and made no COMMIT of its own. No session of this job is left on the server."
)
SAID = "What it wrote last may say why."
# How it is bad, whether its table `half` stays, and the words that are expected.
FAILING: dict[str, tuple[Write, bool, str]] = {
    "raises": (
        python(f"{HALF}raise RuntimeError('no \\x1b[31mluck')"),
        False,
        "The migrate of mini failed: RuntimeError: no luck. Correct the cause, then start it again. Recorded "
        "in the database by now: shop.0001_initial; 2 still to apply. What shop.0002_bad did until then is "
        + EDGE,
    ),
    "raises, not atomic": (
        python(f"{HALF}raise RuntimeError('no luck')", body="atomic = False"),
        True,
        f"What shop.0002_bad did until then is {EDGE}",
    ),
    "raises behind a transaction of its own": (
        python(
            "from django.db import transaction\n"
            "with transaction.atomic():\n    schema_editor.execute('CREATE TABLE half (id int)')\n"
            "raise ValueError('behind it')",
            body="atomic = False",
        ),
        True,
        "ValueError: behind it. Correct the cause",
    ),
    "fails behind a COMMIT of its own": (
        statements("CREATE TABLE half (id int); COMMIT;", "SELECT 1/0"),
        True,
        "The migrate of mini failed: DataError: division by zero. Correct the cause",
    ),
    "raises with a NUL in its code": (
        python(f"{HALF}problem = ValueError('no luck')\nproblem.sqlstate = 'a\\0b'\nraise problem"),
        False,
        "The migrate of mini failed: ValueError: no luck. Correct the cause",
    ),
    "sys.exit(0)": (
        python(f"{HALF}sys.exit(0)"),
        False,
        "The migrate of mini failed: its code ended the process itself, with sys.exit(0). Correct the cause",
    ),
    "sys.exit(words)": (python(f"{HALF}sys.exit('set me up')"), False, "with sys.exit('set me up'). Correct"),
    "os._exit": (
        python(f"{HALF}os._exit(3)"),
        False,
        f"The process of mini ended with status 3 in the middle, without an answer. {SAID} Correct the "
        "cause, then try again. Recorded in the database by now: shop.0001_initial; 2 still to apply.",
    ),
    "SIGKILL": (
        python(f"{HALF}os.kill(os.getpid(), 9)"),
        False,
        f"ended with signal 9 (SIGKILL) in the middle, without an answer. {SAID} opsdash did not end it; a "
        "machine that runs out of memory does that.",
    ),
    "SIGSEGV": (python(f"{HALF}os.kill(os.getpid(), 11)"), False, "ended with signal 11 (SIGSEGV) in the"),
    "a variable": (
        python("os.environ['SHOP_TOKEN']"),
        False,
        "The migrate of mini failed: it wants the environment variable SHOP_TOKEN, which its environment "
        "here does not have (KeyError: 'SHOP_TOKEN').",
    ),
}


@pytest.mark.parametrize("bad", FAILING)
def test_a_job_that_fails_says_why_and_what_is_recorded(
    project: Project, mini: Target, postgres_url: str, bad: str
) -> None:
    write, stays, words = FAILING[bad]
    write(project)
    project.python("0003_after", "pass")
    job = run(mini)
    assert job.state == "failed"
    assert recorded(postgres_url) == ["0001_initial"] and has_table(postgres_url, "half") == stays
    on_page = page(job.get_absolute_url())
    assert words in on_page and job.outcome.count(words) == 1
    assert "shop.0001_initial succeeded" in on_page and "shop.0002_bad failed" in on_page
    assert "shop.0003_after not reached" in on_page and "1 of 3 migrations" in on_page
    assert not CONTROLS.search(on_page)


def test_what_is_recorded_is_told_also_where_a_migration_ends_our_transaction(
    project: Project, mini: Target, postgres_url: str
) -> None:
    statements("BEGIN; CREATE TABLE half (id int); COMMIT;")(project)
    project.python("0003_after", "pass")
    job = run(mini)
    assert job.state == "succeeded" and has_table(postgres_url, "half")
    assert job.facts["recorded"] == [["shop", name] for name in recorded(postgres_url)]
    assert "Applied and recorded 3 migrations" in page(job.get_absolute_url())


def test_a_migration_that_sleeps_is_shown_and_its_cancel_ends_it(
    project: Project, mini: Target, postgres_url: str
) -> None:
    python(f"{HALF}time.sleep(600)")(project)
    job = ask(mini)
    with performed(job):
        until(lambda: Step.objects.filter(job=job, name="shop.0002_bad", state="running"), "it sleeps")
        text = page(job.get_absolute_url())
        began = Step.objects.get(job=job, state="running").started_at
        assert f"shop.0002_bad running since {began:%H:%M:%S}" in text
        assert "running since" in text and "1 of 2 migrations" in text
        launch.cancel(job, ALICE)
    text = page(job.get_absolute_url())
    assert "Cancelled by alice: its query was cancelled and it ended by itself." in text
    assert "shop.0002_bad cancelled" in text and EDGE in text
    assert recorded(postgres_url) == ["0001_initial"] and not has_table(postgres_url, "half")


# What it prints


@pytest.mark.slow
def test_output_without_end_and_a_thread_that_stays_keep_no_job_from_its_end(
    project: Project, mini: Target, settings: Any
) -> None:
    settings.DBOPS = {**settings.DBOPS, "TRANSCRIPT_BYTES": 65536}
    python(f"print('y' * 1_000_000)\nfor i in range(100_000): print('x' * 20)\n{A_THREAD}")(project)
    job = run(mini)
    assert job.state == "succeeded" and job.transcript_bytes < 70_000
    text = page(job.get_absolute_url())
    assert job.gap and f"opsdash: lines {job.gap[0]:,} to {job.gap[1]:,} are not kept" in "".join(
        read_all(job.pk)
    )
    assert "the process did not end by itself (a thread or an exit handler of the target)" in text
    assert max(map(len, transcript(job).split("\n"))) <= settings.DBOPS["LINE_CHARS"]


PRINTS = r"""
for i in range(2000): print(f'\r{i}/2000', end='', flush=True)
print()
print('\x1b[31mred\x1b[0m \x1b]0;a title\x07and \x1b[2J\x9b31mplain\x08\x00\ttab')
"""


def test_what_would_steer_a_terminal_is_not_shown(project: Project, mini: Target) -> None:
    python(PRINTS + "raise ValueError('\\x1b[31mred')")(project)
    inspect_now(mini)
    worker = threading.Thread(target=work_when_asked)
    worker.start()
    printed = command("run_job", "mini", "migrate", "--follow")
    worker.join(60)
    job = Job.objects.get()
    assert "red and plain\u2408\ufffd\ttab\n" in printed
    assert "ValueError: red. Correct the cause" in printed
    assert "\n1999/2000\n" in printed and "1998/2000" not in printed
    assert not CONTROLS.search(printed)
    assert not CONTROLS.search(page(job.get_absolute_url()) + job.outcome + job.error_traceback)


def work_when_asked() -> None:
    try:
        until(Job.objects.exists, "a job is asked for")
        execute(Job.objects.get().pk, "worker")
    finally:
        connections.close_all()


# Rights


@pytest.fixture
def role(postgres_url: str) -> Iterator[str]:
    """A role that may connect to the target's database, and whose name needs quotes."""
    name = f'Shop "App" {uuid.uuid4().hex[:6]}'
    as_superuser(postgres_url, "CREATE ROLE {} LOGIN PASSWORD 'sesame'", name)
    yield name
    as_superuser(postgres_url, "DROP OWNED BY {} CASCADE", name)
    as_superuser(postgres_url, "DROP ROLE {}", name)
    # The database's owner, who drops it, may not end what a superuser left.
    until(lambda: not superuser_sessions(postgres_url), "the superuser's sessions have ended")


def as_superuser(url: str, statement: str, *names: str) -> None:
    superuser = os.environ["TEST_POSTGRES_SUPERUSER_URL"]
    with psycopg.connect(superuser, dbname=urlsplit(url).path[1:], autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def superuser_sessions(url: str) -> list[tuple[int]]:
    query = "SELECT pid FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(os.environ["TEST_POSTGRES_SUPERUSER_URL"]) as connection:
        return connection.execute(query, [urlsplit(url).path[1:]]).fetchall()


def quote(name: str) -> str:
    return sql.Identifier(name).as_string(None)


LETS = "The owner of the schema, or a superuser, lets it:"
# What is done to the role, and the words and the statement that are expected; {role} is its quoted name.
LACKS = {
    "may not create": (
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"The role {{role}} may not create tables in schema public. {LETS}",
        "GRANT CREATE ON SCHEMA public TO {role};",
    ),
    "may not use": (
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f"The role {{role}} may not use the schema public, where its tables would be created. {LETS}",
        "GRANT USAGE, CREATE ON SCHEMA public TO {role};",
    ),
    "no schema": (
        'ALTER ROLE {role} SET search_path = "Shop Data", nowhere',
        'The search_path of the role {role} ("Shop Data", nowhere) names no schema that exists: there is '
        "nowhere to create tables. Whoever may create schemas there makes it:",
        'CREATE SCHEMA "Shop Data" AUTHORIZATION {role};',
    ),
    "no path": (
        "ALTER ROLE {role} SET search_path = ''",
        "The search_path of the role {role} is empty: there is nowhere to create tables. The role itself, or "
        "a superuser, sets it for new connections:",
        'ALTER ROLE {role} SET search_path = "$user", public;',
    ),
}


@pytest.mark.parametrize("lack", LACKS)
def test_a_right_that_is_missing_is_said_before_and_after_with_the_statement_that_gives_it(
    project: Project, mini: Target, postgres_url: str, role: str, lack: str
) -> None:
    done, words, statement = (text.replace("{role}", quote(role)) for text in LACKS[lack])
    as_superuser(postgres_url, done.replace("{", "{{").replace("}", "}}"))
    project.databases = databases(postgres_url, USER=role, PASSWORD="sesame")
    project.settings()
    job = run(mini)
    expected = f"{words} {statement}"
    assert job.state == "failed"
    for text in (
        page("/targets/mini/"),
        page(reverse("migrate", args=["mini", "default"])),
        command("plan", "mini"),
        job.outcome,
    ):
        assert text.count(expected) == 1, text
    assert expected in page(job.get_absolute_url())
    as_superuser(postgres_url, statement)
    inspect_now(mini)
    assert expected not in page("/targets/mini/")


def test_a_table_of_somebody_else_is_named_with_its_owner(
    project: Project, mini: Target, postgres_url: str, role: str
) -> None:
    assert run(mini).state == "succeeded"
    owner = project.databases["default"]["USER"]
    as_superuser(postgres_url, "GRANT CREATE ON SCHEMA public TO {}", role)
    project.databases = databases(postgres_url, USER=role, PASSWORD="sesame")
    project.settings()
    inspect_now(mini)
    given = f"GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE public.django_migrations TO {quote(role)};"
    denied = f"The role {quote(role)} may not read or write the table public.django_migrations, which belongs"
    for text in (page("/targets/mini/"), command("status", "mini")):
        assert f"{denied} to {owner}. Its owner, or a superuser, lets it: {given}" in text
        assert "unreachable: permission" in text or text.startswith("mini/default")
    as_superuser(postgres_url, given)
    project.migration("0002_name", ADD_NAME)
    job = run(mini)
    handed = f"ALTER TABLE public.shop_item OWNER TO {quote(role)};"
    assert job.state == "failed"
    assert (
        f"must be owner of table shop_item. The table public.shop_item belongs to the role {owner}; the "
        f"target works as {quote(role)}. A superuser, or who is a member of both, hands it over: {handed} "
        "Correct the cause, then start it again."
    ) in page(job.get_absolute_url())
    as_superuser(postgres_url, handed)
    assert run(mini).state == "succeeded"


BESIDE = """
import signal, sys, time
import psycopg
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
connection = psycopg.connect(sys.argv[1], autocommit=True)
open("beside", "w").close()
connection.execute("SELECT pg_sleep(8)")
"""


def test_what_a_migration_started_and_what_still_works_at_the_server_keeps_the_database_blocked(
    project: Project, mini: Target, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth, "REST_S", 1.0)
    project.write("beside.py", BESIDE)
    start = f"subprocess.Popen([sys.executable, 'beside.py', {postgres_url!r}], start_new_session=True)"
    wait = "\nwhile not os.path.exists('beside'): time.sleep(0.05)\nraise RuntimeError('no')"
    project.python("0002_bad", start + wait, body="atomic = False")
    job = run(mini)
    assert job.state == "lost", job.outcome
    assert "the server still has a session of the job" in job.outcome
    with pytest.raises(launch.RefusedError, match="one job at a time changes a database"):
        launch.start(default_of(mini), "migrate", {}, ALICE, key=uuid.uuid4())

    def ended() -> bool:
        Job.objects.filter(pk=job.pk).update(look_again_at=None)
        loss.resolve_lost(job.pk)
        job.refresh_from_db()
        return job.state != "lost"

    until(ended, "it is ended by evidence")
    assert job.state == "failed" and "RuntimeError: no" in job.outcome


@contextmanager
def only_read(folder: Path) -> Iterator[None]:
    """Root may write what nobody may; only a mount keeps it out."""
    if os.geteuid() != 0:
        folder.chmod(0o555)
        yield
        folder.chmod(0o755)
        return
    for options in (["--bind", str(folder)], ["-o", "remount,bind,ro"]):
        if subprocess.run(["mount", *options, folder], check=False).returncode:
            pytest.skip("this machine lets not even root mount a folder")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_sqlite_file_that_may_not_be_written_is_said_before_and_after(
    tmp_path: Path, make_target: MakeTarget, is_there: bool
) -> None:
    project = make_project(tmp_path / "mini")
    project.migration("0001_initial", CREATE_ITEM)
    target = make_target("mini", working_directory=str(project.path), python=[sys.executable])
    if is_there:
        sqlite3.connect(project.sqlite).close()
        project.sqlite.touch()
    with only_read(project.path):
        job = run(target)
        assert job.state == "failed"
        expected = (
            f"The target may not write {project.path}. SQLite writes its file, and a journal beside it:"
        )
        for text in (page("/targets/mini/"), command("plan", "mini"), job.outcome):
            assert text.count(expected) == 1, text
    assert run(target).state == "succeeded"
    assert expected not in page("/targets/mini/")
