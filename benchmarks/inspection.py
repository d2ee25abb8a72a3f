"""A full inspection through the door beside `manage.py showmigrations --plan` of the same project, in turns.

    .venv/bin/python -m embedded.testing -- python -m benchmarks.inspection [ROUNDS]

Everything that an inspection tells except the SQL of what is pending: the files with their hashes, the state
of every database, and the migrations that the models lack. The sources are known, as they are from the second
inspection on. The limit is 1.3 times the command.
"""

import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import generated
from benchmarks.migrate import MIGRATIONS, SHOP, manage, new_database, variables
from dbops.target import door
from dbops.target.address import Address

FACTOR = 1.3
GIVE_UP_S = 120.0


def main(rounds: int) -> int:
    with tempfile.TemporaryDirectory(prefix="opsdash-benchmark-") as name:
        folder = Path(name) / "generated"
        generated.write(folder, MIGRATIONS)
        print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {rounds} rounds, medians")
        kept = [compare("shop", SHOP, rounds), compare("generated", folder, rounds)]
    return 0 if all(kept) else 1


def compare(name: str, project: Path, rounds: int) -> bool:
    """On a database where all is applied: then both read all of it."""
    env = variables(new_database())
    manage(project, env, "migrate", "--verbosity", "0")
    known = sources(inspection(project, env, []))
    bare, looks = [], []
    for _ in range(rounds):
        bare.append(timed(lambda: manage(project, env, "showmigrations", "--plan")))
        looks.append(timed(lambda: inspection(project, env, known)))
    by_hand_s, look_s = statistics.median(bare), statistics.median(looks)
    kept = look_s <= FACTOR * by_hand_s
    print(
        f"{name}: showmigrations --plan {by_hand_s:.3f} s, inspection {look_s:.3f} s, "
        f"ratio {look_s / by_hand_s:.2f}; limit {FACTOR}: {'kept' if kept else 'EXCEEDED'}",
        flush=True,
    )
    return kept


def timed(act: object) -> float:
    began = time.monotonic()
    act()  # type: ignore[operator]
    return time.monotonic() - began


def inspection(project: Path, env: dict[str, str], known: list[str]) -> dict[str, object]:
    address = Address(name="benchmark", argv=(sys.executable,), cwd=str(project), env=env)
    arguments = {"aliases": None, "known_sources": known, "details": None}
    return dict(door.call(address, "inspect", arguments, timeout_s=GIVE_UP_S))


def sources(answer: dict[str, object]) -> list[str]:
    return list(answer.get("sources") or {})  # type: ignore[call-overload]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 7))
