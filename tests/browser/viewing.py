"""What the tests of the transcript's viewer have in common: a page to look at, ways to say what is seen."""

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.scripted import ScriptedServer, live_page

ROW_PX = 20


def numbered(first: int, last: int) -> list[str]:
    return [f"line {number}" for number in range(first, last + 1)]


def visit(page: Page, server: ScriptedServer, anchor: str = "", **options: object) -> None:
    server.pages["/"] = live_page(**options)  # type: ignore[arg-type]
    page.goto(f"{server.url}/{anchor}")


def visit_end(page: Page, server: ScriptedServer, last: int, anchor: str = "", **options: object) -> None:
    """The page of a long transcript, which came with its last 500 lines."""
    server.lines = server.lines or numbered(1, last)
    first = max(1, last - 499)
    visit(page, server, anchor, lines=server.lines[first - 1 : last], first=first, **options)


def line(page: Page, number: int) -> Locator:
    return page.locator("#transcript .line", has=page.locator(f"a[href='#L{number}']"))


def shown(page: Page, number: int, text: str) -> None:
    expect(line(page, number).locator(".line__text")).to_have_text(text)
    expect(line(page, number)).to_be_in_viewport()


def scroll(page: Page, top: int) -> None:
    page.evaluate("(top) => { document.getElementById('transcript').scrollTop = top; }", top)


def scroll_to_the_top(page: Page) -> None:
    scroll(page, 0)
    expect(page.locator("#transcript a[href='#L1']")).to_be_in_viewport()


def elements(page: Page) -> int:
    count: int = page.evaluate("document.getElementById('transcript').getElementsByTagName('*').length")
    return count


def held(page: Page) -> list[str]:
    """All lines that the page has in memory, in order."""
    lines: list[str] = page.evaluate(
        """() => {
          const { blocks } = opsdash.transcript.store;
          const indexes = [...blocks.keys()].sort((one, other) => one - other);
          return indexes.flatMap((index) => blocks.get(index).lines.filter((line) => line !== undefined));
        }"""
    )
    return lines


def top_of(page: Page, number: int) -> float:
    """Where a line stands on the screen."""
    box = line(page, number).bounding_box()
    assert box is not None
    return box["y"]


def first_seen(page: Page) -> tuple[str, float]:
    """The number of the first line that is wholly in the box, and how far below its top it stands."""
    found: list[Any] = page.evaluate(
        """() => {
          const list = document.getElementById('transcript');
          const top = list.getBoundingClientRect().top + list.clientTop;
          const rows = [...document.querySelectorAll('#transcript .line')];
          const place = (row) => row.getBoundingClientRect().top - top;
          const row = rows.find((each) => place(each) >= -0.5);
          return row ? [row.firstElementChild.textContent, place(row)] : ['', 0];
        }"""
    )
    return found[0], found[1]


def notice(page: Page, words: str) -> None:
    expect(page.locator(".transcript__notice")).to_have_text(re.compile(words))


def tool(page: Page, name: str) -> Locator:
    return page.locator(".tools").get_by_role("button", name=name)
