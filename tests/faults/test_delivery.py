"""A message comes never, twice, or a hundred times; a person asks twice; a worker dies between two steps."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User

from dbops import broker, tasks
from dbops.models import Job
from tests.faults.assertions import held_up
from tests.faults.conftest import MakeMarked
from tests.faults.marks import UNTIL_TOLD
from tests.faults.room import QUICK, jobs_worker, room, the_next_one_is_performed, works
from tests.integration.at_work import ask, state
from tests.integration.reading import words_of
from tests.integration.web import Web, web
from tests.integration.worker import launched, until

pytestmark = pytest.mark.django_db(transaction=True)

# The list in which Celery's broker keeps what waits for workers.
WAITING = settings.CELERY["broker_transport_options"]["global_keyprefix"] + "jobs"  # type: ignore[index]


@pytest.mark.fault("F7")
def test_a_message_that_is_delivered_a_hundred_times_to_two_workers_starts_its_job_once(
    marked: MakeMarked, tmp_path: Path
) -> None:
    """Before it is taken, while it works, and when it has ended."""
    place = marked(UNTIL_TOLD)
    job = ask(place.target)
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        (message,) = client.lrange(WAITING, 0, -1)
        client.rpush(WAITING, *[message] * 99)
        with room(tmp_path), jobs_worker(tmp_path / "other.log"):
            works(place)
            client.rpush(WAITING, *[message] * 50)
            for _ in range(10):
                tasks.publish_job(job)
            until(lambda: broker.waiting(job.queue) == 0, "all are taken")
            place.tell("go-on")
            until(lambda: state(job) == "succeeded", "it has ended")
            client.rpush(WAITING, *[message] * 10)
            the_next_one_is_performed(place)
            held_up(place, job, "succeeded")


# People


@pytest.mark.fault("F17")
def test_a_double_click_two_tabs_and_a_replayed_request_are_one_job(
    marked: MakeMarked, people: dict[str, User], tmp_path: Path
) -> None:
    place = marked(UNTIL_TOLD)
    with room(tmp_path), web(tmp_path / "web.log", people["operator"]) as site:
        clicks = [str(uuid.uuid4())] * 5
        tabs = [str(uuid.uuid4()) for _ in range(5)]
        with ThreadPoolExecutor(10) as several:
            answers = dict(enumerate(several.map(lambda key: send(site, key), [*clicks, *tabs])))
        job = Job.objects.get()
        works(place)
        won = [number for number, answer in answers.items() if answer == (302, job.get_absolute_url())]
        assert won in ([0, 1, 2, 3, 4], *([number] for number in range(5, 10))), answers
        assert {answer[0] for number, answer in answers.items() if number not in won} <= {409}
        replayed = str(job.idempotency_key)
        assert send(site, replayed) == (302, job.get_absolute_url()), "while it works"
        assert send(site, str(uuid.uuid4()))[0] == 409
        place.tell("go-on")
        held_up(place, job, "succeeded", page=lambda path: words_at(site, path))
        assert send(site, replayed) == (302, job.get_absolute_url()), "after its end"
        the_next_one_is_performed(place)
        assert Job.objects.filter(arguments={}).count() == 1 and len(place.starts()) == 1


def send(site: Web, key: str) -> tuple[int, str]:
    answer = site.post("/targets/mini/databases/default/migrate/", key=key, app="", migration="")
    return answer.status, answer.headers.get("location", "")


def words_at(site: Web, path: str) -> str:
    answer = site.get(path)
    assert answer.status == 200
    return words_of(answer.text)


# Beat


@pytest.mark.slow
@pytest.mark.fault("F18")
def test_two_beats_tell_of_a_forgotten_job_and_it_starts_once(marked: MakeMarked, tmp_path: Path) -> None:
    place = marked()
    job = ask(place.target)
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        assert client.delete(WAITING) == 1, "its message is lost"
    words = ["-A", "opsdash", "beat", "--pidfile=", "--loglevel", "INFO"]
    env = {**QUICK, "OPSDASH_REPUBLISH_AFTER_S": "5"}
    with (
        launched(words, tmp_path / "one.log", **env),
        launched(words, tmp_path / "two.log", **env),
        room(tmp_path, **env),
    ):
        held_up(place, job, "succeeded")
        for log in ("one.log", "two.log"):
            until(lambda log=log: "sweep_jobs" in (tmp_path / log).read_text(), f"{log} sends")  # type: ignore[misc]
        the_next_one_is_performed(place)
        assert len(place.starts()) == 1


# Between two steps of the worker


BEFORE = [
    pytest.param("dbops.execute:_work_on", id="behind the claim"),
    pytest.param(
        "dbops.target.door:open_session", id="before the interpreter is started", marks=pytest.mark.slow
    ),
    pytest.param(
        "dbops.target.door:Session._send_request", id="before it is told what to do", marks=pytest.mark.slow
    ),
]
AFTER = [
    pytest.param("dbops.execute:_end", 20, id="behind the end of the target", marks=pytest.mark.slow),
    pytest.param("dbops.execute:_write_end", None, id="before the last write"),
]


@pytest.mark.fault("F26")
@pytest.mark.parametrize("moment", BEFORE)
def test_a_worker_that_dies_between_the_claim_and_the_start_has_done_nothing(
    marked: MakeMarked, tmp_path: Path, moment: str
) -> None:
    place = marked()
    with room(tmp_path, dies=moment):
        job = ask(place.target)
        until(lambda: (tmp_path / "reached").exists(), "it was there")
        held_up(place, job, "failed", starts=0)
        assert (job.error_type, job.facts["recorded"]) == ("WorkerLost", [])
        the_next_one_is_performed(place)
        assert place.starts() == []


@pytest.mark.fault("F26")
@pytest.mark.parametrize(("moment", "promised"), AFTER)
def test_a_worker_that_dies_between_the_targets_end_and_the_last_write_has_not_lost_what_is_recorded(
    marked: MakeMarked, tmp_path: Path, moment: str, promised: int | None
) -> None:
    place = marked()
    with room(tmp_path, dies=moment):
        job = ask(place.target)
        held_up(place, job, "succeeded", promised=promised)
        assert job.facts["recorded"] == [["shop", name] for name in place.recorded()]
        the_next_one_is_performed(place)


@pytest.mark.slow
@pytest.mark.fault("F26")
def test_a_machine_that_goes_down_before_the_last_write_of_a_failure_does_not_make_it_a_success(
    marked: MakeMarked, tmp_path: Path
) -> None:
    place = marked("raise ValueError('no')")
    with room(tmp_path, dies="dbops.execute:_write_end", how="group"):
        job = ask(place.target)
        until(lambda: (tmp_path / "reached").exists(), "it was there")
        held_up(place, job, "failed")
        assert job.facts["recorded"] == [["shop", "0001_table"]]
