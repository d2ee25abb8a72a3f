"""Looking elsewhere in a transcript than at its end: lines by their numbers, lines that hold some words."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from dbops.models import Job, clock
from dbops.plain import plain
from dbops.transcript import searching
from dbops.transcript.reading import rows_after
from dbops.transcript.searching import Words, search
from tests.integration.transcripts import record

MakeJob = Callable[..., Job]
pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(people: dict[str, User]) -> Client:
    client = Client()
    client.force_login(people["viewer"])
    return client


@pytest.fixture
def job(make_job: MakeJob) -> Job:
    return make_job()


def rows_of(job: Job, last: int, size: int, words: str = "line {}") -> Job:
    for first in range(1, last + 1, size):
        numbers = range(first, min(last, first + size - 1) + 1)
        text = "\n".join(words.format(number) for number in numbers)
        job.chunks.create(first=first, last=numbers[-1], text=text, at=clock.now())
    Job.objects.filter(pk=job.pk).update(last_line=last)
    return job


# By number


@pytest.mark.parametrize("size", [5000, 700, 1])
@pytest.mark.parametrize(("first", "last"), [(1, 1), (1, 1000), (1401, 2100), (4950, 5000)])
def test_lines_are_given_by_their_numbers(viewer: Client, job: Job, size: int, first: int, last: int) -> None:
    answer = viewer.get(f"{rows_of(job, 5000, size).get_absolute_url()}lines/?from={first}&to={last}")
    document = answer.json()
    given = [line for chunk in document["chunks"] for line in chunk["lines"]]
    assert given == [f"line {number}" for number in range(first, last + 1)][: len(given)]
    assert len(given) == min(last + 1 - first, len(given)) and (size == 1 or len(given) == last + 1 - first)
    assert document["chunks"][0]["first"] == first
    assert (document["last"], document["gap"], document["removed"]) == (5000, None, "")
    assert answer["Cache-Control"] == "no-store"


def test_lines_that_there_are_not_are_not_given(viewer: Client, job: Job) -> None:
    document = viewer.get(f"{rows_of(job, 50, 7).get_absolute_url()}lines/?from=60&to=70").json()
    assert (document["chunks"], document["last"]) == ([], 50)


NO_NUMBERS = (
    "", "from=1", "to=1", "from=x&to=5", "from=0&to=5", "from=-1&to=5", "from=5&to=4", "from=1&to=1001",
    "from=1&to=" + "1" * 12, "from=\u0663&to=5", "from=1.5&to=2", "from=1%00&to=2",
)  # fmt: skip


@pytest.mark.parametrize("numbers", NO_NUMBERS)
def test_what_are_no_line_numbers_is_refused(viewer: Client, job: Job, numbers: str) -> None:
    answer = viewer.get(f"{job.get_absolute_url()}lines/?{numbers}")
    assert answer.status_code == 400 and answer["Content-Type"] == "text/plain"
    assert "no numbers of at most 1000 lines" in answer.content.decode()


# By words


def ask(viewer: Client, job: Job, **query: str) -> Any:
    return viewer.get(f"{job.get_absolute_url()}search/", query)


@pytest.mark.parametrize("size", [100, 7, 1])
def test_lines_that_hold_the_words_are_found_by_number(viewer: Client, job: Job, size: int) -> None:
    answer = ask(viewer, rows_of(job, 100, size), q="Line 7")
    assert answer.json() == {"lines": [7, *range(70, 80)], "count": 11, "more": False, "until": 100}
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("size", [100, 7, 1])
def test_who_has_looked_at_some_goes_on_behind_them(viewer: Client, job: Job, size: int) -> None:
    rows_of(job, 100, size)
    assert ask(viewer, job, q="line 7", after="73").json()["lines"] == [74, 75, 76, 77, 78, 79]
    assert ask(viewer, job, q="line", after="100").json() == {
        "lines": [], "count": 0, "more": False, "until": 100,
    }  # fmt: skip


def test_case_counts_only_when_it_is_asked_for(job: Job) -> None:
    record(job, "Warning\nWARNING\nwarning\n", "GRÖSSE\ngröße\n")
    assert search(job.pk, "WarninG").lines == [1, 2, 3]
    assert search(job.pk, "WARNING", case=True).lines == [2]
    assert search(job.pk, "grösse").lines == [4, 5]


def test_words_are_no_pattern_and_are_not_found_across_two_lines(job: Job) -> None:
    record(job, "a.c\nabc\n100 % [x] \\d\n", "end\nof\n")
    assert search(job.pk, "a.c").lines == [1]
    assert search(job.pk, "% [x] \\D").lines == [3]
    assert search(job.pk, "end\nof").lines == []


def test_words_are_found_as_they_are_shown(job: Job) -> None:
    record(job, "\x1b[31mred\x1b[0m line\nERR\x1b[1mOR\n", "a\x07b\n", "\x1b]0;a title\x07shown\n31m\n")
    assert search(job.pk, "red line").lines == [1]
    assert search(job.pk, "error").lines == [2]
    assert search(job.pk, "31m").lines == [5]
    assert search(job.pk, "title").lines == []
    assert search(job.pk, "a\u2407b").lines == [3]
    assert search(job.pk, "\x07").lines == []


LINES = st.lists(st.text(st.sampled_from("ab \x1b[]\x07m\x9b\u2407"), max_size=8), min_size=1)


@given(LINES, st.text("aB[m\u2407\x07", min_size=1, max_size=3))
def test_a_whole_row_is_looked_at_as_each_of_its_lines_would_be(lines: list[str], words: str) -> None:
    expected = [number for number, line in enumerate(lines, 5) if words.lower() in plain(line).lower()]
    assert Words(words, case=False).lines_of(5, "\n".join(lines)) == expected


def test_of_very_many_the_first_are_given_and_all_are_counted(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "MOST_LINES", 25)
    found = search(rows_of(job, 100, 10).pk, "line")
    assert found.document() == {"lines": list(range(1, 26)), "count": 100, "more": True, "until": 100}


def test_a_transcript_is_looked_through_in_pieces(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "ROWS_AT_ONCE", 7)
    rows_of(job, 200, 5)
    with CaptureQueriesContext(connection) as asked:
        assert search(job.pk, "line 20").lines == [20, 200]
    assert any("DECLARE" in query["sql"] for query in asked), "the server hands out some at a time"


REFUSED: tuple[dict[str, str], ...] = (
    {}, {"q": ""}, {"q": "x" * 201},
    {"q": "x", "after": "-1"}, {"q": "x", "after": "a"}, {"q": "x", "after": ""},
    {"q": "x", "after": "1" * 12},
)  # fmt: skip


@pytest.mark.parametrize("query", REFUSED)
def test_what_cannot_be_looked_for_is_refused_with_a_sentence(
    viewer: Client, job: Job, query: dict[str, str]
) -> None:
    answer = ask(viewer, job, **query)
    assert answer.status_code == 400 and answer["Content-Type"] == "text/plain"
    assert "Nothing was looked for." in answer.content.decode()


def test_the_longest_words_are_looked_for(viewer: Client, job: Job) -> None:
    record(job, "x" * 300 + "\n")
    assert ask(viewer, job, q="X" * 200).json()["lines"] == [1]


def test_lines_are_found_by_an_index(job: Job) -> None:
    rows = rows_after(job.pk, 7)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        assert "transcript_after" in rows.explain() and "Sort" not in rows.explain()
