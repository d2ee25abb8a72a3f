"""The page of a plan: what it says, to whom, how few questions it asks; and the job that starts from it."""

import uuid
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from dbops.models import AuditEvent, Inspection, Job, Plan, Target, TargetDatabase, clock
from dbops.models.status import Status
from tests.integration.conftest import MakeDatabase, default_of
from tests.integration.planned import column, keep, migration, table

pytestmark = pytest.mark.django_db
KnownDatabase = Callable[..., TargetDatabase]


@pytest.fixture
def clients(people: dict[str, User]) -> dict[str, Client]:
    found = {}
    for name, person in people.items():
        found[name] = Client()
        found[name].force_login(person)
    return found


@pytest.fixture
def operator(clients: dict[str, Client]) -> Client:
    return clients["operator"]


@pytest.fixture
def known(make_database: MakeDatabase) -> KnownDatabase:
    """A database as an inspection left it: shop.0001 is applied, others wait."""

    def make(*pending: str, state: str = "pending") -> TargetDatabase:
        database = make_database(vendor="postgresql", server_version="15.4")
        return inspected(database, *pending, state=state)

    return make


def inspected(
    database: TargetDatabase, *pending: str, state: str = "pending", **report: Any
) -> TargetDatabase:
    now = clock.now()
    names = pending or ("0002_more",)
    migrations = [
        {"app": "shop", "name": "0001_initial", "applied": True},
        *({"app": "shop", "name": name, "applied": False} for name in names),
    ]
    found = {
        "alias": "default",
        "reachable": True,
        "plan": [{"app": "shop", "name": name} for name in names],
        "applied": [["shop", "0001_initial", "2026-01-05T09:00:00+00:00"]],
        "migrations": {"shop": migrations},
        **report,
    }
    Inspection.objects.create(
        target=database.target, outcome="done", started_at=now, finished_at=now, report={"databases": [found]}
    )
    database.inspected_at = now
    database.pending_count = len(names)
    database.judge([Status(state, f"{state} because.", "Do something.")])
    database.save()
    return database


def newest(database: TargetDatabase) -> str:
    return reverse("newest_plan", args=[database.target.name, database.alias])


def form(database: TargetDatabase) -> str:
    return reverse("migrate", args=[database.target.name, database.alias])


def text(client: Client, url: str, status: int = 200) -> str:
    response = client.get(url)
    assert response.status_code == status
    return words(response)


def words(response: Any) -> str:
    return " ".join(unescape(response.content.decode()).split())


def drops_total() -> dict[str, Any]:
    before = table(id=column(primary_key=True), total=column())
    return migration(
        "shop",
        "0002_more",
        docstring="No total any more.",
        operations=[
            {
                "words": "Remove field total from order",
                "kind": "RemoveField",
                "model": "shop.Order",
                "table": "shop_order",
                "name": "total",
                "column": "total",
                "sql": ['ALTER TABLE "shop_order" DROP COLUMN "total" CASCADE'],
                "reverse_sql": ['ALTER TABLE "shop_order" ADD COLUMN "total" integer NOT NULL'],
            }
        ],
        before={"shop_order": before},
        after={"shop_order": table(id=column(primary_key=True))},
        dependencies=[["shop", "0001_initial"]],
        run_before=[["stock", "0009_later"]],
        replaces=[["shop", "0002_old"]],
    )


def fills() -> dict[str, Any]:
    python = {
        "words": "Raw Python operation",
        "kind": "RunPython",
        "reversible": False,
        "sql": None,
        "sql_problem": "What Python does is known when it runs.",
        "source": "def fill(apps, schema_editor):\n    apps.get_model('shop', 'Order')",
    }
    return migration(
        "shop", "0003_fill", operations=[python], atomic=False, reversible=False, irreversible=["Raw Python"]
    )


# What would change, and what is dangerous


def test_the_summary_stands_first_then_the_migrations_with_all_that_they_are(
    operator: Client, known: KnownDatabase
) -> None:
    database = known("0002_more", "0003_fill")
    keep(database, drops_total(), fills())
    page = text(operator, newest(database))
    assert "2 migrations: 1 table changed, 1 runs Python" in page
    assert "shop_order</code> 1 column dropped" in page
    assert page.index("2 migrations:") < page.index("shop.0002_more") < page.index("shop.0003_fill")
    for said in (
        "No total any more.",
        "Remove field total from order",
        "/srv/shop/shop/migrations/0002_more.py",
        '<dt>Depends on</dt><dd class="breakable">shop.0001_initial</dd>',
        '<dt>Runs before</dt><dd class="breakable">stock.0009_later</dd>',
        '<dt>Replaces</dt><dd class="breakable">shop.0002_old</dd>',
        "not atomic: what it did before it failed stays",
        "<dt>Reversible</dt><dd>no: Raw Python</dd>",
        "1. Raw Python operation: What Python does is known when it runs.",
        "cannot be reversed",
        "f" * 12,
        "The session was read-only, as the server confirmed.",
    ):
        assert said in page, said
    assert 'DROP</span> <span class="k">COLUMN' in page or "DROP" in page
    assert "def" in page and "schema_editor" in page


def test_a_difference_is_shown_unified_or_side_by_side_by_a_link(
    operator: Client, known: KnownDatabase
) -> None:
    plan = keep(known(), drops_total())
    unified = text(operator, plan.get_absolute_url())
    assert "diff__unified" in unified and "diff__split" not in unified
    assert 'href="?diff=split"' in unified and 'href="?diff=split#migration_1"' in unified
    split = text(operator, f"{plan.get_absolute_url()}?diff=split")
    assert "diff__split" in split and "diff__unified" not in split
    whole = text(operator, f"{plan.get_absolute_url()}?show=schema")
    assert "Schema, before and after all of it" in whole and "migration__name" not in whole


def test_names_are_shown_and_never_alive(operator: Client, known: KnownDatabase) -> None:
    evil = "<script>alert(1)</script>"
    plan = keep(
        known(),
        migration("shop", evil, docstring=evil, operations=[{"words": evil, "sql": [evil], "source": evil}]),
    )
    response = operator.get(plan.get_absolute_url())
    assert "<script>alert" not in response.content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in response.content.decode()


def test_why_there_is_no_sql_is_said_of_that_migration_alone(operator: Client, known: KnownDatabase) -> None:
    bad = migration("shop", "0003_bad", sql_problem="An index cannot be built inside of a transaction.")
    plan = keep(known(), drops_total(), bad)
    page = text(operator, plan.get_absolute_url())
    assert page.index("DROP") < page.index("An index cannot be built inside of a transaction.")
    assert "Of 1 migration some or all SQL cannot be had before" in page


def test_a_backward_plan_says_that_it_is_not_run(operator: Client, known: KnownDatabase) -> None:
    database = known()
    backwards = [{**one, "backwards": True} for one in (fills(), drops_total())]
    plan = keep(database, *backwards, app="shop", to="zero")
    page = text(operator, plan.get_absolute_url())
    assert "It cannot be undone: Raw Python." in page and "SQL of the way forward" in page
    assert "undone from the last to the first" in page
    assert "It is shown, not run: opsdash only migrates forward." in page
    assert "Migrate exactly this" not in page
    assert "back to before its first migration" in page


def test_nothing_to_apply_is_said(operator: Client, known: KnownDatabase) -> None:
    assert "There is nothing to apply." in text(operator, keep(known()).get_absolute_url())


def test_what_the_budget_left_out_is_said(operator: Client, known: KnownDatabase) -> None:
    plan = keep(known(), drops_total(), facts={"stopped": "The SQL of 3 migrations was not made in time."})
    assert "The SQL of 3 migrations was not made in time." in text(operator, plan.get_absolute_url())


# When it was read


@pytest.mark.parametrize("state", ["broken", "unreachable", "conflict", "inconsistent", "unknown"])
def test_what_makes_it_doubtful_stands_above_it(operator: Client, known: KnownDatabase, state: str) -> None:
    plan = keep(known(state=state), drops_total())
    page = text(operator, plan.get_absolute_url())
    assert page.index(f"{state} because. Do something.") < page.index("1 migration:")
    assert "Migrate exactly this" not in page


def test_an_outdated_plan_is_called_that_and_starts_nothing(operator: Client, known: KnownDatabase) -> None:
    database = known()
    old = keep(database, drops_total(), fingerprint="a" * 64, minutes_ago=5)
    keep(database, drops_total(), fills(), fingerprint="b" * 64, minutes_ago=1)
    page = text(operator, old.get_absolute_url())
    assert "changed since it was read" in page and "Migrate exactly this" not in page


def test_a_later_inspection_that_saw_others_makes_it_doubtful(operator: Client, known: KnownDatabase) -> None:
    """And could not read what they do, or that would have been kept."""
    database = known()
    plan = keep(database, drops_total(), minutes_ago=1)
    assert "Migrate exactly this" in text(operator, newest(database))
    inspected(database, "0002_more", "0003_fill")
    assert "The latest inspection saw other migrations to apply." in text(operator, newest(database))
    assert plan.fingerprint not in text(operator, form(database))


def test_without_a_plan_the_names_are_shown_and_that_it_was_not_read(
    operator: Client, known: KnownDatabase
) -> None:
    page = text(operator, newest(known()))
    assert "shop.0002_more" in page and "has not been read yet" in page


def test_an_error_of_the_targets_own_operations_is_shown(
    operator: Client, make_database: MakeDatabase
) -> None:
    database = inspected(make_database(), plan_problem="Traceback: ValueError: no")
    assert "Traceback: ValueError: no" in text(operator, newest(database))


# Asking


def test_an_operator_asks_and_is_led_to_its_page(operator: Client, known: KnownDatabase) -> None:
    database = known()
    answer = operator.post(reverse("plans", args=["shop", "default"]), {"to": "shop.zero"})
    plan = Plan.objects.get()
    assert answer["Location"] == plan.get_absolute_url()
    assert (plan.app, plan.migration, plan.asked_by_name) == ("shop", "zero", "operator")
    page = text(operator, plan.get_absolute_url())
    assert "waits for a worker of the queue inspect" in page and 'data-refresh="2"' in page
    assert "No worker serves the queue inspect." in page
    assert AuditEvent.objects.get().act == "plan.ask"
    assert str(plan.pk) in text(operator, newest(database))


def test_the_chooser_says_which_way_each_leads(operator: Client, known: KnownDatabase) -> None:
    page = text(operator, newest(known()))
    for option in (
        'value="shop.0001_initial">back to shop.0001_initial<',
        'value="shop.0002_more">to shop.0002_more<',
        'value="shop.">shop to its newest<',
        'value="shop.zero">back to before shop\'s first<',
    ):
        assert option in page, option


@pytest.mark.parametrize("to", ["shop.9999_none", "nothing.", "x"])
def test_what_no_inspection_saw_is_not_asked_for(operator: Client, known: KnownDatabase, to: str) -> None:
    known()
    answer = operator.post(reverse("plans", args=["shop", "default"]), {"to": to})
    assert answer.status_code == 422 and "Select a valid choice" in words(answer)
    assert not Plan.objects.exists()


def test_a_viewer_sees_and_does_not_ask(clients: dict[str, Client], known: KnownDatabase) -> None:
    database = known()
    keep(database, drops_total())
    page = text(clients["viewer"], newest(database))
    assert "1 column dropped" in page and "needs the role operator" in page
    assert "plan_form" not in page and "Migrate exactly this" not in page
    assert clients["viewer"].post(reverse("plans", args=["shop", "default"])).status_code == 403


def test_a_failure_shows_its_sentence_and_traceback_and_offers_to_go_on(
    operator: Client, known: KnownDatabase
) -> None:
    plan = Plan.objects.create(
        database=known(),
        app="shop",
        state="failed",
        asked_by_name="operator",
        error_sentence="It broke.",
        error_traceback="Traceback: <b>",
        finished_at=clock.now(),
    )
    page = text(operator, plan.get_absolute_url())
    assert "It broke." in page and "Traceback: <b>" in page and "Read it again" in page
    assert "Migrate without having seen the plan" in page
    answer = operator.post(
        form(plan.database), {"key": str(uuid.uuid4()), "app": "shop", "migration": "", "unseen": "on"}
    )
    assert answer.status_code == 302 and Job.objects.get().arguments == {"app": "shop"}


# Starting from it


def start(client: Client, database: TargetDatabase, **data: str) -> Any:
    return client.post(form(database), {"key": str(uuid.uuid4()), "app": "", "migration": "", **data})


def test_the_form_shows_the_plan_and_its_job_is_held_to_it(operator: Client, known: KnownDatabase) -> None:
    database = known()
    plan = keep(database, drops_total())
    page = text(operator, form(database))
    assert "1 migration: 1 table changed" in page and f'value="{plan.fingerprint}"' in page
    assert start(operator, database, plan=plan.fingerprint).status_code == 302
    job = Job.objects.get()
    assert job.arguments == {"expected_plan": plan.fingerprint}
    assert f"<dt>Held to the plan</dt><dd><code>{plan.fingerprint[:12]}" in text(
        operator, job.get_absolute_url()
    )


def test_an_outdated_plan_is_not_what_the_form_holds_a_job_to(operator: Client, known: KnownDatabase) -> None:
    database = known()
    plan = keep(database, drops_total(), minutes_ago=60)
    assert plan.fingerprint not in text(operator, form(database))


def test_a_part_whose_plan_nobody_has_seen_is_shown_first(operator: Client, known: KnownDatabase) -> None:
    database = known()
    answer = start(operator, database, migration="shop.0002_more", plan="f" * 64)
    plan = Plan.objects.get()
    assert answer["Location"] == plan.get_absolute_url()
    assert (plan.app, plan.migration) == ("shop", "0002_more") and not Job.objects.exists()
    assert "Nothing was started yet." in text(operator, plan.get_absolute_url())


def test_a_plan_is_shown_without_anything_being_started(operator: Client, known: KnownDatabase) -> None:
    database = known()
    plan = keep(database, drops_total())
    assert start(operator, database, show="plan")["Location"] == plan.get_absolute_url()
    answer = start(operator, database, app="shop", show="plan")
    assert answer["Location"] == Plan.objects.get(app="shop").get_absolute_url()
    assert not Job.objects.exists()


def test_a_danger_leads_to_its_migration(operator: Client, known: KnownDatabase) -> None:
    database = known()
    others = [migration("shop", f"{n:04}_x") for n in range(60)]
    plan = keep(database, *others, drops_total())
    address = plan.get_absolute_url()
    assert f'href="{address}?page=2#migration_61"' in text(operator, address)
    assert 'href="#migration_61"' in text(operator, f"{address}?page=2")
    assert f'href="{address}?page=2#migration_61"' in text(operator, form(database))
    assert 'id="migration_61"' in text(operator, f"{address}?page=2")


def test_a_part_is_started_from_its_plan_with_exactly_that(operator: Client, known: KnownDatabase) -> None:
    database = known()
    plan = keep(database, drops_total(), app="shop", to="0002_more", fingerprint="e" * 64)
    page = text(operator, plan.get_absolute_url())
    assert "Migrate exactly this" in page and 'name="migration" value="shop.0002_more"' in page
    answer = start(operator, database, app="shop", migration="shop.0002_more", plan=plan.fingerprint)
    job = Job.objects.get()
    assert answer["Location"] == job.get_absolute_url()
    assert job.arguments == {"app": "shop", "migration": "0002_more", "expected_plan": "e" * 64}


def test_a_part_whose_plan_is_kept_and_holds_is_started_with_it(
    operator: Client, known: KnownDatabase
) -> None:
    database = known()
    whole = keep(database, drops_total(), fingerprint="a" * 64)
    plan = keep(database, drops_total(), app="shop", fingerprint="e" * 64)
    start(operator, database, app="shop", plan=whole.fingerprint)
    assert Job.objects.get().arguments == {"app": "shop", "expected_plan": plan.fingerprint}


def test_a_plan_that_is_not_kept_any_more_holds_its_job_all_the_same(
    operator: Client, known: KnownDatabase
) -> None:
    database = known()
    keep(database, drops_total(), fills())
    start(operator, database, plan="a" * 64)
    assert Job.objects.get().arguments == {"expected_plan": "a" * 64}


def test_a_part_whose_plan_is_not_kept_any_more_is_shown_anew_and_not_held_to_another(
    operator: Client, known: KnownDatabase
) -> None:
    database = known()
    now = keep(database, drops_total(), fills(), app="shop", fingerprint="e" * 64)
    answer = start(operator, database, app="shop", plan="a" * 64)
    assert answer["Location"] == now.get_absolute_url()
    assert not Job.objects.exists()


def test_a_plan_of_another_database_than_the_alias_leads_to_by_now_starts_nothing(
    operator: Client, known: KnownDatabase
) -> None:
    database = known()
    TargetDatabase.objects.update(identity="postgres:1:2")
    plan = keep(database, drops_total(), identity="postgres:1:1")
    answer = start(operator, database, plan=plan.fingerprint)
    assert answer.status_code == 409 and "leads to another database now" in answer.content.decode()
    assert not Job.objects.exists()


def test_of_an_alias_that_no_address_can_name_run_again_shows_no_plan(
    operator: Client, known: KnownDatabase, make_job: Callable[..., Job]
) -> None:
    database = known()
    TargetDatabase.objects.update(alias="a/b")
    keep(database, drops_total())
    job = make_job(database, state="failed", finished_at=clock.now())
    assert "What it would do now, in full" not in text(operator, f"{job.get_absolute_url()}again/")


def test_run_again_is_held_to_the_plan_of_now_and_not_to_that_of_then(
    operator: Client, known: KnownDatabase, make_job: Callable[..., Job]
) -> None:
    database = known()
    arguments = {"expected_plan": "a" * 64}
    job = make_job(database, state="failed", finished_at=clock.now(), arguments=arguments)
    plan = keep(database, drops_total())
    page = text(operator, f"{job.get_absolute_url()}again/")
    assert f'name="plan" value="{plan.fingerprint}"' in page and "What it would do now, in full" in page
    answer = operator.post(
        f"{job.get_absolute_url()}again/", {"key": str(uuid.uuid4()), "plan": plan.fingerprint}
    )
    assert answer.status_code == 302
    assert Job.objects.get(again_of=job).arguments == {"expected_plan": plan.fingerprint}
    Job.objects.filter(again_of=job).update(state="failed", finished_at=clock.now())
    operator.post(f"{job.get_absolute_url()}again/", {"key": str(uuid.uuid4())})
    assert Job.objects.order_by("-pk")[0].arguments == {}


# Many


@pytest.mark.parametrize("many", [1, 30])
def test_the_pages_ask_a_constant_number(
    operator: Client, known: KnownDatabase, django_assert_num_queries: Any, many: int
) -> None:
    database = known()
    for number in range(many):
        keep(database, *[migration("shop", f"{n:04}") for n in range(many)], minutes_ago=number)
    address = Plan.objects.newest_forward(database)[0].get_absolute_url()
    with django_assert_num_queries(QUERIES + 1):
        operator.get(newest(database))
    with django_assert_num_queries(QUERIES):
        operator.get(address)


QUERIES = 9


def test_two_thousand_migrations_are_paged(operator: Client, known: KnownDatabase) -> None:
    plan = keep(known(), *[migration("shop", f"{n:04}_x") for n in range(2000)])
    page = text(operator, f"{plan.get_absolute_url()}?page=40")
    assert "2000 migrations" in page and "shop.1999_x" in page and "shop.1949_x" not in page
    assert "page 40 of 40" in page
    assert "page 1 of 40" in text(operator, f"{plan.get_absolute_url()}?page=x")


def test_the_real_plan_of_the_example_is_understood(operator: Client, shop: Target) -> None:
    page = text(operator, newest(default_of(shop)))
    assert "tables created" in page
    assert "orders.0006_fill_order_totals" in page


def test_run_again_is_held_to_the_plan_that_its_page_showed_though_it_is_not_kept_any_more(
    operator: Client, known: KnownDatabase, make_job: Callable[..., Job]
) -> None:
    database = known()
    job = make_job(database, state="failed", finished_at=clock.now(), arguments={"app": "shop"})
    keep(database, drops_total(), app="shop", fingerprint="e" * 64)
    operator.post(f"{job.get_absolute_url()}again/", {"key": str(uuid.uuid4()), "plan": "a" * 64})
    assert Job.objects.get(again_of=job).arguments == {"app": "shop", "expected_plan": "a" * 64}


def test_what_is_recorded_without_a_file_is_no_plan_s_end(operator: Client, known: KnownDatabase) -> None:
    database = known()
    inspection = database.target.inspections.get()
    assert inspection.report
    (report,) = inspection.report["databases"]
    report["ghosts"] = [["shop", "0009_gone"], ["gone", "0001_initial"]]
    report["applied"] = [*(report.get("applied") or []), *([*key, None] for key in report["ghosts"])]
    inspection.save()
    page = text(operator, newest(database))
    assert "0009_gone" not in page and 'value="gone.' not in page
