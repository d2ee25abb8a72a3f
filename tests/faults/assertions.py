"""What must hold after every fault, whatever it was: `held_up` makes all of these assertions, always."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from dbops.models import Job
from dbops.models.job import FINAL
from dbops.transcript.reading import read_all
from tests.faults.marks import Marked
from tests.integration import reading
from tests.integration.at_work import state
from tests.integration.worker import until

# The promise to a person is half a minute; a machine that is busy with other tests is slower.
PATIENCE_S = 60
NUMBERED = re.compile(r"line (\d+)")
Look = Callable[[str], str]


def held_up(
    marked: Marked,
    job: Job,
    ends: str | tuple[str, ...],
    *,
    starts: int = 1,
    promised: int | None = None,
    page: Look = reading.page,
) -> Job:
    """Wait for the job's end, and for the end of all that works for it; then assert that

    (a) its work was begun `starts` times (1, or 0), never oftener; (b) nothing was committed after its end;
    (c) the guard is free; (d) its page says what is true of the database; (e) its transcript is complete: at
    least `promised` lines (None: all that the target ever printed, since its worker lived), each once.
    """
    until(lambda: state(job) in {*FINAL, *as_tuple(ends)}, f"{job} ends as {ends}", PATIENCE_S)
    at_the_end = marked.committed(), job.state, job.outcome
    until(lambda: not left_of(marked), f"nothing works for {job} any more", PATIENCE_S)
    state(job)
    assert job.state in as_tuple(ends), f"it is {job.state}: {job.outcome}"
    begun_at_most_once(marked, starts)
    assert (marked.committed(), job.state, job.outcome) == at_the_end, "something changed after the end"
    assert marked.guard_holders() == [], "the guard is not free"
    page_is_true(marked, job, page(job.get_absolute_url()))
    transcript_is_complete(marked, job, marked.printed() if promised is None else promised)
    return job


def as_tuple(ends: str | tuple[str, ...]) -> tuple[str, ...]:
    return (ends,) if isinstance(ends, str) else ends


def left_of(marked: Marked) -> list[Any]:
    """Processes, and sessions on the server."""
    return [*marked.processes(), *marked.sessions()]


def begun_at_most_once(marked: Marked, starts: int) -> None:
    assert starts in (0, 1), "no fault excuses a second start"
    assert len(marked.starts()) == starts, f"the work was started by the processes {marked.starts()}"


def page_is_true(marked: Marked, job: Job, words: str) -> None:
    """`words`: of its page. Each target has one job that does its work, so that what is recorded is its."""
    marks, recorded = marked.committed()
    assert marks == sorted(recorded), "a migration is in the database as a whole or not at all"
    assert job.state in words and spaced(job.outcome) in words, words
    if job.state == "lost":
        assert "Nothing else may change this database until that is known." in words
        return
    assert_recorded_is_true(job, recorded, words)
    asked = job.cancel_asked_at is not None
    assert asked or ("Cancelled" not in job.outcome and "on request" not in words), "nobody asked to stop it"
    assert asked or job.state != "cancelled"
    assert job.state == "cancelled" or not job.outcome.startswith("Cancelled by "), job.outcome
    assert job.state != "succeeded" or recorded == all_of(marked), "it is not all there"
    for step in job.steps.filter(kind="migration"):
        is_there = step.name.partition(".")[2] in recorded
        assert (step.state == "succeeded") == is_there, f"{step.name} is shown as {step.state}"


def assert_recorded_is_true(job: Job, recorded: list[str], words: str) -> None:
    if job.worker == "":
        assert recorded == [] and "Nothing was done to the database." in words
        return
    told = job.facts.get("recorded")
    if told is None:
        assert "could not be read" in words, "what it recorded is neither told nor said to be unknown"
        return
    assert [f"shop.{name}" for name in recorded] == [".".join(pair) for pair in told], "it tells another list"
    assert all(f"shop.{name}" in words for name in recorded), words


def all_of(marked: Marked) -> list[str]:
    return sorted(path.stem for path in (marked.folder / "shop/migrations").glob("0*.py"))


def transcript_is_complete(marked: Marked, job: Job, promised: int) -> None:
    chunks = list(job.chunks.order_by("first").values_list("first", "last"))
    gap = job.gap or (0, 0)
    kept = sorted([*chunks, *([gap] if job.gap else [])])
    in_a_row = all(after[0] == before[1] + 1 for before, after in pairwise([(0, 0), *kept]))
    assert in_a_row, f"a gap between chunks, or an overlap: {chunks}"
    assert job.last_line == (chunks[-1][1] if chunks else 0)
    lines = [line.rstrip("\n") for line in read_all(job.pk)]
    told = job.last_line - (gap[1] - gap[0] if job.gap else 0)
    assert len(lines) == told, "a chunk holds as many lines as it says, and a gap is told in one"
    numbers = [int(found[1]) for line in lines if (found := NUMBERED.fullmatch(line))]
    assert numbers == list(range(1, len(numbers) + 1)), f"a gap, or one twice: {numbers}"
    assert len(numbers) >= promised, f"{promised} lines were promised, {len(numbers)} are there"
    own = [line for line in lines if line.startswith(f"opsdash: job {job.pk}")]
    assert own[:1] == [line for line in own if line.startswith(f"opsdash: job {job.pk}: ")], own
    by_evidence = job.outcome.startswith(job.how_lost)
    if job.worker and job.state in FINAL and not by_evidence:
        assert own[-1].startswith(f"opsdash: job {job.pk} {job.state}."), own


def spaced(text: str) -> str:
    return " ".join(text.split())
