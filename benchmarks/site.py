"""A web process as `make run` starts it, people signed in to it, and a job that is written by hand."""

import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db.models.functions import Now

from dbops.models import Job, Target, TargetDatabase
from embedded import ports

REPOSITORY = Path(__file__).resolve().parents[1]
KIB = 1024


@dataclass(frozen=True)
class Site:
    """`process` is gunicorn's master; it has one worker."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def worker(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def memory(self) -> int:
        """Bytes that the worker has for itself."""
        rows = Path(f"/proc/{self.worker}/smaps_rollup").read_text().splitlines()
        return sum(int(row.split()[1]) * KIB for row in rows if row.startswith("Private_"))

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.worker}/task").iterdir()))

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def site(log: Path, application: str = "opsdash.asgi:application") -> Iterator[Site]:
    port = ports.choose()
    argv = ["gunicorn", "-k", "opsdash.worker.Worker", "--bind", f"127.0.0.1:{port}", "--workers", "1"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *argv, "--no-control-socket", application],
            cwd=REPOSITORY,
            env={**os.environ, "OPSDASH_SECURE": "0", "OPSDASH_STREAMS_PER_USER": "2000"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        while not answers(port):
            if process.poll() is not None:
                raise SystemExit(f"The web process ended:\n{log.read_text()}")
            time.sleep(0.1)
        yield Site(port, process)
    finally:
        process.terminate()
        process.wait()


def answers(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=2) as answer:
        return bool(answer.status == 200)
    return False


def person() -> User:
    return User.objects.create_superuser(f"benchmark-{uuid.uuid4().hex[:6]}", password=uuid.uuid4().hex)


def cookie_of(user: User) -> str:
    """Of a session of its own, as that of one browser."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return f"{settings.SESSION_COOKIE_NAME}={session.session_key}"


def running_job() -> Job:
    """One that this process may write to as its worker would."""
    target = Target.objects.create(name=f"benchmark-{uuid.uuid4().hex[:6]}", python=["/nowhere/python"])
    database = TargetDatabase.objects.create(target=target, alias="default")
    return Job.objects.create(
        database=database,
        operation="migrate",
        idempotency_key=uuid.uuid4(),
        queue="jobs",
        asked_by_name="benchmark",
        published_at=Now(),
        started_at=Now(),
        heartbeat_at=Now(),
        state="running",
        fence=1,
    )
