"""People, and real targets: the example projects on databases of their own."""

import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from asgiref.sync import SyncToAsync
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import connections
from psycopg import sql
from servestatic.middleware import ServeStaticMiddleware

from dbops.access import Actor
from dbops.inspection import inspect_now
from dbops.models import Job, Target, TargetDatabase, clock
from dbops.models.job import SHELL
from dbops.models.status import Status
from dbops.rights import ALL
from dbops.transcript import threads
from tests.integration.disks import small_disk  # noqa: F401

EXAMPLES = Path(settings.BASE_DIR) / "examples"
PASSWORD = "correct horse battery"
ALICE = Actor(None, "alice", SHELL, ALL)

MakeTarget = Callable[..., Target]
MakeDatabase = Callable[..., TargetDatabase]


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """Hashing a password as slowly as it should be is not what these tests are about."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True, scope="session")
def static_files_looked_up_once() -> Iterator[None]:
    """Every client of a test builds the middleware anew, and half of the time of these tests went by with
    looking for some 230 files each time. They do not change meanwhile."""
    found: dict[str, tuple[Any, Any]] = {}
    look_up = ServeStaticMiddleware.add_files_from_finders

    def once(middleware: Any) -> None:
        if middleware.static_prefix not in found:
            look_up(middleware)
            found[middleware.static_prefix] = middleware.files, middleware.directories
        files, directories = found[middleware.static_prefix]
        middleware.files, middleware.directories = dict(files), list(directories)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ServeStaticMiddleware, "add_files_from_finders", once)
        yield


@pytest.fixture(autouse=True)
def readers_at_rest() -> Iterator[None]:
    """Who follows a transcript may leave while a thread still reads for it, and an async test's rows are
    written by a thread of its own: neither may hold the database, which is dropped after the last test."""
    yield
    everyone = threading.Barrier(threads.READERS)
    for reader in [threads._readers.submit(everyone.wait, 30) for _ in range(threads.READERS)]:
        reader.result()
    SyncToAsync.single_thread_executor.submit(connections.close_all).result(30)


@pytest.fixture
def people(db: None) -> dict[str, User]:
    """One person a role; `nobody` can sign in and has no role."""
    # Asked now and then only; a page whose questions are counted finds it known.
    clock.measure()
    viewers, _ = Group.objects.get_or_create(name="viewers")
    operators, _ = Group.objects.get_or_create(name="operators")
    found = {
        "nobody": User.objects.create_user("nobody", password=PASSWORD),
        "viewer": User.objects.create_user("viewer", password=PASSWORD),
        "operator": User.objects.create_user("operator", password=PASSWORD),
        "staff": User.objects.create_user("staff", password=PASSWORD, is_staff=True),
        "superuser": User.objects.create_superuser("superuser", password=PASSWORD),
    }
    found["viewer"].groups.add(viewers)
    found["operator"].groups.add(operators)
    return found


@pytest.fixture
def make_target(db: None) -> MakeTarget:
    """A target row that leads nowhere unless told otherwise."""

    def make(name: str = "shop", **fields: Any) -> Target:
        return Target.objects.create(name=name, **{"python": ["/nowhere/python"], **fields})

    return make


@pytest.fixture
def make_database(make_target: MakeTarget) -> MakeDatabase:
    """A target database row, never inspected unless told otherwise."""

    def make(name: str = "shop", alias: str = "default", **fields: Any) -> TargetDatabase:
        target = Target.objects.filter(name=name).first() or make_target(name)
        return TargetDatabase.objects.create(target=target, alias=alias, **fields)

    return make


@pytest.fixture
def make_job(make_database: MakeDatabase) -> Callable[..., Job]:
    """A job row that nobody works on."""

    def make(database: TargetDatabase | None = None, **fields: Any) -> Job:
        from django.utils import timezone

        return Job.objects.create(
            **{
                "database": database or make_database(),
                "operation": "migrate",
                "idempotency_key": uuid.uuid4(),
                "queue": "jobs",
                "asked_by_name": "alice",
                "published_at": timezone.now(),
                **fields,
            }
        )

    return make


@pytest.fixture
def blog(make_target: MakeTarget, tmp_path: Path) -> Target:
    """The SQLite example, inspected once; its file does not exist yet."""
    target = make_target(
        "blog",
        working_directory=str(EXAMPLES / "blog"),
        python=[sys.executable],
    )
    target.variables.create(name="BLOG_DATABASE", plain=str(tmp_path / "blog.sqlite3"))
    inspect_now(target)
    return target


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A database of its own on the test's server, dropped afterwards."""
    name = f"target_{uuid.uuid4().hex[:12]}"
    own = settings.DATABASES["default"]
    server = {
        "host": own["HOST"], "port": own["PORT"], "user": own["USER"], "password": own["PASSWORD"],
    }  # fmt: skip
    with psycopg.connect(**server, dbname="postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield f"postgres://{own['USER']}:{own['PASSWORD']}@{own['HOST']}:{own['PORT']}/{name}"
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def shop(make_target: MakeTarget, postgres_url: str) -> Target:
    """The Postgres example on an empty database, inspected once; its data migrations take no pauses."""
    target = make_shop(make_target, postgres_url)
    inspect_now(target)
    return target


def make_shop(make_target: MakeTarget, url: str, name: str = "shop", **fields: Any) -> Target:
    target = make_target(name, working_directory=str(EXAMPLES / "shop"), python=[sys.executable], **fields)
    variable = target.variables.model(target=target, name="DATABASE_URL")
    variable.keep(url, secret=True)
    variable.save()
    target.variables.create(name="SHOP_BATCH_PAUSE", plain="0")
    return target


def default_of(target: Target) -> TargetDatabase:
    return target.databases.select_related("target").get(alias="default")


@pytest.fixture
def job(make_job: Callable[..., Job], make_database: MakeDatabase) -> Job:
    """One that is asked for, on a database with something to apply."""
    database = make_database()
    database.judge([Status("pending", "1 to apply.")])
    database.pending_count = 1
    database.save()
    return make_job(database)
