"""A migrate job beside `manage.py migrate` by hand, each on an empty database, in turns.

    .venv/bin/python -m embedded.testing -- python -m benchmarks.migrate [ROUNDS]

A job counts from the claim of its worker to its end, without the inspection that follows the work. The limit
is 1.1 times the bare command and one second.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from benchmarks import generated
from dbops import launch
from dbops.access import shell_actor
from dbops.declare import declare
from dbops.inspection import inspect_now
from dbops.models import Inspection, Job, Target

REPOSITORY = Path(__file__).resolve().parents[1]
SHOP = REPOSITORY / "examples" / "shop"
MIGRATIONS = 300
FACTOR, MARGIN_S = 1.1, 1.0
GIVE_UP_S = 600
NOTHING: Mapping[str, str] = {}


def main(rounds: int) -> int:
    manage(REPOSITORY, {}, "migrate", "--verbosity", "0")
    with tempfile.TemporaryDirectory(prefix="opsdash-benchmark-") as name:
        folder = Path(name)
        generated.write(folder / "generated", MIGRATIONS)
        print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {rounds} rounds, medians")
        with worker(folder / "worker.log"):
            kept = [compare("shop", SHOP, rounds), compare("generated", folder / "generated", rounds)]
    return 0 if all(kept) else 1


@contextmanager
def worker(log: Path) -> Iterator[None]:
    argv = [sys.executable, "-m", "celery", "-A", "opsdash", "worker", "-Q", "jobs", "-c", "1", "-l", "INFO"]
    with log.open("wb") as output:
        process = subprocess.Popen(argv, cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT)
    try:
        while b" ready." not in log.read_bytes():
            if process.poll() is not None:
                raise SystemExit(f"The worker ended:\n{log.read_text()}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def compare(name: str, project: Path, rounds: int) -> bool:
    bare, jobs = [], []
    for number in range(rounds):
        one, another = new_database(), new_database()
        bare.append(by_hand(project, one))
        jobs.append(as_job(f"{name}-{number}", project, another))
        assert recorded(one) == recorded(another) > 0, "both did the same"
    by_hand_s, job_s = statistics.median(bare), statistics.median(jobs)
    limit_s = FACTOR * by_hand_s + MARGIN_S
    print(
        f"{name}, {recorded(another)} migrations: by hand {by_hand_s:.2f} s, as a job {job_s:.2f} s, "
        f"ratio {job_s / by_hand_s:.2f}; limit {limit_s:.2f} s: {'kept' if job_s <= limit_s else 'EXCEEDED'}",
        flush=True,
    )
    return job_s <= limit_s


def by_hand(project: Path, url: str) -> float:
    began = time.monotonic()
    manage(project, variables(url), "migrate", "--noinput")
    return time.monotonic() - began


def as_job(name: str, project: Path, url: str, secrets: Mapping[str, str] = NOTHING) -> float:
    declaration = {
        "python": [sys.executable],
        "working_directory": str(project),
        "env": variables(url),
        "secret_env": dict(secrets),
    }
    declare(name, declaration, shell_actor())
    target = Target.objects.get(name=name)
    inspect_now(target)
    job = launch.start(target.databases.get(), "migrate", {}, shell_actor(), key=uuid.uuid4()).job
    give_up = time.monotonic() + GIVE_UP_S
    while job.is_active and time.monotonic() < give_up:
        time.sleep(0.1)
        job = Job.objects.get(pk=job.pk)
    if job.state != "succeeded" or not job.started_at or not job.finished_at:
        raise SystemExit(f"The job is {job.state}: {job.outcome}")
    after = Inspection.objects.get(pk=job.facts["after"]["inspection"])
    assert after.finished_at
    looking = after.finished_at - after.started_at
    return (job.finished_at - job.started_at - looking).total_seconds()


def manage(project: Path, more: dict[str, str], *words: str) -> None:
    env = {**os.environ, **more}
    if more:
        # A target has settings of its own.
        del env["DJANGO_SETTINGS_MODULE"]
    argv = [sys.executable, "manage.py", *words]
    done = subprocess.run(argv, cwd=project, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)} in {project} failed:\n{done.stdout}{done.stderr}")


def variables(url: str) -> dict[str, str]:
    return {"DATABASE_URL": url, "SHOP_BATCH_PAUSE": "0"}


def new_database() -> str:
    name, server = f"benchmark_{uuid.uuid4().hex[:12]}", urlsplit(os.environ["DATABASE_URL"])
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlunsplit(server._replace(path=f"/{name}"))


def recorded(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM django_migrations").fetchone()
        return row[0] if row else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
