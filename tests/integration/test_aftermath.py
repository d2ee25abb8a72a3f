"""What a failed migration left behind: said from the schema, and the two remedies that a click brings."""

import re
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dbops import aftermath, launch
from dbops.execute import execute
from dbops.inspection import inspect_now
from dbops.loss import resolve_lost
from dbops.models import AuditEvent, Job, Step, Target, TargetDatabase, TargetVariable
from dbops.redaction import MASK
from tests.integration.conftest import ALICE, PASSWORD, MakeTarget, default_of
from tests.integration.reading import page
from tests.integration.test_bad_migrations import as_superuser, databases, recorded, run
from tests.targets.builder import ADD_NAME, CREATE_ITEM, Project, make_project

VALUE = re.compile(r'value="[^"]*"')
pytestmark = pytest.mark.django_db(transaction=True)

ADD_SIZE = 'migrations.AddField("Item", "size", models.IntegerField(default=7))'
DIVIDES = 'migrations.RunSQL("SELECT 1/0")'
LEAVES_AN_INDEX = (
    f"{ADD_SIZE}, migrations.RunSQL("
    '"CREATE UNIQUE INDEX CONCURRENTLY by_size ON shop_item (size)", state_operations=['
    'migrations.AddIndex("Item", models.Index(fields=["size"], name="by_size"))])'
)
WITH_A_KEY = (
    'migrations.CreateModel("Cat", [("id", models.BigAutoField(primary_key=True))]), '
    'migrations.AddField("Item", "cat", models.ForeignKey("shop.Cat", models.CASCADE, null=True))'
)
# Whoever records the migration is refused, after its tables were made and committed.
REFUSES = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.name = '0002_next' THEN RAISE 'no room'; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON django_migrations FOR EACH ROW EXECUTE FUNCTION refuse();
"""


@pytest.fixture
def project(tmp_path: Path, postgres_url: str) -> Project:
    """On Postgres, with one good migration."""
    project = make_project(tmp_path / "mini", databases(postgres_url))
    project.migration("0001_initial", CREATE_ITEM)
    return project


@pytest.fixture
def mini(project: Project, make_target: MakeTarget) -> Target:
    """Its first migration is applied."""
    target = make_target("mini", working_directory=str(project.path), python=[sys.executable])
    assert run(target).state == "succeeded"
    return target


def sql(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def signed_in(people: dict[str, User], name: str) -> Client:
    client = Client()
    assert client.login(username=name, password=PASSWORD)
    return client


def left(job: Job) -> dict[str, Any]:
    """What is said of the one migration that was in the middle."""
    (fact,) = job.facts["examined"]
    return dict(fact)


def perform(database: TargetDatabase, operation: str, **arguments: str) -> Job:
    job = launch.start(database, operation, arguments, ALICE, key=uuid.uuid4()).job
    execute(job.pk, "worker")
    job.refresh_from_db()
    return job


# What was found


def test_what_was_rolled_back_is_said_to_be_as_before(project: Project, mini: Target) -> None:
    project.migration("0002_next", f"{ADD_SIZE}, {DIVIDES}")
    job = run(mini)
    assert (left(job)["verdict"], left(job)["lacking"]) == ("untouched", ["the column size of shop_item"])
    words = (
        "1 still to apply. shop.0002_next left nothing behind in the schema: that is as before it. "
        "What its RunSQL did to rows, or elsewhere, cannot be seen. No session of this job is left"
    )
    assert words in job.outcome
    text = page(job.get_absolute_url())
    assert (
        "shop.0002_next the schema is as before it" in text
        and "Correct the cause, then start it again." in text
    )
    assert "Record it" not in text and "DROP" not in text


def test_a_migration_that_is_not_atomic_leaves_a_column_and_an_invalid_index_that_one_click_drops(
    project: Project, mini: Target, postgres_url: str, people: dict[str, User]
) -> None:
    sql(postgres_url, "INSERT INTO shop_item (n) VALUES (1), (1)")
    project.migration("0002_next", LEAVES_AN_INDEX, body="atomic = False")
    job = run(mini)
    assert left(job)["verdict"] == "partly"
    assert "shop.0002_next is in the schema in part (there: the column size of shop_item;" in job.outcome
    text = page(job.get_absolute_url())
    assert "comes from this migration (what it holds is lost), then start it again: ALTER TABLE" in text
    assert "DROP INDEX CONCURRENTLY public.by_size;" in text
    assert "Drop the invalid index: needs the role staff" in text
    staff = signed_in(people, "staff")
    dropped = click(staff, job, "invalid_index", schema="public", index="by_size")
    assert (dropped.state, dropped.outcome) == (
        "succeeded",
        "The invalid index public.by_size is dropped. Nothing else was changed.",
    )
    assert rows(postgres_url, "SELECT count(*) FROM pg_class WHERE relname = 'by_size'") == [(0,)]
    assert AuditEvent.objects.get(act="job.drop_index").actor == "staff"
    assert f"Job {dropped.pk} worked there since." in page(job.get_absolute_url())
    for statement in left(job)["undo"]:
        sql(postgres_url, statement)
    sql(postgres_url, "DELETE FROM shop_item WHERE id > 1")
    assert run(mini).state == "succeeded"


def click(client: Client, job: Job, name: str, **fields: str) -> Job:
    """From the job's page through the page that asks to the new job, and a worker performs that."""
    url = reverse(name, args=[job.pk])
    assert f'href="{url}?' in client.get(job.get_absolute_url()).content.decode()
    asks = client.get(url, fields)
    assert asks.status_code == 200 and b"Before that, under the guard" in asks.content
    limit = {"record": b"Rows are not compared.", "invalid_index": b"more than 5 s it fails"}[name]
    assert limit in asks.content and b"exactly that" not in asks.content
    key = str(asks.context["form"].initial["key"])
    answer = client.post(url, {**fields, "key": key})
    assert answer.status_code == 302, answer.content.decode()
    started = Job.objects.get(idempotency_key=key)
    assert client.post(url, {**fields, "key": key})["Location"] == started.get_absolute_url()
    execute(started.pk, "worker")
    started.refresh_from_db()
    return started


def test_what_is_applied_and_not_recorded_is_recorded_by_one_click(
    project: Project, mini: Target, postgres_url: str, people: dict[str, User]
) -> None:
    """Django records a migration with a foreign key after the transaction that made it."""
    sql(postgres_url, REFUSES)
    project.migration("0002_next", WITH_A_KEY)
    job = run(mini)
    assert job.state == "failed" and recorded(postgres_url) == ["0001_initial"]
    assert (left(job)["verdict"], left(job)["recordable"]) == ("applied", True)
    assert "All that shop.0002_next changes of the schema is there, but it is not recorded." in job.outcome
    text = page(job.get_absolute_url())
    assert f"{sys.executable} manage.py migrate --fake shop 0002_next --database default" in text
    assert "Record it as applied: needs the role staff" in text
    sql(postgres_url, "DROP TRIGGER refuse ON django_migrations")
    done = click(signed_in(people, "staff"), job, "record", migration="shop.0002_next")
    assert (done.state, done.outcome) == (
        "succeeded",
        "shop.0002_next is recorded as applied. Nothing else was changed.",
    )
    assert done.facts["recorded"] == [["shop", "0002_next"]]
    assert [(step.name, step.state) for step in done.steps.all()] == [("shop.0002_next", "succeeded")]
    assert recorded(postgres_url) == ["0001_initial", "0002_next"]
    assert [status.state for status in default_of(mini).found()] == ["unmade"], "it has no models"
    assert run(mini).outcome == "There was nothing to apply."


def test_nothing_is_recorded_when_the_schema_is_another_by_the_time_of_the_click(
    project: Project, mini: Target, postgres_url: str, people: dict[str, User]
) -> None:
    sql(postgres_url, REFUSES)
    project.migration("0002_next", WITH_A_KEY)
    job = run(mini)
    sql(postgres_url, "DROP TRIGGER refuse ON django_migrations", "ALTER TABLE shop_item DROP COLUMN cat_id")
    refused = click(signed_in(people, "staff"), job, "record", migration="shop.0002_next")
    assert (refused.state, refused.error_type) == ("failed", "NotProven")
    assert (
        "It is not proven that shop.0002_next is applied: the schema is not as it makes it" in refused.outcome
    )
    assert recorded(postgres_url) == ["0001_initial"]


def test_what_is_recorded_already_is_not_recorded_twice(
    project: Project, mini: Target, postgres_url: str
) -> None:
    project.migration("0002_next", ADD_NAME)
    assert run(mini).state == "succeeded"
    job = perform(default_of(mini), "record", app="shop", migration="0002_next")
    assert (job.state, job.error_type) == ("failed", "NotProven")
    assert "it is recorded already" in job.outcome
    assert recorded(postgres_url) == ["0001_initial", "0002_next"]


@pytest.mark.parametrize("how", ["valid", "gone", "a constraint's", "locked"])
def test_an_index_is_dropped_only_while_it_is_invalid_and_nobody_s(
    project: Project, mini: Target, postgres_url: str, how: str
) -> None:
    table = "CREATE TABLE thing (n int, CONSTRAINT once UNIQUE (n)); CREATE INDEX by_n ON thing (n)"
    sql(postgres_url, table)
    name = "once" if how == "a constraint's" else "gone" if how == "gone" else "by_n"
    if how in ("a constraint's", "locked"):
        invalidate = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{}'::regclass"
        as_superuser(postgres_url, invalidate.format(name).replace("{", "{{"))
    inspect_now(mini)
    with psycopg.connect(postgres_url) as other:
        if how == "locked":
            other.execute("LOCK TABLE thing IN SHARE UPDATE EXCLUSIVE MODE")
        job = perform(default_of(mini), "drop_index", schema="public", index=name)
    assert (job.state, job.error_type) == ("failed", "NotProven")
    assert {
        "valid": "There is no invalid index public.by_n.",
        "gone": "There is no invalid index public.gone.",
        "a constraint's": "The index public.once is not dropped: the constraint once uses it.",
        "locked": "somebody holds a lock on it or its table and may be building it.",
    }[how] in job.outcome
    assert rows(postgres_url, "SELECT count(*) FROM pg_class WHERE relname IN ('by_n', 'once')") == [(2,)]


def test_a_table_that_was_made_in_a_migration_that_is_not_atomic_is_named(
    project: Project, mini: Target, people: dict[str, User]
) -> None:
    shelf = 'migrations.CreateModel("Shelf", [("id", models.BigAutoField(primary_key=True))])'
    project.migration("0002_next", f"{shelf}, {ADD_SIZE}, {DIVIDES}", body="atomic = False")
    job = run(mini)
    assert left(job)["there"] == ["the column size of shop_item", "the table shop_shelf"]
    assert (left(job)["verdict"], left(job)["recordable"]) == ("applied", False)
    text = page(job.get_absolute_url())
    assert "See whether RunSQL did its work." in text and 'DROP TABLE "shop_shelf";' in text
    # It failed: that nothing is lacking of what can be seen does not make it applied.
    assert "shop.0002_next the schema is as behind it, not recorded" in text
    assert "applied, but not recorded" not in text
    staff = signed_in(people, "staff")
    assert reverse("record", args=[job.pk]) not in staff.get(job.get_absolute_url()).content.decode()
    url = reverse("record", args=[job.pk])
    asked = {"migration": "shop.0002_next", "key": str(uuid.uuid4())}
    refused = staff.post(url, asked)
    assert refused.status_code == 409
    assert "not all that it does can be seen in the schema" in refused.content.decode()
    assert AuditEvent.objects.filter(act="job.record.refused", actor="staff").exists()
    assert staff.get(url, {"migration": "shop.0009"}).status_code == 404
    assert not Job.objects.filter(operation="record").exists()


def test_no_statements_are_offered_that_would_drop_what_was_renamed(project: Project, mini: Target) -> None:
    rename = 'migrations.RenameField("Item", "n", "m")'
    project.migration("0002_next", f"{rename}, {DIVIDES}, {ADD_SIZE}", body="atomic = False")
    job = run(mini)
    assert (left(job)["verdict"], left(job)["undo"]) == ("partly", [])
    text = page(job.get_absolute_url())
    assert "No statements that undo it are offered: it renames (m, n), and what looks new may hold" in text
    assert "DROP" not in text and "Or: complete by hand" not in text


def test_code_in_the_middle_is_said_not_to_be_seen(project: Project, mini: Target) -> None:
    project.python("0002_next", "raise RuntimeError('no')")
    job = run(mini)
    assert left(job)["verdict"] == "unseen"
    assert "undone only if it is atomic and made no COMMIT of its own." in job.outcome
    text = page(job.get_absolute_url())
    assert "shop.0002_next cannot be seen" in text
    assert "Look whether RunPython forwards did its work." in text and "Record it as applied" not in text


def test_what_is_recorded_and_was_rolled_back_is_said_to_be_recorded_and_not_applied(
    project: Project, mini: Target, postgres_url: str
) -> None:
    """Somebody records it by hand while it fails."""
    record = (
        "import psycopg\n"
        f'with psycopg.connect({postgres_url!r}) as c: c.execute("INSERT INTO django_migrations '
        "(app, name, applied) VALUES ('shop', '0002_next', now())\")\nraise RuntimeError('no')"
    )
    body = "\n".join("    " + line for line in record.splitlines())
    project.migration(
        "0002_next",
        f"{ADD_SIZE}, migrations.RunPython(forwards)",
        head=f"def forwards(apps, schema_editor):\n{body}\n",
    )
    job = run(mini)
    assert (left(job)["verdict"], left(job)["recorded"]) == ("untouched", True)
    assert "shop.0002_next is recorded, but nothing of it is in the schema" in job.outcome
    forget = "DELETE FROM django_migrations WHERE app = 'shop' AND name = '0002_next';"
    assert forget in page(job.get_absolute_url())


def test_an_examination_that_fails_changes_nothing_of_the_end(
    project: Project, mini: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.migration("0002_next", f"{ADD_SIZE}, {DIVIDES}")
    monkeypatch.setattr(aftermath, "_ask", lambda *_: 1 / 0)
    job = run(mini)
    assert (job.state, job.error_type) == ("failed", "TargetFailed")
    assert left(job)["verdict"] == "unknown" and job.facts["invalid_indexes"] is None
    assert "was not compared: opsdash itself failed (ZeroDivisionError)." in job.outcome
    text = page(job.get_absolute_url())
    assert "not compared" in text and "Whether the database holds invalid indexes is not known." in text


def test_a_secret_in_the_error_of_an_examination_is_masked(
    project: Project, mini: Target, make_job: Callable[..., Job]
) -> None:
    """Under a name that does not sound like one: the target itself cannot know it."""
    licence = TargetVariable(target=mini, name="LICENCE")
    licence.keep("canary-4711", secret=True)
    licence.save()
    project.settings("\nimport os\nraise ValueError(os.environ['LICENCE'])\n")
    job = make_job(default_of(mini), state="lost")
    facts = aftermath.behind(job, [["shop", "0002_next"]])
    assert "canary-4711" not in repr(facts) + aftermath.words(job, facts)
    assert MASK in facts["examined"][0]["why"] and MASK in aftermath.words(job, facts)


def test_a_lost_job_is_examined_when_it_is_ended_by_evidence(
    project: Project, mini: Target, make_job: Callable[..., Job], postgres_url: str
) -> None:
    """Its worker vanished before it was told that the next one began."""
    sql(postgres_url, "ALTER TABLE shop_item ADD COLUMN name varchar(10) NULL")
    project.migration("0002_next", ADD_NAME)
    inspect_now(mini)
    database = default_of(mini)
    job = make_job(database, state="lost", worker="gone", fence=1, identity=database.identity)
    Step.objects.create(job=job, position=1, kind="migration", name="shop.0002_next")
    resolve_lost(job.pk)
    job.refresh_from_db()
    assert (job.state, left(job)["recordable"]) == ("failed", True)
    assert "All that shop.0002_next changes of the schema is there, but it is not recorded." in job.outcome


# What is counted


def test_what_somebody_else_recorded_meanwhile_is_not_counted(
    project: Project, mini: Target, postgres_url: str
) -> None:
    insert = "INSERT INTO django_migrations (app, name, applied) VALUES "
    both = f"{insert} ('other', '0001', now()), ('shop', '0002_next', now())"
    project.python(
        "0002_next",
        f"import psycopg\nwith psycopg.connect({postgres_url!r}) as c: c.execute({both!r})",
    )
    job = run(mini)
    assert job.outcome == "Applied and recorded 1 migration: shop.0002_next."
    assert job.facts["recorded"] == job.facts["recorded_after"] == [["shop", "0002_next"]]


TAKES_BACK = """
import atexit
import psycopg
def take_back():
    with psycopg.connect({url!r}) as c:
        c.execute("DELETE FROM django_migrations WHERE name = '0002_next'")
atexit.register(take_back)
"""


def test_what_an_exit_handler_took_back_after_the_agent_s_word_did_not_succeed(
    project: Project, mini: Target, postgres_url: str
) -> None:
    project.python("0002_next", TAKES_BACK.format(url=postgres_url))
    job = run(mini)
    assert (job.state, job.error_type) == ("failed", "LeftUnapplied")
    assert job.facts["recorded"] == []
    assert left(job)["name"] == "0002_next"


# The page


@pytest.fixture
def failed(make_job: Callable[..., Job], make_database: Callable[..., TargetDatabase]) -> Job:
    """One of whose names a browser must not make anything."""
    evil = "<b>0002_x</b>'\"&\x1b[31m"
    fact = {
        **aftermath.UNKNOWN, "app": "shop", "name": evil, "verdict": "applied", "recorded": False,
        "recordable": True, "there": [f"the column {evil} of t"], "undo": [f"DROP {evil}"], "why": "",
    }  # fmt: skip
    index = {
        "schema": "public", "table": evil, "name": evil, "definition": f"CREATE INDEX {evil}",
        "constraint": None, "building": False, "partitioned": False, "statement": f"DROP {evil}",
    }  # fmt: skip
    facts = {"examined": [fact], "invalid_indexes": [index]}
    return make_job(make_database(), state="failed", finished_at=timezone.now(), facts=facts)


def test_names_of_the_target_s_are_shown_and_do_nothing(failed: Job, people: dict[str, User]) -> None:
    staff = signed_in(people, "staff")
    content = staff.get(failed.get_absolute_url()).content.decode()
    name = failed.facts["examined"][0]["name"]
    record = staff.get(reverse("record", args=[failed.pk]), {"migration": f"shop.{name}"})
    drop = staff.get(reverse("invalid_index", args=[failed.pk]), {"schema": "public", "index": name})
    assert (record.status_code, drop.status_code) == (200, 200)
    for text in (content, record.content.decode(), drop.content.decode()):
        assert "&lt;b&gt;0002_x&lt;/b&gt;" in text and "<b>" not in text
        assert "\x1b" not in VALUE.sub("", text)


@pytest.mark.parametrize(("name", "fields"), [
    ("record", {"migration": "shop.0002"}), ("invalid_index", {"schema": "public", "index": "x"}),
])  # fmt: skip
def test_an_operator_is_refused_a_remedy_and_that_is_audited(
    failed: Job, people: dict[str, User], name: str, fields: dict[str, str]
) -> None:
    answer = signed_in(people, "operator").post(reverse(name, args=[failed.pk]), fields)
    assert answer.status_code == 403
    event = AuditEvent.objects.get(act="refused")
    assert (event.actor, event.details["url"], event.details["needs"]) == ("operator", name, "staff")
    assert not Job.objects.exclude(pk=failed.pk).exists()


@pytest.mark.parametrize("remedy", ["record", "invalid_index"])
@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({"in_settings": False}, "the settings of shop do not name the alias default any more"),
        (
            {"identity": "postgres:1:2", "name": "other"},
            "the alias default leads to another database now: to other, not to shop",
        ),
        ({"identity": ""}, "the alias default does not tell which database it leads to now"),
    ],
)
def test_a_remedy_is_for_the_database_that_its_job_was_asked_for_and_for_no_other(
    failed: Job, people: dict[str, User], remedy: str, now: dict[str, Any], words: str
) -> None:
    Job.objects.filter(pk=failed.pk).update(identity="postgres:1:1", database_name="shop")
    TargetDatabase.objects.update(**{"identity": "postgres:1:1", "name": "shop", **now})
    staff, url = signed_in(people, "staff"), reverse(remedy, args=[failed.pk])
    name = failed.facts["examined"][0]["name"]
    asked = {"migration": f"shop.{name}", "schema": "public", "index": name}
    left = staff.get(failed.get_absolute_url()).content.decode()
    button = "Record it as applied" if remedy == "record" else "Drop the invalid index"
    assert f"{button}: {words}" in left and f'href="{url}?' not in left
    assert f"meant for the database that this job was asked for: {words}." in " ".join(left.split())
    page = staff.get(url, asked).content.decode()
    assert f"It is not offered: {words}." in page and "remedy_form" not in page
    answer = staff.post(url, {**asked, "key": str(uuid.uuid4())})
    assert answer.status_code == 409 and words in answer.content.decode()
    act = "job.record.refused" if remedy == "record" else "job.drop_index.refused"
    assert words in AuditEvent.objects.get(act=act, actor="staff").reason
    assert not Job.objects.exclude(pk=failed.pk).exists()


def test_what_stands_there_is_of_before_the_jobs_that_worked_on_the_same_database_since(
    failed: Job, make_job: Callable[..., Job], make_database: Callable[..., TargetDatabase]
) -> None:
    """Through whatever target and alias; one that never began changed nothing."""
    Job.objects.filter(pk=failed.pk).update(identity="postgres:1:1")
    TargetDatabase.objects.update(identity="postgres:1:1")
    elsewhere = make_database("other")
    ended = {"state": "cancelled", "finished_at": timezone.now()}
    make_job(failed.database, identity="postgres:1:1", **ended)
    make_job(elsewhere, identity="postgres:1:2", started_at=timezone.now(), **ended)
    assert "worked there since" not in page(failed.get_absolute_url())
    later = make_job(elsewhere, identity="postgres:1:1", started_at=timezone.now(), **ended)
    assert f"Job {later.pk} worked there since." in page(failed.get_absolute_url())


def test_of_unknown_identities_none_is_called_the_same(
    failed: Job, make_job: Callable[..., Job], make_database: Callable[..., TargetDatabase]
) -> None:
    ended = {"state": "failed", "started_at": timezone.now(), "finished_at": timezone.now()}
    make_job(make_database("other"), **ended)
    assert "worked there since" not in page(failed.get_absolute_url())


def test_the_page_asks_one_question_more(
    failed: Job, people: dict[str, User], django_assert_num_queries: Any
) -> None:
    staff = signed_in(people, "staff")
    url = failed.get_absolute_url()
    staff.get(url)
    # Session, person, job, steps, sessions asked to end, repeats, two for its lines; and later jobs.
    with django_assert_num_queries(9):
        staff.get(url)
    Job.objects.filter(pk=failed.pk).update(facts={})
    with django_assert_num_queries(8):
        staff.get(url)
