"""What each job keeps: versions, the size of the database before and after, the revision, the plans."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import django
import psycopg
import pytest
from django.contrib.auth.models import User
from django.test import Client

from dbops.conf import VERSION
from dbops.execute import execute
from dbops.loss import resolve_lost
from dbops.models import Job, Target, clock
from dbops.pages.facts import JobFacts
from dbops.pages.job import job_page
from dbops.rights import Rights, Role
from dbops.target.about import about_of, size_of
from tests.integration.at_work import CREATES, SLEEPS, ask, inspected, settings_of, wait_for_the_query
from tests.integration.conftest import MakeDatabase, MakeTarget
from tests.integration.worker import until, worker
from tests.targets.builder import Project, make_project, shop_project

transactional = pytest.mark.django_db(transaction=True)
PYTHON = [sys.executable]
MakeJob = Callable[..., Job]


def run(target: Target, **arguments: str) -> Job:
    job = ask(target, **arguments)
    execute(job.pk, "worker-of-the-test")
    job.refresh_from_db()
    return job


def text(person: User, url: str) -> str:
    client = Client()
    client.force_login(person)
    response = client.get(url)
    assert response.status_code == 200
    return " ".join(unescape(response.content.decode()).split())


def size_of_database(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row
    return int(row[0])


@transactional
def test_a_job_keeps_versions_and_the_sizes_of_a_postgres_database(
    make_target: MakeTarget, tmp_path: Path, postgres_url: str, people: dict[str, User]
) -> None:
    project = shop_project(tmp_path, {"default": settings_of(postgres_url)})
    job = run(inspected(make_target, project, PYTHON))
    with psycopg.connect(postgres_url) as connection:
        server = connection.execute("SHOW server_version").fetchone()
    assert server and job.facts["versions"] == {
        "opsdash": VERSION,
        "python": ".".join(map(str, sys.version_info[:3])),
        "django": django.get_version(),
        "vendor": "postgresql",
        "server_version": server[0],
    }
    before, after = job.facts["size_before"], job.facts["size_after"]
    assert 1_000_000 < before < after == size_of_database(postgres_url)
    page = text(people["viewer"], job.get_absolute_url())
    assert "MB before," in page and "kB)" in page and f"Postgres {server[0]}" in page
    assert "Left to apply in the whole project: 3 before, 0 after" in page


@transactional
def test_a_sqlite_file_that_did_not_exist_has_grown_from_what_it_was(
    make_target: MakeTarget, tmp_path: Path
) -> None:
    project = shop_project(tmp_path)
    job = run(inspected(make_target, project, PYTHON))
    assert job.state == "succeeded"
    assert job.facts["size_before"] == 0 < job.facts["size_after"] == project.sqlite.stat().st_size
    assert job.facts["versions"]["vendor"] == "sqlite" and job.facts["versions"]["server_version"]


FILLS = (
    "migrations.RunSQL(\"CREATE TABLE filled AS SELECT n, repeat('x', 500) AS t "
    'FROM generate_series(1, 4000) n")'
)


@transactional
def test_a_job_that_fails_keeps_the_size_at_its_end_too(
    make_target: MakeTarget, tmp_path: Path, postgres_url: str
) -> None:
    project = make_project(tmp_path, {"default": settings_of(postgres_url)})
    project.migration("0001_filled", FILLS)
    project.python("0002_fails", "raise ValueError('no')")
    job = run(inspected(make_target, project, PYTHON))
    assert (job.state, job.facts["recorded"]) == ("failed", [["shop", "0001_filled"]])
    assert job.facts["size_after"] > job.facts["size_before"] + 2_000_000


@transactional
@pytest.mark.parametrize("how", ["os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_where_nobody_could_look_at_the_end_the_size_is_not_known(
    make_target: MakeTarget, tmp_path: Path, people: dict[str, User], how: str
) -> None:
    project = make_project(tmp_path)
    project.python("0001_dies", how)
    job = run(inspected(make_target, project, PYTHON))
    assert job.state == "failed" and job.facts.get("size_after") is None
    assert job.facts["versions"]["django"] == django.get_version()
    assert "before, not known after</dd>" in text(people["viewer"], job.get_absolute_url())


@transactional
def test_a_server_that_does_not_let_it_ask_stops_no_job(
    make_target: MakeTarget, tmp_path: Path, postgres_url: str
) -> None:
    """Its size is not known, and that is all."""
    project = shop_project(tmp_path, {"default": settings_of(postgres_url)})
    refused = (
        "CREATE FUNCTION public.pg_database_size(name) RETURNS bigint LANGUAGE sql AS 'SELECT 1/0::bigint'"
    )
    with psycopg.connect(postgres_url) as connection:
        connection.execute(refused)
    project.settings('DATABASES["default"]["OPTIONS"] = {"options": "-c search_path=public,pg_catalog"}\n')
    job = run(inspected(make_target, project, PYTHON))
    assert (job.state, job.facts["size_before"], job.facts["size_after"]) == ("succeeded", None, None)


@transactional
def test_a_job_whose_worker_was_killed_still_has_what_was_told_before(
    make_target: MakeTarget, tmp_path: Path, postgres_url: str, settings: Any
) -> None:
    settings.DBOPS = {**settings.DBOPS, "LOST_AFTER_S": 3}
    project = make_project(tmp_path / "shop", {"default": settings_of(postgres_url)})
    project.migration("0001_item", CREATES)
    project.migration("0002_slow", SLEEPS)
    target = inspected(make_target, project, PYTHON)
    with worker(tmp_path / "ann.log", "jobs") as process:
        job = ask(target)
        wait_for_the_query(postgres_url)
        os.killpg(process.pid, signal.SIGKILL)
    job.refresh_from_db()
    assert job.facts["versions"]["opsdash"] == VERSION and job.facts["size_before"] > 1_000_000
    Job.objects.filter(pk=job.pk).update(state="lost")

    def ended() -> bool:
        Job.objects.filter(pk=job.pk).update(look_again_at=None)
        resolve_lost(job.pk)
        job.refresh_from_db()
        return job.state == "failed"

    until(ended, "it is ended by evidence")
    assert job.facts["size_before"] > 1_000_000 and "size_after" not in job.facts


@transactional
def test_a_job_that_was_refused_before_it_came_so_far_says_nothing_of_it(
    make_target: MakeTarget, tmp_path: Path, people: dict[str, User]
) -> None:
    target = inspected(make_target, shop_project(tmp_path), PYTHON)
    Target.objects.update(python=["/nowhere/python"])
    target.refresh_from_db()
    job = run(target)
    assert job.state == "failed" and "versions" not in job.facts
    page = text(people["viewer"], job.get_absolute_url())
    assert "Size of the database" not in page and "Revision" not in page


# The revision


def git(directory: Path, *words: str) -> str:
    argv = ["git", "-C", str(directory), "-c", "user.name=ann", "-c", "user.email=ann@test", *words]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(argv, check=True, capture_output=True, text=True, env=clean).stdout.strip()


def kept_by_git(project: Project, branch: str = "main") -> str:
    git(project.path, "init", f"--initial-branch={branch}")
    git(project.path, "add", "manage.py")
    git(project.path, "commit", "-m", "first")
    return git(project.path, "rev-parse", "HEAD")


@transactional
def test_a_job_and_an_inspection_keep_the_revision_of_the_tree(
    make_target: MakeTarget, tmp_path: Path, people: dict[str, User]
) -> None:
    project = shop_project(tmp_path)
    commit = kept_by_git(project, "<b>bold</b>")
    target = inspected(make_target, project, PYTHON)
    job = run(target)
    kept = {"tree": str(tmp_path), "commit": commit, "branch": "<b>bold</b>"}
    inspection = target.inspections.first()
    assert inspection and inspection.report
    assert job.facts["revision"] == kept == inspection.report["revision"]
    page = text(people["viewer"], job.get_absolute_url())
    assert f"{commit[:12]} on <b>bold</b> in {tmp_path}; uncommitted changes are not looked at" in page
    client = Client()
    client.force_login(people["viewer"])
    assert "&lt;b&gt;bold" in client.get(job.get_absolute_url()).content.decode()


@transactional
def test_without_file_reach_the_page_says_so(
    make_target: MakeTarget, tmp_path: Path, people: dict[str, User]
) -> None:
    project = shop_project(tmp_path)
    kept_by_git(project)
    job = run(inspected(make_target, project, ["env", *PYTHON]))
    assert job.state == "succeeded" and job.facts["revision"] is None
    page = text(people["viewer"], job.get_absolute_url())
    assert "not known: not reachable from the worker" in page and "uncommitted" not in page


# What a target tells may be anything


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (7, 7),
        (0, 0),
        (None, None),
        ("7", None),
        (-1, None),
        (2**70, None),
        (7.5, None),
        (True, None),
        ([7], None),
    ],
)
def test_a_size_is_a_number_of_bytes_or_not_known(told: Any, kept: int | None) -> None:
    assert size_of(told) == kept


@transactional
def test_whatever_is_told_our_rows_take_it(make_job: MakeJob) -> None:
    told = {"python": "3\0\ud800\x1b[31m", "django": ["x"], "server_version": "v" * 1000, "size": True}
    facts = about_of(told)
    assert facts["versions"]["django"] is None and len(facts["versions"]["server_version"]) == 100
    job = make_job(facts=facts)
    job.refresh_from_db()
    assert job.facts["versions"]["python"] == "3\u2400?"


# The page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (8_000_000, 8_000_000, "no difference"),
        (8_000_000, 8_614_400, "+600.0 kB"),
        (8_614_400, 8_000_000, "-600.0 kB"),
        (0, 4096, "+4.0 kB"),
        (None, 8_000_000, ""),
        (8_000_000, None, ""),
    ],
)
def test_the_difference_is_said_where_both_are_known(
    make_job: MakeJob, before: int | None, after: int | None, words: str
) -> None:
    assert JobFacts(make_job(facts={"size_before": before, "size_after": after})).size_difference == words


@pytest.mark.django_db
def test_plans_are_counted_and_one_that_could_not_be_read_is_not_empty(
    make_job: MakeJob, make_database: MakeDatabase, people: dict[str, User]
) -> None:
    facts = {"before": {"plan": [["a", "1"], ["a", "2"]]}, "after": {"plan": None}}
    job = make_job(state="failed", finished_at=clock.now(), facts=facts)
    page = text(people["viewer"], job.get_absolute_url())
    assert "Left to apply in the whole project: 2 before, not known after" in page
    assert "It could not be read." in page
    assert job_page(Rights(Role.VIEWER), job).facts.plan_after is None


@pytest.mark.django_db
def test_nothing_in_a_fact_is_markup(make_job: MakeJob, people: dict[str, User]) -> None:
    evil = "<script>alert(1)</script>"
    facts = {
        "versions": {"opsdash": evil, "python": evil, "django": evil, "vendor": evil, "server_version": evil},
        "revision": {"tree": evil, "branch": evil, "commit": "a" * 40},
        "before": {"plan": [[evil, evil]]},
        "after": {"plan": [[evil, evil]]},
        "plan": [f"{evil}.{evil}"],
        "recorded": [[evil, evil]],
    }
    job = make_job(
        state="failed", finished_at=clock.now(), facts=facts, reason=evil,
        arguments={"app": evil, "migration": evil},
    )  # fmt: skip
    client = Client()
    client.force_login(people["operator"])
    for url in (job.get_absolute_url(), f"{job.get_absolute_url()}again/"):
        page = client.get(url).content.decode()
        assert "<script>alert" not in page and "&lt;script&gt;alert" in page
