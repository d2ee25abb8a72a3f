"""static/js/ansi.js: colours by an allow-list, the rest of a terminal's language dropped, never markup."""

import random
import re
from typing import Any

from playwright.sync_api import Page, expect

from dbops.plain import plain
from tests.browser.scripted import ScriptedServer
from tests.browser.viewing import elements, line, shown, visit

ESC = "\x1b"
ALPHABET = [
    *"ab<>&\"';:?[]()#m019 =/\\{}\t",
    *[ESC, "\x9b", "\x07", "\x00", "\x08", "\x7f", "\x85", "\u202e", "\u2066", "é", "🚀", "\ud800"],
    *[
        "<b>",
        "<img src=x onerror=alert(1)>",
        f"{ESC}[",
        f"{ESC}]8;;",
        f"{ESC}\\",
        "38;5;",
        "48;2;1;2;3",
        "1;31m",
    ],
]

LOOKS = {
    "1": "ansi-bold",
    "2": "ansi-dim",
    "3": "ansi-italic",
    "4": "ansi-underline",
    "1;22;3": "ansi-italic",
    "3;23;4;24;1": "ansi-bold",
    "31;39;1": "ansi-bold",
    "41;49;1": "ansi-bold",
    "30": "ansi-fg-0",
    "37": "ansi-fg-7",
    "90": "ansi-fg-8",
    "97": "ansi-fg-15",
    "40": "ansi-bg-0",
    "100": "ansi-bg-8",
    "107": "ansi-bg-15",
    "038;5;196;1": "ansi-bold",
    "38;5;196;1": "ansi-bold",
    "38;2;1;4;3;31": "ansi-fg-1",
    "48;2;1;4;3;31": "ansi-fg-1",
    "38;7;1": "",
    "38": "",
    "38:2::1:2:3;1": "ansi-bold",
    "4:3": "",
    "5;7;8;9;21;51;99;1000": "",
    "1;0": "",
    "1;": "",
    "01;031": "ansi-bold ansi-fg-1",
}


def runs_of(page: Page, lines: list[str]) -> list[list[dict[str, str]]]:
    found: list[Any] = page.evaluate("(lines) => lines.map(opsdash.ansi.runs)", lines)
    return found


def test_colours_and_weights_become_classes(page: Page, server: ScriptedServer) -> None:
    visit(page, server, lines=[f"{ESC}[1;31mERROR{ESC}[0m in {ESC}[4;96;44mshop{ESC}[m."])
    expect(page.locator(".line .ansi-bold.ansi-fg-1")).to_have_text("ERROR")
    expect(page.locator(".line .ansi-underline.ansi-fg-14.ansi-bg-4")).to_have_text("shop")
    shown(page, 1, "ERROR in shop.")
    colour = page.locator(".line .ansi-bold").evaluate("(element) => getComputedStyle(element).color")
    assert colour == "rgb(163, 21, 21)"


def test_what_is_allowed_has_a_look_and_nothing_else(page: Page, server: ScriptedServer) -> None:
    visit(page, server)
    found = runs_of(page, [f"{ESC}[{codes}mx" for codes in LOOKS])
    assert {codes: runs[0]["classes"] for codes, runs in zip(LOOKS, found, strict=True)} == LOOKS


def test_other_sequences_that_end_alike_change_nothing(page: Page, server: ScriptedServer) -> None:
    visit(page, server)
    lines = [f"{ESC}[?31mx", f"{ESC}[>4;1mx", f"{ESC}[31 mx", f"{ESC}[31Kx", f"{ESC}]31mx\x07x"]
    assert runs_of(page, lines) == [[{"text": "x", "classes": ""}]] * 5


def test_a_colour_ends_with_its_line(page: Page, server: ScriptedServer) -> None:
    visit(page, server, lines=[f"{ESC}[31mred", "not red"])
    shown(page, 2, "not red")
    expect(line(page, 2).locator("[class^=ansi]")).to_have_count(0)


def test_a_line_of_many_colours_has_few_elements_and_all_of_its_text(
    page: Page, server: ScriptedServer
) -> None:
    text = "".join(f"{ESC}[3{number % 8}m{number % 10}" for number in range(300))
    server.lines = [text] * 200
    visit(page, server, lines=server.lines)
    shown(page, 200, "0123456789" * 30)
    assert elements(page) <= 1000


def test_every_colour_is_in_the_stylesheet(page: Page, server: ScriptedServer) -> None:
    looks = [*range(30, 38), *range(90, 98), *range(40, 48), *range(100, 108)]
    visit(page, server, lines=[f"{ESC}[{code}m{code}" for code in looks])
    styles = page.evaluate(
        """() => [...document.querySelectorAll('.line [class^=ansi]')].map((element) => {
          const { color, backgroundColor } = getComputedStyle(element);
          return `${color} ${backgroundColor}`;
        })"""
    )
    assert len(styles) == 32
    assert len(set(styles)) >= 30


def test_whatever_a_target_prints_is_shown_as_the_server_shows_it(page: Page, server: ScriptedServer) -> None:
    dice = random.Random(20)
    lines = ["".join(dice.choices(ALPHABET, k=dice.randrange(60))) for _ in range(3000)]
    lines = [without_half_characters(each) for each in lines]
    visit(page, server)
    for raw, runs in zip(lines, runs_of(page, lines), strict=True):
        text = "".join(run["text"] for run in runs)
        assert text == plain(raw), ascii(raw)
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
        assert all(re.fullmatch(r"(ansi-[a-z0-9-]+ ?)*", run["classes"]) for run in runs)


def without_half_characters(text: str) -> str:
    return text.replace("\ud800", "")


def test_noise_becomes_no_element_but_a_span_with_our_classes(page: Page, server: ScriptedServer) -> None:
    dice = random.Random(21)
    lines = [without_half_characters("".join(dice.choices(ALPHABET, k=60))) for _ in range(15)]
    server.lines = lines
    visit(page, server, lines=lines)
    shown(page, 15, re.sub(r"\s+", " ", plain(lines[14])).strip())
    tags = page.evaluate("[...document.querySelectorAll('.line__text *')].map((each) => each.tagName)")
    assert set(tags) <= {"SPAN"}


def test_a_line_of_many_thousand_characters_costs_little(page: Page, server: ScriptedServer) -> None:
    visit(page, server)
    hostile = [
        f"{ESC}]" * 8192,
        f"{ESC}[" * 8192,
        "\x9b0" * 8192,
        f"{ESC}[31m" * 3276,
        "\r" * 16_384,
        " " * 16_384,
    ]
    took = page.evaluate(
        "(lines) => { const from = performance.now(); lines.map(opsdash.ansi.plain);"
        " return performance.now() - from; }",
        hostile,
    )
    assert took < 500
