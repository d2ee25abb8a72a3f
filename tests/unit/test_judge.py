"""What a report of the agent means."""

from typing import Any

import pytest

from dbops.exits import Exit, exit_for
from dbops.inspection.judge import judge, name_some
from dbops.models.status import RANKS, STATES, Status


def report(**facts: Any) -> dict[str, Any]:
    return {"alias": "default", "reachable": True, "plan": [], "applied": [], **facts}


def states(**facts: Any) -> list[str]:
    return [status.state for status in judge(report(**facts))]


PENDING = [{"app": "shop", "name": "0002_price"}]


def test_nothing_found_is_called_checked_and_says_what_was_not_judged() -> None:
    (status,) = judge(report(applied=[["shop", "0001_initial", None]]))
    assert status.state == "checked"
    assert "Nothing to apply" in status.detail and "Not judged yet" in status.next_step


def test_ready_is_never_said_while_not_every_state_is_judged() -> None:
    assert "ready" not in STATES


def test_unapplied_migrations_are_pending_and_named() -> None:
    (status,) = judge(report(plan=PENDING))
    assert (status.state, status.detail) == ("pending", "1 to apply: shop.0002_price.")


@pytest.mark.parametrize("reason", ["refused", "timeout", "auth", "no_such_database", "starting_up"])
def test_an_unreachable_database_says_why_and_what_to_do(reason: str) -> None:
    (status,) = judge(report(reachable=False, reason=reason, detail="FATAL: words.", plan=PENDING))
    assert (status.state, status.reason, status.detail) == ("unreachable", reason, "FATAL: words.")
    assert status.next_step


def test_an_unreachable_database_is_not_called_pending() -> None:
    assert states(reachable=False, reason="refused", plan=PENDING) == ["unreachable"]


def test_several_leaves_are_a_conflict_with_the_command_that_merges() -> None:
    conflict, pending = judge(report(conflicts={"shop": ["0002_a", "0002_b"]}, plan=PENDING))
    assert (conflict.state, pending.state) == ("conflict", "pending")
    assert "0002_a, 0002_b" in conflict.detail and "makemigrations --merge shop" in conflict.next_step


def test_a_history_applied_in_the_wrong_order_is_inconsistent() -> None:
    assert states(errors=[{"type": "inconsistent_history", "message": "b before a"}]) == ["inconsistent"]


def test_a_migration_file_that_cannot_be_imported_is_broken_with_its_traceback() -> None:
    (status,) = judge(report(errors=[{"type": "bad_migration", "message": "m", "traceback": "Traceback"}]))
    assert (status.state, status.evidence) == ("broken", "Traceback")


def test_records_without_files_are_ghosts() -> None:
    (status,) = judge(report(ghosts=[["shop", "0009_gone"]]))
    assert status.state == "ghosts" and "shop.0009_gone" in status.detail


def test_our_own_database_is_refused_and_nothing_else_is_said() -> None:
    (status,) = judge(report(own_database=True, reachable=False, plan=PENDING))
    assert (status.state, status.reason) == ("broken", "own_database")


def test_several_states_hold_at_once_and_the_worst_comes_first() -> None:
    found = states(ghosts=[["shop", "0009_gone"]], conflicts={"shop": ["a", "b"]}, plan=PENDING)
    assert found == ["conflict", "ghosts", "pending"]
    assert found == sorted(found, key=lambda state: -RANKS[state])


def test_long_lists_are_shortened() -> None:
    assert name_some([["a", str(n)] for n in range(5)]) == "a.0, a.1, a.2 and 2 more"


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (["checked"], Exit.DONE),
        (["pending"], Exit.PENDING),
        (["broken"], Exit.BROKEN),
        (["unreachable"], Exit.UNREACHABLE),
        (["conflict", "pending"], Exit.BROKEN),
        (["unknown", "pending"], Exit.UNKNOWN),
        ([], Exit.DONE),
    ],
)
def test_the_exit_code_follows_the_worst_state(found: list[str], code: Exit) -> None:
    assert exit_for([Status(state) for state in found]) == code
