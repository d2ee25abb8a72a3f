"""A job waits for a lock: its page says who is in the way, and staff ends that session by clicking."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Page, expect

from tests.browser.stack import Stack, keep_logs, stack
from tests.browser.test_whole_path import LONG_MS, RESULTS, expect_state, open_migrate, sign_in, start


@pytest.fixture(scope="module")
def opsdash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("stack")
    with stack(folder) as running:
        yield running
        keep_logs(folder, RESULTS)


def test_the_session_in_the_way_is_shown_and_ended_by_clicking(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash, "staff")
    open_migrate(page, opsdash, "shop-staging")
    url = opsdash.env["OPSDASH_DEMO_SHOP_STAGING_URL"]
    holder = psycopg.connect(url, application_name="psql <b>of ada</b>")
    holder.execute("SELECT 'secret' FROM catalog_product")
    try:
        start(page, "shop-staging")
        box = page.locator("#job_blockers")
        expect(box).to_contain_text(
            re.compile(r"It waits for AccessExclusiveLock on catalog_product"), timeout=LONG_MS
        )
        row = box.get_by_role("row").filter(has_text=f"pid {holder.info.backend_pid}")
        expect(row).to_contain_text("psql <b>of ada</b>, role")
        expect(row).to_contain_text("idle in transaction")
        expect(row).to_contain_text("SELECT '?' FROM catalog_product")
        expect(row.get_by_role("link", name="Cancel its statement")).to_have_count(0)

        row.get_by_role("link", name="End the session").click()
        expect(
            page.get_by_text("its transaction is rolled back, and its client gets an error")
        ).to_be_visible()
        page.get_by_label("Reason").fill("left open")
        page.get_by_role("button", name="End the session").click()

        page.wait_for_url(re.compile(r"/jobs/\d+/$"))
        expect(box).to_contain_text("The session was ended, its transaction rolled back.", timeout=LONG_MS)
        expect_state(page, "succeeded")
        expect(box).not_to_contain_text("It waits for")
        with pytest.raises(psycopg.OperationalError):
            holder.execute("SELECT 1")
    finally:
        holder.close()
