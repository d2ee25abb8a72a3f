"""Whatever a target or a person can say is put everywhere it can stand, and every page is opened in a real
browser: nothing of it runs, loads, swaps or submits anything, and no page reads other than it is."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest
from django.contrib.auth.models import User
from django.urls import Resolver404, resolve
from playwright.sync_api import Browser, Dialog, Page, Request

from dbops.models import Job
from tests.browser.hostile_rows import Rows
from tests.hostile import MARK, PAYLOADS
from tests.integration.conftest import people  # noqa: F401 (a fixture)
from tests.integration.web import Web, sign_in, web_process

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

# Of each kind of address so many: a page of one job is made as that of another is.
MOST_OF_A_KIND = 4
KINDS_WITH_ALL = {"job", "target", "plan", "migration"}
MOST_WITH_ALL = 8
WATCH = """
window.zqxhits = [];
window.zqxmark = (number) => { window.zqxhits.push(String(number)); };
for (const name of ['alert', 'confirm', 'prompt', 'print']) window[name] = () => window.zqxhits.push(name);
document.addEventListener('securitypolicyviolation', (event) => {
  window.zqxhits.push(`violation of ${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
});
"""
# What of the data has become more than text.
WALK = (Path(__file__).parent / "hostile_walk.js").read_text()


@dataclass
class Seen:
    """What the browser met."""

    page: Page
    host: str
    visited: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def note(self, what: str, words: str) -> None:
        self.wrong.append(f"{urlsplit(self.page.url).path}: {what}: {words[:400]}")

    def asked(self, request: Request) -> None:
        if urlsplit(request.url).netloc != self.host and not request.url.startswith(
            ("data:image/", "about:")
        ):
            self.note("request", request.url)
        if f"/{MARK}" in unquote(urlsplit(request.url).path) and request.resource_type in (
            "xhr",
            "fetch",
            "script",
        ):
            self.note("request", request.url)

    def asked_by_a_dialog(self, dialog: Dialog) -> None:
        self.note("dialog", dialog.message)
        dialog.dismiss()

    def visit(self, path: str, *, status: int = 0) -> None:
        answer = self.page.goto(f"http://{self.host}{path}")
        assert answer is not None
        if answer.status >= 500 or (status and answer.status != status):
            self.note("status", f"{answer.status} of {path}")
        self.look()

    def look(self) -> None:
        self.visited.add(urlsplit(self.page.url).path)
        for found in self.page.evaluate(WALK, MARK):
            self.note("found", found)
        if hits := self.page.evaluate("window.zqxhits"):
            self.note("ran", str(hits))

    def links(self) -> list[str]:
        found: list[str] = self.page.eval_on_selector_all(
            "a[href]", "all => all.map(a => a.getAttribute('href'))"
        )
        return found


@pytest.fixture
def site(people: dict[str, User], tmp_path: Path) -> Iterator[Web]:  # noqa: F811
    with web_process(tmp_path / "web.log") as running:
        sign_in(running, people["superuser"])
        yield running


@pytest.fixture
def rows(people: dict[str, User], tmp_path: Path) -> Rows:  # noqa: F811
    return Rows(tmp_path, people["superuser"])


@pytest.fixture
def seen(chromium: Browser, site: Web) -> Iterator[Seen]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(10_000)
    context.add_init_script(WATCH)
    host = f"127.0.0.1:{site.port}"
    context.add_cookies(
        [{"name": name, "value": value, "url": f"http://{host}"} for name, value in site.cookies.items()]
    )
    page = context.new_page()
    found = Seen(page, host)
    page.on("dialog", found.asked_by_a_dialog)
    page.on("pageerror", lambda error: found.note("page error", str(error)))
    page.on("console", lambda said: found.note("console", said.text) if is_complaint(said) else None)
    page.on("request", found.asked)
    page.on("popup", lambda popup: found.note("popup", popup.url))
    page.on("download", lambda download: found.note("download", download.url))
    yield found
    context.close()


def is_complaint(said: Any) -> bool:
    """That a page answers 404 or 422 is said in the console, too."""
    return said.type in ("error", "warning") and "Failed to load resource" not in said.text


def test_nothing_that_is_said_does_anything_on_any_page(rows: Rows, site: Web, seen: Seen) -> None:
    walk_from_link_to_link(seen)
    live(rows, seen)
    for path in addresses(rows):
        seen.visit(path)
    assert forms(rows, seen) >= 5
    fragments(rows, site, seen)
    assert not seen.wrong, "\n".join(sorted(set(seen.wrong)))
    kinds = {kind_of(path) for path in seen.visited}
    assert kinds >= EVERY_KIND, EVERY_KIND - kinds
    log = site.log.read_text()
    assert "Traceback" not in log, log[log.index("Traceback") :][:4000]


EVERY_KIND = {
    "overview", "target", "migrate", "migration", "graph", "newest_plan", "plan", "makemigrations", "merge",
    "compare", "jobs", "job", "again", "session_cancellation", "session_termination", "workers",
    "audit", "audit_event", "account", "second_factor", "password", "tokens", "new_token", "admin:index",
    "admin:dbops_target_change", "admin:dbops_targetdatabase_changelist", "admin:auth_user_changelist",
}  # fmt: skip


def kind_of(path: str) -> str:
    try:
        return resolve(unquote(path)).view_name
    except Resolver404:
        return ""


def walk_from_link_to_link(seen: Seen) -> None:
    waiting, known, counts = (
        ["/", "/jobs/", "/workers/", "/compare/", "/admin/"],
        set[str](),
        dict[str, int](),
    )
    while waiting:
        path = waiting.pop(0)
        bare, kind = path.partition("#")[0], kind_of(path.partition("?")[0].partition("#")[0])
        if bare in known or not bare.startswith("/") or kind in ("", "transcript", "admin:jsi18n"):
            continue
        known.add(bare)
        most = MOST_WITH_ALL if kind in KINDS_WITH_ALL else MOST_OF_A_KIND
        if counts.setdefault(kind, 0) >= most:
            continue
        counts[kind] += 1
        seen.visit(bare)
        waiting += [link for link in seen.links() if link.startswith("/")]


def live(rows: Rows, seen: Seen) -> None:
    """Lines that come while the page is open, looked through and looked for."""
    job, page = rows.jobs[2], seen.page
    seen.visit(f"/jobs/{job.pk}/")
    rows.print_more()
    page.wait_for_function("last => opsdash.transcript.last >= last", arg=len(PAYLOADS))
    seen.look()
    field = page.get_by_label("Search the transcript")
    for words in ("<img", MARK, "</script>", "\\u003c", "(.*)", "onerror"):
        field.fill(words)
        page.wait_for_timeout(250)
        seen.look()
    page.evaluate("document.getElementById('transcript').scrollTop = 0")
    page.wait_for_timeout(200)
    seen.look()
    assert page.locator("#job_state").count() == 1
    assert page.locator("#connection_state").get_attribute("data-state") != "ended"
    Job.objects.filter(pk=job.pk).update(version=99)


def addresses(rows: Rows) -> list[str]:
    """With something strange in each part that a person may write."""
    some = [PAYLOADS[number] for number in (0, 3, 24, 37, 39, 47, 54, 65, 67, 75)]
    words = [quote(payload, safe="") for payload in some]
    target = "/targets/hostile/databases/default"
    return [
        *(f"/?q={word}&sort={word}&status={word}&page={word}&environment={word}" for word in words),
        *(f"/jobs/?q={word}&state={word}&page={word}" for word in words[:5]),
        *(f"/compare/?a={word}&b={word}&diff={word}" for word in words),
        *(f"{target}/graph/?app={word}" for word in words[:5]),
        *(f"{target}/plan/?page={word}&show={word}&diff={word}" for word in words[:3]),
        *(f"/targets/hostile/databases/{word}/graph/" for word in words[:5]),
        *(f"{target}/migrations/{word}/{word}/" for word in words[:3]),
        *(f"/nowhere/{word}/" for word in words),
        *(f"/login/?next={word}" for word in words[:3]),
        *(f"/jobs/{rows.jobs[0].pk}/record/?migration={word}" for word in words[:2]),
        *(f"/admin/dbops/auditevent/?q={word}" for word in words[:3]),
        *(f"/admin/dbops/target/?q={word}" for word in words[:2]),
        f"/jobs/{rows.jobs[2].pk}/sessions/42/termination/",
        f"/jobs/{rows.jobs[2].pk}/sessions/42/cancellation/",
        "/targets/hostile/makemigrations/",
        "/targets/hostile/merge/",
        f"/compare/?a={quote('hostile/default')}&b={quote('poisoned/default')}",
        f"/jobs/{rows.jobs[0].pk}/again/",
    ]


def forms(rows: Rows, seen: Seen) -> int:
    """What was typed wrongly is shown again; how many forms there were."""
    sent = 0
    pages = [
        "/targets/poisoned/databases/default/migrate/",
        f"/jobs/{rows.jobs[0].pk}/again/",
        f"/jobs/{rows.jobs[2].pk}/sessions/42/termination/",
        f"/jobs/{rows.jobs[3].pk}/",
        f"/admin/dbops/target/{rows.target.pk}/change/",
        "/admin/auth/user/add/",
        "/admin/auth/group/add/",
    ]
    for path, payload in zip(pages, (PAYLOADS[n] for n in (3, 29, 37, 9, 38, 0, 54)), strict=True):
        seen.visit(path)
        if not seen.page.evaluate(f"{THE_FORM} !== undefined"):
            continue
        with seen.page.expect_navigation():
            seen.page.evaluate(TYPE_EVERYWHERE, payload)
        seen.look()
        sent += 1
    return sent


THE_FORM = """[...document.forms].filter((one) => one.method === 'post' && !one.closest('#header')
  && !/logout|inspections|cancellation/.test(one.action)).pop()"""
TYPE_EVERYWHERE = f"""
(words) => {{
  const form = {THE_FORM};
  for (const field of form.elements) {{
    if (field.name === 'csrfmiddlewaretoken' || /_FORMS$|-id$|-target$/.test(field.name)) continue;
    if (['text', 'password', 'hidden', 'search', 'number', 'textarea', 'email'].includes(field.type)) {{
      field.removeAttribute('maxlength');
      field.value = words;
    }}
  }}
  HTMLFormElement.prototype.submit.call(form);
}}
"""


def fragments(rows: Rows, site: Web, seen: Seen) -> None:
    """What htmx swaps in, alone on a page of this origin."""
    paths = ["/", "/jobs/", "/workers/", "/targets/hostile/", "/targets/poisoned/"]
    paths += [f"/jobs/{rows.jobs[4].pk}/waiting/", f"/compare/?a=hostile/default&b={quote(PAYLOADS[3])}"]
    for path in paths:
        seen.page.goto(f"http://{seen.host}/workers/")
        answer = site.get(quote(path, safe="/?=&%"), **{"HX-Request": "true"})
        assert answer.status == 200, path
        seen.page.evaluate(
            "html => htmx.swap(document.getElementById('content'), html, {swapStyle: 'innerHTML'})",
            answer.text,
        )
        seen.page.wait_for_timeout(100)
        seen.look()


def test_a_search_of_the_viewer_finds_attacks_as_they_are_written() -> None:
    """The corpus is one: each has the mark, and is another."""
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 40
    assert all(MARK in payload for payload in PAYLOADS)
    assert not re.search(r"[{}]{2}run", "".join(PAYLOADS)) and os.environ
