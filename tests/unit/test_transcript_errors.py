"""Which line of a transcript is the first that looks like an error."""

import pytest

from dbops.transcript.errors import first_error


@pytest.mark.parametrize(
    "line",
    [
        "Traceback (most recent call last):",
        "    Traceback (most recent call last):",
        "  + Exception Group Traceback (most recent call last):",
        "  Applying shop.0001_initial...Traceback (most recent call last):",
        "ValueError: no",
        "ValueError:",
        "django.db.utils.ProgrammingError: relation does not exist",
        "app.NoSuchException: no",
        "2026-01-02 03:04:05 ERROR shop: it fails",
        "[FATAL] no",
        "CRITICAL:root:no",
        "PANIC: could not write",
        "psql: ERROR:  relation does not exist",
        "error: no such file",
        "Fatal: not a repository",
        "FAILED: tests",
        "\x1b[31mERROR\x1b[0m it fails",
        "ERR\x1b[1mOR it fails",
        "\x1b[31merror: it fails",
        "opsdash: job 12 failed. It did not work.",
        "opsdash: job 12 lost. Nobody knows.",
    ],
)
def test_a_line_that_looks_like_an_error(line: str) -> None:
    assert first_error(["all is well", "", line, "ERROR: another"]) == 2


@pytest.mark.parametrize(
    "line",
    [
        "",
        "0 errors",
        "no error: all is well",
        "error_handler is installed",
        "ERROR_HANDLER is installed",
        "TERRORS",
        "it failed: once",
        "the last Traceback (most recent call last) was yesterday",
        "  Applying shop.0002_error...",
        "ValueErrors: none",
        "see ValueError: it is documented",
        "opsdash: job 12 succeeded. Nothing failed.",
        "opsdash: job 12 cancelled. It was lost.",
        "lost+found",
    ],
)
def test_a_line_that_does_not(line: str) -> None:
    assert first_error([line, line]) is None


def test_a_sequence_without_an_end_hides_no_line_and_shifts_no_number() -> None:
    assert first_error(["\x1b]0;a title", "one", "two\x07", "ERROR"]) == 3
    assert first_error(["\x1b]0;a title\x07 ERROR"]) == 0


def test_a_long_line_costs_no_minute() -> None:
    assert first_error(["x." * 500_000 + "error", "Error" * 100_000, " " * 500_000]) is None
