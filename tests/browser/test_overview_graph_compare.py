"""The overview's order, the picture of a graph and a comparison, in a real browser."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import RESULTS
from tests.browser.stack import Stack, keep_logs, stack
from tests.browser.test_whole_path import LONG_MS, row, sign_in


@pytest.fixture(scope="module")
def opsdash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with stack(folder) as running:
        yield running
        keep_logs(folder, RESULTS)


def inspected(page: Page) -> None:
    for target in ("shop-staging", "shop-production", "blog"):
        expect(row(page, target)).to_contain_text("pending", timeout=LONG_MS)


def test_the_chosen_order_outlives_a_refresh(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash, "viewer")
    inspected(page)
    page.get_by_role("columnheader").get_by_role("link", name="Target").click()
    page.get_by_role("columnheader").get_by_role("link", name=re.compile("^Target")).click()
    expect(page).to_have_url(re.compile(r"\?sort=-name$"))
    with page.expect_response(lambda answer: answer.request.headers.get("hx-request") == "true"):
        page.evaluate("htmx.trigger('#overview_rows', 'refresh')")
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Target")
    expect(page.locator("#databases tbody tr").first).to_contain_text("Shop staging")


def test_a_count_at_the_top_filters_and_clicked_again_shows_all(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash, "viewer")
    inspected(page)
    page.get_by_role("link", name=re.compile("^pending: 3")).click()
    expect(page).to_have_url(re.compile(r"status=pending"))
    page.get_by_role("link", name=re.compile("^pending: 3")).click()
    expect(page).not_to_have_url(re.compile(r"status="))


@pytest.mark.parametrize("context_options", [{"viewport": {"width": 390, "height": 800}}])
def test_on_a_phone_the_picture_scrolls_in_its_own_box(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash, "viewer")
    inspected(page)
    page.goto(f"{opsdash.url}/targets/shop-staging/databases/default/graph/")
    box = page.get_by_role("region", name="Picture of the migration graph")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_picture_is_walked_through_by_keyboard_and_each_node_is_named(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash, "viewer")
    inspected(page)
    page.goto(f"{opsdash.url}/targets/shop-staging/databases/default/graph/")
    node = page.get_by_role("link", name="catalog.0005_fill_product_slugs: to apply")
    node.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.matches('a.node')")
    node.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/targets/shop-staging/"))
    expect(page.get_by_text("0005_fill_product_slugs").first).to_be_attached()


def test_both_schemas_are_read_by_a_click_and_appear_by_themselves(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash)
    inspected(page)
    page.goto(f"{opsdash.url}/targets/shop-staging/")
    page.get_by_role("link", name="Compare with").click()
    page.get_by_label("The other (B)").fill("shop-production/default")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("applied in A only").first).to_be_visible()
    page.get_by_role("button", name="Read both schemas").click()
    expect(page.get_by_text("3 tables dropped")).to_be_visible(timeout=LONG_MS)
    page.get_by_role("link", name="Side by side").click()
    expect(page.locator(".diff__split").first).to_be_visible()
