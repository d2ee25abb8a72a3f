"""SQL and Python in a page: its words stay, nothing of it comes alive, and it costs what its size says."""

import html
import re

import pytest
from django.template import Context, Template
from django.utils.safestring import SafeString
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dbops.lint import Recipe
from dbops.pages import sql as shown

HOSTILE = st.lists(
    st.sampled_from(
        [
            "<",
            ">",
            "&",
            "'",
            '"',
            "<script>",
            "</pre>",
            "&lt;",
            "--",
            "/*",
            "$$",
            "\n",
            "SELECT ",
            "x",
            "\\",
            "`",
            "(",
            ";",
        ]
    )
    | st.text(max_size=4)
).map("".join)
TAGS = re.compile(r'</?span(?: class="[A-Za-z0-9 -]+")?>')


def text_of(code: shown.Code) -> str:
    """As a browser shows it."""
    return html.unescape(TAGS.sub("", code.html))


def is_harmless(code: shown.Code) -> bool:
    """Nothing but our own tags: quotes mean nothing between them."""
    return isinstance(code.html, SafeString) and not set(TAGS.sub("", code.html)) & set("<>")


@given(HOSTILE)
@example("<img src=x onerror=alert(1)>")
@example("SELECT '</span><script>' -- \"<b>\"")
@settings(deadline=None)
def test_nothing_in_sql_comes_alive(text: str) -> None:
    code = shown.sql([text])
    assert is_harmless(code)
    assert without_space(text_of(code)) == without_space(text)


@given(HOSTILE)
@settings(deadline=None)
def test_nothing_in_python_comes_alive(text: str) -> None:
    code = shown.python(text)
    assert is_harmless(code)
    assert without_space(text_of(code)) == without_space(text)


def without_space(text: str) -> str:
    return "".join(text.split())


def test_a_query_is_laid_out() -> None:
    assert shown.formatted("SELECT a, b FROM c WHERE d = 1 AND e") == (
        "SELECT a,\n       b\nFROM c\nWHERE d = 1\n  AND e"
    )


def test_a_new_table_has_a_line_a_column() -> None:
    statement = (
        """CREATE TABLE "a" ("id" bigint NOT NULL, "n" numeric(10, 2) DEFAULT 'x, (y' CHECK ("n" > 0));"""
    )
    assert shown.formatted(statement) == (
        'CREATE TABLE "a" (\n    "id" bigint NOT NULL,\n'
        """    "n" numeric(10, 2) DEFAULT 'x, (y' CHECK ("n" > 0)\n);"""
    )


def test_several_actions_on_a_table_have_a_line_each() -> None:
    assert shown.formatted('ALTER TABLE "a" ADD "b" numeric(1, 2), DROP "c"') == (
        'ALTER TABLE "a" ADD "b" numeric(1, 2),\n    DROP "c"'
    )


@pytest.mark.parametrize(
    "statement",
    [
        'CREATE INDEX "i" ON "a" ("b", "c")',
        "CREATE FUNCTION f() RETURNS int AS $$\n  SELECT 1,\n 2;\n$$",
        "DO $$ BEGIN UPDATE a SET b = 1; END $$",
        "SELECT " + "(" * 200 + "1" + ")" * 200,
        "INSERT INTO a VALUES " + ", ".join(["(1, 'x')"] * 5000),
        "SELECT " + "(1, 'x'), " * 400 + "1",
        "",
    ],
    ids=["index", "function", "block", "deep", "many", "slope", "nothing"],
)
def test_what_sqlparse_does_not_read_well_stays_as_it_is(statement: str) -> None:
    assert shown.formatted(statement) == statement


def test_statements_stand_below_one_another() -> None:
    assert text_of(shown.sql(["SET a = 1;", "SET b = 2;"])) == "SET a = 1;\nSET b = 2;"
    assert text_of(shown.sql(["SET a = 1;", "SELECT a, b"])) == "SET a = 1;\n\nSELECT a,\n       b"
    assert text_of(shown.sql([])) == ""


def test_words_are_told_apart_by_classes() -> None:
    assert '<span class="k">SELECT</span>' in shown.sql("SELECT 'x' -- y").html
    assert 'class="s' in shown.sql("SELECT 'x' -- y").html
    assert 'class="k">def</span>' in shown.python("def f(): pass").html
    assert "style=" not in shown.python("def f(): pass").html


def test_a_long_text_is_shown_plain_and_a_very_long_one_in_part() -> None:
    long = "SELECT '<b>' ; " * 10_000
    assert "<span" not in shown.sql([long]).html
    assert is_harmless(shown.sql([long]))
    assert shown.sql([long]).left_out == 0
    huge = shown.sql(["INSERT INTO a VALUES (1);\n" * 200_000])
    assert huge.left_out == 5_200_000 - shown.SHOWN - 1
    assert len(huge.html) < 3 * shown.SHOWN


def test_many_statements_are_formatted_up_to_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may be short, all of them together are not."""
    read: list[int] = []
    real = shown.formatted

    def counted(text: str) -> str:
        read.append(len(text))
        return real(text)

    monkeypatch.setattr(shown, "formatted", counted)
    shown.sql(["SELECT 1, 2 FROM a " + "x" * 1000] * 2000)
    assert 0 < sum(read) <= shown.FORMATTED_IN_ALL


def test_templates_have_filters_for_it() -> None:
    source = "{% load code %}{{ sql|sql }}|{{ python|python }}|{{ a|recipe_code }}|{{ b|recipe_code }}"
    page = Template(source).render(
        Context(
            {
                "sql": ["SELECT '<'"],
                "python": "x = '<'",
                "a": Recipe("", "if 1: '<'"),
                "b": Recipe("", "SELECT 1", "sql"),
            }
        )
    )
    assert page.count("&lt;") == 3
    assert "<span" in page
