"""When a database is asked again."""

from dbops.probes.schedule import JITTER, MOST_PAUSE_S, away_pause, jittered, pause_after


def test_one_that_answers_is_asked_every_interval() -> None:
    assert pause_after(0, 10) == 10


def test_one_that_fails_is_asked_ever_less_often_up_to_a_minute() -> None:
    assert [pause_after(failures, 10) for failures in (1, 2, 3, 4, 5, 1000)] == [10, 20, 40, 60, 60, 60]


def test_nothing_is_asked_more_often_than_the_interval() -> None:
    assert pause_after(5, 300) == 300 > MOST_PAUSE_S


def test_our_own_database_is_tried_soon_and_then_every_interval() -> None:
    assert [away_pause(failures, 10) for failures in (0, 1, 2, 3, 4, 5, 1000)] == [10, 1, 2, 4, 8, 10, 10]


def test_jitter_spreads_and_stays_within_its_bounds() -> None:
    pauses = {jittered(10) for _ in range(200)}
    assert len(pauses) > 100
    assert min(pauses) >= 10 * (1 - JITTER) and max(pauses) <= 10 * (1 + JITTER)
