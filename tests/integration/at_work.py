"""A job that a worker performs beside the test, on a target of the test's own."""

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.db import connections

from dbops import launch
from dbops.execute import execute
from dbops.inspection import inspect_now
from dbops.loss import resolve_lost
from dbops.models import Job, Target
from tests.integration.conftest import ALICE, MakeTarget, default_of
from tests.integration.worker import until
from tests.targets.builder import Project, make_project

SLEEPS = 'migrations.RunSQL("INSERT INTO item SELECT 1 FROM pg_sleep(600)")'
CREATES = 'migrations.RunSQL("CREATE TABLE item (n integer)")'
JOBS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'opsdash job%'"


def settings_of(url: str, **changes: Any) -> dict[str, Any]:
    """For DATABASES of a project."""
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path[1:],
        "USER": parts.username,
        "PASSWORD": parts.password,
        "HOST": parts.hostname,
        "PORT": str(parts.port or 5432),
        **changes,
    }


def sleeper(path: Path, url: str) -> Project:
    """Its second migration is one query that takes ten minutes."""
    project = make_project(path, {"default": settings_of(url)})
    project.migration("0001_item", CREATES)
    project.migration("0002_query", SLEEPS)
    return project


def inspected(make_target: MakeTarget, project: Project, python: list[str], **fields: Any) -> Target:
    fields = {"working_directory": str(project.path), **fields}
    target = make_target("mini", python=python, **fields)
    inspect_now(target)
    return target


def ask(target: Target, **arguments: str) -> Job:
    return launch.start(default_of(target), "migrate", arguments, ALICE, key=uuid.uuid4()).job


def state(job: Job) -> str:
    job.refresh_from_db()
    return job.state


def look(job: Job) -> str:
    """Look after a lost job, as the sweeper has it done; its state then."""
    Job.objects.filter(pk=job.pk).update(look_again_at=None)
    resolve_lost(job.pk)
    return state(job)


@contextmanager
def performed(job: Job) -> Iterator[None]:
    """By a worker of this process; at the end it is waited for."""
    thread = threading.Thread(target=perform, args=(job.pk,))
    thread.start()
    try:
        yield
    finally:
        thread.join(timeout=120)
        assert not thread.is_alive(), "the worker is still at it"


def perform(job_id: int) -> None:
    try:
        execute(job_id, f"test-{os.getpid()}")
    finally:
        connections.close_all()


def sessions(url: str, more: str = "") -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(f"SELECT pid {JOBS} {more}".encode()).fetchall()]


def query_runs(url: str) -> bool:
    return bool(sessions(url, "AND state = 'active' AND query LIKE 'INSERT%'"))


def wait_for_the_query(url: str) -> None:
    until(lambda: query_runs(url), "the migration is in its query")
