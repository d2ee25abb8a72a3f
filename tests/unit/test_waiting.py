"""Waiting for a database, with an injected connector and clock."""

from collections.abc import Callable

import pytest

from dbops.exits import Exit
from dbops.postgres.readiness import Unreachable, classify
from dbops.waiting import wait

REFUSED = Unreachable("refused", "Connection refused.")


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def scripted(*results: Unreachable | None) -> Callable[[float], Unreachable | None]:
    left = list(results)
    return lambda left_s: left.pop(0) if len(left) > 1 else left[0]


def run(*results: Unreachable | None, limit_s: float = 60) -> tuple[Exit, list[str], Time]:
    said: list[str] = []
    time = Time()
    code = wait(
        scripted(*results),
        name="the database",
        limit_s=limit_s,
        say=said.append,
        clock=time.clock,
        sleep=time.sleep,
    )
    return code, said, time


def test_ready_at_once_waits_for_nothing() -> None:
    code, said, time = run(None)
    assert (code, said, time.pauses) == (Exit.DONE, ["the database is ready after 0.0 s."], [])


def test_ready_after_several_failures_says_each_of_them() -> None:
    code, said, _ = run(REFUSED, REFUSED, REFUSED, None)
    assert code == Exit.DONE
    assert said[0] == ("the database is not ready yet (refused): Connection refused. Trying again in 0.25 s.")
    assert len(said) == 4 and said[-1] == "the database is ready after 1.8 s."


def test_the_pauses_grow_up_to_a_bound() -> None:
    _, _, time = run(*[REFUSED] * 12, None)
    assert time.pauses[:5] == [0.25, 0.5, 1.0, 2.0, 4.0]
    assert max(time.pauses) == 5.0


def test_it_gives_up_within_the_limit() -> None:
    code, said, time = run(REFUSED, limit_s=10)
    assert code == Exit.TIMED_OUT
    assert time.now <= 10
    assert said[-1] == "the database was not ready within 10 s (refused): Connection refused."


def test_no_try_may_take_longer_than_what_is_left() -> None:
    time = Time()
    allowed: list[tuple[float, float]] = []

    def connect(left_s: float) -> Unreachable:
        allowed.append((time.now, left_s))
        time.now += left_s / 2
        return REFUSED

    code = wait(connect, name="it", limit_s=10, say=lambda sentence: None, clock=time.clock, sleep=time.sleep)
    assert code == Exit.TIMED_OUT and time.now <= 10
    assert allowed[0][1] == 10 and len(allowed) > 2
    assert all(left_s > 0 and began + left_s == 10 for began, left_s in allowed), allowed


@pytest.mark.parametrize("reason", ["auth", "no_such_database", "tls", "driver_missing", "own_database"])
def test_what_does_not_heal_by_waiting_ends_at_once(reason: str) -> None:
    code, said, time = run(REFUSED, Unreachable(reason, "FATAL."), None)
    assert code == Exit.WILL_NOT_HEAL
    assert said[-1] == f"the database will not become ready by waiting ({reason}): FATAL."
    assert time.pauses == [0.25]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('connection to server at "127.0.0.1", port 1 failed: Connection refused', "refused"),
        ('FATAL:  password authentication failed for user "shop"', "auth"),
        ('FATAL:  database "shop" does not exist', "no_such_database"),
        ('FATAL:  role "shop" does not exist', "auth"),
        ("FATAL:  the database system is starting up", "starting_up"),
        ("FATAL:  the database system is in recovery mode", "starting_up"),
        ("FATAL:  sorry, too many clients already", "too_many_clients"),
        ("connection timeout expired", "timeout"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', "auth"),
        ("server does not support SSL, but SSL was required", "tls"),
        ("failed to resolve host 'db': Name or service not known", "refused"),
        ("FATAL:  das Datenbanksystem startet gerade", "other"),
        ("", "other"),
    ],
)
def test_the_words_of_a_failed_connection_are_typed(message: str, reason: str) -> None:
    assert classify(message).reason == reason
