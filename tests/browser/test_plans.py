"""The page of a plan: what is dangerous is seen at once, the job is held to what was seen."""

import re
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Page, expect

from tests.browser.stack import REPOSITORY, Stack, keep_logs, stack
from tests.browser.test_whole_path import LONG_MS, RESULTS, expect_state, row, sign_in


@pytest.fixture(scope="module")
def opsdash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("stack")
    with stack(folder) as running:
        yield running
        keep_logs(folder, RESULTS)


def open_plan(page: Page, opsdash: Stack, target: str) -> None:
    page.goto(opsdash.url)
    expect(row(page, target).get_by_text(re.compile(r"\d+ pending"))).to_be_visible(timeout=LONG_MS)
    page.goto(f"{opsdash.url}/targets/{target}/")
    page.get_by_role("link", name="Plan", exact=True).click()
    expect(page.get_by_role("heading", name=re.compile(r"\d+ migrations: "))).to_be_visible()


def own_shop(opsdash: Stack) -> tuple[str, Path]:
    """A shop with a tree of its own, on an empty database."""
    name = f"own-{uuid.uuid4().hex[:6]}"
    tree = opsdash.folder / name
    shutil.copytree(REPOSITORY / "examples" / "shop", tree)
    server = opsdash.env["OPSDASH_DEMO_SHOP_STAGING_URL"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    file = opsdash.folder / f"{name}.toml"
    file.write_text(
        f'[targets.{name}]\nworking_directory = "{tree}"\npython = ["{sys.executable}"]\n'
        f'[targets.{name}.env]\nSHOP_BATCH_PAUSE = "0"\n'
        f'[targets.{name}.secret_env]\nDATABASE_URL = "{server.rpartition("/")[0]}/{name}"\n'
    )
    result = opsdash.manage("sync_targets", "--file", str(file))
    assert result.returncode == 0, result.stderr
    return name, tree


def test_another_plan_is_chosen_and_appears_and_one_that_leads_back_is_not_run(
    page: Page, opsdash: Stack
) -> None:
    sign_in(page, opsdash)
    open_plan(page, opsdash, "shop-staging")
    page.get_by_label("Plan:").select_option("payments.zero")
    page.get_by_role("button", name="Show this plan").click()
    page.wait_for_url(re.compile(r"/plans/\d+/$"))
    expect(page.get_by_text("It is shown, not run: opsdash only migrates forward.")).to_be_visible(
        timeout=LONG_MS
    )
    expect(page.get_by_role("button", name="Migrate exactly this")).to_have_count(0)
    expect(page.locator("details.migration").first).to_contain_text("payments.0002_refund")


def test_dangers_are_seen_at_once_the_lines_are_set_side_by_side_and_the_job_is_started(
    page: Page, opsdash: Stack
) -> None:
    sign_in(page, opsdash)
    open_plan(page, opsdash, "shop-staging")
    danger = page.locator(".dangers").get_by_role("listitem").filter(has_text="catalog_product.slug").first
    expect(danger).to_be_in_viewport()
    expect(danger).to_contain_text("danger")
    danger.get_by_role("link", name="catalog.0006_product_slug_required").click()
    migration = page.locator("#migration_2_fold")
    expect(migration).to_have_attribute("open", "")
    expect(migration.locator(".diff__unified")).to_be_visible()

    migration.get_by_role("link", name="side by side").click()
    expect(page.locator(".diff__unified")).to_have_count(0)
    expect(migration.locator(".diff__split")).to_be_visible()
    page.get_by_role("link", name="Schema, before and after all of it").click()
    expect(page.locator("details.migration")).to_have_count(0)
    expect(page.locator(".diff__split").first).to_be_visible()

    page.get_by_label("Reason").fill("read and understood")
    page.get_by_role("button", name="Migrate exactly this").click()
    page.wait_for_url(re.compile(r"/jobs/\d+/$"))
    expect_state(page, "succeeded")
    expect(page.locator("#job_outcome")).to_contain_text("Applied and recorded 9 migrations")


def test_a_plan_that_changed_since_it_was_looked_at_is_refused(page: Page, opsdash: Stack) -> None:
    name, tree = own_shop(opsdash)
    sign_in(page, opsdash)
    open_plan(page, opsdash, name)
    edited = tree / "orders/migrations/0006_fill_order_totals.py"
    edited.write_text(edited.read_text() + "\n# another hand was here\n")
    page.get_by_role("button", name="Migrate exactly this").click()
    page.wait_for_url(re.compile(r"/jobs/\d+/$"))
    expect_state(page, "failed")
    expect(page.locator("#job_outcome")).to_contain_text("with another source: orders.0006_fill_order_totals")
    expect(page.locator("#job_outcome")).to_contain_text("Nothing was changed.")
    page.get_by_role("link", name="Read the plan as it is now").click()
    expect(page.get_by_role("button", name="Migrate exactly this")).to_be_visible()
    with psycopg.connect(f"{opsdash.env['OPSDASH_DEMO_SHOP_STAGING_URL'].rpartition('/')[0]}/{name}") as own:
        assert own.execute("SELECT to_regclass('orders_order')").fetchone() == (None,)
