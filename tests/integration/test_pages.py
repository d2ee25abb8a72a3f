"""What the pages say, and how few questions they ask the database."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dbops.models import AuditEvent, Inspection, Job, Step, Target, TargetDatabase, clock
from dbops.models.status import Status
from tests.integration.conftest import PASSWORD, MakeDatabase, MakeTarget

pytestmark = pytest.mark.django_db
MakeJob = Callable[..., Job]


@pytest.fixture
def operator(people: dict[str, User]) -> Client:
    client = Client()
    client.login(username="operator", password=PASSWORD)
    return client


@pytest.fixture
def staff(people: dict[str, User]) -> Client:
    client = Client()
    client.login(username="staff", password=PASSWORD)
    return client


@pytest.fixture
def known(make_database: MakeDatabase) -> Callable[..., TargetDatabase]:
    """A database as an inspection left it."""

    def make(name: str, *states: str, minutes_ago: float = 0, pending: int = 0) -> TargetDatabase:
        database = make_database(name, vendor="postgresql", pending_count=pending)
        database.inspected_at = timezone.now() - timedelta(minutes=minutes_ago)
        database.judge([Status(state, f"{state} because.") for state in states])
        database.save()
        return database

    return make


def plan(database: TargetDatabase, *names: str) -> None:
    """An inspection that saw these migrations unapplied."""
    now = timezone.now()
    report = {
        "alias": database.alias,
        "plan": [{"app": name.split(".")[0], "name": name.split(".")[1]} for name in names],
        "migrations": {},
    }
    Inspection.objects.create(
        target=database.target,
        outcome="done",
        started_at=now,
        finished_at=now,
        report={"databases": [report]},
    )


def text(client: Client, url: str, **headers: str) -> str:
    response = client.get(url, headers=headers)
    assert response.status_code == 200
    return " ".join(unescape(response.content.decode()).split())


# overview


def test_without_targets_the_overview_says_how_to_begin(operator: Client) -> None:
    assert "python manage.py add_target NAME PATH" in text(operator, "/")


def test_the_worst_comes_first(operator: Client, known: Callable[..., TargetDatabase]) -> None:
    known("quiet", "checked")
    known("late", "pending", pending=2)
    known("dead", "unreachable")
    page = text(operator, "/")
    assert page.index("row_dead_") < page.index("row_late_") < page.index("row_quiet_")


def test_the_row_offers_migrate_where_something_is_pending(
    operator: Client, known: Callable[..., TargetDatabase]
) -> None:
    known("late", "pending", pending=2)
    page = text(operator, "/")
    assert 'aria-label="Migrate late default"' in page and "2 pending" in page


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (["checked"], "nothing to apply"),
        (["conflict", "pending"], "not while it is in conflict"),
        (["unreachable"], "not while it is unreachable"),
        (["broken"], "not while it is broken"),
    ],
)
def test_where_migrate_is_not_offered_the_row_says_why(
    operator: Client, known: Callable[..., TargetDatabase], states: list[str], words: str
) -> None:
    known("shop", *states)
    page = text(operator, "/")
    assert "Migrate shop default" not in page
    assert f'<span class="button-reason">{words}</span>' in page


def test_a_running_job_stands_where_the_button_was(
    operator: Client, known: Callable[..., TargetDatabase], make_job: MakeJob
) -> None:
    job = make_job(known("shop", "pending"), state="running")
    assert f'<span class="button-reason">job {job.pk} is running</span>' in text(operator, "/")


def test_old_knowledge_is_called_unknown_and_its_age_is_said(
    operator: Client, known: Callable[..., TargetDatabase]
) -> None:
    known("shop", "checked", minutes_ago=90)
    page = text(operator, "/")
    assert 'status--unknown">unknown' in page and "1 h 30 min ago" in page


def test_a_target_never_inspected_is_unknown(operator: Client, make_target: MakeTarget) -> None:
    make_target("new")
    assert 'status--unknown">unknown' in text(operator, "/")


def test_a_target_that_broke_before_any_database_shows_why(operator: Client, make_target: MakeTarget) -> None:
    make_target("new", inspected_at=timezone.now(), statuses=[Status("broken", "No module shop.").to_json()])
    assert 'status--broken">broken' in text(operator, "/")
    assert "No module shop." in text(operator, "/targets/new/")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("q=shop", {"shop-staging", "shop-production"}),
        ("q=SHOP+prod", {"shop-production"}),
        ("environment=production", {"shop-production"}),
        ("status=pending", {"blog"}),
        ("status=trouble", {"shop-staging"}),
        ("status=checked", {"shop-production"}),
        ("q=nothing", set()),
        ("environment=mars", {"shop-staging", "shop-production", "blog"}),
        ("page=99", {"shop-staging", "shop-production", "blog"}),
    ],
)
def test_search_and_filter_are_in_the_url(
    operator: Client, known: Callable[..., TargetDatabase], query: str, shown: set[str]
) -> None:
    known("shop-staging", "unreachable")
    known("shop-production", "checked")
    known("blog", "pending")
    Target.objects.filter(name="shop-production").update(environment="production")
    page = text(operator, f"/?{query}")
    assert {name for name in ("shop-staging", "shop-production", "blog") if f"row_{name}_" in page} == shown


def test_a_search_without_a_match_offers_all(operator: Client, known: Callable[..., TargetDatabase]) -> None:
    known("shop", "checked")
    assert "No database matches this search." in text(operator, "/?q=nothing")


def test_htmx_gets_the_rows_alone(operator: Client, known: Callable[..., TargetDatabase]) -> None:
    known("shop", "checked")
    fragment = text(operator, "/", **{"HX-Request": "true"})
    assert fragment.startswith('<div id="overview_rows"') and "<html" not in fragment


@pytest.mark.parametrize("url", ["/", "/jobs/", "/targets/shop/"])
def test_a_fragment_is_never_kept_where_the_page_is_looked_for(
    operator: Client, known: Callable[..., TargetDatabase], url: str
) -> None:
    """Both answer at one URL: the browser's Back must not find the fragment in its cache."""
    known("shop", "checked")
    fragment = operator.get(url, headers={"HX-Request": "true"})
    assert "HX-Request" in fragment["Vary"] and fragment["Cache-Control"] == "no-store"
    assert "HX-Request" in operator.get(url)["Vary"]


def test_many_rows_are_paged(operator: Client, known: Callable[..., TargetDatabase], settings: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "PAGE_SIZE": 5}
    for number in range(12):
        known(f"shop-{number:02}", "checked")
    page = text(operator, "/?page=2&environment=development")
    assert page.count('<tr id="row_') == 5
    assert "page 2 of 3" in page
    assert '?page=3&environment=development" rel="next"' in page


# Query counts: session, user, role, and what the page is about; never one a row.

OVERHEAD = 3


def test_the_overview_does_not_read_the_history(
    operator: Client, known: Callable[..., TargetDatabase], make_job: MakeJob
) -> None:
    for name in ("shop", "blog"):
        database = known(name, "pending")
        history(database, 1000)
        latest = make_job(database)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE dbops_job")
    with CaptureQueriesContext(connection) as asked:
        assert f"job {latest.pk} is queued" in text(operator, "/")
    questions = [entry["sql"] for entry in asked.captured_queries if "dbops_job" in entry["sql"]]
    assert questions and sum(map(jobs_read, questions)) <= 6
    assert not any("error_traceback" in question for question in questions)


def history(database: TargetDatabase, jobs: int) -> None:
    ended = timezone.now()
    Job.objects.bulk_create(
        Job(
            database=database,
            operation="migrate",
            idempotency_key=uuid.uuid4(),
            queue="jobs",
            state="failed",
            published_at=ended,
            finished_at=ended,
        )
        for _ in range(jobs)
    )


def jobs_read(question: str) -> int:
    """How many job rows the server visits for this."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {question}")
        return visited(cursor.fetchone()[0][0]["Plan"])


def visited(node: dict[str, Any]) -> int:
    own = node["Actual Rows"] * node["Actual Loops"] if node.get("Relation Name") == "dbops_job" else 0
    return int(own) + sum(map(visited, node.get("Plans", [])))


@pytest.mark.parametrize("jobs", [1, 30])
def test_the_list_of_jobs_asks_as_much_for_thirty_as_for_one(
    operator: Client, known: Callable[..., TargetDatabase], make_job: MakeJob, jobs: int,
    django_assert_num_queries: Any,
) -> None:  # fmt: skip
    for number in range(jobs):
        make_job(known(f"shop-{number}", "pending"))
    with django_assert_num_queries(OVERHEAD + 2):
        operator.get("/jobs/")


def test_the_page_of_a_job_asks_a_constant_number(
    operator: Client, known: Callable[..., TargetDatabase], make_job: MakeJob, django_assert_num_queries: Any
) -> None:
    job = make_job(known("shop", "pending"))
    Step.objects.bulk_create(Step(job=job, position=n, kind="migration", name=f"a.{n}") for n in range(50))
    # The job, its steps, sessions that staff asked to end, who serves its queue, two for its lines.
    with django_assert_num_queries(OVERHEAD + 6):
        operator.get(job.get_absolute_url())


@pytest.mark.parametrize("jobs", [1, 9])
@pytest.mark.parametrize("aliases", [1, 5])
def test_the_page_of_a_target_asks_a_constant_number(
    operator: Client, make_database: MakeDatabase, make_job: MakeJob, jobs: int, aliases: int,
    django_assert_num_queries: Any,
) -> None:  # fmt: skip
    for number in range(aliases):
        database = make_database("shop", f"alias{number}")
        for _ in range(jobs):
            make_job(database, state="failed", finished_at=timezone.now())
        make_job(database)
    with django_assert_num_queries(OVERHEAD + 7):
        page = text(operator, "/targets/shop/")
    assert page.count(" is queued</span>") == aliases


# migrate


def test_the_form_shows_the_plan_in_order(operator: Client, known: Callable[..., TargetDatabase]) -> None:
    plan(known("shop", "pending"), "a.0001_initial", "b.0001_initial", "a.0002_more")
    page = text(operator, "/targets/shop/databases/default/migrate/")
    assert page.index('<code class="breakable">b.0001_initial') < page.index(
        '<code class="breakable">a.0002_more'
    )


def post(client: Client, **data: str) -> Any:
    return client.post(
        "/targets/shop/databases/default/migrate/",
        {"key": str(uuid.uuid4()), "app": "", "migration": "", **data},
    )


def test_sending_the_form_starts_a_job_and_writes_who_asked(
    operator: Client, known: Callable[..., TargetDatabase]
) -> None:
    plan(known("shop", "pending"), "a.0001_initial")
    response = post(operator, reason="release 12")
    job = Job.objects.get()
    assert response["Location"] == f"/jobs/{job.pk}/"
    assert (job.asked_by_name, job.asked_from, job.reason) == ("operator", "127.0.0.1", "release 12")
    event = AuditEvent.objects.get()
    assert (event.act, event.actor, event.target, event.address, event.job_id) == (
        "job.migrate", "operator", "shop/default", "127.0.0.1", job.pk,
    )  # fmt: skip


def test_the_same_form_sent_twice_leads_to_the_same_job(
    operator: Client, known: Callable[..., TargetDatabase]
) -> None:
    plan(known("shop", "pending"), "a.0001_initial")
    key = str(uuid.uuid4())
    first, second = post(operator, key=key), post(operator, key=key)
    assert first["Location"] == second["Location"]
    assert Job.objects.count() == 1
    assert "This form was sent before; this is its job." in text(operator, second["Location"])


def test_a_form_sent_once_is_not_called_sent_before(
    operator: Client, known: Callable[..., TargetDatabase]
) -> None:
    plan(known("shop", "pending"), "a.0001_initial")
    assert "sent before" not in text(operator, post(operator)["Location"])


def test_a_second_form_is_refused_with_409_and_a_sentence(
    operator: Client, known: Callable[..., TargetDatabase]
) -> None:
    plan(known("shop", "pending"), "a.0001_initial")
    post(operator)
    response = post(operator)
    job = Job.objects.get()
    assert response.status_code == 409
    assert f"Job {job.pk} (migrate on shop/default) by operator is queued." in response.content.decode()


@pytest.mark.parametrize(
    "data",
    [
        {"app": "--settings=evil"},
        {"app": "nope"},
        {"migration": "a.0001_initial; rm -rf /"},
        {"migration": "a.0009"},
        {"key": "no-uuid"},
        {"app": "b", "migration": "a.0001_initial"},
        {"app": "a\0"},
        {"reason": "x" * 501},
    ],
)
def test_what_is_not_on_the_servers_list_is_refused_with_422(
    operator: Client, known: Callable[..., TargetDatabase], data: dict[str, str]
) -> None:
    plan(known("shop", "pending"), "a.0001_initial", "b.0001_initial")
    response = post(operator, **data)
    assert response.status_code == 422
    assert "errorlist" in response.content.decode()
    assert not Job.objects.exists()


def test_an_alias_that_does_not_exist_is_not_found(
    operator: Client, known: Callable[..., TargetDatabase]
) -> None:
    known("shop", "pending")
    assert operator.get("/targets/shop/databases/other/migrate/").status_code == 404


# jobs


def test_an_ended_job_is_told_without_a_stream(
    operator: Client, known: Callable[..., TargetDatabase], make_job: MakeJob
) -> None:
    job = make_job(
        known("shop", "pending"),
        state="failed",
        finished_at=timezone.now(),
        outcome="It failed. Nothing was changed.",
        error_traceback="Traceback (most recent call last): boom",
    )
    page = text(operator, job.get_absolute_url())
    assert "It failed. Nothing was changed." in page and "boom" in page
    assert "hx-ext" not in page and 'data-state="failed"' in page


def test_what_a_target_prints_is_text_and_never_markup(
    operator: Client, known: Callable[..., TargetDatabase], make_job: MakeJob
) -> None:
    evil = '</script><img src=x onerror=alert(1)><b hx-get="/admin/">'
    job = make_job(known("shop", "pending"), outcome=evil, reason=evil)
    job.chunks.create(first=1, last=1, text=evil, at=timezone.now())
    Step.objects.create(job=job, position=1, kind="migration", name=evil)
    content = operator.get(job.get_absolute_url()).content.decode()
    assert "<img" not in content and "<b hx-get" not in content


def test_the_transcript_is_downloaded_as_text(
    operator: Client, known: Callable[..., TargetDatabase], make_job: MakeJob
) -> None:
    response = operator.get(f"{make_job(known('shop', 'pending')).get_absolute_url()}transcript.txt")
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert "attachment" in response["Content-Disposition"]
    response.close()


def test_cancelling_a_queued_job_says_that_nothing_was_done(
    operator: Client, known: Callable[..., TargetDatabase], make_job: MakeJob
) -> None:
    job = make_job(known("shop", "pending"))
    response = operator.post(
        f"{job.get_absolute_url()}cancellation/", {"reason": "wrong release"}, follow=True
    )
    assert "Nothing was done to the database." in response.content.decode()
    event = AuditEvent.objects.get(act="job.cancel")
    assert (event.job_id, event.reason, event.actor) == (job.pk, "wrong release", "operator")


@pytest.mark.parametrize("state", ["queued", "starting", "running", "cancelling", "succeeded", "lost"])
def test_the_list_filters_by_state(
    operator: Client, known: Callable[..., TargetDatabase], make_job: MakeJob, state: str
) -> None:
    ended = timezone.now() if state == "succeeded" else None
    job = make_job(known("shop", "pending"), state=state, finished_at=ended)
    assert f"{job.pk}: migrate" in text(operator, f"/jobs/?state={state}")
    assert "No job matches." in text(operator, "/jobs/?state=cancelled")
    assert (f"{job.pk}: migrate" in text(operator, "/jobs/?state=active")) == (state != "succeeded")


# transcript


def long_job(make_job: MakeJob, database: TargetDatabase, lines: int, chunk: int, **fields: Any) -> Job:
    """A job that printed this many lines, kept in rows of `chunk` lines."""
    job = make_job(database, **fields)
    for first in range(1, lines + 1, chunk):
        last = min(lines, first + chunk - 1)
        text_of = "\n".join(f"line {number}" for number in range(first, last + 1))
        job.chunks.create(first=first, last=last, text=text_of, at=timezone.now())
    return job


def test_the_page_begins_with_the_end_of_a_long_transcript_and_carries_it_once(
    operator: Client, known: Callable[..., TargetDatabase], make_job: MakeJob
) -> None:
    job = long_job(make_job, known("shop", "pending"), 60_000, 60_000)
    page = operator.get(job.get_absolute_url()).content.decode()
    assert '"first": 58001' in page and '"line 58000"' not in page and '"last": 60000' in page
    plain = page[page.index("<noscript>") : page.index("</noscript>")]
    assert "line 59801\n" in plain and "line 59800\n" not in plain and "line 60000" in plain
    assert f"{job.get_absolute_url()}transcript.txt" in plain and "the last 200 of 60,000 lines" in plain


# lost


def resolve(client: Client, job: Job, reason: str = "looked: no session is left") -> Any:
    return client.post(f"{job.get_absolute_url()}resolution/", {"reason": reason})


def test_staff_resolves_a_lost_job_with_a_reason(
    staff: Client, known: Callable[..., TargetDatabase], make_job: MakeJob
) -> None:
    database = known("shop", "pending")
    job = make_job(database, state="lost")
    Step.objects.create(job=job, position=1, kind="migration", name="a.1", state="running")
    Step.objects.create(job=job, position=2, kind="migration", name="a.2")
    version = job.version
    assert resolve(staff, job)["Location"] == job.get_absolute_url()
    job.refresh_from_db()
    outcome = (
        "The worker stopped giving signs of life. staff resolved it as failed: looked: no session is left. "
        "Whether all of it has ended was not proven by opsdash."
    )
    assert (job.state, job.outcome, job.version > version) == ("failed", outcome, True)
    assert [step.state for step in job.steps.order_by("position")] == ["failed", "skipped"]
    event = AuditEvent.objects.get(act="job.resolve")
    assert (event.act, event.actor, event.target, event.job_id, event.reason) == (
        "job.resolve", "staff", "shop/default", job.pk, "looked: no session is left",
    )  # fmt: skip
    make_job(database)


@pytest.mark.parametrize(
    ("concluded", "state"),
    [("cancelled", "cancelled"), ("failed", "failed"), ("succeeded", "failed"), ("", "failed")],
)
def test_a_lost_job_is_resolved_as_its_worker_saw_it_end_and_never_as_a_success(
    staff: Client,
    known: Callable[..., TargetDatabase],
    make_job: MakeJob,
    concluded: str,
    state: str,
) -> None:
    facts = {"how_lost": "Cancelled by alice: it was killed.", "concluded": concluded}
    job = make_job(known("shop", "pending"), state="lost", facts=facts, cancel_asked_at=timezone.now())
    Step.objects.create(job=job, position=1, kind="migration", name="a.1", state="running")
    assert f"Resolve the job as {state}" in text(staff, job.get_absolute_url())
    page = text(staff, resolve(staff, job, "looked")["Location"])
    job.refresh_from_db()
    assert job.state == state and job.steps.get().state == state
    assert job.outcome == (
        f"Cancelled by alice: it was killed. staff resolved it as {state}: looked. "
        "Whether all of it has ended was not proven by opsdash."
    )
    assert f"Job {job.pk} is resolved as {state}." in page


@pytest.mark.parametrize("reason", ["", "   ", "a\0b", "x" * 501])
def test_a_lost_job_is_not_resolved_without_a_reason(
    staff: Client, known: Callable[..., TargetDatabase], make_job: MakeJob, reason: str
) -> None:
    job = make_job(known("shop", "pending"), state="lost")
    response = resolve(staff, job, reason)
    assert response.status_code == 422
    assert "errorlist" in response.content.decode()
    job.refresh_from_db()
    assert job.state == "lost" and not AuditEvent.objects.exists()
    assert "Say why. Nothing was changed." in resolve(staff, job, "").content.decode()


@pytest.mark.parametrize("state", ["queued", "running", "failed"])
def test_only_a_lost_job_is_resolved(
    staff: Client, known: Callable[..., TargetDatabase], make_job: MakeJob, state: str
) -> None:
    ended = timezone.now() if state == "failed" else None
    job = make_job(known("shop", "pending"), state=state, finished_at=ended, outcome="as it was")
    response = resolve(staff, job)
    assert response.status_code == 409
    assert f"Job {job.pk} is {state}, not lost. Nothing was changed." in response.content.decode()
    job.refresh_from_db()
    assert (job.state, job.outcome) == (state, "as it was")
    assert AuditEvent.objects.get().act == "job.resolve.refused"


def test_the_page_of_a_lost_job_offers_the_resolution_to_staff_only(
    staff: Client, operator: Client, known: Callable[..., TargetDatabase], make_job: MakeJob
) -> None:
    database = known("shop", "pending")
    job = make_job(database, state="lost")
    page = text(staff, job.get_absolute_url())
    assert f'action="{job.get_absolute_url()}resolution/"' in page
    assert "free for other jobs" in page and f"opsdash job {job.pk}" in page and "guard" in page
    page = text(operator, job.get_absolute_url())
    assert "resolution/" not in page and "Staff can resolve it" in page
    other = make_job(known("blog", "pending"), state="running")
    for client in (staff, operator):
        page = text(client, other.get_absolute_url())
        assert "resolution/" not in page and "Staff can resolve it" not in page


def test_of_a_lost_job_the_page_says_when_it_was_last_heard_of_and_claims_no_step_for_running(
    operator: Client, known: Callable[..., TargetDatabase], make_job: MakeJob
) -> None:
    now = clock.now()
    job = make_job(
        known("shop", "pending"),
        state="lost",
        started_at=now - timedelta(minutes=9),
        heartbeat_at=now - timedelta(seconds=31),
    )
    job.steps.create(
        position=1, kind="migration", name="a.0001", state="running", started_at=now - timedelta(minutes=8)
    )
    page = text(operator, job.get_absolute_url())
    assert "the last sign of life came <time" in page and ">31 s ago<" in page
    assert "data-elapsed-since" not in page and "status--running" not in page
    assert '<span class="status status--unknown">unknown</span>' in page


@pytest.mark.parametrize(
    ("state", "recorded", "shown"),
    [
        ("failed", [["a", "0001_initial"]], True),
        ("cancelled", [["a", "0001_initial"]], True),
        ("succeeded", [["a", "0001_initial"]], False),
        ("failed", [], False),
        ("failed", None, False),
    ],
)
def test_what_a_job_recorded_before_it_failed_is_listed(
    operator: Client, known: Callable[..., TargetDatabase], make_job: MakeJob,
    state: str, recorded: list[list[str]] | None, shown: bool,
) -> None:  # fmt: skip
    facts = {} if recorded is None else {"recorded": recorded}
    job = make_job(known("shop", "pending"), state=state, finished_at=timezone.now(), facts=facts)
    page = text(operator, job.get_absolute_url())
    assert ('id="job_recorded"' in page) == shown
    assert ("a.0001_initial" in page) == shown
