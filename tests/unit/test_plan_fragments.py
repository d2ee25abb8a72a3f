"""The fragments of findings and schema diffs: what they show, and that names in them are only names."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.template.loader import render_to_string

from dbops.inspection.schema_diff import between
from dbops.lint import Finding, Recipe

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
EVIL = "<script>alert('x')</script>"
FINDING = Finding(
    "drop-column", "danger", "Data loss", "shop_item.x", "Drops "
        "it.", "ACCESS EXCLUSIVE on shop_item: blocks all",
    Recipe("Wait.", "models.Q(a='<b>')"), 0,
)  # fmt: skip


def column(kind: str) -> dict[str, Any]:
    return {"type": kind, "null": True}


def table(**columns: dict[str, Any]) -> dict[str, Any]:
    return {"columns": columns, "indexes": {}, "constraints": {}, "comment": ""}


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_a_finding_says_how_bad_it_is_in_a_word_and_an_icon() -> None:
    html = render_to_string("_fragments/_findings.html", {"findings": [FINDING]})
    assert words(html).startswith(
        "danger Data loss: shop_item.x Drops it. Lock ACCESS EXCLUSIVE on shop_item"
    )
    assert 'href="#icon-danger"' in html
    assert "The safe way" in html
    assert "&lt;b&gt;" in html


def test_without_findings_lock_or_recipe_nothing_stands_there() -> None:
    assert render_to_string("_fragments/_findings.html", {"findings": []}).strip() == ""
    html = render_to_string("_fragments/_finding.html", {"finding": Finding("r", "notice", "T", "", "Why.")})
    assert words(html) == "notice T Why."


@pytest.mark.parametrize("severity", ["danger", "warning", "notice"])
def test_every_severity_has_its_icon_and_its_look(severity: str) -> None:
    assert f'id="icon-{severity}"' in (TEMPLATES / "_icons.html").read_text()
    sheet = (TEMPLATES.parent / "static" / "css" / "findings.css").read_text()
    assert f".finding--{severity} " in sheet


def test_hostile_names_stay_names() -> None:
    finding = Finding("r", "danger", EVIL, EVIL, EVIL, EVIL, Recipe(EVIL, EVIL), 0)
    assert "<script" not in render_to_string("_fragments/_finding.html", {"finding": finding})
    diff = between({EVIL: table(**{EVIL: column(EVIL)})}, {EVIL: table(**{EVIL: column(EVIL + "2")})})
    for view in ("unified", "split"):
        html = render_to_string("_fragments/_schema_diff.html", {"diff": diff, "view": view})
        assert "<script" not in html
        assert "&lt;script&gt;" in html


DIFF = between(
    {"a": table(x=column("integer"), y=column("text"))}, {"a": table(x=column("bigint"), y=column("text"))}
)


def test_a_line_says_by_its_sign_what_it_is() -> None:
    html = render_to_string("_fragments/_schema_diff.html", {"diff": DIFF})
    assert (
        '<span class="diff__row diff__row--removed"><span class="diff__sign">-</span>x '
        "<mark>integer</mark> NULL" in html
    )
    assert (
        '<span class="diff__row diff__row--added"><span class="diff__sign">+</span>x <mark>bigint</mark> NULL'
        in html
    )
    assert "1 column changed in a." in html


def test_side_by_side_has_both_in_one_row() -> None:
    html = render_to_string("_fragments/_schema_diff.html", {"diff": DIFF, "view": "split"})
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    assert [words(row) for row in rows] == [
        "Before After",
        "- x integer NULL + x bigint NULL",
        "y text NULL y text NULL",
    ]


def test_nothing_changed_is_said() -> None:
    assert (
        words(render_to_string("_fragments/_schema_diff.html", {"diff": between({}, {})}))
        == "No change of the schema."
    )
