"""Somebody signs in with a phone, without it, and through a provider; and sees where else they are."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.stack import Stack, keep_logs, stack
from tests.browser.test_whole_path import RESULTS, sign_in
from tests.integration.signing import code_of, next_code
from tests.provider.process import CLIENT, PASSWORD, Provider, provider


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """On the loopback the port of a way back does not count (RFC 8252, 7.3)."""
    back = "http://127.0.0.1/login/provider/back/"
    with provider(tmp_path_factory.mktemp("provider"), back, ada=["ops"]) as running:
        yield running


@pytest.fixture(scope="module")
def opsdash(there: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("signing")
    sign_on = {
        "OPSDASH_OIDC_ISSUER": there.issuer,
        "OPSDASH_OIDC_CLIENT_ID": CLIENT,
        "OPSDASH_OIDC_CLIENT_SECRET": there.secret,
        "OPSDASH_OIDC_NAME": "The Provider",
        "OPSDASH_OIDC_OPERATORS": "ops",
    }
    with stack(folder, with_workers=False, **sign_on) as running:
        yield running
        keep_logs(folder, RESULTS)


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_phone_and_without_it_a_recovery_code_sign_somebody_in(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash, "staff")
    page.get_by_role("link", name="staff").click()
    page.get_by_role("link", name="Set it up").click()
    picture = page.get_by_alt_text("The secret as a picture")
    assert picture.evaluate("(image) => image.complete && image.naturalWidth > 0")
    secret = page.locator("#secret").inner_text()
    page.get_by_label("Code").fill(code_of(secret))
    page.get_by_role("button", name="Switch it on").click()
    codes = page.locator(".recovery-codes li").all_inner_texts()
    assert len(codes) == 10
    for code in (next_code(secret), codes[0]):
        sign_out(page)
        page.get_by_label("Username").fill("staff")
        page.get_by_label("Password").fill(opsdash.passwords["staff"])
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
        page.get_by_label("Code").fill(code)
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#overview_rows")).to_be_visible()
    page.get_by_role("link", name="staff").click()
    expect(page.locator("#second_factor")).to_contain_text("Recovery codes left: 9.")


def test_somebody_sees_where_else_they_are_and_signs_out_there(
    page: Page, opsdash: Stack, chromium: Browser
) -> None:
    elsewhere = chromium.new_context(user_agent="A phone that was left in a train").new_page()
    sign_in(elsewhere, opsdash, "viewer")
    sign_in(page, opsdash, "viewer")
    page.goto(f"{opsdash.url}/account/")
    row = page.get_by_role("row").filter(has_text="A phone that was left in a train")
    row.get_by_role("button", name="Sign out").click()
    expect(page.locator(".messagelist")).to_contain_text("Signed out elsewhere: 1.")
    expect(page.locator("#sessions")).not_to_contain_text("A phone that was left in a train")
    elsewhere.reload()
    expect(elsewhere.get_by_role("heading", name="Log in")).to_be_visible()
    elsewhere.context.close()


def test_somebody_clicks_through_the_provider_and_confirms_there_once_more(
    page: Page, opsdash: Stack
) -> None:
    page.goto(f"{opsdash.url}/jobs/")
    page.get_by_role("link", name="Log in with The Provider").click()
    type_there(page)
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    expect(page.locator("#user-tools")).to_contain_text("ada")
    expect(page.locator("#user-tools")).to_contain_text("operator")
    page.goto(f"{opsdash.url}/account/confirmation/?next=/workers/")
    page.get_by_role("link", name="Confirm with The Provider").click()
    type_there(page)
    expect(page.get_by_role("heading", name="Workers and queues")).to_be_visible()
    expect(page.locator(".messagelist")).to_contain_text("Nothing was sent for you meanwhile")
    sign_out(page)


def type_there(page: Page) -> None:
    """The provider asks, also whom it knows."""
    expect(page.get_by_role("heading", name="The provider")).to_be_visible()
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
