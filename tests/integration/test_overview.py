"""The overview of many targets: filter, order and counts agree with what each row shows."""

import random
import re
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

from dbops import conf
from dbops.forms import OverviewFilter
from dbops.models import Inspection, Job, Probe, Target, TargetDatabase, clock
from dbops.models.status import STATES, Status, worst_rank
from dbops.pages.overview import Row, all_rows, overview_page
from dbops.pages.overview_query import SORTS, TROUBLE, Wanted
from dbops.rights import Rights, Role
from tests.integration.conftest import PASSWORD, MakeDatabase, MakeTarget

pytestmark = pytest.mark.django_db
# Session, person, groups; then counts, keys, databases, targets without one, jobs.
QUESTIONS = 3 + 5


@pytest.fixture
def viewer(people: dict[str, User]) -> Client:
    client = Client()
    client.login(username="viewer", password=PASSWORD)
    return client


def make_many(targets: int) -> None:
    """Of every kind: all states, several at once, old, never inspected, without databases, not named now."""
    dice = random.Random(targets)
    now = clock.now()
    Target.objects.bulk_create(
        Target(
            name=f"shop-{number:04}",
            label=dice.choice(["", f"Shop {number % 7}"]),
            environment=dice.choice(["development", "staging", "production"]),
            python=["/nowhere/python"],
            inspected_at=dice.choice([None, now, now - timedelta(days=1)]),
            statuses=dice.choice([[], [Status("broken", "No module.").to_json()]]),
        )
        for number in range(targets)
    )
    databases = []
    for number, target in enumerate(Target.objects.order_by("name")):
        # Of every ten one has none, one has two, and of one the settings do not name it any more.
        for alias in ["default", "replica"][: {0: 0, 1: 2}.get(number % 10, 1)]:
            database = TargetDatabase(
                target=target,
                alias=alias,
                name=f"db_{number}",
                vendor="postgresql",
                in_settings=number % 10 != 2,
                inspected_at=dice.choice([None, now, now, now - timedelta(minutes=dice.randrange(20))]),
                pending_count=dice.randrange(5),
            )
            database.judge(
                [Status(state, "x" * 50) for state in dice.sample(STATES, dice.choice([1, 1, 2, 3]))]
            )
            databases.append(database)
    TargetDatabase.objects.bulk_create(databases)
    Job.objects.bulk_create(
        Job(
            database=database, operation="migrate", idempotency_key=uuid.uuid4(), queue="jobs",
            state="failed", published_at=now, finished_at=now,
        )
        for database in databases
    )  # fmt: skip
    Probe.objects.bulk_create(
        Probe(database=database, state="answers", latency_ms=1, probed_at=now, since=now, next_at=now)
        for database in databases
    )


@pytest.fixture
def everything(db: None, settings: Any) -> list[Row]:
    settings.DBOPS = {**settings.DBOPS, "PAGE_SIZE": 1000}
    clock.measure()
    make_many(150)
    return all_rows(Rights(Role.VIEWER))


def shown(**wanted: Any) -> list[Row]:
    return list(overview_page(Rights(Role.VIEWER), Wanted(**wanted)).rows)


def names(rows: list[Row]) -> list[str]:
    return [f"{row.target.name}/{row.database.alias if row.database else ''}" for row in rows]


def test_a_target_without_databases_is_a_row_and_one_gone_from_the_settings_is_none(
    everything: list[Row],
) -> None:
    assert names(everything)[:4] == [
        "shop-0000/", "shop-0001/default", "shop-0001/replica", "shop-0002/",
    ]  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_a_state_filters_exactly_the_rows_that_show_it(everything: list[Row], state: str) -> None:
    expected = {name for name, row in zip(names(everything), everything, strict=True) if state in row.states}
    assert expected, "the sample holds every state"
    assert set(names(shown(status=state))) == expected


def test_in_trouble_is_what_is_worse_than_something_to_apply(everything: list[Row]) -> None:
    assert "unknown" not in TROUBLE and "pending" not in TROUBLE and "ghosts" in TROUBLE
    expected = [row for row in everything if row.states & set(TROUBLE)]
    assert set(names(shown(status="trouble"))) == set(names(expected))


def test_the_counts_are_those_of_the_rows_that_search_and_environment_leave(everything: list[Row]) -> None:
    wanted = Wanted(q="shop 1", environment="staging", status="pending")
    counts = overview_page(Rights(Role.VIEWER), wanted).counts
    left = [
        row for row in everything
        if row.target.environment == "staging"
        and "1" in f"{row.target.name} {row.target.label} {row.database.name if row.database else ''}"
    ]  # fmt: skip
    assert counts.total == len(everything)
    assert counts.by_state == {state: sum(state in row.states for row in left) for state in STATES}
    assert counts.matching == counts.by_state["pending"] > 0


def badness(row: Row) -> int:
    return -worst_rank(row.statuses)


SHOWN_ORDER: dict[str, Callable[[Row], Any]] = {
    "status": badness,
    "name": lambda row: row.target.title.lower(),
    "environment": lambda row: ["production", "staging", "development"].index(row.target.environment),
    "pending": lambda row: -row.database.pending_count if row.database and "pending" in row.states else 0,
    "inspected": lambda row: row.inspected_at.timestamp() if row.inspected_at else 0.0,
}


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("backwards", [False, True])
def test_rows_stand_in_the_order_of_what_they_show(everything: list[Row], sort: str, backwards: bool) -> None:
    rows = shown(sort="-" * backwards + sort)
    places = [SHOWN_ORDER[sort](row) for row in rows]
    assert len(set(places)) > 2
    assert places == sorted(places, reverse=backwards)
    assert sorted(names(rows)) == sorted(names(everything))


def test_of_equally_bad_ones_production_comes_first_then_the_name(everything: list[Row]) -> None:
    rows = shown()
    places = [(badness(row), SHOWN_ORDER["environment"](row), name) for row, name in zip(rows, names(rows), strict=True)]  # fmt: skip # noqa: E501
    assert places == sorted(places)


@pytest.mark.parametrize("sort", [*SORTS, *(f"-{sort}" for sort in SORTS)])
def test_the_pages_together_are_every_row_once(everything: list[Row], settings: Any, sort: str) -> None:
    whole = names(shown(sort=sort))
    settings.DBOPS = {**settings.DBOPS, "PAGE_SIZE": 20}
    pages = -(-len(whole) // 20)
    assert [name for page in range(1, pages + 1) for name in names(shown(sort=sort, page=page))] == whole


def test_what_grows_old_is_unknown_in_the_row_the_filter_and_the_order_at_the_same_moment(
    make_database: MakeDatabase,
) -> None:
    database = make_database("shop")
    database.judge([Status("checked", "fine")])
    limit = conf.knob("STALE_AFTER_S")
    for older_by, state in ((-5, "checked"), (5, "unknown")):
        database.inspected_at = clock.now() - timedelta(seconds=limit + older_by)
        database.save()
        (row,) = shown(status=state)
        assert row.statuses[0].state == state


def test_the_states_follow_the_statuses_however_they_are_written(make_database: MakeDatabase) -> None:
    """The database derives them: a row that an inspection puts by UPDATE is found as well."""
    found = make_database("shop", inspected_at=clock.now())
    written = [Status("ghosts").to_json(), Status("pending").to_json()]
    TargetDatabase.objects.filter(pk=found.pk).update(statuses=written)
    assert names(shown(status="pending")) == ["shop/default"]
    assert TargetDatabase.objects.get(pk=found.pk).states == ["ghosts", "pending"]


def test_a_database_keeps_its_worst_state_first(make_database: MakeDatabase) -> None:
    database = make_database("shop", inspected_at=clock.now())
    database.judge([Status("pending"), Status("conflict")])
    database.save()
    assert [status.state for status in database.found()] == ["conflict", "pending"]


# The page


def text(client: Client, url: str, **headers: str) -> str:
    response = client.get(url, headers=headers)
    assert response.status_code == 200
    return " ".join(unescape(response.content.decode()).split())


@pytest.mark.parametrize("targets", [10, 1000])
def test_a_thousand_targets_take_as_many_questions_as_ten(
    viewer: Client, targets: int, django_assert_num_queries: Any
) -> None:
    make_many(targets)
    with django_assert_num_queries(QUESTIONS):
        page = text(viewer, "/?sort=name")
    assert page.count('<tr id="row_') == min(conf.knob("PAGE_SIZE"), len(all_rows(Rights(Role.VIEWER))))


def test_only_the_rows_of_the_page_are_loaded(viewer: Client) -> None:
    make_many(1000)
    with CaptureQueriesContext(connection) as asked:
        page = text(viewer, "/?page=2")
    assert page.count('<tr id="row_') == conf.knob("PAGE_SIZE")
    # What a question reads of evidence and of jobs, it reads of the page's databases.
    heavy = [entry["sql"] for entry in asked.captured_queries if '"statuses"' in entry["sql"]]
    assert heavy and all(rows_of(question) <= conf.knob("PAGE_SIZE") for question in heavy)


def rows_of(question: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(question)
        return len(cursor.fetchall())


def test_the_evidence_of_the_statuses_is_not_read_for_sorting(viewer: Client) -> None:
    make_many(10)
    with CaptureQueriesContext(connection) as asked:
        text(viewer, "/?q=shop&sort=pending")
    whole = [entry["sql"] for entry in asked.captured_queries if '"states"' in entry["sql"]]
    assert sum('"statuses"' not in question for question in whole) == 2, "the count and the keys"


def test_every_state_can_be_chosen() -> None:
    choices = dict(OverviewFilter().fields["status"].choices)  # type: ignore[attr-defined]
    assert set(STATES) <= set(choices)


def test_the_counts_are_links_that_keep_search_and_order_and_begin_with_the_first_page(
    viewer: Client, everything: list[Row]
) -> None:
    page = text(viewer, "/?q=shop&sort=name&page=3")
    assert re.search(r'href="\?q=shop&sort=name&status=pending">pending: \d+</a>', page)


def test_a_click_on_the_chosen_count_shows_any_status_again(viewer: Client, everything: list[Row]) -> None:
    page = text(viewer, "/?status=pending&sort=name")
    assert 'aria-current="true" href="?sort=name">pending: ' in page


def test_a_header_sorts_and_clicked_again_sorts_the_other_way_round(
    viewer: Client, everything: list[Row]
) -> None:
    first = text(viewer, "/?q=shop&page=2")
    assert 'aria-sort="ascending"><a class="sort sort--ascending" href="?q=shop&sort=-status">' in first
    assert 'href="?q=shop&sort=inspected">' in first
    again = text(viewer, "/?q=shop&sort=-inspected")
    assert 'aria-sort="descending"><a class="sort sort--descending" href="?q=shop&sort=inspected">' in again


def test_the_list_refreshes_itself_as_it_is_filtered_sorted_and_paged(
    viewer: Client, everything: list[Row], settings: Any
) -> None:
    settings.DBOPS = {**settings.DBOPS, "PAGE_SIZE": 5}
    url = "/?q=shop&environment=staging&sort=-name&page=2"
    fragment = text(viewer, url, **{"HX-Request": "true"})
    assert f'hx-get="{url}"' in fragment
    whole = text(viewer, url)
    assert re.findall('id="row_[^"]+', fragment) == re.findall('id="row_[^"]+', whole) != []


@pytest.mark.parametrize(
    "query", ["sort=evidence", "sort=--name", "status=fine", "page=-1", "page=x", "q=%25"]
)
def test_what_cannot_be_asked_for_is_ignored(viewer: Client, make_target: MakeTarget, query: str) -> None:
    make_target("shop")
    assert ("row_shop_" in text(viewer, f"/?{query}")) == (query != "q=%25")


def test_a_search_for_several_words_finds_them_in_name_label_and_database(
    make_database: MakeDatabase,
) -> None:
    for place in (("alpha", "default"), ("alpha", "replica"), ("beta", "default")):
        made = make_database(*place)
        TargetDatabase.objects.filter(pk=made.pk).update(name="warehouse")
    Target.objects.filter(name="alpha").update(label="The Great Store")
    TargetDatabase.objects.filter(alias="replica").update(name="attic")
    assert names(shown(q="GREAT ware alp")) == ["alpha/default"]
    assert names(shown(q="ware")) == ["alpha/default", "beta/default"]
    assert names(shown(q="store")) == ["alpha/default", "alpha/replica"]


def test_an_inspection_that_never_came_to_a_database_is_counted_by_what_it_met(
    make_target: MakeTarget,
) -> None:
    make_target("nameless", inspected_at=clock.now())
    make_target("dead", inspected_at=clock.now(), statuses=[Status("unreachable").to_json()])
    assert names(shown(status="broken")) == ["nameless/"]
    assert names(shown(status="unreachable")) == ["dead/"]
    assert not Inspection.objects.exists()


def test_the_configuration_lists_databases_and_changes_none(
    people: dict[str, User], make_database: MakeDatabase
) -> None:
    found = make_database("shop", sealed_connection="sealed-text", inspected_at=clock.now())
    client = Client()
    client.login(username="superuser", password=PASSWORD)
    assert "1 target database" in text(client, "/admin/dbops/targetdatabase/")
    shown_there = text(client, f"/admin/dbops/targetdatabase/{found.pk}/change/")
    assert "sealed-text" not in shown_there and 'name="_save"' not in shown_there
    assert client.get("/admin/dbops/targetdatabase/add/").status_code == 403
