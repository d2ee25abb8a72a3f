"""A running job in several tabs, and what may happen to the line between a page and opsdash: nothing is lost,
nothing doubled, and the page never says that it is live when it is not."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, expect

from tests.browser.conftest import complaint_of
from tests.browser.stack import REPOSITORY, Stack, stack
from tests.browser.test_whole_path import sign_in, transcript_of
from tests.browser.viewing import held
from tests.browser.waiting import eventually

LONG_MS = 40_000
CUT = ["ERR_INTERNET_DISCONNECTED", "ERR_NETWORK_CHANGED", "ERR_CONNECTION", "ERR_INCOMPLETE", "ERR_EMPTY"]


@pytest.fixture(scope="module")
def opsdash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Without workers: the test writes what a job prints. Rights are read anew every second."""
    folder = tmp_path_factory.mktemp("web")
    quick = {"OPSDASH_STREAM_RECHECK_S": "1", "OPSDASH_STREAM_KEEPALIVE_S": "1"}
    with stack(folder, with_workers=False, **quick) as running:
        yield running


@dataclass
class RunningJob:
    number: int
    writer: subprocess.Popen[str]

    @property
    def path(self) -> str:
        return f"/jobs/{self.number}/"

    def write(self, *lines: str) -> None:
        assert self.writer.stdin and self.writer.stdout
        for line in lines:
            self.writer.stdin.write(f"{line}\n")
            self.writer.stdin.flush()
            assert self.writer.stdout.readline() == "written\n"

    def end(self, state: str = "succeeded") -> None:
        self.write(f"!state {state}")


@pytest.fixture
def job(opsdash: Stack) -> Iterator[RunningJob]:
    made = opsdash.manage("shell", "-v", "0", "-c", MAKE_JOB)
    assert made.returncode == 0, made.stderr
    number = int(made.stdout)
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.browser.writing", str(number)],
        cwd=REPOSITORY,
        env={**opsdash.env, "DJANGO_SETTINGS_MODULE": "opsdash.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with writer:
        yield RunningJob(number, writer)
        assert writer.stdin
        writer.stdin.close()


MAKE_JOB = """
import uuid
from django.utils import timezone
from dbops.models import Job, Target, TargetDatabase

target = Target.objects.create(name=f"shop-{uuid.uuid4().hex[:6]}", python=["/nowhere/python"])
job = Job.objects.create(
    database=TargetDatabase.objects.create(target=target, alias="default"), operation="migrate",
    idempotency_key=uuid.uuid4(), queue="jobs", asked_by_name="alice", state="running", fence=1,
    published_at=timezone.now(), started_at=timezone.now(),
)
print(job.pk)
"""


def open_job(page: Page, opsdash: Stack, job: RunningJob) -> None:
    page.goto(f"{opsdash.url}{job.path}")


def state(page: Page, words: str) -> None:
    expect(page.locator("#connection_state")).to_have_text(re.compile(words), timeout=LONG_MS)


def numbered(first: int, last: int) -> list[str]:
    return [f"line {number}" for number in range(first, last + 1)]


def has(page: Page, lines: list[str]) -> None:
    eventually(page, lambda: held(page) == lines, within_s=30)


def new_tab(context: BrowserContext, complaints: list[str]) -> Page:
    """Beside the one of the fixture; its complaints are the test's own to look at."""

    def note(message: ConsoleMessage) -> None:
        complaints.extend(complaint_of(message))

    tab = context.new_page()
    tab.on("console", note)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    return tab


def test_two_tabs_see_the_same_and_one_may_leave(
    page: Page, context: BrowserContext, opsdash: Stack, job: RunningJob
) -> None:
    complaints: list[str] = []
    sign_in(page, opsdash, "viewer")
    other = new_tab(context, complaints)
    for tab in (page, other):
        open_job(tab, opsdash, job)
        state(tab, "^live$")
    job.write(*numbered(1, 20))
    has(page, numbered(1, 20))
    has(other, numbered(1, 20))
    other.close()
    job.write(*numbered(21, 25))
    has(page, numbered(1, 25))
    job.end()
    state(page, "^ended$")
    assert not complaints


def test_eight_tabs_all_load_all_follow_and_say_how(
    page: Page, context: BrowserContext, opsdash: Stack, job: RunningJob
) -> None:
    """By HTTP/1.1 a browser opens six connections to a host; every tab counts as seen here."""
    complaints: list[str] = []
    sign_in(page, opsdash, "viewer")
    tabs = [page, *(new_tab(context, complaints) for _ in range(7))]
    job.write(*numbered(1, 5))
    for tab in tabs:
        open_job(tab, opsdash, job)
    for tab in tabs:
        state(tab, "^live")
        has(tab, numbered(1, 5))
    words = [tab.locator("#connection_state").inner_text() for tab in tabs]
    assert sorted(words) == ["live"] * 4 + ["live, every 2 s"] * 4
    job.write(*numbered(6, 30))
    for tab in tabs:
        has(tab, numbered(1, 30))
    page_of_another_kind = new_tab(context, complaints)
    page_of_another_kind.goto(f"{opsdash.url}/jobs/")
    expect(page_of_another_kind.get_by_role("heading", name="Jobs")).to_be_visible()

    streaming = [tab for tab, said in zip(tabs, words, strict=True) if said == "live"]
    streaming[-1].close()
    left = [tab for tab in tabs if tab is not streaming[-1]]
    eventually(left[0], lambda: sum(exactly_live(tab) for tab in left) == 4, within_s=30)
    job.end("failed")
    for tab in left:
        state(tab, "^ended$")
        expect(tab).to_have_title(re.compile("^failed: migrate on shop-"))
        has(tab, numbered(1, 30))
    assert not complaints


def exactly_live(tab: Page) -> bool:
    return tab.locator("#connection_state").inner_text() == "live"


def test_a_network_that_is_cut_is_said_and_then_made_up_for(
    page: Page, context: BrowserContext, opsdash: Stack, job: RunningJob, tolerated: list[str]
) -> None:
    tolerated += CUT
    sign_in(page, opsdash, "viewer")
    open_job(page, opsdash, job)
    state(page, "^live$")
    job.write(*numbered(1, 5))
    has(page, numbered(1, 5))
    context.set_offline(True)
    state(page, "^reconnecting")
    job.write(*numbered(6, 15))
    context.set_offline(False)
    has(page, numbered(1, 15))
    state(page, "^live$")


def test_seconds_of_503_from_a_proxy_cost_nothing_but_time(
    page: Page, context: BrowserContext, opsdash: Stack, job: RunningJob, tolerated: list[str]
) -> None:
    tolerated += ["status of 503", *CUT]
    sign_in(page, opsdash, "viewer")
    open_job(page, opsdash, job)
    state(page, "^live$")
    refused: list[str] = []

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        route.fulfill(status=503, body="upstream is away", content_type="text/html")

    page.route("**/stream/**", refuse)
    context.set_offline(True)
    state(page, "^reconnecting")
    context.set_offline(False)
    eventually(page, lambda: len(refused) >= 3, within_s=30)
    state(page, "^reconnecting")
    job.write(*numbered(1, 10))
    page.unroute("**/stream/**")
    has(page, numbered(1, 10))
    state(page, "^live$")


@pytest.mark.parametrize(
    "how",
    [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)],
    ids=["asked to stop", "killed"],
)
def test_a_server_that_is_restarted_in_mid_job_is_waited_for(
    page: Page, opsdash: Stack, job: RunningJob, tolerated: list[str], how: signal.Signals
) -> None:
    tolerated += CUT
    sign_in(page, opsdash, "viewer")
    open_job(page, opsdash, job)
    state(page, "^live$")
    job.write(*numbered(1, 10))
    has(page, numbered(1, 10))
    opsdash.stop_web(how)
    state(page, "^reconnecting")
    job.write(*numbered(11, 20))
    opsdash.start_web()
    state(page, "^live$")
    job.write(*numbered(21, 25))
    has(page, numbered(1, 25))
    assert transcript_of(page, opsdash, job.number) == numbered(1, 25)


EXPIRE = (
    "from django.contrib.sessions.models import Session; from django.utils import timezone;"
    "Session.objects.update(expire_date=timezone.now())"
)
DEACTIVATE = (
    "from django.contrib.auth.models import User; User.objects.filter(username='viewer').update(is_active={})"
)


def change(opsdash: Stack, code: str) -> None:
    done = opsdash.manage("shell", "-v", "0", "-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", [EXPIRE, DEACTIVATE.format(False)], ids=["session expired", "deactivated"])
def test_who_may_not_look_any_more_is_told_so_and_sees_nothing_new(
    page: Page, opsdash: Stack, job: RunningJob, tolerated: list[str], code: str
) -> None:
    tolerated += ["status of 401"]
    with ExitStack() as afterwards:
        afterwards.callback(change, opsdash, DEACTIVATE.format(True))
        sign_in(page, opsdash, "viewer")
        open_job(page, opsdash, job)
        state(page, "^live$")
        job.write(*numbered(1, 5))
        has(page, numbered(1, 5))
        change(opsdash, code)
        state(page, "^signed out: reload to log in$")
        job.write("a secret of afterwards")
        page.wait_for_timeout(2500)
        assert held(page) == numbered(1, 5)
        page.reload()
        expect(page.get_by_label("Username")).to_be_visible()


@pytest.fixture
def without_scripts(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(java_script_enabled=False)
    context.set_default_timeout(LONG_MS)
    yield context.new_page()
    context.close()


def test_without_javascript_the_page_shows_what_there_is_and_a_link_that_brings_more(
    without_scripts: Page, opsdash: Stack, job: RunningJob
) -> None:
    page = without_scripts
    sign_in(page, opsdash, "viewer")
    job.write(*numbered(1, 3))
    open_job(page, opsdash, job)
    shown = page.locator(".transcript__plain")
    expect(shown).to_have_text("line 1\nline 2\nline 3\n")
    expect(page.locator("#connection_state")).to_have_text("not live: reload for more")
    job.write("line 4")
    page.get_by_role("link", name="Reload for more").click()
    expect(shown).to_have_text("line 1\nline 2\nline 3\nline 4\n")
    expect(page.get_by_role("link", name="Download the transcript")).to_be_visible()
