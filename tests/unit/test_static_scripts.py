"""The scripts: no way from text to HTML or code, nothing built, nothing from elsewhere."""

import re
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).resolve().parents[2] / "static" / "js").glob("*.js"))
FORBIDDEN = [
    r"\.innerHTML\b",
    r"\.outerHTML\b",
    r"insertAdjacentHTML",
    r"document\.write",
    r"\beval\(",
    r"\bnew Function\b",
    r"createContextualFragment",
    r"setHTMLUnsafe",
    r"DOMParser",
    r"set(Timeout|Interval)\(\s*['\"`]",
    r"https?://",
    r"console\.",
    r"localStorage",
]


def code(path: Path) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_has_no_way_from_text_to_html(path: Path) -> None:
    found = [pattern for pattern in FORBIDDEN if re.search(pattern, code(path))]
    assert not found


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_strict_and_says_what_it_does(path: Path) -> None:
    first, second, *_ = path.read_text().splitlines()
    assert first == "'use strict';"
    assert second.startswith("// ")


def test_there_are_scripts_to_look_at() -> None:
    assert {"live.js", "transcript.js"} <= {path.name for path in SCRIPTS}
