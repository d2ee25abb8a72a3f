"""Random interleavings of everybody who moves jobs: never two active ones on a database, never an edge that
does not exist, never a job without a way to its end."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models.functions import Now
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from dbops import launch, loss
from dbops.access import Actor
from dbops.execute import _write_end, _write_lost
from dbops.finding import Finding
from dbops.models import Job, Target, TargetDatabase
from dbops.models.job import ACTIVE, FINAL, SHELL, TRANSITIONS, WORKED_ON, FenceLostError
from dbops.redaction import Redactor
from dbops.rights import ALL
from dbops.truth import Result

pytestmark = pytest.mark.django_db

AT_REST = Finding(1, applied=[], left=[], guard_held=False, sessions=[])
STAFF = Actor(None, "staff", SHELL, ALL)
LONG_AGO = timedelta(hours=1)


class Interleavings(RuleBasedStateMachine):
    """A database of its own, and two aliases that are one database. A hold is a job as a worker has it
    in hand: (id, fence); it may be outdated."""

    jobs = Bundle("jobs")
    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()
        self.example.__enter__()
        self.seen: dict[int, str] = {}
        self.begun: dict[int, int] = {}

    @initialize()
    def databases_are_known(self) -> None:
        target = Target.objects.create(name=f"shop-{uuid.uuid4().hex[:8]}", python=["/nowhere"])
        identities = ["postgres:1:1", "postgres:1:2", "postgres:1:2"]
        self.databases = [
            TargetDatabase.objects.create(target=target, alias=f"a{number}", identity=identity)
            for number, identity in enumerate(identities)
        ]
        self.keys = [uuid.uuid4() for _ in range(5)]

    @rule(target=jobs, database=st.integers(0, 2), key=st.integers(0, 4))
    def a_person_asks(self, database: int, key: int) -> Any:
        """Keys repeat: a form is sent twice, or a page is left open."""
        try:
            with transaction.atomic():
                started = launch.start(self.databases[database], "migrate", {}, STAFF, key=self.keys[key])
        except launch.RefusedError:
            return multiple()
        return started.job.pk if started.new else multiple()

    @rule(target=holds, job=jobs, worker=st.sampled_from(["one", "two"]))
    def a_message_arrives(self, job: int, worker: str) -> Any:
        """As often as it likes, at whomever it likes."""
        claimed = Job.objects.claim(job, worker)
        if claimed is None:
            return multiple()
        self.begun[job] = self.begun.get(job, 0) + 1
        return (job, claimed.fence)

    @rule(target=holds, database=st.integers(0, 2))
    def a_person_asks_and_a_worker_begins_at_once(self, database: int) -> Any:
        """So that holds are many, and what is rare comes together."""
        try:
            with transaction.atomic():
                job = launch.start(self.databases[database], "migrate", {}, STAFF, key=uuid.uuid4()).job
        except launch.RefusedError:
            return multiple()
        return self.a_message_arrives(job.pk, "one")

    @rule(hold=holds)
    def its_worker_says_that_it_works(self, hold: tuple[int, int]) -> None:
        Job.objects.move(hold[0], ["starting"], "running", held_fence=hold[1])

    @rule(hold=holds)
    def its_worker_gives_a_sign_of_life(self, hold: tuple[int, int]) -> None:
        Job.objects.beat(*hold)

    @rule(hold=holds)
    def its_worker_is_back_after_a_pause(self, hold: tuple[int, int]) -> None:
        Job.objects.take_back(*hold)

    @rule(hold=holds)
    def its_worker_writes_a_step(self, hold: tuple[int, int]) -> None:
        before = Job.objects.get(pk=hold[0])
        try:
            Job.objects.touch(*hold, done_count=1)
        except FenceLostError:
            return
        assert before.fence == hold[1] and before.state not in FINAL, "only who holds it writes"

    @rule(hold=holds, state=st.sampled_from(FINAL))
    def its_worker_ends_it(self, hold: tuple[int, int], state: str) -> None:
        """Also a job that was called lost meanwhile, and one that was cancelled although nobody asked for it:
        a worker that believes so ends nothing."""
        self.written(hold, lambda job: _write_end(job, Result(state, "It ended."), Redactor(()), 0))

    @rule(hold=holds, concluded=st.sampled_from(["", *FINAL]))
    def its_worker_gives_it_up_as_lost(self, hold: tuple[int, int], concluded: str) -> None:
        facts = {"how_lost": "The line was cut.", "concluded": concluded}
        self.written(hold, lambda job: _write_lost(job, Result("lost", "Cut.", facts=facts), Redactor(()), 0))

    def written(self, hold: tuple[int, int], write: Callable[[Job], None]) -> None:
        job = Job.objects.get(pk=hold[0])
        before, job.fence = (job.fence, job.state), hold[1]
        try:
            with transaction.atomic():
                write(job)
        except FenceLostError:
            return
        held = before[0] == hold[1] and before[1] not in FINAL
        # The acknowledgement of a try before may have been lost; then it stands as it was written.
        job.refresh_from_db()
        assert held or (job.fence, job.state) == before, "only who holds it ends it"

    @rule(job=jobs)
    def the_evidence_ends_it(self, job: int) -> None:
        """Guard free, no session left."""
        found = Job.objects.get(pk=job)
        loss._end(found, AT_REST, {})
        state = Job.objects.get(pk=job).state
        assert state in FINAL if found.state == "lost" else state == found.state

    @rule(job=jobs)
    def a_person_cancels(self, job: int) -> None:
        launch.cancel(Job.objects.get(pk=job), STAFF)

    @rule(job=jobs)
    def an_hour_passes_without_a_sign_of_life(self, job: int) -> None:
        """And the sweeper looks."""
        Job.objects.filter(pk=job, state__in=WORKED_ON).update(heartbeat_at=Now() - LONG_AGO)
        loss.find_lost()

    @rule(job=jobs)
    def staff_resolves_it(self, job: int) -> None:
        try:
            with transaction.atomic():
                launch.resolve(Job.objects.get(pk=job), STAFF, "looked")
        except launch.RefusedError:
            assert Job.objects.get(pk=job).state != "lost"

    @invariant()
    def every_move_is_an_edge_and_an_end_is_an_end(self) -> None:
        for job in Job.objects.filter(database__in=getattr(self, "databases", [])):
            before = self.seen.get(job.pk, "queued")
            # One rule makes at most one move of a job.
            assert job.state == before or (before, job.state) in TRANSITIONS, (before, job.state)
            assert (job.finished_at is not None) == (job.state in FINAL)
            self.seen[job.pk] = job.state

    @invariant()
    def a_database_has_one_active_job_at_most(self) -> None:
        active = Job.objects.filter(database__in=getattr(self, "databases", []), state__in=ACTIVE)
        identities = [job.identity for job in active]
        assert len(identities) == len(set(identities)), identities

    @invariant()
    def no_job_is_begun_twice(self) -> None:
        assert all(times == 1 for times in self.begun.values())

    def teardown(self) -> None:
        """Whatever happened: when all workers are gone, every job comes to an end."""
        try:
            mine = Job.objects.filter(database__in=getattr(self, "databases", []))
            for job in mine.filter(state="queued"):
                launch.cancel(job, STAFF)
            mine.filter(state__in=WORKED_ON).update(heartbeat_at=Now() - LONG_AGO)
            for job in loss.find_lost():
                launch.resolve(job, STAFF, "all workers are gone")
            assert not mine.exclude(state__in=FINAL).exists()
        finally:
            transaction.set_rollback(True)
            self.example.__exit__(None, None, None)


def test_no_interleaving_leads_to_two_active_jobs_an_unknown_edge_or_a_job_without_an_end() -> None:
    run_state_machine_as_test(
        Interleavings,
        settings=settings(
            max_examples=40,
            # Not made smaller: each try is a transaction of its own, and that would take minutes.
            phases=[Phase.generate],
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
