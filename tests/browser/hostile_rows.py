"""An installation in which everything that a target or a person can say is an attack."""

import itertools
import re
import sys
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from dbops import launch
from dbops.access import Actor
from dbops.execute import execute
from dbops.inspection import inspect_now
from dbops.inspection.plans import make_plan
from dbops.inspection.snapshots import take_snapshot
from dbops.models import (
    AuditEvent,
    Inspection,
    Job,
    Plan,
    Probe,
    SessionEnding,
    Snapshot,
    Step,
    Target,
    TargetDatabase,
    Worker,
)
from dbops.models.status import STATES, Status
from dbops.redaction import Redactor
from dbops.rights import ALL
from dbops.transcript.recorder import Recorder
from tests.hostile import BYTES, PAYLOADS, as_file_name
from tests.targets.builder import Project, make_project

NAMED = [as_file_name(payload) for payload in PAYLOADS[2:60:4]]
# What a report holds that is no text of anybody: words of ours, moments, hashes.
OURS = re.compile(r"|[a-z_]{1,30}|[0-9a-f]{32,64}|\d{4}-\d\d-\d\dT.*|\d+(\.\d+)*")
KEPT_KEYS = {
    "alias",
    "vendor",
    "state",
    "reason",
    "kind",
    "module",
    "db_type",
    "type",
    "hash",
    "identity",
    "engine",
}

SETTINGS = """
LITE = "django.db.backends.sqlite3"
DATABASES[{alias!r}] = {{"ENGINE": LITE, "NAME": BASE + "/" + {alias!r}.replace("/", "")}}
"""
PRINTS = """
for payload in {payloads!r}:
    print(payload)
sys.stdout.flush()
for data in {data!r}:
    os.write(1, data)
print("\\n".join({payloads!r}), end="")
"""
RAISES = """
class Hostile(Exception):
    pass
Hostile.__name__ = {name!r}
raise Hostile("\\n".join({payloads!r}))
"""


class Rows:
    """`project`: real, read by a real agent. Everything else is written as an agent would have told it."""

    def __init__(self, folder: Path, person: User) -> None:
        self._next = itertools.cycle(PAYLOADS)
        self.person = person
        person.username = PAYLOADS[3]
        person.first_name = PAYLOADS[4]
        person.save()
        self.actor = Actor(person, PAYLOADS[3], PAYLOADS[5][:100], ALL)
        self.project = write_project(folder / "mini")
        self.target = self._target("hostile", self.project)
        self.database = self.target.databases.get(alias="default")
        self.other = self._poisoned_target()
        self.jobs = [self._performed(), *self._jobs()]
        self._rest()

    def _target(self, name: str, project: Project) -> Target:
        target = Target.objects.create(
            name=name,
            label=PAYLOADS[9],
            working_directory=str(project.path),
            python=[sys.executable],
        )
        inspect_now(target)
        return target

    def _performed(self) -> Job:
        asked = launch.start(self.database, "migrate", {}, self.actor, key=uuid.uuid4(), reason=PAYLOADS[31])
        execute(asked.job.pk, PAYLOADS[11])
        snapshot = launch.snapshot(self.database, self.actor)
        take_snapshot(snapshot.pk)
        plan = launch.plan(self.database, "shop", "zero", self.actor)
        make_plan(plan.pk)
        return Job.objects.get(pk=asked.job.pk)

    def _poisoned_target(self) -> TargetDatabase:
        """Its report, its plan and its schema are those of the real one, with an attack in every text."""
        target = Target.objects.create(
            name="poisoned", label=PAYLOADS[37], python=["/nowhere/python", PAYLOADS[76]],
            python_version=PAYLOADS[3][:50], django_version=PAYLOADS[10][:50],
            refresh_refused=PAYLOADS[3], environment="production", inspected_at=timezone.now(),
        )  # fmt: skip
        target.statuses = [self._status("broken").to_json()]
        target.save()
        database = TargetDatabase.objects.create(
            target=target, alias="default", vendor="postgresql", name=PAYLOADS[3], host=PAYLOADS[37],
            port=PAYLOADS[9], server_version=PAYLOADS[4][:100], identity="postgres:1:2", pending_count=3,
            inspected_at=timezone.now(),
        )  # fmt: skip
        database.judge([self._status(state) for state in STATES])
        database.save()
        latest = self.target.inspections.latest("pk")
        report = self.poison(latest.report)
        report["databases"] = [{**one, "alias": "default"} for one in report["databases"][:1]]
        Inspection.objects.create(
            target=target, outcome="done", started_at=timezone.now(), finished_at=timezone.now(),
            report=report, python_version=PAYLOADS[3][:50], django_version=PAYLOADS[36][:50],
        )  # fmt: skip
        for plan in Plan.objects.filter(database=self.database, state="done"):
            content = self.poison(plan.content)
            plan.pk, plan.database, plan.content = None, database, content
            plan.app = plan.migration = ""
            plan.save()
        return database

    def _jobs(self) -> list[Job]:
        failed = self._job("failed", facts=self.poison(FACTS), outcome=self.text(), error_type="TargetFailed")
        running = self._job("running", fence=1, lock_wait=self._wait())
        lost = self._job("lost", facts={"how_lost": self.text(), "concluded": "failed"}, outcome=self.text())
        queued = self._job("queued", queue="hostile-queue")
        for number, state in enumerate(("succeeded", "failed", "running", "pending")):
            Step.objects.create(
                job=running, position=number, kind="migration", name=f"shop.{self.text()}", state=state
            )
        SessionEnding.objects.create(
            job=running, pid=42, backend_start="then", whom=self.text()[:500], act="cancel",
            asked_by_name=self.text()[:200], reason=self.text(), outcome="failed", answer=self.text(),
            ended_at=timezone.now(),
        )  # fmt: skip
        return [failed, running, lost, queued]

    def _job(self, state: str, **fields: Any) -> Job:
        ended = {"finished_at": timezone.now()} if state == "failed" else {}
        database = TargetDatabase.objects.create(
            target=Target.objects.create(name=f"job-{state}", label=self.text()[:200], python=["/nowhere"]),
            alias="default", vendor="postgresql", name=self.text(),
        )  # fmt: skip
        return Job.objects.create(
            database=database, operation="migrate", idempotency_key=uuid.uuid4(), published_at=timezone.now(),
            asked_by_name=self.text()[:200], asked_from=self.text()[:100], reason=self.text(), state=state,
            worker=self.text()[:200], database_name=self.text(), heartbeat_at=timezone.now(),
            started_at=timezone.now(), cancel_asked_by=self.text()[:200], error_traceback="\n".join(PAYLOADS),
            arguments={"app": "shop", "migration": self.text()}, **ended, **{"queue": "jobs", **fields},
        )  # fmt: skip

    def _wait(self) -> dict[str, Any]:
        blocker = {
            "pid": 42, "direct": True, "user": self.text(), "application_name": self.text(),
            "client": self.text(), "backend_type": self.text(), "backend_start": "then",
            "transaction_start": "then", "connected_s": 3.0, "transaction_s": 2.0, "state": self.text(),
            "state_s": 1.0, "query": self.text(), "hidden": False, "held": [self.text()], "blocked_by": [7],
            "waits_for": {"mode": self.text(), "locktype": self.text(), "relation": self.text()},
        }  # fmt: skip
        wait = {
            "pid": 7, "mode": self.text(), "relation": self.text(), "locktype": self.text(), "waited_s": 3.0,
            "blockers": [blocker],
        }  # fmt: skip
        return {"waits": [wait], "seen_at": timezone.now().isoformat(), "retry": None}

    def _rest(self) -> None:
        now = timezone.now()
        for payload in PAYLOADS:
            AuditEvent.objects.record(
                "job.migrate", Actor(None, payload[:200], payload[:100], ALL), target=payload, reason=payload,
                arguments={payload: payload},
            )  # fmt: skip
        for number, kind in enumerate(("worker", "beat", "prober")):
            Worker.objects.create(
                name=self.text()[:150] + str(number), run=uuid.uuid4(), kind=kind, queues=[self.text()],
                host=self.text(), pid=1, slots=2, busy=1,
                versions={"opsdash": self.text(), "python": self.text()},
                load=0.5, processors=2, started_at=now, heartbeat_at=now,
            )  # fmt: skip
        Probe.objects.create(
            database=self.other, state="unreachable", reason="other", detail=self.text(), probed_at=now,
            since=now, next_at=now + timedelta(hours=1), server_version=self.text()[:100],
        )  # fmt: skip
        Snapshot.objects.create(
            database=self.other, state="failed", error_sentence=self.text(), error_traceback=self.text(),
            published_at=now, finished_at=now, error_type="TargetBroken",
        )  # fmt: skip
        Plan.objects.create(
            database=self.other, state="failed", app="shop", migration=self.text(),
            error_sentence=self.text(), error_traceback="\n".join(PAYLOADS),
            published_at=now, finished_at=now, error_type="TargetBroken",
        )  # fmt: skip
        Inspection.objects.create(
            target=Target.objects.create(
                name="failing", label=self.text()[:200], python=["/nowhere"], inspected_at=now,
                statuses=[self._status("broken").to_json()],
            ),
            outcome="failed", started_at=now, finished_at=now, error_type="TargetBroken",
            error_sentence=self.text(), error_traceback="\n".join(PAYLOADS),
        )  # fmt: skip

    def _status(self, state: str) -> Status:
        return Status(state, self.text(), reason="", next_step=self.text(), evidence="\n".join(PAYLOADS))

    def text(self) -> str:
        return next(self._next).replace("\0", "\ufffd")

    def poison(self, value: Any, key: str = "") -> Any:
        """The same text becomes the same attack, so that what names something names it still."""
        if isinstance(value, str):
            if key in KEPT_KEYS or OURS.fullmatch(value):
                return value
            return value + PAYLOADS[sum(map(ord, value)) % len(PAYLOADS)]
        if isinstance(value, list):
            return [self.poison(item, key) for item in value]
        if isinstance(value, dict):
            return {name: self.poison(item, name) for name, item in value.items()}
        return value

    def print_more(self) -> None:
        """While somebody looks on."""
        job = Job.objects.get(pk=self.jobs[2].pk)
        recorder = Recorder(job, Redactor(()))
        for payload in PAYLOADS:
            recorder.feed(f"{payload}\n".encode())
        for data in BYTES:
            recorder.feed(data)
        for payload in PAYLOADS:
            recorder.feed(f"\n{payload}".encode("utf-8", "replace"))
            recorder.flush()


FACTS = {
    "recorded": [["shop", "0001 initial"]],
    "recorded_after": [["shop", "0001 initial"]],
    "plan": ["shop.0001 initial"],
    "before": {"plan": [["shop", "0001 initial"]]},
    "after": {"plan": [["shop", "0002 more"]]},
    "versions": {"python": "3.12 x", "django": "5.2 x", "opsdash": "x y", "server_version": "16 x"},
    "revision": {"commit": "not a hash", "branch": "refs heads", "tree": "/srv/my shop"},
}


def statement(payload: str) -> str:
    return f"SELECT %s -- {' '.join(payload.replace('%', '%%').split())}"


def write_project(path: Path) -> Project:
    project = make_project(path)
    alias = '"><img src=x onerror=zqxmark(901)>'
    project.settings(f"BASE = {str(path)!r}\n" + SETTINGS.format(alias=alias))
    doc = "\n".join(PAYLOADS).replace("\\", "\\\\").replace('"', '\\"').replace("\0", "")
    project.migration(
        "0001_initial",
        'migrations.CreateModel("Item", [("id", models.BigAutoField(primary_key=True, serialize=False, '
        f'verbose_name={PAYLOADS[3]!r})), ("n", models.IntegerField(null=True, help_text={PAYLOADS[9]!r}))], '
        f"options={{'verbose_name': {PAYLOADS[37]!r}, 'db_table': 'shop_<img src=x onerror=zqxmark(902)>'}})",
        body=f'"""{doc}"""',
    )
    for number, name in enumerate(NAMED):
        project.migration(
            f"{number + 2:04}_{name}",
            f"migrations.RunSQL([({statement(PAYLOADS[number])!r}, [{PAYLOADS[number]!r}])], "
            f"migrations.RunSQL.noop, hints={{'x': {PAYLOADS[number]!r}}})",
            body=f'"""{PAYLOADS[number]!a}"""',
        )
    project.python("0090_prints", PRINTS.format(payloads=PAYLOADS, data=BYTES))
    project.python("0091_raises", RAISES.format(name=PAYLOADS[3], payloads=PAYLOADS))
    project.write(
        "shop/models.py",
        "from django.db import models\n\nclass Item(models.Model):\n"
        f"    more = models.TextField(default={PAYLOADS[3]!r}, verbose_name={PAYLOADS[37]!r})\n"
        f"    class Meta:\n        verbose_name = {PAYLOADS[9]!r}\n        db_table = 'x'\n",
    )
    project.write(".git/HEAD", f"ref: refs/heads/{PAYLOADS[3]}\n")
    project.write(".git/config", "[core]\n")
    project.write(f".git/refs/heads/{PAYLOADS[3]}", "a" * 40 + "\n")
    return project
