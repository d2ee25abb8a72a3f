"""ALTER COLUMN TYPE: what is said to be written anew is, and what is said to be kept is kept."""

import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from dbops.lint import column_type

TYPES = [
    *("smallint", "integer", "bigint", "boolean", "real", "double precision"),
    *("numeric", "numeric(10)", "numeric(8, 2)", "numeric(10, 2)", "numeric(12, 2)", "numeric(12, 4)"),
    *("text", "varchar", "varchar(10)", "varchar(20)", "char(10)", "char(20)"),
    *("date", "time", "time(3)", "interval", "interval(3)", "timestamp", "timestamp(3)", "timestamp(6)"),
    *("timestamp with time zone", "timestamp(3) with time zone"),
    *("uuid", "json", "jsonb", "inet", "cidr", "bytea"),
    *("bit(4)", "bit varying", "bit varying(4)", "bit varying(8)"),
    *("varchar(10)[]", "varchar(20)[]", "text[]", "integer[]"),
]


@pytest.fixture(scope="module")
def connection() -> Iterator[psycopg.Connection[Any]]:
    """In a transaction that is never committed."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("SET TimeZone TO 'UTC'")
        yield connection
        connection.rollback()


def rewritten(connection: psycopg.Connection[Any], old: str, new: str, using: str) -> bool | None:
    """None: there is no such change."""
    node = "SELECT pg_relation_filenode('t')"
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(f"CREATE TEMPORARY TABLE t (c {old})".encode())
            before = connection.execute(node).fetchone()
            connection.execute(f"ALTER TABLE t ALTER COLUMN c TYPE {new} {using}".encode())
            return connection.execute(node).fetchone() != before
    except psycopg.Error:
        return None


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
    with connection.transaction(force_rollback=True):
        connection.execute("SET TimeZone TO 'Europe/Berlin'")
        assert rewritten(connection, *pair, "") is True


SPELLED = ("text", "varchar(20)")
NOT_SPELLED = [
    new for new in TYPES if new.startswith(("text", "varchar", "char", "numeric(")) and "[" not in new
]
MOMENT = "'2020-02-03 04:05:06.123456'"
VALUES = {
    "text": ("'abcdefghijklmnopqrstuvwxyz'", "'12'", "'1.23456'"),
    "varchar(20)": ("'abcdefghijklmnopqrst'",),
    "smallint": ("5",),
    "integer": ("2147483647", "0"),
    "bigint": ("2::bigint ^ 62", "7"),
    "numeric": ("1.23456789012345678901",),
    "numeric(10, 2)": ("1.25", "12345678.99"),
    "numeric(12, 4)": ("1.2345",),
    "double precision": ("1.23456789012345",),
    "real": ("1.5",),
    "boolean": ("true",),
    "date": ("'2020-02-03'",),
    "time": ("'04:05:06.123456'",),
    "timestamp": (MOMENT,),
    "timestamp with time zone": (MOMENT,),
    "uuid": ("'6dba1c1c-8f3c-4f8f-9d4e-0d3c8f0b6a11'",),
}


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
                with connection.transaction():
                    same = connection.execute(query.encode()).fetchone()
            except psycopg.Error:
                continue
            if same and not same[0] and not column_type.loss(old, new, f'"c"::{new}'):
                wrong.append((old, new, value))
    assert wrong == [], wrong
