"""ALTER COLUMN TYPE: what is said to be written anew is, and what is said to be kept is kept."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from dbops.lint import column_type
from tests.integration.agent.conftest import Database

TYPES = (
    "smallint", "integer", "bigint", "numeric", "numeric(10, 2)", "numeric(12, 2)", "numeric(12, 4)", "numeric(8, 2)",
    "numeric(10)", "real", "double precision", "boolean", "text", "varchar", "varchar(10)", "varchar(20)", "char(10)",
    "char(20)", "date", "timestamp", "timestamp(3)", "timestamp(6)", "timestamp with time zone",
    "timestamp(3) with time zone", "time", "time(3)", "interval", "interval(3)", "uuid", "json", "jsonb", "inet", "cidr",
    "bytea", "bit(4)", "bit varying(4)", "bit varying(8)", "bit varying", "varchar(10)[]", "varchar(20)[]", "text[]",
    "integer[]",
)  # fmt: skip


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with database.connect() as connection:
        connection.execute("SET TimeZone TO 'UTC'")
        yield connection


def rewritten(connection: psycopg.Connection[Any], old: str, new: str, using: str) -> bool | None:
    """None: there is no such change."""
    connection.execute("DROP TABLE IF EXISTS t")
    connection.execute(f"CREATE TABLE t (c {old})".encode())
    before = connection.execute("SELECT pg_relation_filenode('t')").fetchone()
    try:
        connection.execute(f"ALTER TABLE t ALTER COLUMN c TYPE {new} {using}".encode())
    except psycopg.Error:
        return None
    return connection.execute("SELECT pg_relation_filenode('t')").fetchone() != before


@pytest.mark.parametrize("old", TYPES)
def test_a_change_of_type_is_what_it_is_said_to_be(connection: psycopg.Connection[Any], old: str) -> None:
    wrong, done = [], 0
    for new in TYPES:
        for using in ("", f'USING "c"::{new}'):
            seen = rewritten(connection, old, new, using)
            if seen is None:
                continue
            done += 1
            said = column_type.outcome(old, new, using.removeprefix("USING "), "c")
            if said not in ((column_type.REWRITE,) if seen else (column_type.KEPT, column_type.BY_TIME_ZONE)):
                wrong.append((old, new, using, said))
    assert wrong == [], wrong
    assert done > 2


def test_the_time_zone_decides_between_moments_with_and_without_one(
    connection: psycopg.Connection[Any],
) -> None:
    pair = ("timestamp", "timestamp with time zone")
    assert column_type.outcome(*pair) == column_type.BY_TIME_ZONE
    assert rewritten(connection, *pair, "") is False
    connection.execute("SET TimeZone TO 'Europe/Berlin'")
    assert rewritten(connection, *pair, "") is True


SPELLED = ("text", "varchar(20)")
NOT_SPELLED = [
    new for new in TYPES if new.startswith(("text", "varchar", "char", "numeric(")) and "[" not in new
]
VALUES = {
    "text": ("'abcdefghijklmnopqrstuvwxyz'", "'12'"), "varchar(20)": ("'abcdefghijklmnopqrst'",), "bigint": ("2::bigint ^ 62", "7"),
    "integer": ("2147483647", "0"), "numeric(10, 2)": ("1.25", "12345678.99"), "numeric": ("1.23456789012345678901",),
    "numeric(12, 4)": ("1.2345",), "double precision": ("1.23456789012345",), "real": ("1.5",),
    "timestamp": ("'2020-02-03 04:05:06.123456'",), "timestamp with time zone": ("'2020-02-03 04:05:06.123456+00'",),
    "time": ("'04:05:06.123456'",), "smallint": ("5",), "date": ("'2020-02-03'",), "boolean": ("true",), "uuid": (
        "'6dba1c1c-8f3c-4f8f-9d4e-0d3c8f0b6a11'",),
}  # fmt: skip


@pytest.mark.parametrize("old", VALUES)
def test_a_change_that_is_not_said_to_lose_anything_can_be_gone_back_from(
    connection: psycopg.Connection[Any], old: str
) -> None:
    """Cast there and back: what comes back is what was there, or it is said to be lost. Text that is read as
    something else comes back spelled in another way, which is none."""
    wrong = []
    for new in TYPES if old not in SPELLED else NOT_SPELLED:
        for value in VALUES[old]:
            query = f"SELECT (({value})::{old}::{new})::{old} IS NOT DISTINCT FROM ({value})::{old}"
            try:
                same = connection.execute(query.encode()).fetchone()
            except psycopg.Error:
                continue
            if same and not same[0] and not column_type.loss(old, new, f'"c"::{new}'):
                wrong.append((old, new, value))
    assert wrong == [], wrong
