"""Values do not leave with a statement that blocks somebody."""

import pytest

from dbops.agent.literals import SHOWN, without_literals


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT 1", "SELECT ?"),
        ("UPDATE t1 SET a = 'x''y', b = -1.5e-3 WHERE c = .5", "UPDATE t1 SET a = '?', b = -? WHERE c = ?"),
        (r"SELECT E'it\'s secret', 2", "SELECT '?', ?"),
        ("SELECT e'a' , N'secret', U&'secret', B'101', x'1F'", "SELECT '?' , '?', '?', '?', '?'"),
        ("SELECT $$secret$$, $tag$a $$ secret $tag$, $1", "SELECT '?', '?', $1"),
        ('SELECT "Name 1", a$b$c FROM "t""2"', 'SELECT "Name 1", a$b$c FROM "t""2"'),
        ("SELECT a -- secret\n, b /* secret /* nested */ secret */ , c", "SELECT a , b , c"),
        ("SELECT 0xFF, 1_000, 1e5", "SELECT ?, ?, ?"),
        ("ALTER ROLE a PASSWORD 'secret'", "ALTER ROLE a PASSWORD '?'"),
        # A setting's value may be a bare word; a column's is none.
        ("SET app.token = abcdefsecret", "SET app.token = ?"),
        ("set local app.token to abcdefsecret, more", "set local app.token to ?"),
        ('SET SESSION "my app" . "to ken"=abcdefsecret', 'SET SESSION "my app" . "to ken"= ?'),
        ("BEGIN; SET app.token = abcdefsecret; SELECT b", "BEGIN; SET app.token = ?"),
        ("/* first */ SET app.token = abcdefsecret", "SET app.token = ?"),
        ("SET app.token/**/=/**/abcdefsecret", "SET app.token = ?"),
        ('ALTER ROLE "a;b" SET app.token TO abcdefsecret', 'ALTER ROLE "a;b" SET app.token TO ?'),
        ("SET app.token =", "SET app.token ="),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
        ("UPDATE t SET a = b", "UPDATE t SET a = b"),
        ("ALTER TABLE t RENAME TO u", "ALTER TABLE t RENAME TO u"),
        # The server cuts a statement anywhere.
        ("SELECT 'secret", "SELECT '?'"),
        ("SELECT E'secret\\", "SELECT '?'"),
        ("SELECT $a$secret", "SELECT '?'"),
        ("SELECT a /* secret", "SELECT a"),
        # What this ends depends on a setting of that session.
        (r"SELECT 'a\', 'secret', b", "SELECT '?'"),
        ("SELECT 'plain \\ here', b", "SELECT '?', b"),
        ("", ""),
        ("SELECT größe, naïve FROM größen", "SELECT größe, naïve FROM größen"),
    ],
)
def test_values_and_comments_are_taken_out(statement: str, shown: str) -> None:
    assert without_literals(statement) == shown


@pytest.mark.parametrize("opening", ["'", "E'", "$$", "$x$", "/*", "--", "B'", "U&'"])
def test_wherever_it_is_cut_no_secret_is_left(opening: str) -> None:
    closing = {"E'": "'", "/*": "*/", "--": "\n", "B'": "'", "U&'": "'"}.get(opening, opening)
    whole = f"SELECT a, {opening}hunter22 hunter22{closing} , b"
    assert all("hunter" not in without_literals(whole[:length]) for length in range(len(whole) + 1))


def test_a_long_one_is_cut_after_its_values_were_taken_out() -> None:
    shown = without_literals("SELECT " + ", ".join(["column_of_many_letters"] * 100) + " WHERE a = 'secret'")
    assert len(shown) == SHOWN + 4 and shown.endswith(" ...")


def test_a_megabyte_takes_no_minute() -> None:
    assert without_literals("SELECT '" + "x'||'" * 200_000).startswith("SELECT '?'")


@pytest.mark.parametrize("piece", ["alter x ", ";set a", "a . ", '"" ', 'set "" . ', "create set a "])
def test_what_looks_like_a_setting_takes_no_minute_either(piece: str) -> None:
    assert without_literals("SET " + piece * 2_000)
