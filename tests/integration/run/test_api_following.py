"""Following a job by the API in a real web process: who waits holds no connection and is not forgotten."""

import http.client
import json
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from dbops.models import Job
from dbops.tokens import revoke
from tests.integration.calling import SHELL, Caller, caller
from tests.integration.transcripts import record
from tests.integration.web import Web, web_process
from tests.integration.worker import until

pytestmark = pytest.mark.django_db(transaction=True)
FOLLOWS = 3


@pytest.fixture
def site(tmp_path: Path, job: Job) -> Iterator[Web]:
    """It has two connections to our database in all."""
    with web_process(tmp_path / "web.log", OPSDASH_DB_POOL_MAX="2", OPSDASH_API_FOLLOWS=str(FOLLOWS)) as site:
        yield site


@pytest.fixture
def job(make_job: Callable[..., Job]) -> Job:
    return make_job(state="running")


@pytest.fixture
def who(people: dict[str, User]) -> Caller:
    return caller(people["viewer"], ["read"])


def ask(site: Web, who: Caller, path: str) -> tuple[int, Any]:
    answer = site.get(f"/api/v1/{path}", **who.headers)
    return answer.status, json.loads(answer.text)


@contextmanager
def waiting(site: Web, who: Caller, job: Job) -> Iterator[list["Future[tuple[int, Any]]"]]:
    """As many as may wait, and all of them do: one more was refused."""
    with ThreadPoolExecutor(FOLLOWS + 1) as pool:
        asked = [pool.submit(ask, site, who, f"jobs/{job.pk}/lines?wait=20") for _ in range(FOLLOWS + 1)]
        refused = next(as_completed(asked))
        assert refused.result()[0] == 429
        yield [one for one in asked if one is not refused]


def test_who_waits_gets_lines_as_they_come_and_holds_no_connection_meanwhile(
    site: Web, job: Job, who: Caller, people: dict[str, User]
) -> None:
    with waiting(site, who, job) as asked:
        # There are more of them than connections.
        another = caller(people["viewer"], name="another")
        assert ask(site, another, "jobs")[0] == 200
        record(job, "Applying shop.0001_initial... OK\n")
        answers = [one.result(30) for one in asked]
    assert [(status, [line["text"] for line in found["lines"]]) for status, found in answers] == [
        (200, ["Applying shop.0001_initial... OK"])
    ] * FOLLOWS
    assert ask(site, who, "jobs")[0] == 200


def test_a_whole_job_is_followed_to_its_end(site: Web, job: Job, who: Caller) -> None:
    def work() -> None:
        for number in range(1, 6):
            record(job, f"line {number}\n")
        Job.objects.move(job.pk, ["running"], "succeeded")
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    lines, after, ended = list[str](), 0, False
    while not ended:
        status, found = ask(site, who, f"jobs/{job.pk}/lines?after={after}&wait=20")
        assert status == 200
        lines += [line["text"] for line in found["lines"]]
        after, ended = found["next"], found["ended"]
    worker.join()
    assert lines == [f"line {number}" for number in range(1, 6)]
    assert found["state"] == "succeeded"


def test_who_waits_in_vain_is_answered(site: Web, job: Job, who: Caller) -> None:
    status, found = ask(site, who, f"jobs/{job.pk}/lines?wait=1")
    assert (status, found["lines"], found["ended"]) == (200, [], False)


def test_a_token_that_ends_meanwhile_is_told_nothing(site: Web, job: Job, who: Caller) -> None:
    with waiting(site, who, job) as asked:
        revoke(who.token, SHELL)
        record(job, "a secret of later\n")
        answers = [one.result(30) for one in asked]
    assert [(status, found["type"]) for status, found in answers] == [
        (401, "/api/problems/refused-token")
    ] * FOLLOWS
    assert "a secret of later" not in json.dumps(answers)


def test_a_process_that_is_stopped_leaves_nobody_waiting(site: Web, job: Job, who: Caller) -> None:
    with waiting(site, who, job) as asked:
        os.kill(site.process.pid, signal.SIGTERM)
        answers = [one.result(30) for one in asked]
    assert [(status, found["lines"], found["ended"]) for status, found in answers] == [
        (200, [], False)
    ] * FOLLOWS


def test_who_goes_away_leaves_their_place(site: Web, job: Job, who: Caller) -> None:
    calls = [http.client.HTTPConnection("127.0.0.1", site.port) for _ in range(FOLLOWS + 1)]
    for one in calls:
        one.request("GET", f"/api/v1/jobs/{job.pk}/lines?wait=20", headers=who.headers)
    answered, _, _ = select.select([one.sock for one in calls], [], [], 30)
    assert len(answered) == 1
    for one in calls:
        one.close()
    until(lambda: ask(site, who, f"jobs/{job.pk}/lines?wait=1")[0] == 200, "there is a place again")
