"""That `held_up` can fail: each of its assertions, on what must never be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import transaction

from dbops.models import Job, TranscriptChunk
from tests.faults.assertions import held_up
from tests.faults.conftest import MakeMarked
from tests.faults.marks import Marked
from tests.integration.at_work import ask, performed
from tests.integration.holding import held_guard

pytestmark = pytest.mark.django_db(transaction=True)
STARTS = "subprocess.Popen({}, start_new_session=True, stdout=-3, stderr=-3)"
Lie = Callable[[Marked, Job], None]


def ended(marked: Marked) -> Job:
    job = ask(marked.target)
    with performed(job):
        pass
    return job


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def found(lies: dict[str, Lie], place: Marked, job: Job, ends: str) -> None:
    for words, lie in lies.items():
        with undone():
            lie(place, job)
            with pytest.raises(AssertionError, match=words):
                held_up(place, job, ends)
    held_up(place, job, ends)


def told(**fields: object) -> Lie:
    return lambda place, job: rewritten(job, **fields)


def rewritten(job: Job, **fields: object) -> None:
    """In the row of the job, or among its facts."""
    facts = dict(Job.objects.get(pk=job.pk).facts)
    facts.update({name: fields.pop(name) for name in ("recorded",) if name in fields})
    Job.objects.filter(pk=job.pk).update(facts=facts, **fields)


def kept(old: str, new: str) -> Lie:
    def lie(place: Marked, job: Job) -> None:
        chunk = TranscriptChunk.objects.get(job=job, text__contains=old)
        TranscriptChunk.objects.filter(pk=chunk.pk).update(text=chunk.text.replace(old, new))

    return lie


def a_chunk_is_missing(place: Marked, job: Job) -> None:
    TranscriptChunk.objects.get(job=job, text__contains="line 10\n").delete()


def a_step_is_another(place: Marked, job: Job) -> None:
    job.steps.filter(name="shop.0002_work").update(state="failed")


def test_every_lie_about_a_job_that_succeeded_is_found(marked: MakeMarked) -> None:
    place = marked("mark.say(1)\ntime.sleep(0.5)\nmark.say(1)")
    job = ended(place)
    assert held_up(place, job, "succeeded").last_line >= place.printed() == 42
    lies: dict[str, Lie] = {
        "it is cancelled": told(state="cancelled"),
        "it tells another list": told(recorded=[]),
        "neither told nor said to be unknown": told(recorded=None),
        "nobody asked to stop it": told(outcome="It was stopped on request."),
        "a gap, or one twice": kept("line 10\n", "line 9\n"),
        "a gap, or one twice:": kept("line 11\n", "something\n"),
        "as many lines as it says": kept("line 12\n", "line 12\nanother line\n"),
        "a gap between chunks": a_chunk_is_missing,
        "is shown as failed": a_step_is_another,
    }
    found(lies, place, job, "succeeded")
    with held_guard(place.url, "somebody"), pytest.raises(AssertionError, match="the guard is not free"):
        held_up(place, job, "succeeded")
    with pytest.raises(AssertionError, match="the work was started by the processes"):
        held_up(place, job, "succeeded", starts=0)
    with (place.folder / "printed").open("a") as file:
        file.write("43\n")
    with pytest.raises(AssertionError, match="43 lines were promised, 42 are there"):
        held_up(place, job, "succeeded")


def test_every_lie_about_a_job_that_failed_is_found(marked: MakeMarked) -> None:
    place = marked("raise ValueError('no')")
    job = ended(place)
    held_up(place, job, "failed")
    success = told(state="succeeded", outcome="Applied.")
    with undone(), pytest.raises(AssertionError, match="it is not all there"):
        success(place, job)
        held_up(place, job, "succeeded")
    lies = {
        "it tells another list": told(recorded=[["shop", "0001_table"], ["shop", "0002_work"]]),
        "Cancelled|nobody asked": told(outcome="Cancelled by alice: it ended."),
    }
    found(lies, place, job, "failed")
    with psycopg.connect(place.url) as connection:
        connection.execute("INSERT INTO mark VALUES ('0002_work')")
    with pytest.raises(AssertionError, match="as a whole or not at all"):
        held_up(place, job, "failed")


def test_a_second_start_is_found(marked: MakeMarked) -> None:
    place = marked("mark.started()")
    with pytest.raises(AssertionError, match="the work was started by the processes"):
        held_up(place, ended(place), "succeeded")


LATE = """
import psycopg, time
with psycopg.connect({url!r}) as connection:
    time.sleep(3)
    connection.execute("INSERT INTO mark VALUES ('late')")
"""


@pytest.mark.slow
def test_a_commit_after_the_end_is_found(marked: MakeMarked) -> None:
    place = marked(STARTS.format("[sys.executable, 'late.py']"))
    place.project.write("late.py", LATE.format(url=place.url))
    with pytest.raises(AssertionError, match="something changed after the end"):
        held_up(place, ended(place), "succeeded")


@pytest.mark.slow
def test_a_state_that_changes_after_the_end_is_found(
    marked: MakeMarked, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = marked()
    job = ended(place)

    def looks(_: Marked) -> list[int]:
        Job.objects.filter(pk=job.pk).update(outcome="Something else.")
        return []

    monkeypatch.setattr("tests.faults.assertions.left_of", looks)
    with pytest.raises(AssertionError, match="something changed after the end"):
        held_up(place, job, "succeeded")


@pytest.mark.slow
def test_a_process_that_stays_is_found(marked: MakeMarked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.assertions.PATIENCE_S", 1)
    place = marked(STARTS.format("['sleep', '8']"))
    with pytest.raises(AssertionError, match="nothing works for job"):
        held_up(place, ended(place), "succeeded")
