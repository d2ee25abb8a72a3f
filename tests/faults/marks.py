"""A target on a real Postgres whose work leaves marks that nothing takes back.

Its migrations: 0001_table, then 0002_work, which marks that it started, prints numbered lines, writes a row,
works, and prints again; then 0003_after. A start is a line in a file, outside of any transaction, so that one
that was rolled back is seen too. Each migration writes its name into the table `mark`: what is there was
committed.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from dbops.agent.guard import KEYS
from dbops.models import Target
from tests.integration.at_work import inspected, settings_of
from tests.integration.conftest import MakeTarget
from tests.targets.builder import Project, make_project

# Lines that are printed before the work and behind it.
LINES = 20
ROW = "migrations.RunSQL(\"INSERT INTO mark VALUES ('{}')\")"
WORK = """
import mark
mark.started()
mark.say({lines})
schema_editor.execute("INSERT INTO mark VALUES ('0002_work')")
{work}
mark.say({lines})
"""
MODULE = """
import os, time

HERE = os.path.dirname(os.path.abspath(__file__))

def append(name, text):
    file = os.open(os.path.join(HERE, name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, text.encode())
    os.close(file)

def lines_in(name):
    path = os.path.join(HERE, name)
    if not os.path.exists(path):
        return 0
    with open(path) as file:
        return len(file.readlines())

def started():
    append("starts", "%d\\n" % os.getpid())
    print(flush=True)

def say(count, pause_s=0):
    for number in range(lines_in("printed") + 1, lines_in("printed") + count + 1):
        print("line %d" % number, flush=True)
        append("printed", "%d\\n" % number)
        time.sleep(pause_s)

def reached(name):
    append(name, "\\n")

def wait_for(name):
    while not os.path.exists(os.path.join(HERE, name)):
        time.sleep(0.02)
"""
# A line now and then, for ten minutes.
PRINTS_ON = "mark.say(6000, pause_s=0.1)"
IN_PYTHON = "mark.reached('works')\ntime.sleep(600)"
IN_A_QUERY = "mark.reached('works')\nschema_editor.execute('SELECT pg_sleep(600)')"
# It prints until it is told to come to its end.
TALKS = (
    "mark.reached('works')\nwhile not os.path.exists(mark.HERE + '/go-on'):\n    mark.say(1, pause_s=0.05)"
)
UNTIL_TOLD = "mark.reached('works')\nmark.wait_for('go-on')"


@dataclass(frozen=True)
class Marked:
    """`folder` is the working directory of all that works for it."""

    target: Target
    project: Project
    url: str

    @property
    def folder(self) -> Path:
        return self.project.path

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def tell(self, name: str) -> None:
        self.project.write(name, "")

    def starts(self) -> list[int]:
        """The process of each start of its work."""
        return [int(line) for line in self._lines("starts")]

    def printed(self) -> int:
        """So many numbered lines have left the target."""
        return len(self._lines("printed"))

    def committed(self) -> tuple[list[str], list[str]]:
        """The marks in the table; the migrations that are recorded."""
        marks = self.rows("SELECT name FROM mark") if self._has_table("mark") else []
        return sorted(row[0] for row in marks), self.recorded()

    def recorded(self) -> list[str]:
        if not self._has_table("django_migrations"):
            return []
        return [row[0] for row in self.rows("SELECT name FROM django_migrations ORDER BY id")]

    def sessions(self) -> list[tuple[int, str]]:
        """(pid, name) of those of jobs."""
        return self.rows(
            "SELECT pid, application_name FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name LIKE 'opsdash job%'"
        )

    def guard_holders(self) -> list[int]:
        locks = "pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2"
        here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        rows = self.rows(f"SELECT pid FROM {locks} AND classid = {KEYS[0]} AND objid = {KEYS[1]} AND {here}")
        return [row[0] for row in rows]

    def rows(self, query: str) -> list[Any]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode()).fetchall()

    def processes(self) -> list[int]:
        """All that work in its folder: agents, and whatever these started."""
        return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if works_in(entry, self.folder)]

    def _has_table(self, name: str) -> bool:
        return self.rows(f"SELECT to_regclass('{name}')::text") != [(None,)]

    def _lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


def works_in(process: Path, folder: Path) -> bool:
    try:
        return (process / "cwd").readlink().is_relative_to(folder)
    except OSError:
        # It ended meanwhile, or is a zombie.
        return False


def marked_project(folder: Path, url: str, work: str, **settings: Any) -> Project:
    project = make_project(folder, {"default": settings_of(url, **settings)})
    project.write("mark.py", MODULE)
    project.migration(
        "0001_table", f'migrations.RunSQL("CREATE TABLE mark (name text)"), {ROW}'.format("0001_table")
    )
    project.python("0002_work", WORK.format(lines=LINES, work=work))
    project.migration("0003_after", ROW.format("0003_after"))
    return project


def marked_target(
    make_target: MakeTarget, folder: Path, url: str, work: str, *, python: str = sys.executable
) -> Marked:
    """Inspected once."""
    project = marked_project(folder, url, work)
    return Marked(inspected(make_target, project, [python]), project, url)
