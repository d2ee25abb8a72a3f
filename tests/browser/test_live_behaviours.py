"""The small behaviours of every page: a form is sent once, a list stays current, a clock ticks."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.scripted import Answer, Request, ScriptedServer, html_page
from tests.browser.waiting import eventually, set_hidden

FORM = (
    '<form method="post" action="/jobs/"><input name="why" aria-label="why" required>'
    '<button class="button" name="act" value="migrate">Migrate</button></form>'
)


def visit(page: Page, server: ScriptedServer, body: str) -> None:
    server.pages["/"] = lambda request: html_page(body)
    page.goto(server.url)


def sent(server: ScriptedServer) -> list[Request]:
    return [request for request in server.requests if request.method == "POST"]


def test_a_double_click_sends_once(page: Page, server: ScriptedServer) -> None:
    server.pages["/jobs/"] = lambda request: Answer(204)
    visit(page, server, FORM)
    page.get_by_label("why").fill("release")
    button = page.get_by_role("button")
    button.dblclick()
    page.get_by_label("why").press("Enter")
    expect(button).to_have_attribute("aria-disabled", "true")
    eventually(page, lambda: bool(sent(server)))
    page.wait_for_timeout(300)
    assert [request.body for request in sent(server)] == ["why=release&act=migrate"]


def test_a_form_that_its_validation_stopped_can_be_sent_afterwards(
    page: Page, server: ScriptedServer
) -> None:
    server.pages["/jobs/"] = lambda request: html_page("<p>asked for</p>")
    visit(page, server, FORM)
    page.get_by_role("button").click()
    assert sent(server) == []
    page.get_by_label("why").fill("release")
    page.get_by_role("button").click()
    expect(page.get_by_text("asked for")).to_be_visible()


def test_a_form_without_a_button_is_sent_once(page: Page, server: ScriptedServer) -> None:
    server.pages["/jobs/"] = lambda request: Answer(204)
    visit(page, server, '<form method="post" action="/jobs/"><input name="why" aria-label="why"></form>')
    page.get_by_label("why").press("Enter")
    page.get_by_label("why").press("Enter")
    eventually(page, lambda: bool(sent(server)))
    page.wait_for_timeout(300)
    assert len(sent(server)) == 1


def test_a_page_from_the_browsers_memory_gives_the_button_back(page: Page, server: ScriptedServer) -> None:
    server.pages["/jobs/"] = lambda request: Answer(204)
    visit(page, server, FORM)
    page.get_by_label("why").fill("release")
    page.get_by_role("button").click()
    expect(page.get_by_role("button")).to_have_attribute("aria-disabled", "true")
    # Playwright's Chromium keeps no page in memory: this is the event that it would bring back.
    page.evaluate("window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    expect(page.get_by_role("button")).not_to_have_attribute("aria-disabled", "true")
    page.get_by_role("button").click()
    eventually(page, lambda: len(sent(server)) == 2)


def test_a_button_that_is_off_sends_nothing(page: Page, server: ScriptedServer) -> None:
    visit(
        page,
        server,
        '<form method="post" action="/jobs/">'
        '<button class="button" aria-disabled="true" aria-describedby="r">Migrate</button>'
        '<span id="r" class="button-reason">Job 41 is running here.</span></form>',
    )
    page.get_by_role("button").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button").click(force=True)
    page.wait_for_timeout(300)
    assert sent(server) == []


def test_a_form_of_htmx_is_sent_once_and_may_be_sent_again_after_the_answer(
    page: Page, server: ScriptedServer, tolerated: list[str]
) -> None:
    server.pages["/jobs/"] = lambda request: Answer(422, "<p>Say why.</p>")
    visit(
        page,
        server,
        '<form method="post" action="/jobs/" hx-post="/jobs/" hx-target="#answer"><button>Go</button></form>'
        '<div id="answer"></div>',
    )
    tolerated.append("status of 422")
    page.get_by_role("button").dblclick()
    expect(page.locator("#answer")).to_have_text("Say why.")
    assert len(sent(server)) == 1
    page.get_by_role("button").click()
    eventually(page, lambda: len(sent(server)) == 2)


def test_a_search_may_be_sent_as_often_as_one_likes(page: Page, server: ScriptedServer) -> None:
    visit(page, server, '<form method="get" target="_blank"><button class="button">Show</button></form>')
    page.evaluate("document.forms[0].addEventListener('submit', (event) => event.preventDefault())")
    page.get_by_role("button").dblclick()
    expect(page.get_by_role("button")).not_to_have_attribute("aria-disabled", "true")


class Overview:
    """A list that says how often it was asked for."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Answer | None = None

    def __call__(self, request: Request) -> Answer:
        self.asked += 1
        return self.answer or Answer(body=self.html())

    def html(self) -> str:
        rows = "".join(
            f'<li><a href="/targets/{name}/">{name} {self.asked}</a></li>' for name in ("shop", "blog")
        )
        return (
            '<ul id="overview_table" data-refresh="1" hx-get="/list/" hx-trigger="refresh"'
            f' hx-swap="outerHTML">{rows}</ul>'
        )


@pytest.fixture
def overview(server: ScriptedServer, page: Page) -> Overview:
    overview = Overview()
    server.pages["/list/"] = overview
    visit(
        page,
        server,
        '<form role="search"><input type="search" aria-label="search"></form>'
        f'<p data-refresh-state role="status"></p>{overview.html()}',
    )
    return overview


def test_a_list_stays_current(page: Page, overview: Overview) -> None:
    expect(page.get_by_role("link", name="shop 3")).to_be_visible()


def test_a_refresh_keeps_typed_text_and_focus(page: Page, overview: Overview) -> None:
    search = page.get_by_role("searchbox")
    search.fill("sho")
    expect(page.get_by_role("link", name="blog 1")).to_be_visible()
    expect(search).to_have_value("sho")
    expect(search).to_be_focused()
    page.get_by_role("link", name=re.compile("blog")).focus()
    before = overview.asked
    eventually(page, lambda: overview.asked >= before + 2)
    expect(page.get_by_role("link", name=re.compile("blog"))).to_be_focused()


def test_a_hidden_tab_asks_for_nothing_and_asks_at_once_when_it_is_seen(
    page: Page, overview: Overview
) -> None:
    expect(page.get_by_role("link", name="shop 1")).to_be_visible()
    set_hidden(page, True)
    page.wait_for_timeout(300)
    before = overview.asked
    page.wait_for_timeout(1800)
    assert overview.asked == before
    set_hidden(page, False)
    eventually(page, lambda: overview.asked > before, within_s=0.6)


def test_text_that_is_being_selected_is_not_taken_away(page: Page, overview: Overview) -> None:
    expect(page.get_by_role("link", name="shop 1")).to_be_visible()
    page.evaluate("document.getSelection().selectAllChildren(document.getElementById('overview_table'))")
    page.wait_for_timeout(300)
    before = overview.asked
    page.wait_for_timeout(1800)
    assert overview.asked == before
    page.evaluate("document.getSelection().removeAllRanges()")
    eventually(page, lambda: overview.asked > before)


def test_a_login_page_is_not_put_in_place_of_the_list(
    page: Page, server: ScriptedServer, overview: Overview
) -> None:
    server.pages["/login/"] = lambda request: Answer(body="<form id=login>Log in</form>")
    overview.answer = Answer(302, headers={"Location": "/login/"})
    expect(page.locator("[data-refresh-state]")).to_have_text("signed out: reload to log in")
    expect(page.locator("#login")).to_have_count(0)
    asked = overview.asked
    page.wait_for_timeout(1500)
    assert overview.asked == asked


def test_a_list_that_is_not_current_says_so(page: Page, overview: Overview, tolerated: list[str]) -> None:
    tolerated.append("status of 500|Response Status Error Code 500")
    overview.answer = Answer(500)
    expect(page.locator("[data-refresh-state]")).to_have_text(
        re.compile("^not current: opsdash has not answered")
    )
    overview.answer = None
    expect(page.locator("[data-refresh-state]")).to_have_text("")
    expect(page.get_by_role("link", name=re.compile("shop"))).to_be_visible()


def test_a_clock_counts_by_the_servers_time(page: Page, server: ScriptedServer) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=5)
    started = ahead - timedelta(minutes=2)
    server.pages["/"] = lambda request: Answer(
        body=html_page(f'<time data-elapsed-since="{started.isoformat()}">?</time>').body.replace(
            "<html lang=en>", f'<html lang=en data-server-now="{ahead.isoformat()}">'
        )
    )
    page.goto(server.url)
    expect(page.locator("time")).to_have_text(re.compile(r"^2 min [01] s$"))
    expect(page.locator("time")).to_have_text(re.compile(r"^2 min [23] s$"))
