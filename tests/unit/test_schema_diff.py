"""What a plan changes in the schema: each line, the summary, the text for a shell."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbops.inspection import table_change, table_lines
from dbops.inspection.schema_diff import SchemaDiff, as_text, between, of_migration, of_plan

Table = dict[str, Any]


def column(kind: str = "integer", **facts: Any) -> dict[str, Any]:
    return {"type": kind, "null": False, "default": "", "primary_key": False, **facts}


def table(comment: str = "", indexes: Any = None, constraints: Any = None, /, **columns: Any) -> Table:
    return {
        "columns": columns,
        "indexes": indexes or {},
        "constraints": constraints or {},
        "comment": comment,
    }


def migration(before: Any, after: Any, name: str = "0002", **facts: Any) -> dict[str, Any]:
    return {
        "app": "shop",
        "name": name,
        "before": before,
        "after": after,
        "renames": [],
        "operations": [],
        **facts,
    }


def texts(diff: SchemaDiff) -> list[str]:
    return [row.sign + row.text for each in diff.tables for row in each.rows]


NAMES = st.text("abc\"<&'\n", min_size=1, max_size=3)
FACTS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["integer", "text", "varchar(20)"]),
        "null": st.booleans(),
        "default": st.sampled_from(["", "3"]),
    },
    optional={"primary_key": st.booleans(), "comment": st.text(max_size=3), "identity": st.booleans()},
)
TABLES = st.fixed_dictionaries(
    {
        "columns": st.dictionaries(NAMES, FACTS, max_size=8),
        "indexes": st.dictionaries(NAMES, st.sampled_from(["INDEX (a)", "INDEX (b)"]), max_size=3),
        "constraints": st.dictionaries(NAMES, st.sampled_from(["CHECK (a)", "UNIQUE (b)"]), max_size=3),
        "comment": st.sampled_from(["", "x"]),
    }
)
SCHEMAS = st.dictionaries(NAMES, TABLES, max_size=3)


@given(SCHEMAS, SCHEMAS)
def test_the_diff_takes_from_before_to_after(before: dict[str, Table], after: dict[str, Table]) -> None:
    """What is not added is what was there, and what is not removed is what is there then: line by line."""
    diff = between(before, after)
    changed = {each.table: each for each in diff.tables}
    for name in {*before, *after}:
        if name not in changed:
            assert said(before.get(name)) == said(after.get(name))
            continue
        rows = changed[name].rows
        assert sorted(row.text for row in rows if row.kind != "added") == said(before.get(name))
        assert sorted(row.text for row in rows if row.kind != "removed") == said(after.get(name))
        sides = changed[name].pairs
        assert [pair.before.text for pair in sides if pair.before] == [
            row.text for row in rows if row.kind != "added"
        ]
        assert [pair.after.text for pair in sides if pair.after] == [
            row.text for row in rows if row.kind != "removed"
        ]


def said(one: Table | None) -> list[str]:
    return sorted(line.text for line in table_lines.lines(one))


@given(SCHEMAS)
def test_nothing_changed_is_empty(schema: dict[str, Table]) -> None:
    diff = between(schema, schema)
    assert not diff
    assert as_text(diff) == ""
    assert diff.summary == "no change of the schema"


@given(TABLES)
def test_the_order_of_columns_is_no_change(one: Table) -> None:
    turned = {**one, "columns": dict(reversed(one["columns"].items()))}
    assert not between({"a": one}, {"a": turned})


@given(SCHEMAS, SCHEMAS)
def test_what_is_folded_is_said_and_hides_no_change(
    before: dict[str, Table], after: dict[str, Table]
) -> None:
    for each in between(before, after).tables:
        shown = [row for row in each.unified if not row.hidden]
        assert [row for row in shown if row.kind != "context"] == [
            row for row in each.rows if row.kind != "context"
        ]
        assert len(shown) + sum(row.hidden for row in each.unified) == len(each.rows)


@given(SCHEMAS, SCHEMAS, SCHEMAS)
def test_a_plan_is_the_whole_way(
    one: dict[str, Table], two: dict[str, Table], three: dict[str, Table]
) -> None:
    plan = {"migrations": [migration(one, two), migration(two, three, "0003")]}
    assert texts(of_plan(plan)) == texts(between(one, three))


def test_the_changed_part_of_a_line_is_marked() -> None:
    (change,) = between({"a": table(x=column())}, {"a": table(x=column("bigint"))}).tables
    (pair,) = change.side_by_side
    assert pair.before is not None and pair.after is not None
    assert [(piece.text, piece.changed) for piece in pair.after.pieces] == [
        ("x ", False),
        ("bigint", True),
        (" NOT NULL", False),
    ]
    assert [piece.text for piece in pair.before.pieces if piece.changed] == ["integer"]


def test_a_line_of_its_own_is_not_marked_within() -> None:
    (change,) = between({"a": table()}, {"a": table(x=column())}).tables
    assert [piece.changed for row in change.rows for piece in row.pieces] == [False]


def test_a_new_column_stands_behind_its_neighbour() -> None:
    diff = between({"a": table(x=column(), z=column())}, {"a": table(x=column(), y=column(), z=column())})
    assert texts(diff) == [" x integer NOT NULL", "+y integer NOT NULL", " z integer NOT NULL"]


def test_long_runs_of_what_stays_are_folded() -> None:
    many = {f"c{number:02}": column() for number in range(40)}
    (change,) = between({"a": table(**many)}, {"a": table(**{**many, "c20": column("text")})}).tables
    assert [row.hidden or row.text.split()[0] for row in change.unified] == [
        17, "c17", "c18", "c19", "c20", "c20", "c21", "c22", "c23", 16,
    ]  # fmt: skip


@pytest.mark.parametrize("between_changes", range(6, 12))
def test_a_single_line_is_shown_and_more_are_counted(between_changes: int) -> None:
    many = {f"c{number:02}": column() for number in range(between_changes + 2)}
    changed = {**many, "c00": column("text"), f"c{between_changes + 1:02}": column("text")}
    (change,) = between({"a": table(**many)}, {"a": table(**changed)}).tables
    hidden = [row.hidden for row in change.unified if row.hidden]
    assert hidden == ([between_changes - 6] if between_changes > 7 else [])
    assert len(change.unified) - len(hidden) + sum(hidden) == between_changes + 4


def test_a_renamed_table_is_followed_through_the_plan() -> None:
    first = migration({"a": table(x=column())}, {"b": table(x=column())}, renames=[["a", "b"]])
    second = migration({"b": table(x=column())}, {"b": table(x=column(), y=column())}, "0003")
    (change,) = of_plan({"migrations": [first, second]}).tables
    assert (change.table, change.renamed_from, change.kind) == ("b", "a", "changed")
    assert of_plan({"migrations": [first, second]}).summary == "a renamed to b, 1 column added to b"
    back = migration({"b": table(x=column())}, {"a": table(x=column())}, "0004", renames=[["b", "a"]])
    assert not of_plan({"migrations": [first, back]})


def renaming(old: str, new: str, table_name: str = "a") -> dict[str, Any]:
    return {"kind": "RenameField", "table": table_name, "before": {"column": old}, "after": {"column": new}}


def test_a_renamed_column_is_neither_dropped_nor_added() -> None:
    before, after = {"a": table(x=column())}, {"a": table(y=column())}
    forwards = of_migration(migration(before, after, operations=[renaming("x", "y")]))
    assert texts(forwards) == ["-x integer NOT NULL", "+y integer NOT NULL"]
    assert forwards.summary == "1 column renamed in a"
    backwards = of_migration(migration(after, before, operations=[renaming("x", "y")], backwards=True))
    assert backwards.summary == "1 column renamed in a"
    assert of_migration(migration(before, after)).summary == "1 column dropped from a, 1 column added to a"


def test_a_column_renamed_twice_is_followed() -> None:
    one, two, three = ({"a": table(**{name: column()})} for name in "xyz")
    plan = [
        migration(one, two, operations=[renaming("x", "y")]),
        migration(two, three, operations=[renaming("y", "z")]),
    ]
    assert texts(of_plan({"migrations": plan})) == ["-x integer NOT NULL", "+z integer NOT NULL"]
    assert of_plan({"migrations": plan}).summary == "1 column renamed in a"


def test_a_table_that_comes_and_goes_within_the_plan_is_no_change() -> None:
    plan = [migration({}, {"a": table(x=column())}), migration({"a": table(x=column())}, {}, "0003")]
    assert not of_plan({"migrations": plan})


def test_the_summary_is_short_and_calm() -> None:
    old = {"orders_order": table("", {"i": "INDEX (x)"}, x=column(), y=column()), "gone": table()}
    new = {"orders_order": table("new", x=column("bigint")), "one": table(), "two": table()}
    assert between(old, new).summary == (
        "2 tables created (one, two), 1 table dropped (gone), 1 column dropped from orders_order, 1 "
        "column changed in "
        "orders_order, 1 index dropped from orders_order, 1 comment added to orders_order"
    )
    many = {f"t{number}": table(x=column()) for number in range(500)}
    assert between({}, many).summary == "500 tables created"
    changed = {name: table(x=column(), y=column()) for name in many}
    assert between(many, changed).summary == "500 columns added to 500 tables"


def test_the_shell_gets_it_like_a_unified_diff() -> None:
    diff = between(
        {"a": table(x=column()), "gone": table(z=column())}, {"a": table(x=column(null=True)), "new": table()}
    )
    assert as_text(diff) == (
        "--- a\n+++ a\n-x integer NOT NULL\n+x integer NULL\n\n--- gone\n+++ /dev/null\n-z integer NOT "
        "NULL\n\n"
        "--- /dev/null\n+++ new\n"
    )


def test_where_states_cannot_tell_it_is_said_beside_the_rest() -> None:
    diff = of_plan(
        {
            "migrations": [
                migration({}, {}, problem="its state cannot be made"),
                migration({}, {"a": table()}, "0003"),
            ]
        }
    )
    assert diff.problems == ("shop.0002: its state cannot be made",)
    assert diff.summary == "1 table created (a)"


@pytest.mark.parametrize("facts", [{}, {"migrations": None}, {"migrations": [{"app": "a", "name": "b"}]}])
def test_a_plan_that_lacks_its_tables_has_no_change(facts: dict[str, Any]) -> None:
    assert not of_plan(facts)


def test_every_fact_of_a_column_is_told() -> None:
    facts = column(
        "text",
        collation="C",
        default="'x'",
        generated="(a + 1) STORED",
        identity=True,
        primary_key=True,
        comment="why",
    )
    assert table_lines.column("x", facts) == (
        "x text COLLATE C NOT NULL DEFAULT 'x' GENERATED ALWAYS AS (a + 1) STORED IDENTITY PRIMARY KEY "
        "COMMENT why"
    )
    assert table_change.number(2, "index") == "2 indexes"
