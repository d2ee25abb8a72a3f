"""A migration that prints 20,000 lines a second, by hand into a pipe that is read and as a job, in turns.

    .venv/bin/python -m embedded.testing -- python -m benchmarks.printing [ROUNDS [SECONDS]]

It is paced by the clock: each 10 ms it prints what is due, and where it was held up it prints late. A job
counts from the claim of its worker to its end, without the inspection that follows the work; every line must
be in its rows once. `plain`: lines of 60 to 100 characters. `busy`: some of them have escape sequences, a
carriage return, a URL with a password, and the target declares ten secrets, of which some are printed. The
limit is 1.1 times by hand.
"""

import os
import platform
import re
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import generated
from benchmarks.migrate import as_job, by_hand, manage, new_database, worker
from dbops.models import Job
from dbops.redaction import MASK
from dbops.transcript.reading import read_all

REPOSITORY = Path(__file__).resolve().parents[1]
LINES_A_SECOND = 20_000
FACTOR = 1.1
SECRETS = {f"SECRET_{number}": f"very-secret-{number:032}" for number in range(10)}
NUMBERED = re.compile(r"(?:\x1b\[3.m)?line (\d+) ")
PRINTS = """\
import sys
import time

from django.db import migrations

SLICE_S = 0.01
A_SLICE = {lines_a_second} // 100
SECRET = "very-secret-{{:032}}"


def line(number):
    text = "line %d %s" % (number, "x" * (50 + number % 40))
    if {busy} and number % 10 == 0:
        return "\\x1b[32m" + text + "\\x1b[0m\\n"
    if {busy} and number % 10 == 1:
        return "waits\\r" + text + "\\n"
    if {busy} and number % 10 == 2:
        return "line %d postgres://shop:hunter2%d@db.example/shop is asked\\n" % (number, number)
    if {busy} and number % 10 == 3:
        return "line %d has %s\\n" % (number, SECRET.format(number % 7))
    return text + "\\n"


def prints(apps, schema_editor):
    sys.stdout.write("\\n")
    began = time.monotonic()
    for number in range({seconds} * 100):
        time.sleep(max(0.0, began + number * SLICE_S - time.monotonic()))
        sys.stdout.write("".join(map(line, range(number * A_SLICE, (number + 1) * A_SLICE))))
        sys.stdout.flush()


class Migration(migrations.Migration):
    operations = [migrations.RunPython(prints)]
"""


def main(rounds: int, seconds: int) -> int:
    manage(REPOSITORY, {}, "migrate", "--verbosity", "0")
    load = ", ".join(f"{average:.2f}" for average in os.getloadavg())
    print(
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {rounds} rounds of {seconds} s, "
        f"medians; load before it {load}"
    )
    with tempfile.TemporaryDirectory(prefix="opsdash-benchmark-") as name:
        folder = Path(name)
        with worker(folder / "worker.log"):
            kept = [compare(folder / kind, rounds, seconds) for kind in ("plain", "busy")]
    return 0 if all(kept) else 1


def compare(folder: Path, rounds: int, seconds: int) -> bool:
    write(folder, seconds)
    secrets = SECRETS if folder.name == "busy" else {}
    bare, jobs = [], []
    for number in range(rounds):
        bare.append(by_hand(folder, new_database()))
        jobs.append(as_job(f"{folder.name}-{number}", folder, new_database(), secrets))
        every_line_is_there_once(seconds * LINES_A_SECOND)
    by_hand_s, job_s = statistics.median(bare), statistics.median(jobs)
    ratio = job_s / by_hand_s
    verdict = "kept" if ratio <= FACTOR else "EXCEEDED"
    print(
        f"{folder.name}, {seconds * LINES_A_SECOND:,} lines: by hand {by_hand_s:.2f} s, "
        f"as a job {job_s:.2f} s, ratio {ratio:.3f}; limit {FACTOR}: {verdict}",
        flush=True,
    )
    return ratio <= FACTOR


def write(folder: Path, seconds: int) -> None:
    generated.write(folder, migrations=0, apps=1)
    text = PRINTS.format(seconds=seconds, lines_a_second=LINES_A_SECOND, busy=folder.name == "busy")
    (folder / "app0" / "migrations" / "0001_prints.py").write_text(text)


def every_line_is_there_once(count: int) -> None:
    job = Job.objects.latest("pk")
    lines = list(read_all(job.pk))
    numbers = [int(found[1]) for text in lines if (found := NUMBERED.match(text))]
    assert numbers == list(range(count)), f"{len(set(numbers))} are there, {len(numbers)} in all"
    words = "".join(lines)
    assert "very-secret" not in words and "hunter2" not in words, "a secret is in the rows"
    assert ("busy" not in job.database.target.name) or MASK in words


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*given, *(3, 10)[len(given) :]))
