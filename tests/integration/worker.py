"""A real Celery worker, as `make run` starts it, on the database of the test."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings
from django.db import connection

REPOSITORY = Path(settings.BASE_DIR)


def test_environment(**more: str) -> dict[str, str]:
    """The environment of this test run, on the test's own database, without what hides buffering bugs."""
    own = connection.settings_dict
    url = f"postgres://{own['USER']}:{own['PASSWORD']}@{own['HOST']}:{own['PORT']}/{own['NAME']}"
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return {**kept, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "opsdash.settings", **more}


test_environment.__test__ = False  # type: ignore[attr-defined]


@contextmanager
def worker(
    log: Path, queues: str = "jobs,inspect", *, beat: bool = False, through: Sequence[str] = (), **env: str
) -> Iterator[subprocess.Popen[bytes]]:
    """One worker with two processes, in a process group of its own; ended hard at the end. `through`: words
    that stand before its command."""
    with launched(worker_words(log, queues, beat=beat), log, through=through, **env) as process:
        until_ready(log)
        yield process


def worker_words(log: Path, queues: str, *, beat: bool = False) -> list[str]:
    """What stands behind `python -m celery`; in the log it is called as its file."""
    words = ["-A", "opsdash", "worker", "-Q", queues, "--concurrency", "2"]
    words += ["-n", f"{log.stem}@test", "--loglevel", "INFO", "--without-mingle"]
    return [*words, "-B"] if beat else words


@contextmanager
def launched(
    words: Sequence[str],
    log: Path,
    *,
    program: Sequence[str] = ("celery",),
    through: Sequence[str] = (),
    **env: str,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of opsdash, `python -m PROGRAM WORDS`, in a process group of its own; it may not be ready."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*through, sys.executable, "-m", *program, *words],
            cwd=REPOSITORY,
            env=test_environment(**env),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until_ready(log: Path) -> None:
    until(lambda: b" ready." in log.read_bytes(), f"the worker is ready; see {log}", seconds=40)


def until(happened: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Wait on a state, not on time; the limit only ends a test that would hang."""
    limit = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < limit, f"did not happen within {seconds} s: {what}"
        time.sleep(0.05)


def children_of(pid: int) -> list[int]:
    """Direct children, from /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def runs(pid: int) -> bool:
    """It executes: a zombie that nobody has waited for yet does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def descendants_of(pid: int) -> list[int]:
    children = children_of(pid)
    return [*children, *(grandchild for child in children for grandchild in descendants_of(child))]
