"""A plan in full beside the commands that tell the same: showmigrations, migrate --plan, makemigrations --check
and a sqlmigrate of each pending migration, one after another.

    .venv/bin/python -m embedded.testing -- python -m benchmarks.plan [ROUNDS]

The agent's time is that of one call through the door, from the start of the target's Python to the answer, with
the SQL in both directions, the operations, the tables before and after, and the hashes of the files. The limit
is a quarter of the commands' sum.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import django

from benchmarks import generated
from benchmarks.migrate import manage, new_database, variables
from dbops.target import door
from dbops.target.address import Address

MIGRATIONS, PENDING, APPS = 300, 50, 3
FACTOR = 0.25


def main(rounds: int) -> int:
    with tempfile.TemporaryDirectory(prefix="opsdash-benchmark-") as name:
        project = Path(name) / "generated"
        generated.write(project, MIGRATIONS, APPS)
        url = new_database()
        pending = apply_all_but(project, url, PENDING)
        print(f"{os.cpu_count()} cores, Python {platform.python_version()}, Django {django.get_version()}")
        by_hand = commands(project, url, pending)
        plans = [planned(project, url) for _ in range(rounds)]
    total_s, plan_s = sum(by_hand.values()), statistics.median(plans)
    for words, seconds in by_hand.items():
        print(f"{words}: {seconds:.2f} s")
    kept = plan_s <= FACTOR * total_s
    print(
        f"{PENDING} of {MIGRATIONS} pending: the commands {total_s:.2f} s, the plan {plan_s:.2f} s (median of "
        f"{rounds}), ratio {plan_s / total_s:.3f}; limit {FACTOR}: {'kept' if kept else 'EXCEEDED'}"
    )
    return 0 if kept else 1


def apply_all_but(project: Path, url: str, pending: int) -> list[tuple[str, str]]:
    """(app, name) of those that are left: the last ones of each app."""
    left = []
    for app in range(APPS):
        of_app = MIGRATIONS // APPS
        applied = of_app - len(range(app, pending, APPS))
        manage(project, variables(url), "migrate", f"app{app}", generated.name_of(applied - 1))
        left += [(f"app{app}", generated.name_of(number)) for number in range(applied, of_app)]
    return left


def commands(project: Path, url: str, pending: list[tuple[str, str]]) -> dict[str, float]:
    """Seconds of each."""
    took = {
        words: timed(project, url, *words.split())
        for words in ("showmigrations", "migrate --plan", "makemigrations --check --dry-run")
    }
    took[f"sqlmigrate of {len(pending)}"] = sum(timed(project, url, "sqlmigrate", *key) for key in pending)
    return took


def timed(project: Path, url: str, *words: str) -> float:
    env = {**os.environ, **variables(url)}
    del env["DJANGO_SETTINGS_MODULE"]
    began = time.monotonic()
    argv = [sys.executable, "manage.py", *words]
    done = subprocess.run(argv, cwd=project, env=env, capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    # makemigrations --check finds changes: the generated project has no models.
    if "Traceback" in done.stderr or done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(argv)} failed:\n{done.stdout}{done.stderr}")
    return took


def planned(project: Path, url: str) -> float:
    address = Address(name="generated", argv=(sys.executable,), cwd=str(project), env=variables(url))
    began = time.monotonic()
    answer = door.call(address, "plan", {"alias": "default"}, timeout_s=600)
    took = time.monotonic() - began
    entries = answer["migrations"]
    assert len(entries) == PENDING
    assert answer["complete"]
    for entry in entries:
        assert entry["hash"]
        assert entry["after"] != entry["before"]
        assert all(operation["sql"] and operation["reverse_sql"] for operation in entry["operations"])
    return took


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
