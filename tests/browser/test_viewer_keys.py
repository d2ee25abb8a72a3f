"""static/js/keys.js: the list is one stop for Tab, and what is in it can be reached and used by keys."""

from playwright.sync_api import Locator, Page, expect

from tests.browser.scripted import ScriptedServer, ShownStep, steps_fragment
from tests.browser.viewing import line, scroll_to_the_top, shown, visit_end
from tests.browser.waiting import eventually


def list_of(page: Page) -> Locator:
    return page.locator("#transcript")


def number(page: Page, of: int) -> Locator:
    return line(page, of).locator("a")


def test_tab_leads_into_the_list_and_out_again(page: Page, server: ScriptedServer) -> None:
    visit_end(page, server, 1000, anchor="#L500", steps=steps_fragment(ShownStep("a.0001_initial", 495)))
    shown(page, 500, "line 500")
    page.get_by_role("link", name="Download").focus()
    page.keyboard.press("Tab")
    expect(list_of(page)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#transcript:focus-within")).to_have_count(0)
    list_of(page).focus()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("link", name="Download")).to_be_focused()


def test_from_inside_of_the_list_tab_leads_out_too(page: Page, server: ScriptedServer) -> None:
    visit_end(page, server, 1000, anchor="#L500")
    shown(page, 500, "line 500")
    list_of(page).focus()
    page.keyboard.press("Enter")
    expect(number(page, 500)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#transcript:focus-within")).to_have_count(0)


def test_arrow_keys_go_from_row_to_row_and_make_a_range(page: Page, server: ScriptedServer) -> None:
    visit_end(page, server, 1000, anchor="#L500")
    shown(page, 500, "line 500")
    list_of(page).focus()
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(number(page, 503)).to_be_focused()
    assert number(page, 503).evaluate("(element) => getComputedStyle(element).outlineStyle") != "none"
    page.keyboard.press("Shift+Enter")
    eventually(page, lambda: page.url.endswith("/#L500-L503"))
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    eventually(page, lambda: page.url.endswith("/#L502"))
    page.keyboard.press("Escape")
    expect(list_of(page)).to_be_focused()


def test_the_row_with_the_focus_stays_in_sight(page: Page, server: ScriptedServer) -> None:
    visit_end(page, server, 1000, anchor="#L500")
    shown(page, 500, "line 500")
    list_of(page).focus()
    page.keyboard.press("Enter")
    for at in range(501, 541):
        page.keyboard.press("ArrowDown")
        expect(number(page, at)).to_be_focused()
    expect(number(page, 540)).to_be_in_viewport(ratio=0.9)
    server.publish("line 1001")
    expect(page.get_by_role("button", name="1 new line")).to_be_visible()
    expect(number(page, 540)).to_be_focused()


def test_a_group_is_closed_and_opened_by_keys(page: Page, server: ScriptedServer) -> None:
    visit_end(page, server, 500, steps=steps_fragment(ShownStep("a.0001_initial", 1, 40)))
    scroll_to_the_top(page)
    toggle = page.locator("#transcript .group__toggle")
    list_of(page).focus()
    page.keyboard.press("Enter")
    expect(toggle).to_be_focused()
    page.keyboard.press("Enter")
    expect(toggle).to_have_attribute("aria-expanded", "false")
    expect(toggle).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(number(page, 41)).to_be_focused()


def test_the_list_says_its_keys(page: Page, server: ScriptedServer) -> None:
    visit_end(page, server, 10)
    expect(list_of(page)).to_have_accessible_name("Transcript")
    expect(list_of(page)).to_have_accessible_description(
        "Enter leads to the line numbers and steps in sight, arrow keys from one to the next, Escape back."
    )
