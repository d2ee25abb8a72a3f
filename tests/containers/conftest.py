"""A target that is reached by `docker exec -i` alone. Without a Docker engine these tests are left out."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbops.inspection import inspect_now
from dbops.models import Target
from tests.containers import engine
from tests.containers.engine import Place, docker
from tests.integration.at_work import CREATES, SLEEPS
from tests.integration.conftest import MakeTarget, make_target, people, quick_passwords
from tests.integration.worker import until
from tests.targets.builder import make_project

__all__ = ["make_target", "people", "quick_passwords"]

SETTINGS = """
import dj_database_url
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    mine = [item for item in items if here in item.path.parents]
    if mine and (why := engine.why_no_engine()):
        for item in mine:
            item.add_marker(pytest.mark.skip(reason=f"{why}. The tests of real containers need one."))


@pytest.fixture(scope="session")
def there() -> Iterator[Place]:
    engine.build(Path(__file__).parent)
    with engine.place("a") as place:
        ready(place)
        yield place


def ready(place: Place) -> None:
    words = ["pg_isready", "-h", "127.0.0.1", "-p", str(place.port)]
    until(lambda: "accepting" in docker("exec", place.postgres, *words, check=False), "Postgres is ready")


@pytest.fixture
def database(there: Place) -> str:
    """A database of the test's own inside."""
    name = f"shop_{uuid.uuid4().hex[:8]}"
    there.psql(f"CREATE DATABASE {name}")
    return name


@pytest.fixture
def sleeps(make_target: MakeTarget, there: Place, database: str, tmp_path: Path) -> Target:
    """A target whose second migration is one query of ten minutes, inspected once."""
    project = make_project(tmp_path / "mini")
    project.settings(SETTINGS)
    project.migration("0001_item", CREATES)
    project.migration("0002_query", SLEEPS)
    folder = there.put(project.path, f"/srv/{database}")
    return lead_there(make_target, there, folder, there.url(database))


def lead_there(
    make_target: MakeTarget, place: Place, folder: str, url: str, name: str = "mini", **fields: object
) -> Target:
    target = make_target(name, python=place.python, working_directory=folder, **fields)
    variable = target.variables.model(target=target, name="DATABASE_URL")
    variable.keep(url, secret=True)
    variable.save()
    inspect_now(target)
    return target
