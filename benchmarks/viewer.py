"""A transcript of 100,000 lines in a real Chromium: how soon it is seen, and what following costs the page.

    .venv/bin/python -m embedded.testing --browser -- python -m benchmarks.viewer [ROUNDS]

The page is a job's that has 100,000 lines in its rows, asked of a web process as `make run` starts it; what
counts is the time from the start of the navigation to the first rows on the screen, the median of the rounds,
beside a page of the small server of the browser tests that shows the last 2,000 lines in a <pre>. Then the
page, from that small server, follows 100,000 more lines, in batches of
1,000 as fast as the server can send them; and a page that came with no line is sent 100,000 at once. A task
of the main thread over 50 ms is seen by the browser itself (PerformanceObserver, `longtask`); what is shorter
by the longest gap between two frames. The limits: 1 s, no task over 50 ms, 1,000 elements in the list.
"""

import html
import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.core.management import call_command
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.site import cookie_of, person, running_job, site
from dbops.models import Job
from dbops.redaction import Redactor
from dbops.transcript.recorder import Recorder
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.browser.scripted import Answer, Request, ScriptedServer, html_page, live_page
from tests.browser.waiting import eventually

LINES = 100_000
WITH_THE_PAGE = 2000
BATCH = 1000
FIRST_PAINT_MS = 1000
LONGEST_TASK_MS = 50
MOST_ELEMENTS = 1000

WATCH_ROWS = """
  const look = () => {
    if (!document.querySelector('#transcript .line, pre')) return requestAnimationFrame(look);
    return requestAnimationFrame(() => requestAnimationFrame(() => { window.seenAt = performance.now(); }));
  };
  requestAnimationFrame(look);
"""
WATCH_TASKS = """() => {
  window.tasks = [];
  window.gap = 0;
  window.most = 0;
  let before = performance.now();
  const list = document.getElementById('transcript');
  new PerformanceObserver((seen) => seen.getEntries().forEach((each) => window.tasks.push(each.duration)))
    .observe({type: 'longtask'});
  const frame = (now) => {
    window.gap = Math.max(window.gap, now - before);
    window.most = Math.max(window.most, list?.getElementsByTagName('*').length ?? 0);
    before = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}"""


def main(rounds: int) -> int:
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {rounds} rounds, medians")
    call_command("migrate", verbosity=0)
    # Playwright's loop counts as running in this thread.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with ScriptedServer() as server, sync_playwright() as playwright:
        path = os.environ.get("OPSDASH_TEST_CHROMIUM") or CHROMIUM
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        server.lines = [line(number) for number in range(1, LINES + 1)]
        shown = server.lines[-WITH_THE_PAGE:]
        server.pages["/"] = live_page(shown, first=LINES + 1 - WITH_THE_PAGE)
        server.pages["/plain/"] = lambda request: plain_page(request, shown)
        server.pages["/empty/"] = live_page()
        prove_the_watch(browser, server)
        kept = [first_paint(browser, server, rounds), following(browser, server), replay(browser, server)]
        browser.close()
    return 0 if all(kept) else 1


def line(number: int) -> str:
    """Like what a migration prints: mostly plain, some coloured."""
    if number % 10:
        return f"line {number}: {number % 300} / 300 products have a slug now"
    return f"\x1b[32m  Applying orders.{number:06}_fill_order_totals...\x1b[0m \x1b[1;32mOK\x1b[0m"


def plain_page(request: Request, lines: list[str]) -> Answer:
    return html_page(f"<pre>{html.escape(chr(10).join(lines))}</pre>")


def first_paint(browser: Browser, server: ScriptedServer, rounds: int) -> bool:
    job, cookie = long_job(server.lines), cookie_of(person())
    ours, plain = [], []
    with tempfile.NamedTemporaryFile() as log, site(Path(log.name)) as web:
        for _ in range(rounds):
            ours.append(seen_after(browser, f"http://127.0.0.1:{web.port}{job.get_absolute_url()}", cookie))
            plain.append(seen_after(browser, f"{server.url}/plain/"))
    took, its = statistics.median(ours), statistics.median(plain)
    return say(
        f"first rows after {took:.0f} ms (worst {max(ours):.0f} ms), "
        f"a <pre> of {WITH_THE_PAGE:,} lines {its:.0f} ms",
        f"{FIRST_PAINT_MS} ms",
        took <= FIRST_PAINT_MS,
    )


def long_job(lines: list[str]) -> Job:
    """One that is running, with these lines in its rows."""
    job = running_job()
    recorder = Recorder(job, Redactor(()))
    for start in range(0, len(lines), BATCH):
        recorder.feed("".join(f"{line}\n" for line in lines[start : start + BATCH]).encode())
    assert recorder.finish()
    return job


def seen_after(browser: Browser, url: str, cookie: str = "") -> float:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    if cookie:
        name, _, value = cookie.partition("=")
        context.add_cookies([{"name": name, "value": value, "url": url}])
    page = context.new_page()
    page.add_init_script(WATCH_ROWS)
    page.goto(url)
    eventually(page, lambda: bool(page.evaluate("window.seenAt !== undefined")))
    took = float(page.evaluate("window.seenAt"))
    context.close()
    return took


def prove_the_watch(browser: Browser, server: ScriptedServer) -> None:
    """A task that is too long on purpose is seen."""
    page = opened(browser, f"{server.url}/plain/")
    page.evaluate(
        "setTimeout(() => { const from = performance.now(); while (performance.now() < from + 80); }, 1)"
    )
    eventually(page, lambda: bool(page.evaluate("window.tasks.some((each) => each >= 80)")))
    page.close()


def following(browser: Browser, server: ScriptedServer) -> bool:
    page = opened(browser, server.url)
    eventually(page, lambda: bool(server.streams))
    for first in range(LINES + 1, 2 * LINES + 1, BATCH):
        server.publish(*(line(number) for number in range(first, first + BATCH)))
    return judge(page, f"following {LINES:,} more lines", 2 * LINES)


def replay(browser: Browser, server: ScriptedServer) -> bool:
    server.lines = server.lines[:LINES]
    return judge(opened(browser, f"{server.url}/empty/"), f"replay of {LINES:,} lines", LINES)


def opened(browser: Browser, url: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.add_init_script(f"document.addEventListener('DOMContentLoaded', {WATCH_TASKS});")
    page.goto(url)
    return page


def judge(page: Page, what: str, last: int) -> bool:
    """When the last line is on the screen."""
    eventually(page, lambda: page.locator(f"a[href='#L{last}']").count() == 1, within_s=120)
    seen: dict[str, Any] = json.loads(
        page.evaluate("JSON.stringify({tasks: window.tasks, gap: window.gap, most: window.most})")
    )
    page.close()
    longest = max(seen["tasks"], default=0)
    task = f"longest task {longest:.0f} ms" if longest else f"no task over {LONGEST_TASK_MS} ms"
    kept = say(
        f"{what}: {task}, longest gap between frames {seen['gap']:.0f} ms",
        f"{LONGEST_TASK_MS} ms a task",
        longest <= LONGEST_TASK_MS,
    )
    few = seen["most"] <= MOST_ELEMENTS
    return say(f"{what}: at most {seen['most']} elements in the list", f"{MOST_ELEMENTS:,}", few) and kept


def say(what: str, limit: str, kept: bool) -> bool:
    print(f"{what}; limit {limit}: {'kept' if kept else 'EXCEEDED'}", flush=True)
    return kept


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 9))
