"""The processes of opsdash, as data."""

import sys
from collections.abc import Mapping
from pathlib import Path

from embedded.ports import LOOPBACK
from embedded.processes import Program
from embedded.state import State

# A Unix socket's path has room for 107 bytes; a longer one stops gunicorn.
SOCKET_PATH_BYTES = 107
JOB_GRACE = 10.0


def preparation(checkout: Path, env: Mapping[str, str]) -> Program:
    """The one-shot step before all others. It waits for a line on stdin before it touches a server."""
    argv = (sys.executable, "-u", "-m", "embedded.prepare")
    return Program("prepare", argv, env, checkout, stdin=b"")


def web(checkout: Path, state: State, port: int, env: Mapping[str, str]) -> Program:
    argv = (
        *(sys.executable, "-m", "gunicorn", "-k", "opsdash.worker.Worker", "--bind", f"{LOOPBACK}:{port}"),
        *("--graceful-timeout", "3", *_control_socket(state)),
        "opsdash.asgi:application",
    )
    return Program("web", argv, env, checkout, grace=8.0)


def _control_socket(state: State) -> tuple[str, ...]:
    path = str(state.run / "web.ctl")
    if len(path.encode()) > SOCKET_PATH_BYTES:
        return ("--no-control-socket",)
    return ("--control-socket", path)


def background(checkout: Path, state: State, env: Mapping[str, str]) -> list[Program]:
    """The workers, the clock and the prober. A worker that is asked to stop finishes what it performs."""
    celery = (sys.executable, "-m", "celery", "-A", "opsdash")
    # Mingling waits a second for other workers, which know nothing that is wanted here.
    worker = (*celery, "worker", "--concurrency", "2", "--without-mingle", "--loglevel", "INFO")
    jobs = (*worker, "-Q", "jobs", "-n", "jobs@%h")
    inspect = (*worker, "-Q", "inspect", "-n", "inspect@%h")
    beat = (*celery, "beat", "--pidfile=", "--loglevel", "INFO")
    return [
        Program("jobs", jobs, env, checkout, grace=JOB_GRACE),
        Program("inspect", inspect, env, checkout, grace=JOB_GRACE),
        Program("beat", beat, env, checkout),
        Program("prober", (sys.executable, "manage.py", "run_probes"), env, checkout),
    ]
