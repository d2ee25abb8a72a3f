"""A browser that is gone in the middle of a job: its stream ends, and nothing of it is left."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User

from dbops.models import Job
from dbops.redaction import Redactor
from dbops.transcript.live import channel
from dbops.transcript.recorder import Recorder
from tests.integration.web import web
from tests.integration.worker import until

pytestmark = pytest.mark.django_db(transaction=True)
MakeJob = Callable[..., Job]
# Of one browser: more of them would take turns.
VIEWERS = 4


def subscriptions(job: Job) -> int:
    """Of web processes, as Redis counts them."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        found: list[tuple[bytes, int]] = client.pubsub_numsub(channel(job.pk))
    return found[0][1]


def next_lines(heard: Iterator[tuple[str, Any]]) -> tuple[int, list[str]]:
    return next((data["first"], data["lines"]) for name, data in heard if name == "lines")


def connections_to(port: int) -> int:
    """Open on the server's side, or half closed and forgotten there (state 1 or 8 of /proc/net/tcp)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] in ("01", "08") for row in rows)


def test_viewers_who_leave_in_the_middle_leave_nothing_behind_and_the_job_goes_on(
    make_job: MakeJob, people: dict[str, User], tmp_path: Path
) -> None:
    job = make_job(state="running", fence=1)
    recorder = Recorder(job, Redactor(()))
    stream = f"{job.get_absolute_url()}stream/"
    with web(tmp_path / "web.log", people["viewer"]) as site:
        with ExitStack() as watching:
            streams = [watching.enter_context(site.stream(stream)) for _ in range(VIEWERS)]
            recorder.feed(b"one\n")
            recorder.flush()
            for heard in streams:
                assert next_lines(heard) == (1, ["one"])
            assert (subscriptions(job), connections_to(site.port)) == (1, VIEWERS), "one for all of them"
        until(lambda: subscriptions(job) == 0, "nobody listens any more")
        until(lambda: connections_to(site.port) == 0, "their connections are closed")
        recorder.feed(b"two\n")
        assert recorder.finish()
        with site.stream(f"{stream}?after=1") as heard:
            assert next_lines(heard) == (2, ["two"])
    job.refresh_from_db()
    assert (job.state, job.last_line) == ("running", 2)
    assert "Traceback" not in (tmp_path / "web.log").read_text()
