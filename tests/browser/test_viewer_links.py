"""static/js/links.js: an address leads to a line or a range, wherever it lies, and harms nothing."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.scripted import ScriptedServer, ShownStep, steps_fragment
from tests.browser.viewing import line, notice, numbered, scroll_to_the_top, shown, visit, visit_end
from tests.browser.waiting import eventually


def highlighted(page: Page) -> list[str]:
    return page.locator(".line--target .line__number").all_text_contents()


def asked(server: ScriptedServer) -> list[str]:
    return [request.path for request in server.requests if not request.path.startswith("/static/")]


def test_a_link_to_a_line_opens_there_and_does_not_follow(page: Page, server: ScriptedServer) -> None:
    server.lines = numbered(1, 1000)
    visit(page, server, anchor="#L300", lines=server.lines)
    shown(page, 300, "line 300")
    expect(page.locator(".line--target")).to_contain_text("line 300")
    server.publish("line 1001")
    expect(page.get_by_role("button", name="1 new line")).to_be_visible()
    page.locator("a[href='#L305']").click()
    expect(page.locator(".line--target")).to_contain_text("line 305")
    assert page.url.endswith("#L305")


def test_a_link_to_an_early_line_of_a_hundred_thousand_needs_one_request(
    page: Page, server: ScriptedServer
) -> None:
    visit_end(page, server, 100_000, anchor="#L120")
    shown(page, 120, "line 120")
    expect(page.locator(".line--target")).to_contain_text("line 120")
    assert len(server.asked_for("/lines/")) == 1


def test_a_link_to_the_last_line_does_not_follow(page: Page, server: ScriptedServer) -> None:
    visit_end(page, server, 1000, anchor="#L1000")
    shown(page, 1000, "line 1000")
    server.publish("line 1001", "line 1002", "line 1003")
    expect(page.get_by_role("button", name="3 new lines")).to_be_visible()


def test_shift_and_a_click_make_a_range_and_its_link_opens_it(page: Page, server: ScriptedServer) -> None:
    visit_end(page, server, 10_000, anchor="#L120")
    shown(page, 120, "line 120")
    line(page, 124).locator("a").click(modifiers=["Shift"])
    eventually(page, lambda: highlighted(page) == ["120", "121", "122", "123", "124"])
    assert page.url.endswith("/#L120-L124")
    line(page, 118).locator("a").click(modifiers=["Shift"])
    eventually(page, lambda: highlighted(page) == ["118", "119", "120"])
    assert page.url.endswith("/#L118-L120")

    page.goto("about:blank")
    page.goto(f"{server.url}/#L120-L124")
    shown(page, 124, "line 124")
    eventually(page, lambda: highlighted(page) == ["120", "121", "122", "123", "124"])


def test_a_range_is_made_with_the_keyboard_too(page: Page, server: ScriptedServer) -> None:
    visit_end(page, server, 1000, anchor="#L120")
    shown(page, 120, "line 120")
    line(page, 123).locator("a").focus()
    page.keyboard.press("Shift+Enter")
    eventually(page, lambda: page.url.endswith("#L120-L123"))
    expect(page.locator(".line--target")).to_have_count(4)
    line(page, 125).locator("a").focus()
    page.keyboard.press("Enter")
    eventually(page, lambda: highlighted(page) == ["125"])
    assert len(page.context.pages) == 1


def test_a_click_on_a_number_moves_and_loads_nothing(page: Page, server: ScriptedServer) -> None:
    visit_end(page, server, 1000, anchor="#L300")
    shown(page, 300, "line 300")
    expect(page.locator("#connection_state")).to_have_text("live")
    before = asked(server)
    place = line(page, 310).bounding_box()
    line(page, 310).locator("a").click()
    eventually(page, lambda: highlighted(page) == ["310"])
    assert line(page, 310).bounding_box() == place
    assert asked(server) == before


def test_an_address_that_names_no_line_harms_nothing(page: Page, server: ScriptedServer) -> None:
    visit_end(page, server, 1000, anchor="#L-5")
    shown(page, 1000, "line 1000")
    for anchor in ("#L", "#L1.5", "#Lx", "#L1-", "#L<b>", "#l5", "#L" + "9" * 400, "#L5-L6-L7", "#%E0%A4"):
        page.evaluate("(anchor) => { location.hash = anchor; }", anchor)
        assert (
            page.evaluate("opsdash.transcript.target.obeyAddress(), opsdash.transcript.target.range") is None
        )
        notice(page, "^$")
    expect(page.locator(".line--target")).to_have_count(0)
    shown(page, 1000, "line 1000")


def test_a_line_that_is_not_there_is_said_so_until_it_comes(page: Page, server: ScriptedServer) -> None:
    visit_end(page, server, 1000, anchor="#L1002")
    notice(page, r"^Line 1,002 is not there yet\.$")
    shown(page, 1000, "line 1000")
    server.publish("line 1001")
    shown(page, 1001, "line 1001")
    notice(page, r"^Line 1,002 is not there yet\.$")
    server.publish("line 1002")
    eventually(page, lambda: highlighted(page) == ["1002"])
    notice(page, "^$")


@pytest.mark.parametrize(("anchor", "said"), [("#L0", "Line 0"), ("#L999999999", "Line 999,999,999")])
def test_of_a_job_that_ended_no_line_comes_any_more(
    page: Page, server: ScriptedServer, anchor: str, said: str
) -> None:
    visit_end(page, server, 1000, anchor=anchor, is_running=False)
    notice(page, rf"^{said} is not there\.$")
    shown(page, 1000, "line 1000")


def test_a_link_to_a_step_leads_there_as_often_as_it_is_clicked(page: Page, server: ScriptedServer) -> None:
    visit_end(page, server, 1000, steps=steps_fragment(ShownStep("a.0001_initial", 300)))
    for _ in range(3):
        page.locator("#job_steps a").click()
        shown(page, 300, "line 300")
        scroll_to_the_top(page)
    assert page.url.endswith("/#L300")
