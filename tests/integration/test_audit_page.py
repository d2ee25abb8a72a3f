"""The audit trail as people read it: who may see what of it, filters, places, one event, exports."""

import csv
import io
import json
from collections.abc import AsyncIterable, Callable
from datetime import timedelta
from html import unescape
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from dbops.access import Actor
from dbops.models import AuditEvent, Grant, Target
from dbops.pages import audit_export, audit_query
from dbops.pages.audit import changes_of
from dbops.pages.audit_query import Cursor, Wanted, matching, read
from dbops.rights import ALL, Rights, Role
from dbops.transcript.threads import beside_the_loop
from dbops.views import audit as audit_views
from dbops.views.places import Download
from tests.integration.conftest import ALICE, PASSWORD, MakeTarget

pytestmark = pytest.mark.django_db
BOB = Actor(None, "bob", "192.0.2.2", ALL)
HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\r\nforged"


def signed_in(name: str) -> Client:
    client = Client()
    client.login(username=name, password=PASSWORD)
    return client


@pytest.fixture
def superuser(people: dict[str, User]) -> Client:
    return signed_in("superuser")


@pytest.fixture
def shop(make_target: MakeTarget) -> Target:
    return make_target("shop")


def file_of(response: Any, after_two: Callable[[], Any] = lambda: None) -> str:
    """A stream of an async view, collected; something happens when its head and first part have come."""

    async def collected() -> bytes:
        content: AsyncIterable[bytes] = response.streaming_content
        parts = []
        async for part in content:
            parts.append(part)
            if len(parts) == 2:
                await sync_to_async(after_two)()
        return b"".join(parts)

    return async_to_sync(collected)().decode()


def acts(response: Any) -> list[str]:
    return [event.act for event in response.context["page"].events.rows]


# Who sees what


def test_staff_sees_the_events_of_targets_and_a_superuser_the_others_too(
    people: dict[str, User], shop: Target
) -> None:
    of_shop = AuditEvent.objects.record("target.inspect", ALICE, target=shop)
    of_nothing = AuditEvent.objects.record("user.change", ALICE, target="shop")
    staff, superuser = signed_in("staff"), signed_in("superuser")
    assert acts(staff.get("/audit/")) == ["target.inspect"]
    assert set(acts(superuser.get("/audit/"))) == {"target.inspect", "user.change"}
    assert staff.get(of_shop.get_absolute_url()).status_code == 200
    assert staff.get(of_nothing.get_absolute_url()).status_code == 404
    assert superuser.get(of_nothing.get_absolute_url()).status_code == 200
    nowhere = Rights(Role.VIEWER, ((shop.pk, Role.OPERATOR), (shop.pk + 1, Role.STAFF)))
    assert [event.act for event in matching(Wanted(), nowhere)] == []


def test_an_event_stays_with_its_target_whatever_that_is_called_later(
    people: dict[str, User], shop: Target, make_target: MakeTarget
) -> None:
    AuditEvent.objects.record("target.inspect", ALICE, target=shop)
    Target.objects.filter(pk=shop.pk).update(name="store")
    other = make_target("shop")
    assert not matching(Wanted(), Rights(Role.NOBODY, ((other.pk, Role.STAFF),))).exists()
    assert matching(Wanted(), Rights(Role.NOBODY, ((shop.pk, Role.STAFF),))).exists()


def test_who_is_staff_on_one_target_reads_and_exports_its_events_alone(
    people: dict[str, User], shop: Target, make_target: MakeTarget
) -> None:
    other, group = make_target("other"), Group.objects.create(name="team")
    Grant.objects.create(group=group, target=shop, role="staff")
    people["nobody"].groups.add(group)
    seen = AuditEvent.objects.record("target.inspect", ALICE, target=shop)
    hidden = AuditEvent.objects.record("target.inspect", ALICE, target=other, reason="hidden")
    client = signed_in("nobody")
    for query in ("", "target=other", "q=hidden", f"before={Cursor.of(hidden)}"):
        page = client.get(f"/audit/?{query}").context["page"]
        assert {event.pk for event in page.events.rows} <= {seen.pk}
    assert [client.get(event.get_absolute_url()).status_code for event in (seen, hidden)] == [200, 404]
    assert "target.inspect" in told("--as", "nobody") and "hidden" not in told("--as", "nobody")
    with pytest.raises(SystemExit):
        told("--as", "operator")


# What is looked for


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("who=alice", {1, 2, 3}),
        ("act=job.migrate", {1, 2, 4}),
        ("act=job.migrate.end", {2}),
        ("act=job", {1, 2, 3, 4}),
        ("act=jo", set()),
        ("target=shop", {1, 2, 3}),
        ("target=shop/default", {2}),
        ("target=sho", set()),
        ("job=7", {1, 2}),
        ("outcome=failed", {2}),
        ("outcome=refused", {4}),
        ("q=ticket", {1}),
        ("q=TICKET+OPS-4711", {1}),
        ("q=OPS%25", set()),
        ("q=0004_slug", {2}),
        ("q=quiet_window", {3}),
        ("q=nothing", set()),
        ("since=2026-01-02", {1, 2, 3, 4}),
        ("until=2026-01-01", set()),
        ("until=9999-12-31", {1, 2, 3, 4}),
        ("who=alice&outcome=done&act=job", {1, 3}),
    ],
)
def test_a_filter_finds_its_events(superuser: Client, shop: Target, query: str, expected: set[int]) -> None:
    record = AuditEvent.objects.record
    database = shop.databases.create(alias="default")
    record("job.migrate", ALICE, target=shop, job_id=7, reason="Ticket OPS-4711 says so")
    record(
        "job.migrate.end",
        ALICE,
        target=database,
        job_id=7,
        outcome="failed",
        after={"pending": ["a.0004_slug"]},
    )
    record("job.cancel", ALICE, target=shop, job_id=8, why="quiet_window")
    record("job.migrate.refused", BOB)
    numbers = {event.pk: number for number, event in enumerate(AuditEvent.objects.order_by("pk"), 1)}
    page = superuser.get(f"/audit/?{query}").context["page"]
    assert {numbers[event.pk] for event in page.events.rows} == expected


@pytest.mark.parametrize(
    "query",
    ["job=0", "job=x", f"job={2**63}", "since=yesterday", "outcome=great", "who=a%00b", "q=%00",
     f"q={'x' * 201}", "before=1", "before=1.x", "after=-1.5", "before=99999999999999999.1", "size=many"],
)  # fmt: skip
def test_what_cannot_be_looked_for_is_said_and_shows_nothing(superuser: Client, query: str) -> None:
    AuditEvent.objects.record("user.change", ALICE)
    response = superuser.get(f"/audit/?{query}")
    assert response.status_code == 422
    text = unescape(response.content.decode())
    assert "Nothing was looked for." in text and "user.change" not in text


@pytest.mark.parametrize(("size", "rows"), [("0", 1), ("-5", 1), ("2", 2), ("99999999999999", 4), ("", 4)])
def test_a_page_is_never_larger_or_smaller_than_it_may_be(
    superuser: Client, monkeypatch: pytest.MonkeyPatch, size: str, rows: int
) -> None:
    monkeypatch.setattr(audit_query, "SIZE_MOST", 4)
    for _ in range(6):
        AuditEvent.objects.record("user.change", ALICE)
    url = f"/audit/?size={size}" if size else "/audit/?size=4"
    assert len(acts(superuser.get(url))) == rows


def test_pages_show_each_event_once_in_both_directions_also_those_of_one_moment(superuser: Client) -> None:
    moment = timezone.now()
    for number in range(7):
        event = AuditEvent(actor="alice", act=f"act{number}")
        event.at = moment
        AuditEvent.objects.bulk_create([event])
    AuditEvent.objects.record("later", ALICE)
    down, url, last = list[str](), "/audit/?size=3", ""
    while url:
        response = superuser.get(url)
        events, last = response.context["page"].events, url
        down += [event.act for event in events.rows]
        url = f"/audit/?size=3&before={events.older}" if events.older else ""
    assert down == ["later", *(f"act{number}" for number in range(6, -1, -1))]
    events = superuser.get(last).context["page"].events
    up = [event.act for event in events.rows]
    while (
        events.newer
        and (events := superuser.get(f"/audit/?size=3&after={events.newer}").context["page"].events).rows
    ):
        up = [event.act for event in events.rows] + up
    assert up == down


@pytest.mark.django_db(transaction=True)
def test_what_would_take_too_long_is_stopped_and_said(
    people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    AuditEvent.objects.record("user.change", ALICE)
    slowly = matching(Wanted(), ALL).extra(where=["pg_sleep(20) IS NOT NULL"])
    monkeypatch.setattr("dbops.pages.audit.matching", lambda *args: slowly)
    client = Client(raise_request_exception=False)
    client.force_login(people["superuser"])
    with connection.cursor() as cursor:
        # As the web process connects.
        cursor.execute("SET statement_timeout = 200")
    try:
        response = client.get("/audit/")
    finally:
        connection.close()
    assert response.status_code == 503
    assert "Nothing was changed. Ask for less: fewer days" in response.content.decode()


# One event


def test_before_and_after_are_told_apart_value_by_value() -> None:
    changes = changes_of(
        {"a": 1, "b": [1, 2], "c": {"d": True}, "gone": "x"},
        {"a": 1, "b": [1], "c": {"d": False}, "new": None},
    )
    assert [(one.name, one.before, one.after, one.kind) for one in changes] == [
        ("a", "1", "1", "same"),
        ("b", "1\n2", "1", "changed"),
        ("c.d", "yes", "no", "changed"),
        ("gone", "x", "", "removed"),
        ("new", "", "(not known)", "added"),
    ]
    assert changes_of(None, None) == []
    assert [one.kind for one in changes_of(None, {"a": 1})] == ["added"]


def test_hostile_texts_of_an_event_are_shown_as_texts(superuser: Client) -> None:
    strange: dict[str, Any] = {HOSTILE: HOSTILE}
    event = AuditEvent.objects.record(
        HOSTILE[:50], Actor(None, HOSTILE, HOSTILE, ALL), target=HOSTILE, reason=HOSTILE,
        before=strange, after={HOSTILE: [HOSTILE]}, **strange,
    )  # fmt: skip
    for url in ("/audit/", event.get_absolute_url()):
        page = superuser.get(url).content.decode()
        assert "<img" not in page and "&lt;img" in page and "\x1b" not in page


# Exported


@pytest.mark.django_db(transaction=True)
def test_an_export_holds_what_matches_and_is_an_event_itself(
    superuser: Client, shop: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_query, "CHUNK", 2)
    for number in range(5):
        AuditEvent.objects.record("target.inspect", ALICE, target=shop, reason=f"look {number}")
    AuditEvent.objects.record("user.change", ALICE)
    response = superuser.post("/audit/export/", {"format": "jsonl", "act": "target"})
    assert response["Content-Disposition"].startswith('attachment; filename="opsdash-audit-')
    lines = [json.loads(line) for line in file_of(response).splitlines()]
    assert [line["reason"] for line in lines] == [f"look {number}" for number in range(4, -1, -1)]
    own = AuditEvent.objects.get(act="audit.export")
    assert (own.actor, own.details) == ("superuser", {"format": "jsonl", "filters": {"act": "target"}})
    assert superuser.get("/audit/export/").status_code == 405


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "＝"])
def test_no_cell_of_a_csv_begins_a_formula(superuser: Client, first: str) -> None:
    text = f'{first}cmd|" /C calc"!A1;{first}2'
    AuditEvent.objects.record("user.change", Actor(None, text, text, ALL), target=text, reason=text)
    content = file_of(superuser.post("/audit/export/", {"format": "csv", "act": "user.change"}))
    (row,) = csv.DictReader(io.StringIO(content, newline=""))
    assert row["reason"] == row["actor"] == row["target"] == row["address"] == f"'{text}"
    # A reader that separates by semicolons sees no cell begin with it either.
    assert f";{first}" not in content.replace(f'""!A1;{first}2"', "")


@pytest.mark.django_db(transaction=True)
def test_an_export_ends_with_a_sentence_when_the_person_may_not_see_it_any_more(
    people: dict[str, User], shop: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_query, "CHUNK", 2)
    for _ in range(5):
        AuditEvent.objects.record("target.inspect", ALICE, target=shop)
    response = signed_in("staff").post("/audit/export/", {"format": "jsonl"})
    lines = file_of(response, after_two=lambda: User.objects.update(is_staff=False)).splitlines()
    assert len(lines) == 3
    assert "may not see this any more" in json.loads(lines[-1])["opsdash"]


@pytest.mark.django_db(transaction=True)
def test_a_long_export_says_that_it_is_not_all(
    superuser: Client, shop: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export, "MOST", 3)
    for _ in range(5):
        AuditEvent.objects.record("target.inspect", ALICE, target=shop)
    lines = file_of(superuser.post("/audit/export/", {"format": "csv"})).splitlines()
    assert len(lines) == 1 + 3 + 1 and "ask for fewer days" in lines[-1]


def test_an_export_asks_for_a_part_at_a_time(
    shop: Target, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Callable[[int], Any]
) -> None:
    monkeypatch.setattr(audit_query, "CHUNK", 2)
    for _ in range(5):
        AuditEvent.objects.record("target.inspect", ALICE, target=shop)
    with django_assert_num_queries(4):
        end = Cursor(timezone.now() + timedelta(1), 1)
        parts = list(audit_query.chunks(Wanted(), ALL, end, 100))
    assert [len(part) for part in parts] == [2, 2, 1]


# From a shell


def told(*words: str) -> str:
    out = StringIO()
    call_command("audit", *words, stdout=out)
    return out.getvalue()


def test_the_command_shows_the_same_and_its_exports_are_events(shop: Target) -> None:
    AuditEvent.objects.record("target.inspect", ALICE, target=shop, reason="why\x1b[2J")
    AuditEvent.objects.record("user.change.refused", BOB)
    assert "target.inspect" in told("--who", "alice") and "\x1b" not in told()
    assert "user.change" not in told("--who", "alice")
    document = json.loads(told("--format", "json", "--size", "1"))
    assert (document["version"], [event["act"] for event in document["events"]]) == (
        1,
        ["user.change.refused"],
    )
    rest = json.loads(told("--format", "json", "--size", "1", "--before", document["older"]))
    assert (rest["older"], rest["events"][0]["act"]) == (None, "target.inspect")
    assert not AuditEvent.objects.filter(act="audit.export").exists()
    (row,) = csv.DictReader(io.StringIO(told("--format", "csv", "--outcome", "refused"), newline=""))
    assert row["actor"] == "bob"
    (line,) = told("--format", "jsonl", "--target", "shop").splitlines()
    assert json.loads(line)["act"] == "target.inspect"
    first = AuditEvent.objects.filter(act="audit.export").order_by("pk")[0]
    assert first.actor.startswith("shell:") and first.details["filters"] == {"outcome": "refused"}


def test_what_lies_between_two_places_is_found_by_reading(shop: Target) -> None:
    AuditEvent.objects.record("target.inspect", ALICE, target=shop)
    events = read(matching(Wanted(), ALL), 10, None, None)
    assert (events.older, events.newer) == ("", "")
    place = Cursor.of(events.rows[0])
    assert Cursor.parse(str(place)) == place


def test_what_a_persons_tokens_did_and_what_was_done_as_them_is_theirs(people: dict[str, User]) -> None:
    who = people["operator"]
    for number, name in enumerate(["operator", "operator (token deploy)", "shell:root as operator"]):
        AuditEvent.objects.record("a", Actor(who, name, "192.0.2.1", ALL), number=number)
    AuditEvent.objects.record("a", Actor(None, "operators", "192.0.2.1", ALL))
    found = matching(Wanted(who="operator"), ALL)
    assert [event.details["number"] for event in found] == [2, 1, 0]


def test_an_export_that_was_refused_is_not_told_as_done(
    superuser: Client, settings: Any, people: dict[str, User]
) -> None:
    settings.DBOPS = {**settings.DBOPS, "DOWNLOADS_PER_USER": 1}
    taken = Download(people["superuser"].pk)
    assert superuser.post("/audit/export/", {"format": "csv"}).status_code == 429
    assert not AuditEvent.objects.filter(act="audit.export").exists()
    taken.close()


@pytest.mark.django_db(transaction=True)
def test_an_export_that_asks_too_much_of_our_database_ends_with_a_sentence(
    superuser: Client, shop: Target, monkeypatch: Any
) -> None:
    def fail(*arguments: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '10ms'; SELECT pg_sleep(5)")

    monkeypatch.setattr(audit_views, "_chunk", beside_the_loop(fail))
    text = file_of(superuser.post("/audit/export/", {"format": "csv"}))
    assert "the rest is not in this file" in text and "OPSDASH_QUERY_TIMEOUT_MS" in text
