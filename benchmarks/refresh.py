"""Fast refresh of many targets in one process: what follows from the records, without starting a target.

    .venv/bin/python -m embedded.testing -- python -m benchmarks.refresh [TARGETS]

Every target is the shop, migrated, on one of twenty Postgres databases, each with a connection of its own; on
each database one was inspected by its agent, the others have what that found. Then all are refreshed: while
nothing has changed, and after every database has lost a row, so that each is judged anew and written. The
limits are 2 s for 200 targets and 20 ms each.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import psycopg
from django.db.models import F
from psycopg import sql

from benchmarks.migrate import REPOSITORY, SHOP, manage, new_database, variables
from dbops.access import shell_actor
from dbops.declare import declare
from dbops.inspection import inspect_now, refresh
from dbops.inspection.declared import digest_of
from dbops.models import SeenMigration, Target, TargetDatabase
from dbops.sealing import seal, unseal

DATABASES = 20
LIMIT_MS = 10.0
FORGET = "DELETE FROM django_migrations WHERE id = (SELECT max(id) FROM django_migrations)"


def main(number: int) -> int:
    manage(REPOSITORY, {}, "migrate", "--verbosity", "0")
    urls = databases()
    for place in range(number):
        declare(f"shop-{place}", declaration(urls[place % DATABASES]), shell_actor())
    for place in range(number):
        target = Target.objects.get(name=f"shop-{place}")
        if place < DATABASES:
            inspect_now(target)
        else:
            as_inspected(target, Target.objects.get(name=f"shop-{place % DATABASES}"))
    pending = TargetDatabase.objects.filter(pending_count=0).count()
    assert pending == number, f"{pending} of {number} are migrated and inspected"
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {number} targets on Postgres")
    kept = [
        measure("nothing has changed, first time in the process", number, lambda: None),
        measure("nothing has changed", number, lambda: None),
        measure("a row is gone in each", number, lambda: [forget(url) for url in urls]),
    ]
    assert TargetDatabase.objects.filter(pending_count=1).count() == number
    return 0 if all(kept) else 1


def databases() -> list[str]:
    """Copies of one that is migrated."""
    first = new_database()
    manage(SHOP, variables(first), "migrate", "--verbosity", "0")
    return [first, *(copy_of(first) for _ in range(DATABASES - 1))]


def copy_of(url: str) -> str:
    made = new_database()
    template, name = (sql.Identifier(urlsplit(one).path[1:]) for one in (url, made))
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {}").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, template))
    return made


def as_inspected(target: Target, twin: Target) -> None:
    """What its agent would have found: its twin has the same files and the same database."""
    for database in twin.databases.all():
        seen = list(database.seen_migrations.all())
        database.pk, database.target = None, target
        database.sealed_connection = own_session(database.sealed_connection, target.pk)
        database._state.adding = True
        database.save()
        for row in seen:
            row.pk, row.database = None, database
            row._state.adding = True
        SeenMigration.objects.bulk_create(seen)
    inspection = twin.inspections.get()
    inspection.pk, inspection.target = None, target
    assert inspection.report
    inspection.report["declared"] = digest_of(target)
    inspection._state.adding = True
    inspection.save()
    Target.objects.filter(pk=target.pk).update(inspected_at=inspection.started_at)


def own_session(sealed: str, number: int) -> str:
    """Those that connect alike are read once: no two do."""
    settings = json.loads(unseal(sealed))
    settings["options"] = {**settings["options"], "keepalives_idle": 60 + number}
    return seal(json.dumps(settings))


def declaration(url: str) -> dict[str, object]:
    return {"python": [sys.executable], "working_directory": str(SHOP), "env": variables(url)}


def forget(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FORGET)


def measure(words: str, number: int, change: Callable[[], object]) -> bool:
    change()
    Target.objects.update(refresh_tried_at=None)
    ids = list(Target.objects.values_list("pk", flat=True))
    began, busy = time.monotonic(), time.process_time()
    refresh.refresh(ids)
    took_s, busy_s = time.monotonic() - began, time.process_time() - busy
    done = Target.objects.filter(refreshed_at__gt=F("inspected_at"), refresh_refused="").count()
    assert done == number, f"{done} of {number} were refreshed"
    each_ms = 1000 * took_s / number
    kept = each_ms <= LIMIT_MS
    print(
        f"{words}: {took_s:.2f} s, {each_ms:.1f} ms each ({1000 * busy_s / number:.1f} ms of this "
        f"process's own); limit {LIMIT_MS * number / 1000:.2f} s: "
        f"{'kept' if kept else 'EXCEEDED'}",
        flush=True,
    )
    return kept


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
