"""static/js/transcript.js: 100,000 lines on few elements, followed until one looks back, never HTML."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.scripted import Answer, Request, ScriptedServer
from tests.browser.viewing import (
    ROW_PX,
    elements,
    first_seen,
    held,
    notice,
    numbered,
    scroll,
    scroll_to_the_top,
    shown,
    visit,
    visit_end,
)
from tests.browser.waiting import eventually

MANY = 100_000
MOST_ELEMENTS = 300
MOST_HELD = 31_000


def test_a_hundred_thousand_lines_need_few_elements_and_little_memory(
    page: Page, server: ScriptedServer
) -> None:
    server.lines = numbered(1, MANY)
    visit(page, server)
    shown(page, MANY, f"line {MANY}")
    assert elements(page) <= MOST_ELEMENTS
    for line in (1, 50_000, 99_000):
        scroll(page, line * ROW_PX)
        shown(page, line + 5, f"line {line + 5}")
        assert elements(page) <= MOST_ELEMENTS
    assert page.evaluate("opsdash.transcript.store.count") <= MOST_HELD


def test_a_page_may_come_with_a_hundred_thousand_lines(page: Page, server: ScriptedServer) -> None:
    lines = numbered(1, MANY)
    server.lines = [*lines, "the newest"]
    visit(page, server, lines=lines)
    shown(page, MANY + 1, "the newest")
    assert server.asked == [MANY]
    assert page.evaluate("opsdash.transcript.store.count") <= MOST_HELD


def test_memory_is_bounded_in_characters_too_and_what_is_looked_at_stays(
    page: Page, server: ScriptedServer
) -> None:
    visit_end(page, server, 500)
    scroll_to_the_top(page)
    page.evaluate(
        """() => {
          const list = document.getElementById('transcript');
          for (let first = 501; first <= 1400; first += 150) {
            const detail = {first, at: 0, lines: Array(150).fill('x'.repeat(16_000)), gap: null};
            list.dispatchEvent(new CustomEvent('transcript:lines', {detail}));
          }
        }"""
    )
    expect(page.get_by_role("button", name="900 new lines")).to_be_visible()
    assert page.evaluate("opsdash.transcript.store.characters") <= 8_000_000
    shown(page, 1, "line 1")
    assert server.asked_for("/lines/") == []


def test_a_transcript_of_many_million_lines_can_be_read_from_end_to_end(
    page: Page, server: ScriptedServer
) -> None:
    """Its canvas would be higher than what browsers draw."""
    many = 5_000_000

    def some(request: Request) -> Answer:
        first, last = (int(request.query[name][0]) for name in ("from", "to"))
        return server.answer(
            {"chunks": [{"first": first, "at": 0, "lines": numbered(first, last)}], "last": many, "gap": None}
        )

    server.pages["/lines/"] = some
    visit(page, server, lines=numbered(many - 99, many), first=many - 99, is_running=False)
    shown(page, many, f"line {many}")
    page.locator("#transcript").focus()
    page.keyboard.press("Home")
    shown(page, 1, "line 1")
    page.evaluate("location.hash = '#L2500000'")
    shown(page, 2_500_000, "line 2500000")
    page.locator("#transcript").hover()
    number, place = first_seen(page)
    page.mouse.wheel(0, 200)
    eventually(page, lambda: first_seen(page) == (str(int(number) + 10), place))
    # After a rest the thumb is put right, and nothing moves.
    eventually(page, lambda: page.evaluate("opsdash.transcript.scroller.timer") is None)
    assert first_seen(page) == (str(int(number) + 10), place)
    page.keyboard.press("End")
    page.locator("#transcript").focus()
    page.keyboard.press("End")
    shown(page, many, f"line {many}")


def test_what_is_not_in_memory_is_loaded_when_it_is_in_sight(page: Page, server: ScriptedServer) -> None:
    visit_end(page, server, 10_000)
    shown(page, 10_000, "line 10000")
    assert server.asked_for("/lines/") == []
    scroll_to_the_top(page)
    shown(page, 1, "line 1")
    scroll(page, 5000 * ROW_PX)
    shown(page, 5005, "line 5005")
    asked = server.asked_for("/lines/")
    assert len(asked) == 2
    assert all(int(each["to"]) - int(each["from"]) < 1000 for each in asked)


def test_an_answer_may_bring_fewer_lines_than_were_asked_for(page: Page, server: ScriptedServer) -> None:
    def few(request: Request) -> Answer:
        first = int(request.query["from"][0])
        chunk = {"first": first, "at": 0, "lines": numbered(first, first + 9)}
        return server.answer({"chunks": [chunk], "last": 10_000, "gap": None})

    server.pages["/lines/"] = few
    visit_end(page, server, 10_000)
    scroll_to_the_top(page)
    shown(page, 1, "line 1")
    shown(page, 20, "line 20")


def test_lines_that_do_not_come_are_said_so_and_asked_for_again(
    page: Page, server: ScriptedServer, tolerated: list[str]
) -> None:
    tolerated.append("503")
    server.pages["/lines/"] = lambda request: Answer(503)
    visit_end(page, server, 10_000)
    scroll_to_the_top(page)
    notice(page, r"^Lines 1–\d+ could not be loaded: trying again soon\.$")
    shown(page, 1, "")
    page.wait_for_timeout(1000)
    assert len(server.asked_for("/lines/")) == 1  # it does not ask for ever
    del server.pages["/lines/"]
    scroll(page, 100)
    shown(page, 6, "line 6")
    notice(page, "^$")


def test_an_answer_without_lines_is_not_asked_for_again_and_again(page: Page, server: ScriptedServer) -> None:
    server.pages["/lines/"] = lambda request: server.answer({"chunks": [], "last": 10_000, "gap": None})
    visit_end(page, server, 10_000)
    scroll_to_the_top(page)
    notice(page, "could not be loaded")
    page.wait_for_timeout(1000)
    assert len(server.asked_for("/lines/")) == 1


def test_who_is_signed_out_is_told_to_reload(
    page: Page, server: ScriptedServer, tolerated: list[str]
) -> None:
    tolerated.append("403")
    server.pages["/lines/"] = lambda request: Answer(403)
    visit_end(page, server, 10_000)
    scroll_to_the_top(page)
    notice(page, r"could not be loaded: reload the page\.$")
    # The same question would get the same answer: it is not asked again, wherever one goes.
    scroll(page, 5000 * ROW_PX)
    page.wait_for_timeout(1500)
    scroll(page, 10_000 * ROW_PX)
    shown(page, 10_000, "line 10000")
    scroll_to_the_top(page)
    page.wait_for_timeout(2500)
    assert len(server.asked_for("/lines/")) == 1
    notice(page, r"could not be loaded: reload the page\.$")


def test_a_mistake_of_ours_in_what_was_loaded_is_told(
    page: Page, server: ScriptedServer, tolerated: list[str]
) -> None:
    tolerated.append("page error: a mistake of ours")
    told: list[str] = []
    page.on("pageerror", lambda error: told.append(error.message))
    visit_end(page, server, 10_000)
    page.evaluate(
        "() => { opsdash.transcript.store.setGap = () => { throw new TypeError('a mistake of ours'); }; }"
    )
    scroll_to_the_top(page)
    eventually(page, lambda: told == ["a mistake of ours"])
    notice(page, r"could not be loaded")


def test_lines_that_are_not_kept_are_one_row(page: Page, server: ScriptedServer) -> None:
    server.gap = (1001, 9000)
    server.lines = numbered(1, 10_000)
    visit_end(page, server, 10_000, anchor="#L1000", gap=(1001, 9000))
    gap = page.locator("#transcript .gap")
    expect(gap).to_have_text(
        "Lines 1,001–9,000 are not kept: this transcript is larger than its limit, of which its first and"
        " last part are kept."
    )
    shown(page, 1000, "line 1000")
    shown(page, 9001, "line 9001")
    page.evaluate("location.hash = '#L5000'")
    notice(page, r"^Line 5,000 is not kept\.$")


def test_a_gap_may_come_and_grow_while_the_job_runs(page: Page, server: ScriptedServer) -> None:
    visit(page, server, lines=numbered(1, 500))
    eventually(page, lambda: bool(server.streams))
    server.say("lines", {"first": 501, "at": 0, "lines": numbered(501, 600), "gap": [101, 200]})
    shown(page, 600, "line 600")
    server.say("lines", {"first": 801, "at": 0, "lines": numbered(801, 900), "gap": [101, 800]})
    shown(page, 900, "line 900")
    scroll(page, 90 * ROW_PX)
    expect(page.locator("#transcript .gap")).to_contain_text("Lines 101–800 are not kept")
    shown(page, 100, "line 100")
    shown(page, 801, "line 801")
    expect(page.locator("#connection_state")).to_have_text("live")
    assert server.asked == [500]


def test_a_transcript_that_was_removed_says_so(page: Page, server: ScriptedServer) -> None:
    sentence = "The transcript was removed on 1 March: transcripts are kept for 90 days."
    visit(page, server, removed=sentence, is_running=False)
    expect(page.get_by_text(sentence)).to_be_visible()
    expect(page.locator("#transcript, .tools")).to_have_count(0)


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


def test_every_key_that_scrolls_does_so_and_no_other_key_does_anything(
    page: Page, server: ScriptedServer
) -> None:
    visit_end(page, server, 1000)
    page.locator("#transcript").focus()
    page.keyboard.press("Home")
    shown(page, 1, "line 1")
    for key in ("PageDown", "ArrowDown", "ArrowDown", "ArrowUp"):
        before = page.evaluate("opsdash.transcript.scroller.y")
        page.keyboard.press(key)
        eventually(page, lambda before=before: page.evaluate("opsdash.transcript.scroller.y") != before)  # type: ignore[misc]
        eventually(page, lambda: page.evaluate("opsdash.transcript.scroller.timer") is None)
    seen, asked = first_seen(page), len(server.requests)
    page.keyboard.type("abcfghjklnpqwtxyz?.,1234567890")
    expect(page.locator("#transcript")).to_be_focused()
    assert first_seen(page) == seen
    assert len(server.requests) == asked
    page.keyboard.press("PageUp")
    shown(page, 5, "line 5")


def test_the_keyboard_goes_on_when_the_row_with_the_focus_is_out_of_sight(
    page: Page, server: ScriptedServer
) -> None:
    visit_end(page, server, 1000, anchor="#L300")
    shown(page, 300, "line 300")
    page.locator("a[href='#L300']").focus()
    page.keyboard.press("Home")
    shown(page, 1, "line 1")
    expect(page.locator("#transcript")).to_be_focused()
    page.keyboard.press("End")
    shown(page, 1000, "line 1000")


PRESS = "key => transcript.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}))"


def test_home_and_end_do_not_need_the_browsers_own_scrolling(page: Page, server: ScriptedServer) -> None:
    """Which a busy one drops. It does nothing for what a script presses."""
    visit_end(page, server, 1000)
    shown(page, 1000, "line 1000")
    page.evaluate(PRESS, "Home")
    shown(page, 1, "line 1")
    page.evaluate(PRESS, "End")
    shown(page, 1000, "line 1000")
    server.publish("line 1001")
    shown(page, 1001, "line 1001")


def test_home_and_end_of_an_empty_transcript_do_nothing(page: Page, server: ScriptedServer) -> None:
    visit(page, server)
    page.evaluate(PRESS, "Home")
    page.evaluate(PRESS, "End")
    server.publish("the first")
    shown(page, 1, "the first")


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
    assert len(held(page)[0]) == 50_000


def test_a_transcript_may_begin_in_the_middle(page: Page, server: ScriptedServer) -> None:
    server.lines = numbered(1, 1002)
    visit(page, server, lines=server.lines[900:1000], first=901)
    shown(page, 1002, "line 1002")
    assert server.asked == [1000]
    assert held(page) == numbered(901, 1002)


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


@pytest.mark.parametrize("step", [1, 5, 15])
def test_however_slowly_one_scrolls_up_the_end_is_left(page: Page, server: ScriptedServer, step: int) -> None:
    server.lines = numbered(1, 1000)
    visit(page, server, lines=server.lines)
    shown(page, 1000, "line 1000")
    page.locator("#transcript").hover()
    for _ in range(3):
        page.mouse.wheel(0, -step)
        page.wait_for_timeout(50)
    seen = first_seen(page)
    server.publish(*numbered(1001, 1003))
    expect(page.get_by_role("button", name="3 new lines")).to_be_visible()
    assert first_seen(page) == seen
    page.mouse.wheel(0, 1000)
    shown(page, 1003, "line 1003")
    server.publish("line 1004")
    shown(page, 1004, "line 1004")


def test_a_box_that_becomes_higher_still_follows(page: Page, server: ScriptedServer) -> None:
    server.lines = numbered(1, 1000)
    visit(page, server, lines=server.lines)
    shown(page, 1000, "line 1000")
    page.set_viewport_size({"width": 1280, "height": 1100})
    page.wait_for_timeout(200)
    server.publish("line 1001")
    shown(page, 1001, "line 1001")
