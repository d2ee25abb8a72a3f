"""A queue that nobody serves is said where a job waits for it, until somebody does; then it is run again."""

import json
import re
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from playwright.sync_api import Page, expect

from tests.browser.stack import Stack, keep_logs, process, stack
from tests.browser.test_whole_path import LONG_MS, RESULTS, expect_state, sign_in


@pytest.fixture(scope="module")
def opsdash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("workers")
    with stack(folder) as running:
        yield running
        keep_logs(folder, RESULTS)


def ask(opsdash: Stack, target: str, queue: str) -> int:
    """A job of a target that names this queue from now on."""
    with psycopg.connect(opsdash.env["DATABASE_URL"]) as connection:
        connection.execute("UPDATE dbops_target SET queue = %s WHERE name = %s", [queue, target])
    return int(json.loads(opsdash.manage("run_job", target, "migrate", "--json").stdout)["job"]["id"])


def a_worker_that_does_nothing(opsdash: Stack, queue: str) -> None:
    """Its row alone, kept current for an hour."""
    with psycopg.connect(opsdash.env["DATABASE_URL"]) as connection:
        connection.execute(
            "INSERT INTO dbops_worker (name, run, kind, queues, host, pid, slots, busy, versions, "
            "started_at, heartbeat_at) VALUES ('idle@test', %s, 'worker', %s, 'test', 1, 2, 1, '{}', now(), "
            "now() + interval '1 hour')",
            [uuid.uuid4(), json.dumps([queue])],
        )


def a_worker_is_gone(opsdash: Stack) -> None:
    with psycopg.connect(opsdash.env["DATABASE_URL"]) as connection:
        connection.execute(
            "UPDATE dbops_worker SET heartbeat_at = now() - interval '1 hour' WHERE name = 'idle@test'"
        )


@pytest.mark.slow
def test_a_queued_jobs_page_follows_who_serves_its_queue(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash)
    expect(page.locator("#row_blog_default").get_by_text("5 pending")).to_be_visible(timeout=LONG_MS)
    job, waiting = ask(opsdash, "blog", "far"), page.locator("#job_waiting")
    page.goto(f"{opsdash.url}/jobs/{job}/")
    expect(waiting).to_contain_text("No worker serves the queue far.")
    a_worker_that_does_nothing(opsdash, "far")
    expect(waiting).to_contain_text("idle@test serves it; 1 of 2 slots at work.")
    a_worker_is_gone(opsdash)
    expect(waiting).to_contain_text("No worker serves the queue far (idle@test is silent).")
    command = waiting.locator("pre").inner_text()
    with process(opsdash.folder / "far.log", command.split(), opsdash.env):
        expect_state(page, "succeeded")
        expect(waiting).to_have_text("")
        page.get_by_role("link", name="Workers").click()
        expect(page.locator("#queue_far")).to_contain_text(re.compile(r"far@"))
        expect(page.locator("#queue_far-inspect")).to_contain_text("nobody")


def test_a_job_is_run_again_from_its_page(page: Page, opsdash: Stack) -> None:
    sign_in(page, opsdash)
    expect(page.locator("#row_shop-staging_default").get_by_text(re.compile(r"\d+ pending"))).to_be_visible(
        timeout=LONG_MS
    )
    job = ask(opsdash, "shop-staging", "nowhere")
    page.goto(f"{opsdash.url}/jobs/{job}/")
    page.get_by_role("button", name="Cancel the job").click()
    expect_state(page, "cancelled")
    page.get_by_role("link", name="Run again").click()
    expect(page.get_by_role("heading", name="What changed since")).to_be_visible()
    expect(page.get_by_text("No worker serves the queue nowhere.")).to_be_visible()
    page.get_by_label("Reason").fill("once more")
    page.get_by_role("button", name="Run migrate again").click()
    expect_state(page, "queued")
    expect(page.get_by_text(f"Runs job {job} again.")).to_be_visible()
    expect(page.locator("#job_facts")).to_contain_text("once more")
