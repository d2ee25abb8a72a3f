"""static/js/live.js: one stream a page, nothing lost, nothing doubled, and never live when it is not."""

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.scripted import Answer, ScriptedServer, Stream, live_page
from tests.browser.viewing import held
from tests.browser.waiting import eventually, set_hidden

# Longer than the first waits before a retry (0.5 s and 1 s, looked at once a second).
RETRY_MS = 2500


def state(page: Page, words: str) -> None:
    expect(page.locator("#connection_state")).to_have_text(re.compile(words))


def numbered(first: int, last: int) -> list[str]:
    return [f"line {number}" for number in range(first, last + 1)]


def visit(page: Page, server: ScriptedServer, **options: object) -> None:
    server.pages["/"] = live_page(**options)  # type: ignore[arg-type]
    page.goto(server.url)


def test_it_replays_and_then_follows(page: Page, server: ScriptedServer) -> None:
    server.lines = numbered(1, 3)
    visit(page, server)
    state(page, "^live$")
    server.publish(*numbered(4, 5))
    eventually(page, lambda: held(page) == numbered(1, 5))
    assert server.asked == [0]


def test_it_goes_on_after_the_lines_the_page_came_with(page: Page, server: ScriptedServer) -> None:
    server.lines = numbered(1, 8)
    visit(page, server, lines=numbered(1, 5))
    eventually(page, lambda: held(page) == numbered(1, 8))
    assert server.asked == [5]


def test_a_cut_loses_nothing_and_doubles_nothing(
    page: Page, server: ScriptedServer, tolerated: list[str]
) -> None:
    tolerated.append("ERR_CONNECTION_RESET|ERR_INCOMPLETE|ERR_EMPTY_RESPONSE")
    visit(page, server)
    for round_number in range(3):
        state(page, "^live$")
        server.publish(*numbered(round_number * 100 + 1, round_number * 100 + 100))
        eventually(page, lambda done=round_number: len(held(page)) >= (done + 1) * 100)  # type: ignore[misc]
        server.cut()
        state(page, "reconnecting")
    eventually(page, lambda: len(server.asked) == 4)
    server.publish("line 301")
    eventually(page, lambda: held(page) == numbered(1, 301))
    assert server.asked == [0, 100, 200, 300]


def test_half_an_event_is_no_event(page: Page, server: ScriptedServer) -> None:
    async def half(stream: Stream, after: int) -> None:
        stream.event("lines", {"first": 1, "lines": numbered(1, 10)}, 10)
        stream.raw('id: 12\nevent: lines\ndata: {"first": 11, "lines": ["line 11", "li')
        stream.close()

    server.lines = numbered(1, 12)
    server.next.append(half)
    visit(page, server)
    eventually(page, lambda: held(page) == numbered(1, 12))
    assert server.asked == [0, 10]


def test_lines_that_were_seen_are_dropped(page: Page, server: ScriptedServer) -> None:
    visit(page, server)
    state(page, "^live$")
    server.say("lines", {"first": 1, "lines": numbered(1, 10)})
    server.say("lines", {"first": 6, "lines": numbered(6, 12)})
    server.say("lines", {"first": 2, "lines": numbered(2, 5)})
    eventually(page, lambda: held(page) == numbered(1, 12))


def test_after_a_gap_it_asks_again_from_what_it_has(page: Page, server: ScriptedServer) -> None:
    async def gap(stream: Stream, after: int) -> None:
        stream.event("lines", {"first": 1, "lines": numbered(1, 3)}, 3)
        stream.event("lines", {"first": 7, "lines": numbered(7, 9)}, 9)

    server.lines = numbered(1, 9)
    server.next.append(gap)
    visit(page, server)
    eventually(page, lambda: held(page) == numbered(1, 9))
    assert server.asked == [0, 3]


def test_seconds_of_503_cost_nothing_but_time(
    page: Page, server: ScriptedServer, tolerated: list[str]
) -> None:
    tolerated.append("status of 503")
    server.lines = numbered(1, 20)
    visit(page, server)
    eventually(page, lambda: held(page) == numbered(1, 20))
    server.next.extend([Answer(503)] * 3)
    server.finish()
    state(page, "reconnecting")
    server.publish(*numbered(21, 25))
    eventually(page, lambda: held(page) == numbered(1, 25), within_s=20)
    state(page, "^live$")
    assert server.asked == [0, 20, 20, 20, 20]


def test_waits_grow_while_it_fails(page: Page, server: ScriptedServer, tolerated: list[str]) -> None:
    tolerated.append("status of 503")
    server.always = Answer(503)
    visit(page, server)
    state(page, r"reconnecting \([3-9] s\)")
    assert len(server.asked) <= 5


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(204), "^ended$"),
        (Answer(401), "^signed out: reload to log in$"),
        (Answer(403), "^signed out: reload to log in$"),
        (Answer(404), "^gone: reload the page$"),
        (Answer(302, headers={"Location": "/login/"}), "^signed out: reload to log in$"),
        (Answer(200, "<form>Log in</form>"), "^signed out: reload to log in$"),
    ],
    ids=["204", "401", "403", "404", "redirect", "login page"],
)
def test_it_stops_where_trying_again_is_pointless(
    page: Page, server: ScriptedServer, tolerated: list[str], answer: Answer, words: str
) -> None:
    tolerated.append("status of 40[134]")
    server.always = answer
    visit(page, server)
    state(page, words)
    set_hidden(page, True)
    set_hidden(page, False)
    page.wait_for_timeout(RETRY_MS)
    state(page, words)
    assert server.asked == [0]
    assert not any(request.path == "/login/" for request in server.requests)


def test_the_end_is_the_end(page: Page, server: ScriptedServer) -> None:
    visit(page, server)
    state(page, "^live$")
    server.publish("done")
    server.end("succeeded")
    state(page, "^ended$")
    page.wait_for_timeout(RETRY_MS)
    assert held(page) == ["done"]
    assert server.asked == [0]
    assert not server.streams


def test_bye_means_come_again(page: Page, server: ScriptedServer) -> None:
    visit(page, server)
    state(page, "^live$")
    server.publish("one")
    server.say("bye", {"why": "server is going away"})
    eventually(page, lambda: server.asked == [0, 1])
    state(page, "^live$")


async def snapshot(stream: Stream, after: int) -> None:
    """What a server does that has many pages to tell."""
    stream.event("fragments", {"html": {"job_state": '<section id="job_state">running</section>'}})
    if after < 3:
        stream.event("lines", {"first": 1, "at": 0, "lines": numbered(1, 3)}, 3)
    stream.event("tail", {"text": "Applying"})
    stream.event("bye", {"why": "many pages are open", "again_s": 0.3})


def test_a_page_among_many_asks_now_and_then_and_says_so_and_nothing_flickers(
    page: Page, server: ScriptedServer
) -> None:
    server.always = snapshot
    visit(page, server)
    state(page, "^live, every 0.3 s$")
    expect(page.locator("#connection_state")).to_have_attribute("data-state", "live")
    page.evaluate(
        """() => {
          window.seen = [];
          const note = () => window.seen.push(document.querySelector('#connection_state').textContent
            + ' ' + document.querySelector('.line--tail .line__text')?.textContent);
          const options = {subtree: true, childList: true, characterData: true, attributes: true};
          new MutationObserver(note).observe(document.body, options);
        }"""
    )
    eventually(page, lambda: len(server.asked) >= 4)
    assert set(page.evaluate("window.seen")) <= {"live, every 0.3 s Applying"}
    assert server.asked[:3] == [0, 3, 3]
    assert held(page) == numbered(1, 3)
    # When there is room again it stays connected.
    server.always = None
    server.lines = numbered(1, 3)
    state(page, "^live$")
    server.publish("line 4")
    eventually(page, lambda: held(page) == numbered(1, 4))


def test_a_page_among_many_that_loses_its_server_does_not_look_live(
    page: Page, server: ScriptedServer, tolerated: list[str]
) -> None:
    tolerated.append("status of 503")
    server.next.append(snapshot)
    server.always = Answer(503)
    visit(page, server)
    state(page, "^live, every 0.3 s$")
    state(page, "reconnecting")


def test_a_page_among_many_whose_question_is_not_answered_does_not_look_live(
    page: Page, server: ScriptedServer
) -> None:
    server.always = snapshot
    visit(page, server)
    state(page, "^live, every 0.3 s$")
    server.slow["/stream/"] = 8
    state(page, "^reconnecting$")
    asked = len(server.asked)
    del server.slow["/stream/"]
    state(page, "^live, every 0.3 s$")
    assert len(server.asked) > asked


def test_a_hidden_page_among_many_rests_and_comes_back(page: Page, server: ScriptedServer) -> None:
    server.always = snapshot
    visit(page, server)
    state(page, "^live, every 0.3 s$")
    set_hidden(page, True)
    state(page, r"^paused \(tab hidden\)$")
    asked = len(server.asked)
    page.wait_for_timeout(600)
    assert len(server.asked) == asked
    set_hidden(page, False)
    state(page, "^live, every 0.3 s$")


def test_lines_that_are_not_kept_are_no_reason_to_ask_again(page: Page, server: ScriptedServer) -> None:
    visit(page, server)
    state(page, "^live$")
    server.say("lines", {"first": 1, "at": 0, "lines": numbered(1, 3)})
    server.say("lines", {"first": 8, "at": 0, "lines": numbered(8, 9), "gap": [3, 7]})
    eventually(page, lambda: held(page) == [*numbered(1, 3), *numbered(8, 9)])
    state(page, "^live$")
    server.finish()
    eventually(page, lambda: server.asked == [0, 9])


def test_a_gap_that_does_not_cover_what_is_missing_is_a_reason(page: Page, server: ScriptedServer) -> None:
    async def gap(stream: Stream, after: int) -> None:
        stream.event("lines", {"first": 1, "at": 0, "lines": numbered(1, 3)}, 3)
        stream.event("lines", {"first": 8, "at": 0, "lines": numbered(8, 9), "gap": [5, 7]}, 9)

    server.lines = numbered(1, 9)
    server.next.append(gap)
    visit(page, server)
    eventually(page, lambda: held(page) == numbered(1, 9))
    assert server.asked == [0, 3]


def test_a_very_large_event_that_comes_in_small_slices_costs_little(
    page: Page, server: ScriptedServer
) -> None:
    visit(page, server)
    took = page.evaluate(
        """() => {
          const from = performance.now();
          let found = 0;
          const reader = new opsdash.EventReader((event) => { found = event.data.length; });
          const slice = 'x'.repeat(100);
          reader.push('data: ');
          for (let count = 0; count < 50_000; count += 1) reader.push(slice);
          reader.push('\\n\\n');
          return found === 5_000_000 ? performance.now() - from : Infinity;
        }"""
    )
    assert took < 1000


def test_processing_the_element_again_opens_no_second_stream(page: Page, server: ScriptedServer) -> None:
    visit(page, server)
    state(page, "^live$")
    for number in range(3):
        page.evaluate(
            "(n) => { const e = document.getElementById('live'); e.setAttribute('hx-vals', `{\"n\": ${n}}`);"
            " htmx.process(e); htmx.process(document.body); }",
            number,
        )
    server.publish("one")
    eventually(page, lambda: held(page) == ["one"])
    assert server.asked == [0]
    assert server.most_open == 1


@pytest.mark.parametrize(
    "script",
    [
        "document.getElementById('live').remove()",
        "htmx.swap(document.getElementById('live'), '<p>gone</p>', {swapStyle: 'outerHTML'})",
    ],
    ids=["removed", "swapped away"],
)
def test_an_element_that_leaves_closes_its_stream(page: Page, server: ScriptedServer, script: str) -> None:
    visit(page, server)
    state(page, "^live$")
    page.evaluate(f"() => {{ {script} }}")
    eventually(page, lambda: not server.streams, within_s=2)
    page.wait_for_timeout(RETRY_MS)
    assert server.asked == [0]


def test_a_hidden_tab_holds_no_stream_and_misses_nothing(page: Page, server: ScriptedServer) -> None:
    visit(page, server)
    state(page, "^live$")
    server.publish(*numbered(1, 5))
    eventually(page, lambda: len(held(page)) == 5)
    set_hidden(page, True)
    state(page, r"^paused \(tab hidden\)$")
    eventually(page, lambda: not server.streams)
    server.publish(*numbered(6, 9))
    set_hidden(page, False)
    eventually(page, lambda: held(page) == numbered(1, 9))
    state(page, "^live$")
    assert server.asked == [0, 5]


STATE = (
    '<section id="job_state" data-title="{0}: migrate" data-favicon="/static/img/favicon-{0}.svg">{0}'
    "</section>"
)


def test_a_hidden_tab_asks_now_and_then_and_learns_how_the_job_ended(
    page: Page, server: ScriptedServer
) -> None:
    visit(page, server, extra='live-hidden="0.5"')
    state(page, "^live$")
    set_hidden(page, True)
    state(page, r"^paused \(tab hidden\)$")
    eventually(page, lambda: not server.streams)
    server.publish("one")
    server.fragments(job_state=STATE.format("running"))
    expect(page).to_have_title("running: migrate")
    eventually(page, lambda: held(page) == ["one"])
    state(page, r"^paused \(tab hidden\)$")
    eventually(page, lambda: len(server.asked) >= 4)
    assert not server.streams
    server.fragments_shown["job_state"] = STATE.format("failed")
    server.end("failed")
    state(page, "^ended$")
    expect(page).to_have_title("failed: migrate")
    expect(page.locator("link[rel=icon]")).to_have_attribute("href", "/static/img/favicon-failed.svg")
    asked = len(server.asked)
    set_hidden(page, False)
    page.wait_for_timeout(1200)
    assert len(server.asked) == asked
    assert [("once" in each) for each in server.asked_for("/stream/")] == [False, *[True] * (asked - 1)]


def test_a_hidden_tab_that_is_refused_or_not_answered_goes_on_asking_and_stays_paused(
    page: Page, server: ScriptedServer, tolerated: list[str]
) -> None:
    tolerated.append("status of 503|ERR_CONNECTION_RESET|ERR_INCOMPLETE|ERR_EMPTY_RESPONSE")

    async def broken(stream: Stream, after: int) -> None:
        stream.event("lines", {"first": 7, "at": 0, "lines": ["too late"]}, 7)
        stream.close()

    visit(page, server, extra='live-hidden="0.3"')
    state(page, "^live$")
    server.next.extend([Answer(503), broken, Answer(503)])
    set_hidden(page, True)
    eventually(page, lambda: len(server.asked) >= 5)
    state(page, r"^paused \(tab hidden\)$")
    set_hidden(page, False)
    state(page, "^live$")
    server.publish("one")
    eventually(page, lambda: held(page) == ["one"])


def test_a_hidden_tab_lets_go_of_a_server_that_does_not_keep_it_short(
    page: Page, server: ScriptedServer
) -> None:
    async def endless(stream: Stream, after: int) -> None:
        stream.event("lines", {"first": 1, "at": 0, "lines": ["one"]}, 1)

    visit(page, server, extra='live-hidden="0.3" live-silence="2"')
    state(page, "^live$")
    server.lines = ["one"]
    server.next.append(endless)
    set_hidden(page, True)
    eventually(page, lambda: len(server.asked) == 2)
    eventually(page, lambda: len(server.asked) == 3)
    state(page, r"^paused \(tab hidden\)$")


def test_a_hidden_tab_whose_session_ends_says_so(
    page: Page, server: ScriptedServer, tolerated: list[str]
) -> None:
    tolerated.append("status of 401")
    visit(page, server, extra='live-hidden="0.3"')
    state(page, "^live$")
    server.always = Answer(401)
    set_hidden(page, True)
    state(page, "^signed out: reload to log in$")
    page.wait_for_timeout(700)
    assert len(server.asked) == 2


def test_a_tab_that_starts_hidden_waits(page: Page, server: ScriptedServer) -> None:
    page.add_init_script(
        "Object.defineProperty(document, 'visibilityState', {configurable: true, value: 'hidden'})"
    )
    visit(page, server)
    state(page, r"^paused \(tab hidden\)$")
    assert server.asked == []


def test_a_browser_that_goes_offline_does_not_look_live(
    page: Page, context: BrowserContext, server: ScriptedServer, tolerated: list[str]
) -> None:
    tolerated.append("ERR_INTERNET_DISCONNECTED")
    visit(page, server)
    state(page, "^live$")
    context.set_offline(True)
    state(page, "reconnecting")
    server.publish("meanwhile")
    context.set_offline(False)
    eventually(page, lambda: held(page) == ["meanwhile"])
    state(page, "^live$")


def test_silence_is_shown_and_then_answered_with_a_new_connection(page: Page, server: ScriptedServer) -> None:
    visit(page, server, extra='live-silence="2"')
    state(page, "^live$")
    state(page, r"^silent \(\d s\)$")
    eventually(page, lambda: len(server.asked) == 2)


def test_a_comment_is_a_sign_of_life(page: Page, server: ScriptedServer) -> None:
    visit(page, server, extra='live-silence="2"')
    state(page, "^live$")
    state(page, r"^silent")
    server.raw(": still here\n\n")
    state(page, "^live$")
    assert server.asked == [0]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("slice_bytes", [0, 1, 7])
def test_any_framing_is_read(page: Page, server: ScriptedServer, line_end: str, slice_bytes: int) -> None:
    server.line_end = line_end
    server.slice_bytes = slice_bytes
    server.lines = ["plain", "größe ✓ 🚀", ""]
    visit(page, server)
    eventually(page, lambda: held(page) == server.lines)
    server.publish("and more")
    eventually(page, lambda: held(page) == server.lines)
    assert server.asked == [0]


def test_text_in_any_slices_gives_the_same_events(page: Page, server: ScriptedServer) -> None:
    visit(page, server)
    events: list[list[dict[str, str]]] = page.evaluate(
        r"""() => ['\n', '\r\n', '\r'].flatMap((end) => [1, 2, 3, 5, 1000].map((size) => {
          const lines = [': hello', 'id: 7', 'event: tail', 'data: a:b', 'data:  c', '', 'data', '', 'id: 8'];
          const text = lines.join(end) + end + end;
          const seen = [];
          const reader = new opsdash.EventReader((event) => seen.push(event));
          for (let at = 0; at < text.length; at += size) reader.push(text.slice(at, at + size));
          return seen;
        }))"""
    )
    expected = [
        {"event": "tail", "data": "a:b\n c"},
        {"event": "message", "data": ""},
    ]
    assert events == [expected] * 15


def test_output_cannot_forge_an_event(page: Page, server: ScriptedServer) -> None:
    forged = 'x\r\revent: end\rdata: {"state": "succeeded"}\r\rid: 99\r\n\n'
    visit(page, server)
    state(page, "^live$")
    server.publish(forged, "next")
    eventually(page, lambda: held(page) == [forged, "next"])
    state(page, "^live$")
    assert server.streams


def test_an_unknown_event_is_ignored(page: Page, server: ScriptedServer) -> None:
    visit(page, server)
    state(page, "^live$")
    server.say("constructor", {})
    server.say("later version", {"x": 1})
    server.publish("one")
    eventually(page, lambda: held(page) == ["one"])


def test_a_mistake_of_ours_is_told_and_is_no_broken_line(
    page: Page, server: ScriptedServer, tolerated: list[str]
) -> None:
    tolerated.append("page error: a mistake of ours")
    told: list[str] = []
    page.on("pageerror", lambda error: told.append(error.message))
    visit(page, server)
    state(page, "^live$")
    page.evaluate("() => { htmx.swap = () => { throw new TypeError('a mistake of ours'); }; }")
    server.fragments(job_state='<section id="job_state">running</section>')
    server.publish("one")
    eventually(page, lambda: held(page) == ["one"])
    assert told == ["a mistake of ours"]
    state(page, "^live$")
    assert server.asked == [0]


def test_lines_that_cannot_be_understood_are_told_and_asked_for_again(
    page: Page, server: ScriptedServer, tolerated: list[str]
) -> None:
    tolerated.append("page error: .*JSON")
    visit(page, server)
    state(page, "^live$")
    server.raw('event: lines\ndata: {"first": 1, "lines": [\n\n')
    server.publish("one", "two")
    server.say("lines", {"first": 4, "at": 0, "lines": ["four"]})
    eventually(page, lambda: server.asked == [0, 2])
    eventually(page, lambda: held(page) == ["one", "two"])


def test_fragments_are_swapped_through_htmx(page: Page, server: ScriptedServer) -> None:
    server.pages["/more/"] = lambda request: Answer(body="<b>from the server</b>")
    visit(page, server)
    state(page, "^live$")
    server.fragments(
        job_state='<section id="job_state" data-title="running: migrate shop"'
        ' data-favicon="/static/img/favicon-running.svg">running</section>',
        job_steps='<section id="job_steps"><button hx-get="/more/" hx-target="#job_steps">more</button>'
        "</section>",
        not_on_this_page="<p id=not_on_this_page></p>",
    )
    expect(page.locator("#job_state")).to_have_text("running")
    expect(page).to_have_title("running: migrate shop")
    expect(page.locator("link[rel=icon]")).to_have_attribute("href", "/static/img/favicon-running.svg")
    page.get_by_role("button", name="more").click()
    expect(page.locator("#job_steps")).to_have_text("from the server")


def test_a_swap_keeps_focus_and_open_details(page: Page, server: ScriptedServer) -> None:
    def steps(count: int) -> str:
        return (
            f'<section id="job_steps"><details id="sql"><summary id="sql_summary">SQL {count}</summary>'
            "<p>SELECT 1</p></details></section>"
        )

    visit(page, server)
    state(page, "^live$")
    server.fragments(job_steps=steps(1))
    page.locator("#sql_summary").click()
    page.locator("#sql_summary").focus()
    server.fragments(job_steps=steps(2))
    expect(page.locator("#sql_summary")).to_have_text("SQL 2")
    expect(page.locator("#sql_summary")).to_be_focused()
    expect(page.get_by_text("SELECT 1")).to_be_visible()


def test_a_fragment_that_did_not_change_is_left_alone(page: Page, server: ScriptedServer) -> None:
    server.fragments_shown = {"job_state": '<section id="job_state">running</section>'}
    visit(page, server)
    expect(page.locator("#job_state")).to_have_text("running")
    page.evaluate("document.getElementById('job_state').dataset.kept = 'yes'")
    server.finish()
    eventually(page, lambda: len(server.asked) == 2)
    server.publish("one")
    eventually(page, lambda: held(page) == ["one"])
    expect(page.locator("#job_state")).to_have_attribute("data-kept", "yes")


def test_a_form_that_differs_by_its_token_alone_is_left_alone(page: Page, server: ScriptedServer) -> None:
    def cancel(token: str, words: str = "Cancel") -> str:
        field = f'<input type="hidden" name="csrfmiddlewaretoken" value="{token}">'
        return f'<section id="job_state"><form>{field}<button>{words}</button></form></section>'

    visit(page, server)
    state(page, "^live$")
    server.fragments(job_state=cancel("one"))
    page.get_by_role("button", name="Cancel").focus()
    server.fragments(job_state=cancel("two"))
    server.publish("line")
    eventually(page, lambda: held(page) == ["line"])
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    server.fragments(job_state=cancel("three", "Stop"))
    expect(page.locator("input[type=hidden]")).to_have_value("three")


def test_a_screen_reader_hears_the_state_but_not_the_seconds(
    page: Page, server: ScriptedServer, tolerated: list[str]
) -> None:
    tolerated.append("status of 503")
    server.always = Answer(503)
    visit(page, server)
    state(page, r"reconnecting \(\d s\)")
    expect(page.locator("#connection_state [role=status]")).to_have_text("reconnecting")
