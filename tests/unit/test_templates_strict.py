"""No template carries what the Content Security Policy forbids, or what htmx would have to evaluate."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
DATA_TYPES = {"application/json"}
EVALUATED = ("hx-on", "data-hx-on")


class Strict(HTMLParser):
    """Collects what a strict policy would refuse, each with its line."""

    def __init__(self) -> None:
        super().__init__()
        self.offences: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "style" or (tag == "script" and "src" not in given and given.get("type") not in DATA_TYPES):
            self.offend(f"inline <{tag}>")
        if tag in ("iframe", "object", "embed", "base"):
            self.offend(f"<{tag}>")
        for name, value in given.items():
            self.check(name, value)

    handle_startendtag = handle_starttag

    def check(self, name: str, value: str) -> None:
        if name == "style" or re.match(r"on[a-z]+$", name) or name.startswith(EVALUATED):
            self.offend(f"attribute {name}")
        if re.match(r"\s*(javascript|js|data):", value, re.IGNORECASE):
            self.offend(f"{name} with {value}")
        if name == "hx-trigger" and "[" in value:
            self.offend(f"hx-trigger with a filter: {value}")
        if name in ("src", "href", "action") and re.match(r"(https?:)?//", value):
            self.offend(f"{name} of another host: {value}")

    def offend(self, what: str) -> None:
        self.offences.append(f"line {self.getpos()[0]}: {what}")


def offences(source: str) -> list[str]:
    parser = Strict()
    parser.feed(without_django(source))
    parser.close()
    return parser.offences


def without_django(source: str) -> str:
    """Comments vanish, tags vanish, variables become a word; line breaks stay."""
    source = re.sub(r"{#.*?#}", "", source)
    source = re.sub(r"{%\s*comment.*?endcomment\s*%}", keep_lines, source, flags=re.DOTALL)
    source = re.sub(r"{{.*?}}", "value", source)
    return re.sub(r"{%.*?%}", keep_lines, source, flags=re.DOTALL)


def keep_lines(match: re.Match[str]) -> str:
    return "\n" * match.group().count("\n")


@pytest.mark.parametrize(
    "path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: str(path.relative_to(TEMPLATES))
)
def test_a_template_has_nothing_inline(path: Path) -> None:
    assert offences(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "<style>p{}</style>",
        "<script>go()</script>",
        '<script type="module">go()</script>',
        '<p style="color: red">',
        '<p {% if x %}style="color: red"{% endif %}>',
        '<button onclick="go()">',
        '<div hx-on:click="go()">',
        '<div hx-on::after-swap="go()">',
        "<div hx-vals='js:{a: b}'>",
        '<a href="JavaScript:go()">',
        '<div hx-trigger="every 5s [document.hidden]">',
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel=stylesheet href="//cdn.example/x.css">',
        '<base href="/x/">',
        '<img src="x" onerror="go()"/>',
    ],
)
def test_what_the_policy_refuses_is_found(source: str) -> None:
    assert offences(f"<p>\n{source}") != []


def test_what_is_allowed_is_not_an_offence() -> None:
    allowed = (
        "{% load static %}<script src=\"{% static 'js/live.js' %}\" defer></script>"
        '{{ transcript|json_script:"x" }}<script type="application/json" id="x">{}</script>'
        '<div hx-get="{{ url }}" hx-trigger="refresh" data-on="x" hx-headers=\'{"a": "b"}\'></div>'
        "{# <style> #}{% comment %}<p style=x>{% endcomment %}"
    )
    assert offences(allowed) == []
