"""A real Chromium. Every test fails on a console error, a page error or a broken Content Security Policy."""

import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.browser.scripted import ScriptedServer

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE_MS = 10_000
RESULTS = Path(__file__).resolve().parents[2] / "test-results"
REPORT = pytest.StashKey[pytest.TestReport]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[REPORT] = report
    return report


# Not of the whole session: Playwright's loop counts as running in this thread until it stops, and neither an
# async test nor (without the variable) the ORM works beside a running loop.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = os.environ.get("OPSDASH_TEST_CHROMIUM") or CHROMIUM
    if not Path(path).exists():
        pytest.fail(
            f"The browser tests need Chromium, and {path} is not there. Install it, or say where it is"
            " in OPSDASH_TEST_CHROMIUM.",
            pytrace=False,
        )
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def context_options() -> dict[str, Any]:
    """What `browser.new_context` is told; a test file or a parameter may override it."""
    return {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", "timezone_id": "UTC"}


@pytest.fixture
def context(chromium: Browser, context_options: dict[str, Any]) -> Iterator[BrowserContext]:
    context = chromium.new_context(**context_options)
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def tolerated() -> list[str]:
    """Regular expressions of complaints that a test means to cause; it appends to the list."""
    return []


@pytest.fixture
def page(request: pytest.FixtureRequest, context: BrowserContext, tolerated: list[str]) -> Iterator[Page]:
    """A fresh tab. After the test it fails on whatever the browser complained about."""
    if "server" in request.fixturenames:
        request.getfixturevalue("server")  # so that it outlives the tab, whatever order a test names them in
    complaints: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: complaints.extend(complaint_of(message)))
    page.on("pageerror", lambda error: complaints.append(f"page error: {error}"))
    yield page
    page.evaluate("0")
    report = request.node.stash.get(REPORT, None)
    unexpected = [text for text in complaints if not any(re.search(known, text) for known in tolerated)]
    if unexpected or report is None or report.failed:
        RESULTS.mkdir(exist_ok=True)
        page.screenshot(path=RESULTS / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', request.node.name)}.png")
    assert not unexpected, "The browser complained:\n" + "\n".join(unexpected)


def complaint_of(message: ConsoleMessage) -> list[str]:
    if message.type not in ("error", "warning"):
        return []
    return [f"console {message.type}: {message.text} ({message.location.get('url', '')})"]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server
