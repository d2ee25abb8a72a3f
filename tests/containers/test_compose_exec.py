"""The same target by the name of its service: `docker compose exec -T`, or `docker-compose` of old."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbops import launch
from dbops.inspection import inspect_now
from dbops.models import Target
from tests.containers.engine import IMAGE, PREFIX, Place, docker
from tests.containers.test_docker_exec import nothing_is_left, wait_for_the_query
from tests.integration.at_work import ask, performed, state
from tests.integration.conftest import ALICE, default_of
from tests.integration.worker import until

pytestmark = pytest.mark.django_db(transaction=True)
SERVICES = """\
version: "3.5"
services:
  shop:
    image: {image}
    init: true
    networks: [shop]
networks:
  shop:
    external: true
    name: {network}
"""


def compose() -> list[str]:
    """The words of the command; [] where there is none."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if plugin.returncode == 0:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else []


@pytest.fixture
def by_name(sleeps: Target, there: Place, tmp_path: Path) -> Iterator[Target]:
    if not compose():
        pytest.skip("there is neither docker compose nor docker-compose here")
    file = tmp_path / "compose.yml"
    file.write_text(SERVICES.format(image=IMAGE, network=there.network))
    words = [*compose(), "--project-name", f"{PREFIX}-compose", "--file", str(file)]
    subprocess.run([*words, "up", "--detach"], check=True, capture_output=True)
    try:
        (name,) = docker("ps", "--quiet", "--filter", f"name={PREFIX}-compose").split()
        folder = sleeps.working_directory
        docker("exec", name, "mkdir", "-p", folder)
        docker("cp", f"{tmp_path}/mini/.", f"{name}:{folder}")
        sleeps.python = [*words, "exec", "-T", "shop", "python"]
        sleeps.save()
        inspect_now(sleeps)
        yield sleeps
    finally:
        subprocess.run([*words, "down"], check=True, capture_output=True)


def test_a_target_by_the_name_of_its_service_is_inspected_migrated_and_cancelled(
    by_name: Target, there: Place
) -> None:
    assert default_of(by_name).found()[0].state == "pending"
    job = ask(by_name, app="shop", migration="0001_item")
    with performed(job):
        until(lambda: state(job) == "succeeded", "it is migrated")
    job = ask(by_name)
    with performed(job):
        wait_for_the_query(there)
        launch.cancel(job, ALICE)
    assert state(job) == "cancelled", job.outcome
    assert job.outcome.endswith("No session of this job is left on the server.")
    nothing_is_left(there)
