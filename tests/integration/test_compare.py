"""Two databases compared: the page, the schemas that workers read, and the command."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils.html import escape

from dbops import launch, tasks
from dbops.exits import Exit
from dbops.inspection import inspect_now, take_snapshot
from dbops.inspection.snapshots import give_up_hanging
from dbops.models import AuditEvent, Inspection, Snapshot, Target, TargetDatabase, clock
from dbops.models.status import Status
from tests.integration.conftest import ALICE, EXAMPLES, PASSWORD, MakeDatabase, MakeTarget, default_of
from tests.reports import database, grown, migration

pytestmark = pytest.mark.django_db
ONE, TWO, GHOST = ("shop", "0001_initial"), ("shop", "0002_more"), ("shop", "0003_gone")
FILES = [migration(*ONE), migration(*TWO, ONE)]
Known = Callable[..., TargetDatabase]


def signed_in(name: str) -> Client:
    client = Client()
    assert client.login(username=name, password=PASSWORD)
    return client


@pytest.fixture
def viewer(people: dict[str, User]) -> Client:
    return signed_in("viewer")


@pytest.fixture
def operator(people: dict[str, User]) -> Client:
    return signed_in("operator")


@pytest.fixture
def known(make_database: MakeDatabase) -> Known:
    """A database as an inspection left it, with these files and recorded rows."""

    def make(name: str, applied: list[Any], disk: list[Any] = FILES, **more: Any) -> TargetDatabase:
        found = make_database(name, vendor="postgresql", inspected_at=clock.now())
        found.judge([Status("checked")])
        found.save()
        now = clock.now()
        report = {"disk": disk, "databases": [database(disk, applied, **more)]}
        Inspection.objects.create(
            target=found.target, outcome="done", started_at=now, finished_at=now, report=report
        )
        return found

    return make


def text(client: Client, a: str = "one/default", b: str = "other/default", **headers: str) -> str:
    response = client.get("/compare/", {"a": a, "b": b}, headers=headers)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def table(**columns: str) -> dict[str, Any]:
    return {
        "columns": {
            name: {
                "type": kind, "null": False, "default": "", "primary_key": name == "id", "comment": "",
                "generated": "", "identity": False, "collation": "",
            }
            for name, kind in columns.items()
        },
        "indexes": {}, "constraints": {}, "comment": "",
    }  # fmt: skip


def read(found: TargetDatabase, **tables: Any) -> Snapshot:
    now = clock.now()
    return Snapshot.objects.create(
        database=found, state="done", asked_by_name="ada", read_at=now, finished_at=now, content=tables
    )


# The page


def test_without_a_choice_both_are_asked_for(viewer: Client, known: Known) -> None:
    known("one", [ONE])
    page = text(viewer, "", "")
    assert "Choose two databases" in page and '<option value="one/default">' in page


def test_the_target_page_leads_here_with_itself_chosen(viewer: Client, known: Known) -> None:
    known("one", [ONE])
    target = viewer.get("/targets/one/").content.decode()
    assert 'href="/compare/?a=one/default"' in target
    assert 'value="one/default" placeholder' in text(viewer, b="")


def test_what_one_has_and_the_other_lacks_is_a_row(viewer: Client, known: Known) -> None:
    known("one", [ONE, TWO, GHOST])
    known("other", [ONE], [FILES[0], {**FILES[1], "hash": "another"}])
    page = text(viewer)
    assert "2 of 3 migrations differ. Applied in A only: 2, in B only: 0." in page
    assert "Same name, other source: 1." in page
    gone = page[page.index("shop.0003_gone") :]
    assert gone.index("<span>applied, no file</span>") < gone.index("<span>nothing</span>")


def test_two_that_are_the_same_say_so(viewer: Client, known: Known) -> None:
    known("one", [ONE])
    known("other", [ONE])
    assert "2 migrations: the same are applied, with the same files." in text(viewer)


def test_two_aliases_of_one_target_are_compared(
    viewer: Client, known: Known, make_database: MakeDatabase
) -> None:
    found = known("one", [ONE, TWO])
    make_database("one", "replica", inspected_at=clock.now())
    inspection = Inspection.objects.get(target=found.target)
    replica = database(FILES, [ONE], alias="replica")
    assert inspection.report
    inspection.report = {**inspection.report, "databases": [*inspection.report["databases"], replica]}
    inspection.save()
    page = text(viewer, "one/default", "one/replica")
    assert "Applied in A only: 1, in B only: 0." in page


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ("one/default", "mars/default", "There is no database mars/default."),
        ("one/default", "one/mars", "There is no database one/mars."),
        ("one", "one/default", "There is no database one."),
        ("one/default", "one/default", "These are one and the same."),
        ("one/default", "\0", "Choose two databases"),
        ("<b>/x", "one/default", escape("There is no database <b>/x.")),
    ],
)
def test_what_there_is_not_is_named(viewer: Client, known: Known, a: str, b: str, words: str) -> None:
    known("one", [ONE])
    assert words in text(viewer, a, b)


def test_a_side_that_was_never_inspected_says_so(
    viewer: Client, known: Known, make_database: MakeDatabase
) -> None:
    known("one", [ONE])
    make_database("other")
    page = text(viewer)
    assert "Never inspected completely" in page
    assert "They cannot be compared before both were inspected." in page


def test_a_side_whose_database_did_not_answer_says_so_and_its_rows_are_not_called_missing(
    viewer: Client, known: Known
) -> None:
    known("one", [ONE])
    other = known("other", [], reachable=False)
    other.judge([Status("unreachable", "connection refused")])
    other.save()
    page = text(viewer)
    assert "Unreachable: connection refused" in page and "did not answer then" in page
    assert "2 migrations: the same files." in page and "Applied in A only" not in page


def test_a_long_difference_is_cut_and_says_where_the_rest_is(viewer: Client, known: Known) -> None:
    known("one", [], grown(600, 3))
    known("other", [], [])
    page = text(viewer)
    assert page.count("file in A only") == 500 and "100 more are not shown here" in page


def test_hostile_names_stay_text(viewer: Client, known: Known) -> None:
    name = "<script>alert(1)</script>"
    known("one", [], [migration(name, name)])
    other = known("other", [])
    read(TargetDatabase.objects.get(target__name="one"), **{name: table(**{name: name})})
    read(other)
    assert "<script>alert" not in text(viewer)


def test_the_page_asks_as_much_for_many_as_for_few(
    viewer: Client, known: Known, make_database: MakeDatabase, django_assert_num_queries: Any
) -> None:
    known("one", [ONE])
    known("other", [ONE, TWO])
    # Session, person, groups; the two, the choices; of each its inspection and two snapshots.
    with django_assert_num_queries(3 + 3 + 2 * 3):
        text(viewer)
    for number in range(30):
        make_database(f"more-{number}")
    with django_assert_num_queries(3 + 3 + 2 * 3):
        text(viewer)


# The schemas


def test_the_difference_of_the_schemas_is_shown_with_its_age(viewer: Client, known: Known) -> None:
    read(known("one", [ONE]), shop_order=table(id="bigint"))
    read(known("other", [ONE]), shop_order=table(id="bigint", total="integer"))
    page = text(viewer)
    assert "1 column added to shop_order" in page
    assert "A: read <time" in page and "asked for by ada" in page


def test_what_was_read_last_is_compared(viewer: Client, known: Known) -> None:
    one = known("one", [ONE])
    read(one, shop_order=table(id="bigint"))
    read(one, shop_order=table(id="bigint", total="integer"))
    read(known("other", [ONE]), shop_order=table(id="bigint", total="integer"))
    assert "No change of the schema." in text(viewer)


def test_side_by_side_is_a_link(viewer: Client, known: Known) -> None:
    read(known("one", [ONE]), shop_order=table(id="bigint"))
    read(known("other", [ONE]), shop_order=table(id="integer"))
    assert 'diff=split">Side by side</a>' in text(viewer)
    split = viewer.get("/compare/?a=one/default&b=other/default&diff=split").content.decode()
    assert '<table class="diff__split">' in split
    assert 'href="?a=one%2Fdefault&amp;b=other%2Fdefault">One below the other</a>' in split


def test_between_vendors_the_page_says_that_types_differ(viewer: Client, known: Known) -> None:
    read(known("one", [ONE]))
    other = known("other", [ONE])
    TargetDatabase.objects.filter(pk=other.pk).update(vendor="sqlite")
    read(other)
    assert "postgresql and sqlite are compared: types, defaults" in text(viewer)


def test_a_viewer_sees_that_reading_them_needs_an_operator(viewer: Client, known: Known) -> None:
    known("one", [ONE])
    known("other", [ONE])
    page = text(viewer)
    assert "Reading them needs the role operator." in page and "Read both schemas" not in page


def ask(client: Client, a: str = "one/default", b: str = "other/default") -> Any:
    return client.post("/compare/snapshots/", {"a": a, "b": b})


def test_asking_for_them_writes_a_row_each_and_who_asked(operator: Client, known: Known) -> None:
    known("one", [ONE])
    known("other", [ONE])
    assert ask(operator)["Location"] == "/compare/?a=one%2Fdefault&b=other%2Fdefault"
    assert set(Snapshot.objects.values_list("state", "asked_by_name")) == {("asked", "operator")}
    events = AuditEvent.objects.filter(act="snapshot.ask").order_by("pk")
    assert [(event.actor, event.target) for event in events] == [
        ("operator", "one/default"), ("operator", "other/default"),
    ]  # fmt: skip
    page = text(operator)
    assert "it waits for a worker of the queue inspect" in page and 'data-refresh="2"' in page


def test_asked_for_twice_it_is_read_once(operator: Client, known: Known) -> None:
    known("one", [ONE])
    known("other", [ONE])
    ask(operator), ask(operator)
    assert Snapshot.objects.count() == 2


def test_of_what_there_is_not_nothing_is_asked_for(operator: Client, known: Known) -> None:
    known("one", [ONE])
    response = ask(operator, b="mars/default")
    assert response.status_code == 422 and "There is no database mars/default." in response.content.decode()
    assert not Snapshot.objects.exists()


def test_htmx_gets_the_schemas_alone(operator: Client, known: Known) -> None:
    known("one", [ONE])
    known("other", [ONE])
    ask(operator)
    fragment = text(operator, **{"HX-Request": "true"})
    assert fragment.startswith('<section class="module" id="compare_schemas"') and "<html" not in fragment


def test_a_worker_that_vanished_is_not_waited_for_for_ever(known: Known) -> None:
    asked = launch.snapshot(known("one", [ONE]), ALICE)
    long_ago = "2026-01-01T00:00:00Z"
    Snapshot.objects.filter(pk=asked.pk).update(state="working", started_at=long_ago)
    assert give_up_hanging() == 1
    asked.refresh_from_db()
    assert asked.state == "failed" and "Nothing was changed." in asked.error_sentence


def test_what_was_never_taken_is_told_again(known: Known) -> None:
    asked = launch.snapshot(known("one", [ONE]), ALICE)
    Snapshot.objects.filter(pk=asked.pk).update(published_at="2026-01-01T00:00:00Z")
    tasks.sweep_snapshots()
    asked.refresh_from_db()
    assert asked.published_at and asked.published_at.year == clock.now().year


# With real targets


def taken(found: TargetDatabase) -> Snapshot:
    asked = launch.snapshot(found, ALICE)
    take_snapshot(asked.pk)
    asked.refresh_from_db()
    return asked


def migrated_blog(make_target: MakeTarget, folder: Path, name: str, *words: str) -> TargetDatabase:
    """The SQLite example, migrated by hand as far as `words` say."""
    target = make_target(name, working_directory=str(EXAMPLES / "blog"), python=[sys.executable])
    file = folder / f"{name}.sqlite3"
    target.variables.create(name="BLOG_DATABASE", plain=str(file))
    env = {"PATH": os.environ["PATH"], "BLOG_DATABASE": str(file)}
    argv = [sys.executable, "manage.py", "migrate", "-v0", *words]
    subprocess.run(argv, cwd=EXAMPLES / "blog", env=env, check=True)
    inspect_now(target)
    return default_of(target)


def test_two_states_of_one_project_differ_by_what_is_applied(
    viewer: Client, make_target: MakeTarget, tmp_path: Path
) -> None:
    for name, words in (("one", ["posts", "0001"]), ("other", [])):
        assert taken(migrated_blog(make_target, tmp_path, name, *words)).state == "done"
    page = text(viewer)
    assert "4 of 5 migrations differ. Applied in A only: 0, in B only: 4." in page
    assert "tables created" in page and "column added to posts_post" in page


def test_the_same_project_on_postgres_and_sqlite_differs_in_types_only(
    viewer: Client, blog: Target, shop: Target
) -> None:
    one, other = taken(default_of(blog)), taken(default_of(shop))
    assert (one.state, other.state) == ("done", "done")
    assert one.identity and other.identity
    assert "sqlite and postgresql are compared" in text(viewer, "blog/default", "shop/default")


def test_a_target_that_cannot_be_read_is_told_where_the_schema_would_stand(
    viewer: Client, known: Known
) -> None:
    broken = taken(known("one", [ONE]))
    known("other", [ONE])
    assert broken.state == "failed" and broken.error_sentence
    assert "It could not be read" in text(viewer)


def test_only_the_latest_are_kept_and_one_that_was_read_among_them(known: Known) -> None:
    found = known("one", [ONE])
    good = read(found, shop_order=table(id="bigint"))
    for _ in range(7):
        taken(found)
    assert Snapshot.objects.filter(database=found).count() == 6
    assert Snapshot.objects.filter(pk=good.pk).exists()


# The command


def compare(*words: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("compare", *words, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def test_the_command_says_what_differs_with_its_code(known: Known) -> None:
    known("one", [ONE, TWO])
    known("other", [ONE])
    code, said = compare("one", "other/default")
    assert code == Exit.DIFFERENT
    assert "  shop.0002_more: A applied, B not applied" in said
    assert "The schemas were not read yet" in said


def test_the_command_ends_well_where_nothing_differs(known: Known) -> None:
    read(known("one", [ONE]))
    read(known("other", [ONE]))
    code, said = compare("one", "other")
    assert (code, "no change of the schema" in said) == (Exit.DONE, True)


def test_the_document_has_all_of_it(known: Known) -> None:
    read(known("one", [ONE, TWO]), shop_order=table(id="bigint"))
    read(known("other", [ONE]))
    code, said = compare("one", "other", "--json")
    document = json.loads(said)
    assert code == Exit.DIFFERENT
    assert document["migrations"] == [
        {
            "app": "shop", "name": "0002_more", "a": "applied", "b": "not applied",
            "applied_only_in": "a", "file_only_in": None, "source_differs": False,
        }
    ]  # fmt: skip
    assert document["schema"]["summary"] == "1 table dropped (shop_order)"
    assert document["a"]["name"] == "one/default" and document["b"]["schema_read_at"]


def test_what_is_not_known_is_not_called_the_same(known: Known, make_database: MakeDatabase) -> None:
    known("one", [ONE])
    make_database("other")
    assert compare("one", "other")[0] == Exit.UNKNOWN
    Snapshot.objects.all().delete()
    known("third", [], reachable=False)
    assert compare("one", "third")[0] == Exit.UNKNOWN


def test_a_name_that_there_is_not_is_refused(known: Known) -> None:
    known("one", [ONE])
    with pytest.raises(CommandError, match="There is no database one/mars"):
        compare("one", "one/mars")
    with pytest.raises(CommandError, match="There is no target mars"):
        compare("one", "mars")


def test_a_schema_that_lacks_a_recorded_migration_says_so(viewer: Client, known: Known) -> None:
    for name in ("one", "other"):
        read(known(name, [ONE]))
    lacking = [{"app": "shop", "name": "0003_<b>", "problem": "KeyError: 'nobody'."}]
    Snapshot.objects.filter(database__target__name="one").update(lacking=lacking)
    page = text(viewer)
    assert escape("What shop.0003_<b> changed is not in this schema") in page
    assert escape("Why: KeyError: 'nobody'.") in page
