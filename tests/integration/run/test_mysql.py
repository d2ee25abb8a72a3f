"""A target on a real MariaDB, where this machine has one: what opsdash cannot do there, it says."""

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dbops import launch
from dbops.execute import execute
from dbops.models import Job, Target
from dbops.operations.migrate import guard_words
from dbops.transcript.reading import read_all
from embedded import ports
from tests.integration import reading
from tests.integration.at_work import inspected
from tests.integration.conftest import ALICE, MakeTarget, default_of
from tests.targets.builder import ADD_NAME, ADD_PRICE, CREATE_ITEM, Project, make_project
from tests.targets.traps import with_models

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(shutil.which("mariadbd") is None, reason="there is no mariadbd on this machine"),
]
PASSWORD = "maria-canary"
FAILS = 'migrations.RunSQL("INSERT INTO nowhere VALUES (1)")'
DRIVER = "import sys; sys.path.append({folder!r}); import pymysql; pymysql.install_as_MySQLdb()\n"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the target alone."""
    folder = tmp_path_factory.mktemp("driver")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), "PyMySQL"]
    done = subprocess.run(pip, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("the driver PyMySQL cannot be fetched")
    return folder


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with TemporaryDirectory(prefix="opsdash-mariadb-") as name:
        folder, number = Path(name), ports.choose()
        where = ["--no-defaults", f"--datadir={folder}/data"]
        if os.geteuid() == 0:
            shutil.chown(folder, "mysql")
            where.append("--user=mysql")
        install = ["mariadb-install-db", *where, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(install, check=True, capture_output=True)
        socket = f"--socket={folder}/socket"
        server = subprocess.Popen(
            ["mariadbd", *where, socket, f"--port={number}", "--bind-address=127.0.0.1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            sql(
                socket,
                f"CREATE USER shop@127.0.0.1 IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO shop@127.0.0.1",
            )
            yield number
        finally:
            server.kill()
            server.wait()


def sql(socket: str, statement: str) -> None:
    argv = ["mariadb", "--no-defaults", "-uroot", socket, "-e", statement]
    limit = time.monotonic() + 30
    while subprocess.run(argv, capture_output=True, check=False).returncode:
        assert time.monotonic() < limit, "MariaDB does not answer"
        time.sleep(0.1)


@pytest.fixture
def project(tmp_path: Path, port: int, driver: Path) -> Project:
    project = make_project(
        tmp_path,
        {
            "default": {
                "ENGINE": "django.db.backends.mysql", "NAME": "information_schema", "USER": "shop",
                "PASSWORD": PASSWORD, "HOST": "127.0.0.1", "PORT": str(port),
            }
        },
    )  # fmt: skip
    name = f"shop_{uuid.uuid4().hex[:8]}"
    create = (
        f"import pymysql; pymysql.connect(host='127.0.0.1', port={port}, user='shop', password='{PASSWORD}')"
        f".cursor().execute('CREATE DATABASE {name}')"
    )
    subprocess.run([sys.executable, "-c", create], env={"PYTHONPATH": str(driver)}, check=True)
    project.databases["default"]["NAME"] = name
    project.settings(extra=DRIVER.format(folder=str(driver)))
    project.migration("0001_initial", CREATE_ITEM)
    project.migration("0002_half", f"{ADD_NAME}, {FAILS}")
    project.migration("0003_price", ADD_PRICE)
    with_models(project)
    return project


@pytest.fixture
def target(make_target: MakeTarget, project: Project) -> Target:
    return inspected(make_target, project, [sys.executable])


def run(target: Target, **arguments: str) -> Job:
    job = launch.start(default_of(target), "migrate", arguments, ALICE, key=uuid.uuid4()).job
    execute(job.pk, "worker")
    job.refresh_from_db()
    return job


def test_what_is_missing_on_mysql_is_said_before_during_and_after_a_job(
    target: Target, project: Project
) -> None:
    database = default_of(target)
    assert [(status.state, database.vendor) for status in database.found()] == [("pending", "mysql")]
    pages = [target.get_absolute_url(), f"{target.get_absolute_url()}databases/default/migrate/"]
    for shown in map(reading.page, pages):
        assert "opsdash has no guard for this kind of database (mysql)" in shown
        assert "It does not reset one of this kind either." in shown
        assert "a migration that fails half-way leaves what it had changed" in shown
    job = run(target)
    assert (job.state, job.facts["recorded"]) == ("failed", [["shop", "0001_initial"]])
    assert "Recorded in the database by now: shop.0001_initial; 2 still to apply." in job.outcome
    assert (
        "What shop.0002_half changed of the schema until then stays: mysql does not undo that." in job.outcome
    )
    assert "undone" not in job.outcome
    assert "was not compared: opsdash does not compare schemas of mysql." in job.outcome
    assert "not compared" in reading.page(job.get_absolute_url())
    assert job.facts["invalid_indexes"] == []
    assert f"opsdash: {guard_words({'taken': False})}\n" in list(read_all(job.pk))
    again = run(target)
    assert "Duplicate column name 'name'" in again.outcome, "it did stay"
    there = f"migrations.RunSQL('SELECT 1', state_operations=[{ADD_NAME}])"
    project.migration("0002_half", there, after=[("shop", "0001_initial")])
    done = run(target)
    assert (done.state, default_of(target).found()[0].state) == ("succeeded", "checked")
    assert done.outcome == "Applied and recorded 2 migrations: shop.0002_half, shop.0003_price."


def test_a_mysql_that_does_not_let_it_in_is_told_by_its_reason(target: Target, project: Project) -> None:
    for change, reason in ({"PASSWORD": "wrong"}, "auth"), ({"PORT": "1"}, "refused"):
        project.databases["default"].update(change)
        project.settings(extra=(project.path / "settings.py").read_text().splitlines()[-1] + "\n")
        job = run(target)
        assert (job.state, job.error_type) == ("failed", "TargetUnreachable"), job.outcome
        assert [(status.state, status.reason) for status in default_of(target).found()] == [
            ("unreachable", reason)
        ]
