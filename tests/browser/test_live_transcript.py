"""static/js/transcript.js: 100,000 lines on few elements, followed until one looks back, never HTML."""

import json
import re

from playwright.sync_api import Page, expect

from tests.browser.scripted import Answer, Request, ScriptedServer, live_page
from tests.browser.waiting import eventually

MANY = 100_000
MOST_ELEMENTS = 300


def visit(page: Page, server: ScriptedServer, anchor: str = "", **options: object) -> None:
    server.pages["/"] = live_page(**options)  # type: ignore[arg-type]
    page.goto(f"{server.url}/{anchor}")


def elements(page: Page) -> int:
    count: int = page.evaluate("document.getElementById('transcript').getElementsByTagName('*').length")
    return count


def shown(page: Page, number: int, text: str) -> None:
    row = page.locator("#transcript .line", has=page.locator(f"a[href='#L{number}']"))
    expect(row.locator(".line__text")).to_have_text(text)
    expect(row).to_be_in_viewport()


def scroll(page: Page, top: int) -> None:
    page.evaluate("(top) => { document.getElementById('transcript').scrollTop = top; }", top)


def test_a_hundred_thousand_lines_need_few_elements(page: Page, server: ScriptedServer) -> None:
    server.lines = [f"line {number}" for number in range(1, MANY + 1)]
    visit(page, server)
    shown(page, MANY, f"line {MANY}")
    assert elements(page) <= MOST_ELEMENTS
    for line in (1, 50_000, 99_000):
        scroll(page, line * 20)
        shown(page, line + 5, f"line {line + 5}")
        assert elements(page) <= MOST_ELEMENTS


def test_a_page_may_come_with_a_hundred_thousand_lines(page: Page, server: ScriptedServer) -> None:
    lines = [f"line {number}" for number in range(1, MANY + 1)]
    server.lines = [*lines, "the newest"]
    visit(page, server, lines=lines)
    shown(page, MANY + 1, "the newest")
    assert server.asked == [MANY]


def earlier(request: Request) -> Answer:
    before = int(request.query["before"][0])
    first = max(1, before - 100)
    lines = [f"line {number}" for number in range(first, before)]
    return Answer(200, json.dumps({"first": first, "lines": lines}), {"Content-Type": "application/json"})


def test_earlier_lines_that_do_not_come_are_asked_for_again(
    page: Page, server: ScriptedServer, tolerated: list[str]
) -> None:
    tolerated.append("503")
    server.lines = [f"line {number}" for number in range(1, 301)]
    server.pages["/lines/"] = lambda request: Answer(503)
    visit(page, server, lines=server.lines[150:], first=151)
    said = page.locator(".transcript__earlier")
    expect(said).to_have_text("Lines 1-150 are loaded when you scroll up.")
    page.locator("#transcript").focus()
    page.keyboard.press("Home")
    expect(said).to_have_text("Lines 1-150 could not be loaded: reload the page.")
    shown(page, 151, "line 151")

    server.pages["/lines/"] = earlier
    scroll(page, 100)
    expect(said).to_have_text("Lines 1-50 are loaded when you scroll up.")
    shown(page, 157, "line 157")
    server.publish("line 301")
    page.keyboard.press("Home")
    expect(said).to_be_hidden()
    assert page.evaluate("opsdash.transcript.lines") == [f"line {number}" for number in range(1, 302)]


def test_it_follows_until_the_reader_scrolls_up(page: Page, server: ScriptedServer) -> None:
    server.lines = [f"line {number}" for number in range(1, 501)]
    visit(page, server)
    shown(page, 500, "line 500")
    server.publish("line 501")
    shown(page, 501, "line 501")

    page.locator("#transcript").hover()
    page.mouse.wheel(0, -2000)
    expect(page.locator("a[href='#L501']")).not_to_be_in_viewport()
    server.publish("line 502", "line 503")
    more = page.get_by_role("button", name="2 new lines")
    expect(more).to_be_visible()
    expect(page.locator("a[href='#L503']")).not_to_be_in_viewport()

    more.click()
    shown(page, 503, "line 503")
    expect(page.locator(".transcript__more")).to_be_hidden()
    server.publish("line 504")
    shown(page, 504, "line 504")


def test_the_end_key_follows_again(page: Page, server: ScriptedServer) -> None:
    server.lines = [f"line {number}" for number in range(1, 501)]
    visit(page, server)
    shown(page, 500, "line 500")
    page.locator("#transcript").focus()
    page.keyboard.press("Home")
    shown(page, 1, "line 1")
    server.publish("line 501")
    expect(page.get_by_role("button", name="1 new line")).to_be_visible()
    page.keyboard.press("End")
    shown(page, 501, "line 501")
    expect(page.locator(".transcript__more")).to_be_hidden()


def test_the_unfinished_line_is_replaced_and_has_no_number(page: Page, server: ScriptedServer) -> None:
    server.lines = ["Running migrations:"]
    visit(page, server, lines=["Running migrations:"], tail="  Applying a.0001...")
    tail = page.locator("#transcript .line--tail")
    server.tail("  Applying a.0001_initial...")
    eventually(page, lambda: bool(server.asked))
    expect(tail.locator(".line__text")).to_have_text("  Applying a.0001_initial...")
    expect(tail.locator(".line__number")).to_have_text("")
    server.publish("  Applying a.0001_initial... OK")
    shown(page, 2, "  Applying a.0001_initial... OK")
    expect(tail).to_have_count(0)


def test_of_a_carriage_return_what_follows_it_is_shown(page: Page, server: ScriptedServer) -> None:
    visit(page, server)
    eventually(page, lambda: bool(server.streams))
    server.tail("Processed 100\rProcessed 200\rProcessed 300\r")
    expect(page.locator("#transcript .line--tail .line__text")).to_have_text("Processed 300")
    server.publish("10 %\r50 %\r100 %\r")
    shown(page, 1, "100 %")


def test_nothing_in_a_line_becomes_html(page: Page, server: ScriptedServer) -> None:
    hostile = [
        "<img src=x onerror=alert(1)>",
        "</script><script>alert(1)</script>",
        "<b hx-get=/boom/ hx-trigger=load>x</b>",
        "&lt;i&gt; stays as it is",
    ]
    server.lines = [*hostile]
    visit(page, server, lines=hostile[:2], tail=hostile[2])
    for number, text in enumerate(hostile, start=1):
        shown(page, number, text)
    assert page.locator("#transcript img, #transcript script, #transcript b, #transcript i").count() == 0
    assert not any(request.path == "/boom/" for request in server.requests)


def test_escape_sequences_are_dropped_and_nothing_else(page: Page, server: ScriptedServer) -> None:
    expected = {
        "\x1b[1;32mgreen\x1b[0m and plain": "green and plain",
        "\x1b]0;window title\x07after": "after",
        "\x1b]8;;javascript:alert(1)\x1b\\a link\x1b]8;;\x1b\\": "a link",
        "\x1b[2K\x1b[1Gerased": "erased",
        "\x1b]0;never ends, and hides nothing": "0;never ends, and hides nothing",
        "bell\x07 null\x00 back\x08": "bell␇ null␀ back␈",
        "turned \u202earound": "turned �around",
    }
    server.lines = list(expected)
    visit(page, server, lines=list(expected))
    for number, text in enumerate(expected.values(), start=1):
        shown(page, number, text)


def test_a_very_long_line_is_cut_in_sight_and_kept_whole(page: Page, server: ScriptedServer) -> None:
    long = "x" * 50_000
    server.lines = [long]
    visit(page, server, lines=[long])
    expect(page.locator("#transcript .line__text")).to_have_text(
        re.compile(r"x… \(46,000 more characters\)$")
    )
    assert page.evaluate("opsdash.transcript.lines[0].length") == 50_000


def test_a_link_to_a_line_opens_there_and_does_not_follow(page: Page, server: ScriptedServer) -> None:
    server.lines = [f"line {number}" for number in range(1, 1001)]
    visit(page, server, anchor="#L300", lines=server.lines)
    shown(page, 300, "line 300")
    expect(page.locator(".line--target")).to_contain_text("line 300")
    server.publish("line 1001")
    expect(page.get_by_role("button", name="1 new line")).to_be_visible()
    page.locator("a[href='#L305']").click()
    expect(page.locator(".line--target")).to_contain_text("line 305")
    assert page.url.endswith("#L305")


def test_a_transcript_may_begin_in_the_middle(page: Page, server: ScriptedServer) -> None:
    server.lines = [f"line {number}" for number in range(1, 1003)]
    visit(page, server, lines=server.lines[900:1000], first=901)
    shown(page, 1002, "line 1002")
    assert server.asked == [1000]


def test_a_screen_reader_is_told_now_and_then_not_each_line(page: Page, server: ScriptedServer) -> None:
    server.lines = ["first"]
    visit(page, server, lines=["first"])
    expect(page.locator("#transcript")).to_have_attribute("aria-live", "off")
    summary = page.locator(".transcript-frame .visually-hidden[role=status]")
    expect(summary).to_have_text("1 line. Last: first")
    for number in range(20):
        server.publish(f"more {number}")
    shown(page, 21, "more 19")
    expect(summary).to_have_text("1 line. Last: first")
    expect(summary).to_have_text("21 lines. Last: more 19", timeout=15_000)
