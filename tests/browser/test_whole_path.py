"""A person signs in, sees the targets, clicks Migrate and watches it happen. Nothing here is a stand-in."""

import json
import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.stack import Stack, keep_logs, stack
from tests.browser.viewing import held
from tests.browser.waiting import eventually
from tests.integration.holding import own_database_away

RESULTS = Path(__file__).resolve().parents[2] / "test-results"
LONG_MS = 40_000


@pytest.fixture(scope="module")
def opsdash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with stack(folder) as running:
        yield running
        keep_logs(folder, RESULTS)


@pytest.fixture
def tolerated() -> list[str]:
    return []


def sign_in(page: Page, opsdash: Stack, name: str = "operator") -> None:
    page.goto(opsdash.url)
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(opsdash.passwords[name])
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def row(page: Page, target: str) -> Any:
    return page.locator(f"#row_{target}_default")


def open_migrate(page: Page, opsdash: Stack, target: str) -> None:
    page.goto(opsdash.url)
    expect(row(page, target).get_by_text(re.compile(r"\d+ pending"))).to_be_visible(timeout=LONG_MS)
    row(page, target).get_by_role("link", name=f"Migrate {target}").click()


def start(page: Page, target: str) -> int:
    """What a part of the project would do is shown first."""
    page.get_by_role("button", name=f"Migrate {target}").click()
    page.wait_for_url(re.compile(r"/(jobs|plans)/\d+/$"))
    if "/plans/" in page.url:
        page.get_by_role("button", name="Migrate exactly this").click(timeout=LONG_MS)
    page.wait_for_url(re.compile(r"/jobs/\d+/$"))
    return int(page.url.rstrip("/").rpartition("/")[2])


def expect_state(page: Page, state: str) -> None:
    expect(page.locator("#job_state")).to_have_attribute("data-state", state, timeout=LONG_MS)


def transcript_of(page: Page, opsdash: Stack, job: int) -> list[str]:
    response = page.request.get(f"{opsdash.url}/jobs/{job}/transcript.txt")
    assert response.ok
    return response.text().splitlines()


def held_lines(page: Page) -> list[str]:
    """The lines that the viewer has in memory; the virtual list shows those in sight."""
    lines = held(page)
    assert len(lines) == page.evaluate("opsdash.transcript.last")
    return lines


def test_a_postgres_project_is_migrated_by_clicking_and_watched_live(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash)
    open_migrate(page, opsdash, "shop-staging")
    expect(
        page.get_by_role("heading", name="Plan of the whole project: 9 migrations, in this order")
    ).to_be_visible()
    job = start(page, "shop-staging")

    expect(page.locator("#connection_state")).to_have_text("live", timeout=LONG_MS)
    expect_state(page, "running")
    expect(page.locator(".step--running")).to_be_visible()
    expect(page.locator("#transcript")).to_contain_text("50 / 300 slugs")
    expect_state(page, "succeeded")

    expect(page.locator("#connection_state")).to_have_text("ended")
    expect(page.locator("#job_outcome")).to_contain_text("Applied and recorded 9 migrations: catalog.0005")
    expect(page.locator(".progress__words")).to_have_text("9 of 9 migrations")
    expect(page).to_have_title(re.compile("^succeeded: migrate on shop-staging"))
    assert len(transcript_of(page, opsdash, job)) > 20

    page.goto(opsdash.url)
    expect(row(page, "shop-staging")).to_contain_text("nothing to apply")
    expect(row(page, "shop-staging")).to_contain_text("migrate succeeded")


def test_the_sqlite_project_too(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash)
    open_migrate(page, opsdash, "blog")
    start(page, "blog")
    expect_state(page, "succeeded")
    expect(page.locator("#job_outcome")).to_contain_text(
        "Applied and recorded 5 migrations: posts.0001_initial"
    )
    page.goto(opsdash.url)
    expect(row(page, "blog")).to_contain_text("nothing to apply")


def test_two_clicks_and_two_tabs_start_a_job_once(
    page: Page, context: BrowserContext, opsdash: Stack
) -> None:
    sign_in(page, opsdash)
    open_migrate(page, opsdash, "shop-production")
    page.get_by_label("App:").select_option("payments")
    page.get_by_role("button", name="Show this plan").click()
    other = context.new_page()
    open_migrate(other, opsdash, "shop-production")

    page.get_by_role("button", name="Migrate exactly this").dblclick(timeout=LONG_MS)
    page.wait_for_url(re.compile(r"/jobs/\d+/$"))
    job = int(page.url.rstrip("/").rpartition("/")[2])
    other.get_by_role("button", name="Migrate shop-production").click()
    expect(other.get_by_role("alert").or_(other.locator("#job_state")).first).to_be_visible()
    if other.locator("#job_state").count() == 0:
        expect(other.get_by_role("alert")).to_contain_text(f"Job {job} (migrate on shop-production/default)")
    expect_state(page, "succeeded")
    started = [
        line for line in transcript_of(page, opsdash, job) if line.startswith(f"opsdash: job {job}: migrate")
    ]
    assert len(started) == 1
    other.close()


def test_a_reload_in_the_middle_loses_and_doubles_nothing(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash)
    open_migrate(page, opsdash, "shop-production")
    page.get_by_label("Up to migration:").select_option("catalog.0007_product_name_index")
    job = start(page, "shop-production")
    for words in ("50 / 300 slugs", "150 / 300 slugs"):
        expect(page.locator("#transcript")).to_contain_text(words, timeout=LONG_MS)
        page.reload()
    expect_state(page, "succeeded")
    expect(page.locator("#connection_state")).to_have_text("ended")
    assert held_lines(page) == transcript_of(page, opsdash, job)


# Fast, with lines that a test writes: test_tabs_and_troubles.
@pytest.mark.slow
def test_a_cut_network_loses_and_doubles_nothing(
    page: Page, context: BrowserContext, opsdash: Stack, tolerated: list[str]
) -> None:
    tolerated += ["ERR_INTERNET_DISCONNECTED", "ERR_NETWORK_CHANGED", "ERR_CONNECTION", "ERR_INCOMPLETE"]
    sign_in(page, opsdash)
    open_migrate(page, opsdash, "shop-production")
    page.get_by_label("Up to migration:").select_option("orders.0006_fill_order_totals")
    job = start(page, "shop-production")
    expect(page.locator("#connection_state")).to_have_text("live", timeout=LONG_MS)
    opsdash.stop_web()
    expect(page.locator("#connection_state")).to_contain_text("reconnecting", timeout=LONG_MS)
    context.set_offline(True)
    opsdash.start_web()
    context.set_offline(False)
    expect_state(page, "succeeded")
    expect(page.locator("#connection_state")).to_have_text("ended")
    assert held_lines(page) == transcript_of(page, opsdash, job)


# Fast, without a browser: tests/integration/run/test_own_database_away.py.
@pytest.mark.slow
def test_while_our_database_is_away_the_page_says_that_it_is_reconnecting_and_then_it_catches_up(
    page: Page, opsdash: Stack, tolerated: list[str]
) -> None:
    tolerated += ["503"]
    name = f"slow-{uuid.uuid4().hex[:6]}"
    add_shop(opsdash, name, pause_s=2)
    sign_in(page, opsdash)
    open_migrate(page, opsdash, name)
    job = start(page, name)
    expect(page.locator("#transcript")).to_contain_text("50 / 300 products", timeout=LONG_MS)
    with own_database_away(opsdash.env["DATABASE_URL"].rpartition("/")[2]):
        expect(page.locator("#connection_state")).to_contain_text("reconnecting", timeout=LONG_MS)
    expect(page.locator("#connection_state")).to_have_text("live", timeout=LONG_MS)
    expect(page.locator("#transcript")).to_contain_text("150 / 300 products", timeout=LONG_MS)
    page.get_by_role("button", name="Cancel the job").click()
    expect_state(page, "cancelled")
    assert held_lines(page) == transcript_of(page, opsdash, job)


def test_a_running_job_is_cancelled_from_the_page(page: Page, opsdash: Stack) -> None:
    name = f"slow-{uuid.uuid4().hex[:6]}"
    add_slow_shop(opsdash, name)
    sign_in(page, opsdash)
    open_migrate(page, opsdash, name)
    start(page, name)
    expect(page.locator("#transcript")).to_contain_text("50 / 300 products", timeout=LONG_MS)
    page.get_by_role("button", name="Cancel the job").click()
    expect_state(page, "cancelled")
    outcome = page.locator("#job_outcome")
    expect(outcome).to_contain_text("Cancelled by operator")
    expect(outcome).to_contain_text("Recorded in the database by now: ")
    expect(page.get_by_role("button", name="Cancel the job")).to_have_count(0)


def add_slow_shop(opsdash: Stack, name: str) -> None:
    """A shop on an empty database whose imports rest for minutes."""
    add_shop(opsdash, name, pause_s=120)


def add_shop(opsdash: Stack, name: str, *, pause_s: int) -> None:
    server = opsdash.env["OPSDASH_DEMO_SHOP_STAGING_URL"]
    database = name.replace("-", "_")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{database}"')
    file = opsdash.folder / f"{name}.toml"
    repository = Path(__file__).resolve().parents[2]
    file.write_text(
        f'[targets.{name}]\nworking_directory = "{repository}/examples/shop"\n'
        f'python = ["{sys.executable}"]\n'
        f'[targets.{name}.env]\nSHOP_BATCH_PAUSE = "{pause_s}"\n'
        f'[targets.{name}.secret_env]\nDATABASE_URL = "{server.rpartition("/")[0]}/{database}"\n'
    )
    result = opsdash.manage("sync_targets", "--file", str(file))
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_the_shell_gives_the_same_record_as_the_page(page: Page, opsdash: Stack) -> None:
    """Equal work on two equal databases, asked for in two ways."""
    names = [f"{way}-{uuid.uuid4().hex[:6]}" for way in ("clicked", "typed")]
    for name in names:
        add_shop(opsdash, name, pause_s=0)
    sign_in(page, opsdash)
    for name in names:
        expect(row(page, name)).to_contain_text("pending", timeout=LONG_MS)
    open_migrate(page, opsdash, names[0])
    page.get_by_label("App:").select_option("catalog")
    clicked = document(opsdash, start(page, names[0]))
    expect_state(page, "succeeded")
    clicked = document(opsdash, clicked["id"])
    seen = clicked["arguments"]["expected_plan"]
    argv = ["run_job", names[1], "migrate", "--app", "catalog", "--plan", seen, "--follow", "--json"]
    typed = json.loads(opsdash.manage(*argv).stdout)["job"]
    assert clicked["state"] == "succeeded" and clicked["steps"] and clicked["facts"]["after"]
    assert (clicked["asked_by"], typed["asked_by"].partition(":")[0]) == ("operator", "shell")
    assert comparable(typed) == comparable(clicked)


def document(opsdash: Stack, job: int) -> dict[str, Any]:
    """What `run_job --json` prints of its own job, of any job."""
    code = (
        "import json; from dbops.documents import job_document; from dbops.models import Job; "
        f"print(json.dumps(job_document(Job.objects.get(pk={job}))))"
    )
    found: dict[str, Any] = json.loads(opsdash.manage("shell", "-v", "0", "-c", code).stdout)["job"]
    return found


def comparable(job: dict[str, Any]) -> dict[str, Any]:
    """Without what differs between any two jobs: which, when, by whom, where, how long."""
    others = ("id", "target", "asked_by", "created_at", "started_at", "finished_at", "steps", "facts")
    steps = [(step["kind"], step["name"], step["state"], step["statements"]) for step in job["steps"]]
    after = {key: value for key, value in job["facts"]["after"].items() if key != "inspection"}
    facts = {**job["facts"], "after": after}
    kept = {key: value for key, value in job.items() if key not in others}
    return {**kept, "steps": steps, "facts": facts}


def test_the_search_and_the_filter_live_in_the_url(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash, "viewer")
    page.get_by_label("Search:").fill("shop")
    page.get_by_label("Environment:").select_option("production")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile(r"q=shop&environment=production"))
    expect(page.locator("#databases tbody tr")).to_have_count(1)
    page.reload()
    expect(page.locator("#databases tbody tr")).to_have_count(1)
    expect(page.get_by_label("Search:")).to_have_value("shop")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        pytest.param("/jobs/", marks=pytest.mark.slow),
        pytest.param("/targets/blog/", marks=pytest.mark.slow),
    ],
)
def test_back_brings_the_whole_page_after_it_refreshed_itself(page: Page, opsdash: Stack, path: str) -> None:
    sign_in(page, opsdash, "viewer")
    expect(row(page, "blog")).to_be_visible(timeout=LONG_MS)
    with page.expect_response(lambda answer: "hx-request" in answer.request.headers):
        page.goto(f"{opsdash.url}{path}")
    page.goto(f"{opsdash.url}/targets/shop-staging/")
    page.go_back()
    expect(page).to_have_url(f"{opsdash.url}{path}")
    expect(page.locator("#header")).to_be_visible()
    expect(page).to_have_title(re.compile(r"\| opsdash$"))


def add_job(opsdash: Stack, target: str, *, lines: int = 0, state: str = "succeeded") -> int:
    """A job made of rows, whose lines say their number; on a target that leads nowhere unless it exists."""
    made = opsdash.manage("shell", "-v", "0", "-c", MAKE_JOB.format(target=target, lines=lines, state=state))
    assert made.returncode == 0, made.stderr
    return int(made.stdout)


MAKE_JOB = """
import uuid
from django.utils import timezone
from dbops.models import Job, Target, TargetDatabase

now = timezone.now()
target, _ = Target.objects.get_or_create(name="{target}", defaults=dict(python=["/nowhere/python"]))
job = Job.objects.create(
    database=TargetDatabase.objects.get_or_create(target=target, alias="default")[0],
    operation="migrate", idempotency_key=uuid.uuid4(), queue="jobs", asked_by_name="alice",
    published_at=now, finished_at=now if "{state}" == "succeeded" else None, state="{state}",
    last_line={lines},
)
for first in range(1, {lines} + 1, 700):
    last = min({lines}, first + 699)
    text = "\\n".join(f"line {{n}}" for n in range(first, last + 1))
    job.chunks.create(first=first, last=last, text=text, at=now)
print(job.pk)
"""


def top_line(page: Page) -> str:
    """The number of the line that stands highest in the viewer's window; "" while lines are put in place."""
    number: str = page.evaluate(
        """() => {
          const box = document.getElementById('transcript').getBoundingClientRect();
          const rows = [...document.querySelectorAll('#transcript .line')];
          const seen = rows.find((row) => row.getBoundingClientRect().top >= box.top);
          return seen ? seen.querySelector('.line__number').textContent : '';
        }"""
    )
    return number


def test_a_long_transcript_is_complete_after_scrolling_through_it(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash, "viewer")
    expect(row(page, "blog")).to_be_visible(timeout=LONG_MS)
    job = add_job(opsdash, "blog", lines=5000)
    page.goto(f"{opsdash.url}/jobs/{job}/")
    eventually(page, lambda: page.evaluate("opsdash.transcript.store.count") == 2000)
    page.locator("#transcript").focus()
    page.keyboard.press("Home")
    eventually(page, lambda: top_line(page) == "1")
    for number in range(1, 3002, 100):
        page.evaluate(f"location.hash = '#L{number}'")
        expect(page.locator(".line--target .line__text")).to_have_text(f"line {number}")
    # The last of these lines was there; those in front of it are still on their way.
    eventually(page, lambda: page.evaluate("opsdash.transcript.store.count") == 5000)
    assert held_lines(page) == [f"line {number}" for number in range(1, 5001)]


def test_a_link_to_an_early_line_of_a_long_transcript_leads_there_by_one_request(
    page: Page, opsdash: Stack
) -> None:
    sign_in(page, opsdash, "viewer")
    expect(row(page, "blog")).to_be_visible(timeout=LONG_MS)
    job = add_job(opsdash, "blog", lines=5000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/lines/" in request.url else None)
    page.goto(f"{opsdash.url}/jobs/{job}/#L5")
    expect(page.locator(".line--target .line__text")).to_have_text("line 5")
    expect(page.locator(".line--target")).to_be_in_viewport()
    assert len(asked) == 1
    assert page.evaluate("opsdash.transcript.store.count") < 3500


def test_staff_resolves_a_lost_job_that_nothing_else_can_end(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash, "staff")
    job = add_job(opsdash, f"lost-{uuid.uuid4().hex[:6]}", state="lost")
    page.goto(f"{opsdash.url}/jobs/{job}/")
    page.get_by_label("Reason").fill("no session is left on the server")
    page.get_by_role("button", name="Resolve the job as failed").click()
    expect_state(page, "failed")
    expect(page.locator("#job_outcome")).to_contain_text(
        "staff resolved it as failed: no session is left on the server."
    )
    expect(page.locator("#job_resolution")).to_have_count(0)


def test_a_viewer_sees_why_there_is_no_migrate_button(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash, "viewer")
    expect(page.locator("#databases .button")).to_have_count(0)
    expect(row(page, "shop-production")).to_contain_text(
        re.compile("needs the role operator|nothing to apply")
    )
    page.goto(f"{opsdash.url}/targets/shop-production/")
    expect(page.get_by_role("button", name="Inspect now")).to_have_count(0)


def test_the_overview_refreshes_by_itself(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash, "viewer")
    name = f"late-{uuid.uuid4().hex[:6]}"
    add_slow_shop(opsdash, name)
    expect(row(page, name)).to_contain_text("pending", timeout=LONG_MS)


def test_the_configuration_opens_to_a_superuser_and_never_shows_a_secret(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash, "superuser")
    page.get_by_role("link", name="Configuration").click()
    page.get_by_role("link", name="Targets", exact=True).click()
    page.get_by_role("link", name="shop-production").click()
    expect(page.get_by_label("Python:")).to_be_visible()
    password = opsdash.env["OPSDASH_DEMO_SHOP_PRODUCTION_URL"].split(":")[2].split("@")[0]
    assert password not in page.content()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    page.goto(f"{opsdash.url}/targets/shop-production/")
    page.get_by_role("button", name="Inspect now").click()
    expect(
        page.get_by_role("status").filter(has_text="An inspection of shop-production is asked for")
    ).to_be_visible()
    assert json.loads(opsdash.manage("status", "shop-production", "--inspect", "--json").stdout)["databases"][
        0
    ]["statuses"][0]["state"] in ("pending", "checked")
