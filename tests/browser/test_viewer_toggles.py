"""The bar over the transcript: wrap, timestamps, full screen, download; what is kept, and on a phone."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.scripted import ScriptedServer, ShownStep, steps_fragment
from tests.browser.viewing import (
    first_seen,
    line,
    numbered,
    scroll,
    scroll_to_the_top,
    shown,
    tool,
    visit,
    visit_end,
)
from tests.browser.waiting import eventually

LONG = " and so it goes on" * 30


def long_lines(first: int, last: int) -> list[str]:
    return [f"line {number}{LONG if number % 3 == 0 else ''}" for number in range(first, last + 1)]


def test_wrapped_lines_are_whole_and_the_box_does_not_scroll_sideways(
    page: Page, server: ScriptedServer
) -> None:
    visit(page, server, lines=["short", "x" * 1000, "short too"])
    expect(tool(page, "Wrap")).to_have_attribute("aria-pressed", "false")
    tool(page, "Wrap").click()
    expect(tool(page, "Wrap")).to_have_attribute("aria-pressed", "true")
    box = page.locator("#transcript")
    assert box.evaluate("(element) => element.scrollWidth <= element.clientWidth")
    height = line(page, 2).evaluate("(element) => element.offsetHeight")
    assert height >= 80
    bottom = line(page, 2).bounding_box()
    after = line(page, 3).bounding_box()
    assert bottom is not None and after is not None
    assert after["y"] == bottom["y"] + height


def test_the_end_is_followed_with_wrapped_lines_too(page: Page, server: ScriptedServer) -> None:
    server.lines = long_lines(1, 500)
    visit_end(page, server, 500)
    tool(page, "Wrap").click()
    expect(line(page, 500)).to_be_in_viewport()
    for first in range(501, 801, 100):
        server.publish(*long_lines(first, first + 99))
        expect(line(page, first + 99)).to_be_in_viewport(ratio=1)
    page.locator("#transcript").hover()
    page.mouse.wheel(0, -1000)
    expect(line(page, 800)).not_to_be_in_viewport()
    seen = first_seen(page)
    server.publish(*long_lines(801, 900))
    expect(page.get_by_role("button", name="100 new lines")).to_be_visible()
    assert first_seen(page)[0] == seen[0]
    page.get_by_role("button", name="100 new lines").click()
    expect(line(page, 900)).to_be_in_viewport(ratio=1)


def test_a_link_leads_to_its_line_among_wrapped_ones_that_must_be_loaded(
    page: Page, server: ScriptedServer
) -> None:
    page.context.add_cookies([{"name": "opsdash_transcript", "value": "wrap", "url": server.url}])
    server.lines = long_lines(1, 20_000)
    visit_end(page, server, 20_000, anchor="#L6000")
    shown(page, 6000, f"line 6000{LONG}")
    expect(page.locator(".line--target")).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("change", ["wrap", "width", "times"])
def test_what_is_seen_stays_when_lines_become_higher(page: Page, server: ScriptedServer, change: str) -> None:
    server.lines = long_lines(1, 2000)
    visit(page, server, lines=server.lines)
    if change != "wrap":
        tool(page, "Wrap").click()
    scroll(page, 15_000)
    eventually(page, lambda: 0 < int(first_seen(page)[0] or 0) < 1000)
    page.wait_for_timeout(400)  # until the thumb has been put right
    before = page.evaluate("opsdash.transcript.firstInSight")
    if change == "wrap":
        tool(page, "Wrap").click()
    elif change == "times":
        tool(page, "Timestamps").click()
    else:
        page.set_viewport_size({"width": 500, "height": 800})
    eventually(page, lambda: page.evaluate("opsdash.transcript.firstInSight") == before)
    page.wait_for_timeout(300)
    assert page.evaluate("opsdash.transcript.firstInSight") == before


def test_scrolling_up_through_wrapped_lines_reaches_the_first_one(page: Page, server: ScriptedServer) -> None:
    server.lines = long_lines(1, 300)
    visit(page, server, lines=server.lines)
    tool(page, "Wrap").click()
    page.locator("#transcript").hover()
    for _ in range(40):
        page.mouse.wheel(0, -1500)
        if line(page, 1).count():
            break
        page.wait_for_timeout(30)
    page.mouse.wheel(0, -3000)
    expect(line(page, 1)).to_be_in_viewport(ratio=1)
    eventually(page, lambda: first_seen(page) == ("1", 0))


def test_times_are_shown_in_utc(page: Page, server: ScriptedServer) -> None:
    server.lines, server.tail_text = numbered(1, 3), "not complete"
    visit(page, server, lines=numbered(1, 3), tail="not complete")
    expect(page.locator(".line__time")).to_have_count(0)
    tool(page, "Timestamps").click()
    time = line(page, 2).locator("time")
    expect(time).to_have_text("13:20:00")
    expect(time).to_have_attribute("title", "2024-11-28T13:20:00.123Z")
    expect(page.locator(".line--tail time")).to_have_text("")


def test_the_choices_are_kept(page: Page, server: ScriptedServer) -> None:
    visit(page, server, lines=numbered(1, 3))
    tool(page, "Wrap").click()
    tool(page, "Timestamps").click()
    page.reload()
    expect(tool(page, "Wrap")).to_have_attribute("aria-pressed", "true")
    expect(line(page, 1).locator("time")).to_have_text("13:20:00")
    tool(page, "Wrap").click()
    page.reload()
    expect(tool(page, "Wrap")).to_have_attribute("aria-pressed", "false")
    expect(tool(page, "Timestamps")).to_have_attribute("aria-pressed", "true")
    [cookie] = page.context.cookies()
    assert (cookie["name"], cookie["sameSite"]) == ("opsdash_transcript", "Lax")


def test_a_strange_cookie_harms_nothing(page: Page, server: ScriptedServer) -> None:
    for value in ("", "wrap.wrap.", "%00<b>" + "x" * 3000):
        page.context.add_cookies([{"name": "opsdash_transcript", "value": value, "url": server.url}])
        visit(page, server, lines=numbered(1, 3))
        shown(page, 3, "line 3")


def test_full_screen_shows_the_list_the_bar_and_what_the_connection_is(
    page: Page, server: ScriptedServer
) -> None:
    visit_end(page, server, 1000)
    copy = page.locator(".tools .connection")
    expect(page.locator("#connection_state")).to_have_text("live")
    expect(copy).to_be_hidden()
    tool(page, "Full screen").click()
    expect(copy).to_be_visible()
    expect(copy).to_have_text("live")
    expect(copy).to_have_attribute("aria-hidden", "true")
    shown(page, 1000, "line 1000")
    server.end("succeeded")
    expect(copy).to_have_text("ended")
    tool(page, "Leave full screen").click()
    expect(tool(page, "Full screen")).to_be_visible()
    expect(copy).to_be_hidden()


def test_without_full_screen_there_is_no_button_for_it(page: Page, server: ScriptedServer) -> None:
    page.add_init_script("Object.defineProperty(document, 'fullscreenEnabled', {value: false})")
    visit(page, server, lines=numbered(1, 3))
    expect(page.locator(".tools")).to_be_visible()
    expect(tool(page, "Full screen")).to_be_hidden()


def test_the_whole_text_can_be_downloaded(page: Page, server: ScriptedServer) -> None:
    visit(page, server, lines=numbered(1, 3))
    link = page.get_by_role("link", name="Download")
    expect(link).to_have_attribute("href", "/transcript.txt")


class TestOnAPhone:
    @pytest.fixture
    def context_options(self) -> dict[str, Any]:
        return {
            "viewport": {"width": 360, "height": 740},
            "has_touch": True,
            "is_mobile": True,
            "locale": "en-GB",
            "timezone_id": "UTC",
        }

    def test_the_bar_fits_and_can_be_touched(self, page: Page, server: ScriptedServer) -> None:
        steps = steps_fragment(ShownStep("a.0001_initial_with_a_name_that_is_long", 3, 40), first_error=5)
        visit_end(page, server, 500, steps=steps)
        scroll_to_the_top(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        for element in page.locator(".tools .tool:visible, .tools input, .group__toggle").all():
            box = element.bounding_box()
            assert box is not None
            assert box["height"] >= 44, element
            assert box["x"] >= 0 and box["x"] + box["width"] <= 360
        expect(page.locator(".group__toggle")).to_contain_text(re.compile("succeeded"))
