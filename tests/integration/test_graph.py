"""The page of a migration graph: what it shows first, how much of it, and how it is read without eyes."""

import re
import xml.etree.ElementTree as ElementTree
from html import unescape
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dbops.models import Inspection, TargetDatabase, clock
from dbops.pages.graph import EVERYTHING, HEIGHT, MOST, SMALL, WIDTH, GraphPage, graph_page
from dbops.rights import Rights, Role
from tests.integration.conftest import PASSWORD, MakeDatabase
from tests.reports import database, grown, migration

pytestmark = pytest.mark.django_db
SVG = "{http://www.w3.org/2000/svg}"
Key = tuple[str, str]


@pytest.fixture
def client(people: dict[str, User]) -> Client:
    client = Client()
    client.login(username="viewer", password=PASSWORD)
    return client


@pytest.fixture
def shop(make_database: MakeDatabase) -> TargetDatabase:
    return make_database("shop")


def inspected(found: TargetDatabase, disk: list[Any], applied: list[Key], **more: Any) -> None:
    now = clock.now()
    report = {"disk": disk, "databases": [database(disk, applied, **more)]}
    Inspection.objects.create(
        target=found.target, outcome="done", started_at=now, finished_at=now, report=report
    )


def keys(disk: list[Any]) -> list[Key]:
    return [(entry["app"], entry["name"]) for entry in disk]


def page_of(found: TargetDatabase, app: str = "") -> GraphPage:
    return graph_page(Rights(Role.VIEWER), found, app)


def text(client: Client, query: str = "") -> str:
    response = client.get(f"/targets/shop/databases/default/graph/{query}")
    assert response.status_code == 200
    return response.content.decode()


def test_a_small_graph_is_shown_whole(shop: TargetDatabase) -> None:
    disk = grown(9, 3)
    inspected(shop, disk, keys(disk)[:6])
    page = page_of(shop)
    assert page.sentence == "All 9 migrations."
    assert sorted((box.app, box.name) for box in page.boxes) == sorted(keys(disk))
    assert [box.state for box in page.boxes].count("pending") == 3


def test_of_a_large_one_the_first_view_is_what_is_to_apply_and_what_it_touches(shop: TargetDatabase) -> None:
    disk = grown(600, 12)
    inspected(shop, disk, keys(disk)[:-6])
    page = page_of(shop)
    pending = {(box.app, box.name) for box in page.boxes if box.state == "pending"}
    assert pending == set(keys(disk)[-6:])
    touched = {tuple(parent) for entry in disk[-6:] for parent in entry["dependencies"]}
    assert {(box.app, box.name) for box in page.boxes} == pending | touched
    assert page.sentence.endswith(f"{len(page.boxes)} of 600 migrations.")


def test_what_depends_on_a_notable_one_is_shown_with_it(shop: TargetDatabase) -> None:
    """Applied though what it depends on is not: both ends of the trouble are seen."""
    disk = grown(100, 5)
    first = disk[0]
    inspected(shop, disk, keys(disk)[1:])
    above = [first["app"], first["name"]]
    below = {(each["app"], each["name"]) for each in disk if above in each["dependencies"]}
    assert below and below <= {(box.app, box.name) for box in page_of(shop).boxes}


def test_what_one_to_apply_builds_on_is_in_no_run(shop: TargetDatabase) -> None:
    disk = grown(600, 12)
    inspected(shop, disk, keys(disk)[:-6])
    single = {(box.app, box.name) for box in page_of(shop, EVERYTHING).boxes if not box.is_run}
    assert {tuple(parent) for entry in disk[-6:] for parent in entry["dependencies"]} <= single


def test_where_nothing_is_to_apply_all_is_shown_with_long_runs_collapsed(shop: TargetDatabase) -> None:
    disk = grown(600, 12)
    inspected(shop, disk, keys(disk))
    page = page_of(shop)
    assert page.view == EVERYTHING and page.sentence == "All 600 migrations."
    assert sum(box.count for box in page.boxes) == 600
    assert len(page.boxes) < 300 and any(
        re.fullmatch(r"\d{4} … \d{4} \(\d+\)", box.label) for box in page.boxes
    )


def test_a_collapsed_run_leads_to_its_app_where_each_is_shown(shop: TargetDatabase) -> None:
    disk = grown(600, 12)
    inspected(shop, disk, keys(disk))
    whole = page_of(shop, EVERYTHING)
    run = next(box for box in whole.boxes if box.is_run and box.app == whole.lanes[-1].app)
    assert run.url.endswith(f"/graph/?app={run.app}")
    mine = page_of(shop, run.app)
    assert {key for key in keys(disk) if key[0] == run.app} <= {(box.app, box.name) for box in mine.boxes}
    assert mine.lanes[0].app == run.app


def test_what_is_in_conflict_or_to_apply_stands_on_the_left(shop: TargetDatabase) -> None:
    leaves = [migration("zoo", "0002_a", ("zoo", "0001_x")), migration("zoo", "0002_b", ("zoo", "0001_x"))]
    disk = [migration("auth", "0001_x"), migration("late", "0001_x"), migration("zoo", "0001_x"), *leaves]
    applied = [("auth", "0001_x"), ("zoo", "0001_x"), ("zoo", "0002_a"), ("zoo", "0002_b")]
    inspected(shop, disk, applied, conflicts={"zoo": ["0002_a", "0002_b"]})
    assert [lane.app for lane in page_of(shop).lanes] == ["zoo", "late", "auth"]


def test_a_picture_has_an_end_and_says_what_is_not_in_it(client: Client, shop: TargetDatabase) -> None:
    """2,000 that cannot be collapsed: every other is recorded."""
    disk = grown(2000, 40)
    inspected(shop, disk, keys(disk)[::2])
    page = page_of(shop, EVERYTHING)
    assert len(page.boxes) == MOST
    assert page.left_out + sum(box.count for box in page.boxes) == 2000
    assert f"{page.left_out} more migrations are not in it" in text(client, "?app=*")


def test_no_two_shapes_overlap_and_all_are_within_the_picture(shop: TargetDatabase) -> None:
    disk = grown(600, 12)
    inspected(shop, disk, keys(disk)[:300])
    for app in ("", EVERYTHING, disk[0]["app"]):
        page = page_of(shop, app)
        corners = sorted((box.y, box.x) for box in page.boxes)
        assert all(x + WIDTH < page.width and y + HEIGHT < page.height for y, x in corners)
        for (y1, x1), (y2, x2) in pairwise(corners):
            assert y1 + HEIGHT <= y2 if y1 != y2 else x1 + WIDTH <= x2


def picture(page: str) -> ElementTree.Element:
    """As a browser's parser of XML sees it: it must be well-formed."""
    svg = re.search(r'<svg class="graph__picture".*?</svg>', page, re.S)
    assert svg
    return ElementTree.fromstring(svg.group(0))


def test_each_node_is_a_link_with_a_title_and_says_its_state_in_words(
    client: Client, shop: TargetDatabase
) -> None:
    disk = grown(9, 3)
    inspected(shop, disk, keys(disk)[:6])
    links = [link for link in picture(text(client)).iter(f"{SVG}a") if "node" in str(link.get("class"))]
    assert len(links) == 9
    titles = [link.findtext(f"{SVG}title") for link in links]
    assert all(link.get("href") for link in links)
    assert sum(str(title).endswith(": to apply") for title in titles) == 3


def test_no_colour_alone_says_a_state(client: Client, shop: TargetDatabase) -> None:
    """Each state that is there has an icon of its own, and an entry in the legend."""
    disk = [migration("shop", "0001_a"), migration("shop", "0002_b", ("shop", "0001_a"), ("x", "0001_gone"))]
    inspected(shop, disk, [("shop", "0001_a"), ("old", "0001_ghost")])
    page = text(client)
    for state in ("applied", "pending", "ghost", "missing"):
        assert f'<use class="node__icon" href="#graph_{state}"' in page
        assert f'<svg class="node node--{state}"' in page


def test_the_same_is_said_in_a_table(client: Client, shop: TargetDatabase) -> None:
    disk = [migration("shop", "0001_a"), migration("shop", "0002_b", ("shop", "0001_a"))]
    inspected(shop, disk, [("shop", "0001_a")])
    page = " ".join(text(client).split())
    table = page[page.index('<details id="graph_list">') :]
    assert 'shop.0002_b</a></th> <td data-label="State"><span>to apply</span>' in table
    assert '<td data-label="Depends on"><span class="breakable">shop.0001_a</span>' in table


def test_a_circle_is_shown_and_said(client: Client, shop: TargetDatabase) -> None:
    disk = [migration("a", "0001_x", ("b", "0001_y")), migration("b", "0001_y", ("a", "0001_x"))]
    inspected(shop, disk, [])
    page = text(client)
    assert "depend on each other in a circle" in page and "graph__line--circular" in page
    found = page_of(shop)
    (back,) = [line for line in found.lines if line.kind == "circular"]
    lower = max(found.boxes, key=lambda box: box.y)
    assert back.path.startswith(f"M{lower.x + lower.width * 3 // 4} {lower.y}C")


def test_hostile_names_stay_text(client: Client, shop: TargetDatabase) -> None:
    name = '"><script>alert(1)</script>'
    disk = [migration(name, name), migration("b", "0001/../x", (name, name))]
    inspected(shop, disk, [("<b>", "0001_<i>&")])
    page = text(client)
    assert "<script>alert" not in page and "<b>" not in page and "<i>&" not in page
    assert unescape(page).count(name) > 3
    picture(page)


@pytest.mark.parametrize("report", [None, {"databases": []}])
def test_before_the_files_are_known_the_page_says_so(
    client: Client, shop: TargetDatabase, report: Any
) -> None:
    if report is not None:
        now = clock.now()
        Inspection.objects.create(
            target=shop.target, outcome="done", started_at=now, finished_at=now, report=report
        )
    assert "No complete inspection has told of this project's migrations yet." in unescape(text(client))


def test_an_app_that_there_is_not_shows_the_first_view(shop: TargetDatabase) -> None:
    disk = grown(100, 5)
    inspected(shop, disk, keys(disk)[:-3])
    assert page_of(shop, "nonsense") == page_of(shop)


def test_the_page_asks_as_much_for_600_as_for_9(
    client: Client, shop: TargetDatabase, django_assert_num_queries: Any
) -> None:
    for count in (9, 600):
        disk = grown(count, 6)
        inspected(shop, disk, keys(disk))
        with django_assert_num_queries(3 + 2):
            text(client)


def test_the_smallest_that_is_not_shown_whole(shop: TargetDatabase) -> None:
    disk = grown(SMALL + 1, 4)
    inspected(shop, disk, keys(disk)[:-1])
    assert page_of(shop).view == "" and not page_of(shop).is_small
