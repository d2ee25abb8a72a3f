"""One group a step: its header, what it hides, and that nothing moves that should not."""

from playwright.sync_api import Locator, Page, expect

from tests.browser.scripted import ScriptedServer, ShownStep, steps_fragment
from tests.browser.viewing import (
    first_seen,
    line,
    notice,
    scroll,
    scroll_to_the_top,
    shown,
    tool,
    top_of,
    visit_end,
)
from tests.browser.waiting import eventually

FIRST = ShownStep("a.0001_initial", 3, 40)
SECOND = ShownStep("b.0002_more", 41, 400, "failed")
RUNNING = ShownStep("c.0003_last", 451, "", "running", '<time class="step__time">3 s</time>')
STEPS = steps_fragment(FIRST, SECOND, RUNNING, first_error=399)


def header(page: Page, name: str) -> Locator:
    return page.locator("#transcript .group").get_by_role("button", name=name)


def visit_steps(page: Page, server: ScriptedServer, last: int = 500, anchor: str = "") -> None:
    visit_end(page, server, last, anchor, steps=STEPS)


def test_a_header_says_which_step_how_it_stands_and_how_long_it_took(
    page: Page, server: ScriptedServer
) -> None:
    visit_steps(page, server)
    scroll_to_the_top(page)
    first = header(page, "a.0001_initial")
    expect(first).to_have_attribute("aria-expanded", "true")
    expect(first.locator(".status--succeeded")).to_have_text("succeeded")
    expect(first.locator(".group__time")).to_have_text("1.2 s")
    box = first.bounding_box()
    assert box is not None
    assert top_of(page, 2) < box["y"] < top_of(page, 3)


def test_a_step_without_lines_has_no_header(page: Page, server: ScriptedServer) -> None:
    steps = steps_fragment(ShownStep("silent", "", ""), FIRST, ShownStep("to come", "", "", "pending"))
    visit_end(page, server, 500, steps=steps)
    scroll_to_the_top(page)
    expect(page.locator("#transcript .group")).to_have_count(1)


def test_a_closed_group_hides_its_lines_and_nothing_above_it_moves(
    page: Page, server: ScriptedServer
) -> None:
    visit_steps(page, server)
    scroll_to_the_top(page)
    place = top_of(page, 2)
    header(page, "a.0001_initial").click()
    expect(line(page, 3)).to_have_count(0)
    shown(page, 41, "line 41")
    assert top_of(page, 2) == place
    header(page, "a.0001_initial").focus()
    page.keyboard.press("Enter")
    shown(page, 3, "line 3")


def test_what_is_seen_stays_when_all_groups_are_closed_and_opened(page: Page, server: ScriptedServer) -> None:
    visit_steps(page, server, last=2000)
    scroll(page, 410 * 20)
    eventually(page, lambda: 400 < int(first_seen(page)[0] or 0) < 420)
    seen = first_seen(page)
    tool(page, "Collapse all").click()
    expect(header(page, "b.0002_more")).to_have_attribute("aria-expanded", "false")
    tool(page, "Expand all").click()
    shown(page, int(seen[0]), f"line {seen[0]}")
    expect(tool(page, "Collapse all")).to_be_visible()


def test_closing_a_group_above_does_not_move_what_is_seen(page: Page, server: ScriptedServer) -> None:
    visit_steps(page, server, last=2000)
    scroll(page, 600 * 20)
    eventually(page, lambda: 590 < int(first_seen(page)[0] or 0) < 610)
    seen = first_seen(page)
    page.evaluate("opsdash.transcript.toggle(opsdash.transcript.groups.all[0])")
    eventually(page, lambda: first_seen(page) == seen)
    # Where the thumb stands is put right after a rest.
    eventually(
        page, lambda: page.evaluate("document.getElementById('transcript').scrollTop") == (600 - 38) * 20
    )
    assert first_seen(page) == seen


def test_a_closed_group_stays_closed_through_swaps_and_new_lines(page: Page, server: ScriptedServer) -> None:
    visit_steps(page, server)
    eventually(page, lambda: bool(server.streams))
    scroll(page, 440 * 20)
    header(page, "c.0003_last").click()
    expect(line(page, 451)).to_have_count(0)
    ended = ShownStep("c.0003_last", 451, 502, "succeeded")
    server.publish("line 501", "line 502", "line 503")
    server.fragments(job_steps=steps_fragment(FIRST, SECOND, ended))
    expect(header(page, "c.0003_last").locator(".status")).to_have_text("succeeded")
    expect(header(page, "c.0003_last")).to_have_attribute("aria-expanded", "false")
    shown(page, 503, "line 503")
    expect(line(page, 502)).to_have_count(0)


def test_groups_come_while_the_job_runs_and_the_end_is_still_followed(
    page: Page, server: ScriptedServer
) -> None:
    visit_end(page, server, 500)
    shown(page, 500, "line 500")
    expect(tool(page, "Collapse all")).to_be_hidden()
    server.fragments(job_steps=STEPS)
    expect(tool(page, "Collapse all")).to_be_visible()
    server.publish("line 501")
    shown(page, 501, "line 501")


def test_a_link_to_a_line_of_a_closed_group_opens_it(page: Page, server: ScriptedServer) -> None:
    visit_steps(page, server)
    tool(page, "Collapse all").click()
    expect(line(page, 500)).to_have_count(0)
    page.locator("#job_steps a", has_text="b.0002_more").click()
    shown(page, 41, "line 41")
    expect(header(page, "b.0002_more")).to_have_attribute("aria-expanded", "true")
    assert page.url.endswith("#L41")


def test_the_first_error_is_a_click_away_wherever_it_lies(page: Page, server: ScriptedServer) -> None:
    visit_steps(page, server, last=20_000)
    shown(page, 20_000, "line 20000")
    tool(page, "First error").click()
    shown(page, 399, "line 399")
    expect(page.locator(".line--target")).to_contain_text("line 399")
    server.fragments(job_steps=steps_fragment(FIRST))
    expect(tool(page, "First error")).to_be_hidden()
    notice(page, "^$")


def test_the_gap_may_begin_and_end_within_groups(page: Page, server: ScriptedServer) -> None:
    server.gap = (20, 459)
    visit_end(page, server, 600, steps=STEPS, gap=server.gap)
    scroll_to_the_top(page)
    shown(page, 19, "line 19")
    rows = page.locator("#transcript .group, #transcript .gap").all_text_contents()
    assert [row[:14] for row in rows] == ["a.0001_initial", "Lines 20–459 a", "c.0003_lastrun"]
    tool(page, "Collapse all").click()
    expect(page.locator("#transcript .line")).to_have_count(2)
    expect(page.locator("#transcript .gap")).to_be_visible()


def test_the_button_for_all_groups_knows_that_a_link_opened_one(page: Page, server: ScriptedServer) -> None:
    visit_steps(page, server)
    tool(page, "Collapse all").click()
    expect(tool(page, "Expand all")).to_be_visible()
    page.locator("#job_steps a", has_text="b.0002_more").click()
    shown(page, 41, "line 41")
    expect(tool(page, "Collapse all")).to_be_visible()
