"""A target whose Python runs as another user: `sudo -n -u shop python`, tried inside a container."""

import pytest

from dbops import launch
from dbops.inspection import inspect_now
from dbops.models import Target
from tests.containers.engine import Place, docker
from tests.containers.test_docker_exec import nothing_is_left, wait_for_the_query
from tests.integration.at_work import ask, performed, state
from tests.integration.conftest import ALICE, default_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def as_another(sleeps: Target, there: Place) -> Target:
    sleeps.python = [*there.python[:-1], "sudo", "-n", "-u", "shop", "python"]
    sleeps.save()
    inspect_now(sleeps)
    return sleeps


def test_a_target_of_another_user_is_inspected_and_cancelled_in_its_query(
    as_another: Target, there: Place
) -> None:
    assert default_of(as_another).found()[0].state == "pending"
    job = ask(as_another)
    with performed(job):
        wait_for_the_query(there)
        assert any("shop" in line for line in users(there))
        launch.cancel(job, ALICE)
    assert state(job) == "cancelled", job.outcome
    assert "its query was cancelled and it ended by itself" in job.outcome
    nothing_is_left(there)


def test_what_another_user_s_process_does_ends_when_sudo_is_killed(as_another: Target, there: Place) -> None:
    job = ask(as_another)
    with performed(job):
        wait_for_the_query(there)
        docker("exec", there.shop, "pkill", "-KILL", "-x", "sudo")
    assert (state(job), job.error_type) == ("failed", "ConnectionLost"), job.outcome
    nothing_is_left(there)


def users(there: Place) -> list[str]:
    return docker("exec", there.shop, "ps", "-eo", "user,args").splitlines()
