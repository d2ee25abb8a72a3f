"""static/js/search.js: the server finds the lines, the newest question wins, the list goes there."""

import json
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.scripted import Answer, Request, ScriptedServer, ShownStep, steps_fragment
from tests.browser.viewing import line, numbered, scroll_to_the_top, shown, tool, visit_end
from tests.browser.waiting import eventually


def field(page: Page) -> Locator:
    return page.get_by_role("searchbox", name="Search the transcript")


def said(page: Page, words: str) -> None:
    expect(page.locator(".tools__said")).to_have_text(words)


def queries(server: ScriptedServer) -> list[str]:
    return [each["q"] for each in server.asked_for("/search/")]


def visit_long(page: Page, server: ScriptedServer, last: int = 10_000) -> None:
    """Every thousandth line says "here"; the reader is at the beginning."""
    server.lines = [
        f"line {number} is Here" if number % 1000 == 0 else f"line {number}" for number in range(1, last + 1)
    ]
    visit_end(page, server, last)
    scroll_to_the_top(page)


def test_it_says_how_many_and_goes_from_one_to_the_next(page: Page, server: ScriptedServer) -> None:
    visit_long(page, server)
    field(page).fill("here")
    said(page, "1 of 10")
    shown(page, 1000, "line 1000 is Here")
    expect(line(page, 1000).locator("mark")).to_have_text("Here")
    page.keyboard.press("Enter")
    said(page, "2 of 10")
    shown(page, 2000, "line 2000 is Here")
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")
    said(page, "10 of 10")
    shown(page, 10_000, "line 10000 is Here")
    tool(page, "Next match").click()
    said(page, "1 of 10")
    tool(page, "Previous match").click()
    said(page, "10 of 10")
    assert queries(server) == ["here"]


def test_it_begins_where_the_reader_is(page: Page, server: ScriptedServer) -> None:
    visit_long(page, server)
    page.evaluate("location.hash = '#L4500'")
    shown(page, 4500, "line 4500")
    field(page).fill("here")
    said(page, "5 of 10")
    shown(page, 5000, "line 5000 is Here")


def test_none_is_said_too_and_the_list_stays(page: Page, server: ScriptedServer) -> None:
    visit_long(page, server)
    field(page).fill("nowhere")
    said(page, "none")
    shown(page, 1, "line 1")
    expect(tool(page, "Next match")).to_have_attribute("aria-disabled", "true")
    expect(page.locator(".tools__said")).to_have_attribute("aria-live", "polite")


def test_upper_and_lower_case_are_told_apart_on_demand(page: Page, server: ScriptedServer) -> None:
    visit_long(page, server)
    field(page).fill("here")
    said(page, "1 of 10")
    tool(page, "Match case").click()
    said(page, "none")
    field(page).fill("Here")
    said(page, "1 of 10")
    assert [each.get("case") for each in server.asked_for("/search/")] == [None, "1", "1"]


def test_the_newest_question_wins_over_a_slower_answer(page: Page, server: ScriptedServer) -> None:
    visit_long(page, server)
    server.slow["/search/"] = 0.5
    field(page).fill("line")
    said(page, "…")
    eventually(page, lambda: len(queries(server)) == 1)
    del server.slow["/search/"]
    field(page).fill("here")
    said(page, "1 of 10")
    page.wait_for_timeout(700)
    said(page, "1 of 10")
    assert queries(server) == ["line", "here"]


def test_who_types_asks_once(page: Page, server: ScriptedServer) -> None:
    visit_long(page, server)
    field(page).press_sequentially("here")
    said(page, "1 of 10")
    assert queries(server) == ["here"]


def test_what_a_running_job_prints_is_searched_too_now_and_then(page: Page, server: ScriptedServer) -> None:
    visit_long(page, server)
    field(page).fill("here")
    said(page, "1 of 10")
    for _ in range(5):
        server.publish("more", "and here")
    said(page, "1 of 15")
    asked = server.asked_for("/search/")
    assert [each["after"] for each in asked[:2]] == ["0", "10000"]
    assert len(asked) <= 3
    field(page).press("Escape")
    server.publish("here again")
    eventually(page, lambda: page.evaluate("opsdash.transcript.last") == 10_011)
    page.wait_for_timeout(2200)
    assert len(server.asked_for("/search/")) == len(asked)


def test_more_matches_than_one_answer_holds_come_when_they_are_gone_to(
    page: Page, server: ScriptedServer
) -> None:
    visit_long(page, server)
    server.most_found = 3
    field(page).fill("here")
    said(page, "1 of 10")
    for number in range(2, 6):
        page.keyboard.press("Enter")
        said(page, f"{number} of 10")
    shown(page, 5000, "line 5000 is Here")
    assert [each["after"] for each in server.asked_for("/search/")] == ["0", "3000"]
    # What comes meanwhile counts, and is gone to in its turn.
    server.publish("and here")
    said(page, "5 of 11")
    for number in range(6, 12):
        page.keyboard.press("Enter")
        said(page, f"{number} of 11")
    shown(page, 10_001, "and here")


def test_a_refused_question_says_why(page: Page, server: ScriptedServer, tolerated: list[str]) -> None:
    tolerated.append("400")
    server.pages["/search/"] = lambda request: Answer(
        400, "Search for 1 to 200 characters.", {"Content-Type": "text/plain"}
    )
    visit_long(page, server)
    field(page).fill("x")
    said(page, "Search for 1 to 200 characters.")


@pytest.mark.parametrize("answer", [Answer(503), Answer(200, "<form>Log in</form>")], ids=["503", "login"])
def test_a_search_that_fails_says_so(
    page: Page, server: ScriptedServer, tolerated: list[str], answer: Answer
) -> None:
    tolerated.append("503")
    server.pages["/search/"] = lambda request: answer
    visit_long(page, server)
    field(page).fill("x")
    said(page, "could not be searched")


def test_a_slash_leads_to_the_search_and_escape_back_to_the_list(page: Page, server: ScriptedServer) -> None:
    visit_long(page, server)
    page.keyboard.press("/")
    expect(field(page)).to_be_focused()
    page.keyboard.type("a/b")
    expect(field(page)).to_have_value("a/b")
    page.keyboard.press("Escape")
    expect(field(page)).to_have_value("")
    expect(page.locator("#transcript")).to_be_focused()
    said(page, "")
    expect(page.locator("#transcript mark")).to_have_count(0)


def test_a_match_in_a_closed_group_opens_it(page: Page, server: ScriptedServer) -> None:
    server.lines = [*numbered(1, 99), "needle", *numbered(101, 300)]
    steps = steps_fragment(ShownStep("a.0001_initial", 50, 150))
    visit_end(page, server, 300, steps=steps)
    tool(page, "Collapse all").click()
    field(page).fill("needle")
    shown(page, 100, "needle")


def test_hits_are_marked_across_colours_and_never_as_markup(page: Page, server: ScriptedServer) -> None:
    server.lines = ["a \x1b[31mne\x1b[32med\x1b[0mle (.*) <b>", "the end"]
    visit_end(page, server, 2)
    field(page).fill("needle (.*) <b>")
    expect(page.locator("#transcript mark")).to_have_count(3)
    assert page.locator("#transcript mark").all_text_contents() == ["ne", "ed", "le (.*) <b>"]
    expect(page.locator("#transcript mark.ansi-fg-1")).to_have_text("ne")


def test_a_hit_far_inside_of_a_very_long_line_can_be_seen(page: Page, server: ScriptedServer) -> None:
    long = "\x1b[31m" + "x" * 5000 + "needle" + "y" * 5000
    server.lines = [long, "another needle", long.replace("x", "a needle ", 1)]
    visit_end(page, server, 3)
    begin = line(page, 1).locator(".line__text")
    expect(begin).to_have_text(re.compile(r"^x+… \([\d,]+ more characters\)$"))
    field(page).fill("needle")
    said(page, "1 of 3")
    expect(line(page, 1).locator("mark")).to_have_text("needle")
    expect(line(page, 1).locator("mark.ansi-fg-1")).to_be_in_viewport()
    expect(begin).to_have_text(
        re.compile(r"^\(4,940 characters\) …x{60}needley+… \([\d,]+ more characters\)$")
    )
    page.keyboard.press("Enter")
    said(page, "2 of 3")
    expect(begin).to_have_text(re.compile(r"^x+… \([\d,]+ more characters\)$"))
    page.keyboard.press("Enter")
    said(page, "3 of 3")
    expect(line(page, 3).locator(".line__text")).to_have_text(re.compile("^a needle x+…"))


def test_the_shape_of_an_answer_is_the_contract(server: ScriptedServer) -> None:
    server.lines = numbered(1, 20)
    request = Request("GET", "/search/", {"q": ["line 1"], "after": ["5"]}, {}, "")
    assert json.loads(server.lines_with(request).body) == {
        "lines": list(range(10, 20)),
        "count": 10,
        "more": False,
        "until": 20,
    }
