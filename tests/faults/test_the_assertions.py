"""That `held_up` can fail: each of its five assertions, on a job that does what must never happen."""

import psycopg
import pytest

from dbops.models import Job, TranscriptChunk
from tests.faults.assertions import held_up
from tests.faults.conftest import MakeMarked
from tests.faults.marks import Marked
from tests.integration.at_work import ask, performed
from tests.integration.holding import held_guard

pytestmark = pytest.mark.django_db(transaction=True)
STARTS = "subprocess.Popen({}, start_new_session=True, stdout=-3, stderr=-3)"


def ended(marked: Marked) -> Job:
    job = ask(marked.target)
    with performed(job):
        pass
    return job


def test_they_hold_where_nothing_happened(marked: MakeMarked) -> None:
    place = marked()
    job = held_up(place, ended(place), "succeeded")
    assert place.recorded() == ["0001_table", "0002_work", "0003_after"]
    assert job.last_line >= place.printed() == 40


def test_a_second_start_is_found(marked: MakeMarked) -> None:
    place = marked("mark.started()")
    with pytest.raises(AssertionError, match="the work was started by the processes"):
        held_up(place, ended(place), "succeeded")


def test_a_start_where_none_should_be_is_found(marked: MakeMarked) -> None:
    place = marked()
    with pytest.raises(AssertionError, match="the work was started by the processes"):
        held_up(place, ended(place), "succeeded", starts=0)


LATE = """
import psycopg, time
with psycopg.connect({url!r}) as connection:
    time.sleep(3)
    connection.execute("INSERT INTO mark VALUES ('late')")
"""


def test_a_commit_after_the_end_is_found(marked: MakeMarked) -> None:
    place = marked(STARTS.format("[sys.executable, 'late.py']"))
    place.project.write("late.py", LATE.format(url=place.url))
    with pytest.raises(AssertionError, match="something changed after the end"):
        held_up(place, ended(place), "succeeded")


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


def test_a_guard_that_is_held_is_found(marked: MakeMarked) -> None:
    place = marked()
    job = ended(place)
    with held_guard(place.url, "somebody"), pytest.raises(AssertionError, match="the guard is not free"):
        held_up(place, job, "succeeded")


def test_another_end_is_found(marked: MakeMarked) -> None:
    place = marked()
    with pytest.raises(AssertionError, match="it is succeeded"):
        held_up(place, ended(place), "failed")


def test_a_page_that_tells_less_or_more_than_is_recorded_is_found(marked: MakeMarked) -> None:
    place = marked("raise ValueError('no')")
    job = ended(place)
    held_up(place, job, "failed", promised=20)
    for told in ([], [["shop", "0001_table"], ["shop", "0002_work"]]):
        Job.objects.filter(pk=job.pk).update(facts={**job.facts, "recorded": told})
        with pytest.raises(AssertionError, match="it tells another list"):
            held_up(place, job, "failed")


def test_a_success_that_is_none_is_found(marked: MakeMarked) -> None:
    place = marked()
    job = ended(place)
    with psycopg.connect(place.url) as connection:
        connection.execute("DELETE FROM django_migrations WHERE name = '0003_after'")
        connection.execute("DELETE FROM mark WHERE name = '0003_after'")
    with pytest.raises(AssertionError, match="it tells another list"):
        held_up(place, job, "succeeded")


def test_a_request_that_nobody_made_is_found(marked: MakeMarked) -> None:
    place = marked("raise ValueError('no')")
    job = ended(place)
    Job.objects.filter(pk=job.pk).update(outcome="It was stopped on request.")
    with pytest.raises(AssertionError, match="nobody asked to stop it"):
        held_up(place, job, "failed")


@pytest.mark.parametrize("spoil", ["a line is missing", "a chunk is missing", "a line is there twice"])
def test_a_transcript_with_a_gap_or_a_double_is_found(marked: MakeMarked, spoil: str) -> None:
    place = marked("mark.say(1)\nimport time\ntime.sleep(0.5)")
    job = ended(place)
    chunk = TranscriptChunk.objects.get(text__contains="line 10\n")
    if spoil == "a chunk is missing":
        chunk.delete()
    else:
        other = "line 9" if spoil == "a line is there twice" else "something"
        TranscriptChunk.objects.filter(pk=chunk.pk).update(text=chunk.text.replace("line 10\n", f"{other}\n"))
    with pytest.raises(AssertionError):
        held_up(place, job, "succeeded")


def test_lines_that_were_printed_and_are_not_there_are_found(marked: MakeMarked) -> None:
    place = marked()
    job = ended(place)
    with (place.folder / "printed").open("a") as file:
        file.write("41\n")
    with pytest.raises(AssertionError, match="41 lines were promised, 40 are there"):
        held_up(place, job, "succeeded")


def test_a_process_that_stays_is_found(marked: MakeMarked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.assertions.PATIENCE_S", 1)
    place = marked(STARTS.format("['sleep', '8']"))
    with pytest.raises(AssertionError, match="nothing works for job"):
        held_up(place, ended(place), "succeeded")
