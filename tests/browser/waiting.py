"""Waiting for what only Python can see (Playwright's wait_for_function needs eval, which is forbidden)."""

import time
from collections.abc import Callable

from playwright.sync_api import Page


def eventually(page: Page, check: Callable[[], bool], *, within_s: float = 10) -> None:
    """Return as soon as `check` holds; the browser goes on meanwhile."""
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline, "It did not come true in time."
        page.wait_for_timeout(20)


def set_hidden(page: Page, hidden: bool) -> None:
    """Tell the page that its tab went out of sight, or came back: a headless tab is always in sight."""
    state = "hidden" if hidden else "visible"
    page.evaluate(
        """(state) => {
          Object.defineProperty(document, 'visibilityState', {configurable: true, get: () => state});
          document.dispatchEvent(new Event('visibilitychange'));
        }""",
        state,
    )
