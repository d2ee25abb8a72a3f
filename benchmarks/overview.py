"""The overview of 1,000 targets beside a page of Django's admin that lists 100 of the same rows, in turns.

    .venv/bin/python -m embedded.testing -- python -m benchmarks.overview [ROUNDS]

Both are asked of one web process as `make run` starts it (gunicorn, its ASGI worker), signed in, over one
connection; what counts is the time to the first byte of the answer. The limit is 1.5 times the admin's.
"""

import http.client
import os
import platform
import random
import statistics
import sys
import tempfile
import time
import uuid
from datetime import timedelta
from pathlib import Path

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection

from benchmarks.site import cookie_of, site
from dbops.models import Job, Probe, Target, TargetDatabase, clock
from dbops.models.status import STATES, Status

TARGETS = 1000
FACTOR = 1.5
WARM_UP = 10
OURS = ("/", "/?status=pending&sort=-inspected&page=2", "/?q=shop&sort=name&page=10")
ADMIN = "/admin/dbops/targetdatabase/"


def main(rounds: int) -> int:
    call_command("migrate", verbosity=0)
    person = User.objects.create_superuser("benchmark", password=uuid.uuid4().hex)
    fill()
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {rounds} rounds, medians")
    with (
        tempfile.TemporaryDirectory(prefix="opsdash-benchmark-") as folder,
        site(Path(folder) / "web.log") as web,
    ):
        cookies = cookie_of(person)
        kept = [compare(web.port, cookies, url, rounds) for url in OURS]
    return 0 if all(kept) else 1


def fill() -> None:
    """1,000 targets in all states, of one database each, with a probe and 20 jobs."""
    dice, now = random.Random(1), clock.now()
    targets = Target.objects.bulk_create(
        Target(
            name=f"shop-{number:04}",
            label=f"Shop {number}",
            environment=dice.choice(["development", "staging", "production"]),
            python=["/srv/shop/.venv/bin/python"],
            django_version="5.2.19",
        )
        for number in range(TARGETS)
    )
    databases = [database_of(target, dice) for target in targets]
    TargetDatabase.objects.bulk_create(databases)
    Probe.objects.bulk_create(
        Probe(database=each, state="answers", latency_ms=3, probed_at=now, since=now, next_at=now)
        for each in databases
    )
    Job.objects.bulk_create(
        Job(
            database=each,
            operation="migrate",
            idempotency_key=uuid.uuid4(),
            queue="jobs",
            state="succeeded",
            published_at=now,
            finished_at=now,
        )
        for _ in range(20)
        for each in databases
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def database_of(target: Target, dice: random.Random) -> TargetDatabase:
    database = TargetDatabase(
        target=target,
        alias="default",
        vendor="postgresql",
        name=f"{target.name}_db",
        server_version="18.1",
        inspected_at=clock.now() - timedelta(seconds=dice.randrange(1200)),
        pending_count=dice.randrange(1, 9),
    )
    states = dice.choice([["checked"], ["checked"], ["pending"], dice.sample(STATES, 2)])
    # A sentence and a traceback, as an inspection keeps them.
    database.judge(
        [Status(state, f"{state} because.", "Do something.", "", "line\n" * 60) for state in states]
    )
    return database


def compare(port: int, cookies: str, url: str, rounds: int) -> bool:
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(WARM_UP):
        first_byte(asked, url, cookies), first_byte(asked, ADMIN, cookies)
    ours, admins = [], []
    for _ in range(rounds):
        ours.append(first_byte(asked, url, cookies))
        admins.append(first_byte(asked, ADMIN, cookies))
    mine, its = statistics.median(ours), statistics.median(admins)
    kept = mine <= FACTOR * its
    print(
        f"{url}: overview {1000 * mine:.1f} ms, admin's list of 100 {1000 * its:.1f} ms, "
        f"ratio {mine / its:.2f}; limit {FACTOR}: {'kept' if kept else 'EXCEEDED'}",
        flush=True,
    )
    return kept


def first_byte(asked: http.client.HTTPConnection, url: str, cookies: str) -> float:
    began = time.perf_counter()
    asked.request("GET", url, headers={"Cookie": cookies})
    answer = asked.getresponse()
    took = time.perf_counter() - began
    body = answer.read().decode()
    if answer.status != 200 or (url == ADMIN) != ("result_list" in body):
        raise SystemExit(f"{url} answered {answer.status}: {body[:500]}")
    assert body.count("<tr") > (100 if url == ADMIN else 50)
    return took


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
