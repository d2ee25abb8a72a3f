"""What a report of the agent means."""

from typing import Any

import pytest

from dbops.exits import Exit, exit_for
from dbops.inspection.archived import NOTHING, Archived, Edit
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


# The states that a complete report tells


def of(
    state: str, project: dict[str, Any] | None = None, archived: Archived = NOTHING, **facts: Any
) -> Status:
    """The one status of this state or, where it is a note, with this reason."""
    found = judge(report(**facts), project, archived)
    (status,) = [one for one in found if state in (one.state, one.reason)]
    return status


def test_a_conflict_shows_the_merge_file_that_django_would_write() -> None:
    merge: dict[str, Any] = {
        "leaves": ["a", "b"],
        "file": "0003_merge.py",
        "source": "class Migration: ...",
        "problem": "",
    }
    status = of("conflict", {"merges": {"shop": merge}}, conflicts={"shop": ["a", "b"]})
    assert "0003_merge.py" in status.evidence and "class Migration" in status.evidence
    merge = {**merge, "source": "", "problem": "It asks."}
    status = of("conflict", {"merges": {"shop": merge}}, conflicts={"shop": ["a", "b"]})
    assert "cannot be shown: It asks." in status.next_step and status.evidence == ""


def test_an_inconsistency_says_which_depends_on_which_and_when() -> None:
    found = {
        "migration": ["shop", "0002"],
        "dependency": ["shop", "0001"],
        "applied_at": "2026-01-02T03:04:05.6+00:00",
        "dependency_applied_at": None,
    }
    errors = [{"type": "inconsistent_history", "message": "m", "traceback": ""}]
    status = of("inconsistent", inconsistencies=[found], errors=errors)
    assert "shop.0002 is recorded as applied (2026-01-02 03:04:05), and shop.0001" in status.detail
    assert "shop.0001: not applied" in status.evidence


def test_ghosts_of_an_app_that_is_gone_say_so_and_show_what_is_archived() -> None:
    archived = Archived(gone={("shop", "0009"): "class Gone: ..."}, judged=True)
    rows: list[list[Any]] = [["shop", "0009", "2026-01-02T03:04:05+00:00"], ["left", "0001", None]]
    status = of(
        "ghosts", None, archived, ghosts=[row[:2] for row in rows], applied=rows, migrations={"shop": []}
    )
    assert "The app left is not installed any more" in status.detail
    assert (
        "class Gone" in status.evidence
        and "left.0001, applied at an unknown time: never seen" in status.evidence
    )


def test_an_edit_shows_its_diff_and_says_what_it_means() -> None:
    edit = Edit("shop", "0001", None, diff="-a\n+b")
    status = of("edited", None, Archived([edit], judged=True))
    assert "-a\n+b" in status.evidence and "made anew" in status.next_step


UNMADE: dict[str, Any] = {
    "state": "found",
    "words": "",
    "traceback": "",
    "migrations": [
        {"app": "shop", "name": "0004_price", "source": "class Migration: ...", "operations": ["x"]}
    ],
    "questions": [],
}


def test_models_without_a_migration_show_what_django_would_write() -> None:
    status = of("unmade", {"unmade": UNMADE})
    assert "shop.0004_price" in status.detail and "class Migration" in status.evidence
    assert "makemigrations" in status.next_step and status.reason == ""


def test_a_field_renamed_without_a_migration_says_that_its_data_would_go() -> None:
    question = {"kind": "rename_field", "words": "?", "model": "shop.Item", "old": "price", "new": "cost"}
    status = of("unmade", {"unmade": {**UNMADE, "questions": [question]}})
    assert "Django would drop price and add cost, its data with it." in status.detail
    assert status.reason == "rename"


@pytest.mark.parametrize("state", ["none", "refused", "failed", "not_asked"])
def test_only_what_makemigrations_found_is_unmade(state: str) -> None:
    (status,) = judge(report(), {"unmade": {**UNMADE, "state": state}})
    assert status.state == "checked"
    told = "no model without a migration" in status.detail
    assert told is (state == "none") and ("models without a migration" in status.next_step) is not told


SQUASH = {
    "app": "shop",
    "name": "0001_squashed",
    "applied": [["shop", "0001"]],
    "unapplied": [["shop", "0002"]],
    "files_gone": [["shop", "0002"]],
}


@pytest.mark.parametrize(
    ("reason", "facts", "words"),
    [
        ("squash_partial", {"squashes": [{**SQUASH, "state": "partial"}]}, "only a part"),
        ("squash_unrecorded", {"squashes": [{**SQUASH, "state": "unrecorded"}]}, "not recorded"),
        ("replaced_rows", {"prunable": [["shop", "0001"]]}, "replaced by a squash"),
        ("not_routed", {"not_routed": [["shop", "0001"]]}, "router keeps away"),
        ("same_database", {"same_as": ["replica"]}, "alias replica leads to the same database"),
        (
            "many_schemas",
            {
                "schemas": [
                    {"schema": "public", "recorded": 3, "pending": 0, "unknown": 0, "current": True},
                    {"schema": "tenant", "recorded": 1, "pending": 2, "unknown": 0, "current": False},
                ]
            },
            "1 schema with pending",
        ),
    ],
)
def test_a_note_is_typed_and_what_there_is_to_apply_is_said_beside_it(
    reason: str, facts: dict[str, Any], words: str
) -> None:
    status = of(reason, **facts)
    assert status.state == "noted" and words in status.detail
    assert states(**facts) == ["noted", "checked"]


def test_no_right_to_create_comes_with_the_statement_that_gives_it() -> None:
    status = of("no_create_right", can_create=False, schema="public", user="shop")
    assert 'GRANT CREATE ON SCHEMA "public" TO "shop";' in status.next_step
    assert states(can_create=True) == states(can_create=None) == ["checked"]


@pytest.mark.parametrize(
    ("kind", "reachable", "state", "reason"),
    [
        ("missing_columns", True, "broken", "records_problem"),
        ("missing_columns", False, "broken", "records_problem"),
        ("permission", True, "unreachable", "permission"),
        ("permission", False, "unreachable", "permission"),
        ("other", True, "broken", "records_problem"),
        # It went away between two questions.
        ("other", False, "unreachable", "timeout"),
    ],
)
def test_records_that_cannot_be_read_hide_what_would_follow_from_them(
    kind: str, reachable: bool, state: str, reason: str
) -> None:
    facts = {"plan": PENDING, "ghosts": [["shop", "1"]], "prunable": [["shop", "2"]], "reachable": reachable}
    if not reachable:
        facts.update(reason="timeout", detail="no such column")
    (status,) = judge(report(records_problem={"type": kind, "message": "no such column"}, **facts))
    assert (status.state, status.reason) == (state, reason) and "no such column" in status.detail


@pytest.mark.parametrize(
    ("kind", "state", "words"),
    [
        ("missing_columns", "broken", "mend it; migrate would fail"),
        ("permission", "unreachable", "GRANT SELECT"),
    ],
)
def test_records_that_cannot_be_read_are_told_though_the_database_counts_as_not_reached(
    kind: str, state: str, words: str
) -> None:
    problem = {"type": kind, "message": "no such column: name"}
    (status,) = judge(report(reachable=False, reason="other", detail="other", records_problem=problem))
    assert status.state == state and words in status.next_step
    assert "cannot be read from django_migrations: no such column: name." in status.detail


def test_a_server_that_goes_away_while_its_records_are_read_is_unreachable() -> None:
    gone = {"type": "other", "message": "server closed the connection"}
    assert states(reachable=False, reason="refused", records_problem=gone) == ["unreachable"]


def test_a_broken_migration_is_named_with_its_file() -> None:
    error = {"type": "import", "message": "No module x.", "traceback": "Traceback", "file": "/srv/0002.py"}
    assert "file /srv/0002.py" in of("broken", errors=[error]).detail
    assert (
        "migration shop.0002 (/srv/0002.py)"
        in of("broken", errors=[{**error, "app": "shop", "name": "0002"}]).detail
    )


def test_a_report_of_an_older_agent_is_judged_by_what_it_has() -> None:
    (status,) = judge(report())
    assert "edited files" in status.next_step and "models without a migration" in status.next_step


def test_evidence_is_of_a_size_that_a_row_can_carry() -> None:
    huge = {**UNMADE["migrations"][0], "source": "x" * 300_000}
    assert len(of("unmade", {"unmade": {**UNMADE, "migrations": [huge]}}).evidence) < 21_000


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


def test_a_question_of_django_ends_as_a_question() -> None:
    asked = [{"kind": "not_null_addition", "words": "which value do the existing rows get?"}]
    found = {**UNMADE, "questions": asked}
    assert "Django asks: which value do the existing rows get?" in of("unmade", {"unmade": found}).detail
    assert "?." not in of("unmade", {"unmade": found}).detail
