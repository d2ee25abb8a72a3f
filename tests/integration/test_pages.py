"""What the pages say, and how few questions they ask the database."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from dbops.models import AuditEvent, Inspection, Job, Step, Target, TargetDatabase
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
        (["conflict", "pending"], "first: conflict"),
        (["unreachable"], "first: unreachable"),
        (["broken"], "first: broken"),
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


@pytest.mark.parametrize("targets", [1, 30])
def test_the_overview_asks_as_much_for_thirty_targets_as_for_one(
    operator: Client, known: Callable[..., TargetDatabase], make_job: MakeJob, targets: int,
    django_assert_num_queries: Any,
) -> None:  # fmt: skip
    for number in range(targets):
        make_job(known(f"shop-{number}", "pending"))
    with django_assert_num_queries(OVERHEAD + 3):
        operator.get("/")


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
    with django_assert_num_queries(OVERHEAD + 4):
        operator.get(job.get_absolute_url())


@pytest.mark.parametrize("jobs", [1, 9])
def test_the_page_of_a_target_asks_a_constant_number(
    operator: Client, known: Callable[..., TargetDatabase], make_job: MakeJob, jobs: int,
    django_assert_num_queries: Any,
) -> None:  # fmt: skip
    database = known("shop", "pending")
    for _ in range(jobs):
        make_job(database, state="failed", finished_at=timezone.now())
    with django_assert_num_queries(OVERHEAD + 5):
        operator.get("/targets/shop/")


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
    assert post(operator, key=key)["Location"] == post(operator, key=key)["Location"]
    assert Job.objects.count() == 1


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
