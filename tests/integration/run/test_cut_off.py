"""A target that is cut off from its Postgres in the middle of a job: nobody tells the server."""

import signal
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dbops import launch, truth
from embedded import ports
from tests.integration.at_work import (
    ask,
    inspected,
    look,
    performed,
    query_runs,
    sessions,
    sleeper,
    state,
    wait_for_the_query,
)
from tests.integration.conftest import ALICE, MakeTarget
from tests.integration.netns import relays
from tests.integration.worker import until

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_cancelled_job_that_the_server_has_not_let_go_of_blocks_the_database_until_it_has(
    make_target: MakeTarget,
    postgres_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
) -> None:
    monkeypatch.setattr(truth, "REST_S", 0.0)
    settings.DBOPS = {**settings.DBOPS, "CANCEL_GRACE_S": 1}
    server, port = urlsplit(postgres_url), ports.choose()
    assert server.hostname and server.port
    with relays(("127.0.0.1", port, server.hostname, server.port)) as line:
        project = sleeper(tmp_path / "mini", postgres_url.replace(f":{server.port}/", f":{port}/"))
        job = ask(inspected(make_target, project, [sys.executable]))
        with performed(job):
            wait_for_the_query(postgres_url)
            line.send_signal(signal.SIGSTOP)
            launch.cancel(job, ALICE)
        assert state(job) == "lost", job.outcome
        assert job.outcome.startswith("Cancelled by alice: it did not end by itself in time and was ")
        assert "It is not proven that all of it has ended: its database cannot be looked at" in job.outcome
        assert query_runs(postgres_url), "the server works on"
        with pytest.raises(launch.RefusedError, match="one job at a time changes a database"):
            ask(job.database.target)
        line.send_signal(signal.SIGCONT)
        until(lambda: sessions(postgres_url) == [], "the server has found out")
        assert look(job) == "cancelled"
    assert job.outcome.startswith("Cancelled by alice: it did not end by itself in time and was ")
    assert "The guard is free and no session of the job is left" in job.outcome
    assert job.facts["recorded"] == [["shop", "0001_item"]]
