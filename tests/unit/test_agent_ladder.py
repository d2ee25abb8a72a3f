"""The ladder, with a clock of the test's own."""

from dbops.agent.ladder import AT_ONCE, KILL, POLITE, STUCK_AFTER_S, TERMINATE, Ladder


def test_nothing_is_due_before_it_starts() -> None:
    ladder = Ladder(5)
    assert (ladder.due(100), ladder.wait_s(100), ladder.climbing) == (None, None, False)


def test_each_rung_gets_its_time() -> None:
    ladder = Ladder(5)
    ladder.start("cancelled", 100)
    assert [ladder.due(now) for now in (100, 104.9, 105, 109, 110, 111)] == [
        POLITE,
        None,
        TERMINATE,
        None,
        KILL,
        None,
    ]
    assert ladder.wait_s(111) == 110 + STUCK_AFTER_S - 111
    assert (ladder.rung, ladder.why, ladder.stuck) == (KILL, "cancelled", False)


def test_a_child_that_survives_the_last_rung_is_stuck() -> None:
    ladder = Ladder(5)
    ladder.start("cancelled", 0, (AT_ONCE,))
    assert ladder.due(0) == AT_ONCE
    assert ladder.due(STUCK_AFTER_S) is None
    assert ladder.stuck


def test_a_second_reason_changes_nothing() -> None:
    ladder = Ladder(5)
    ladder.start("cancelled", 0)
    ladder.due(0)
    ladder.start("caller gone", 1, grace_s=60)
    assert ladder.due(5) == TERMINATE
    assert ladder.why == "cancelled"
