"""migrate, forward: progress, the transcript, failure with the truth about what is recorded."""

from pathlib import Path
from typing import Any

import pytest

from dbops.target import errors
from tests.integration.agent.conftest import Database
from tests.integration.agent.frames_of import Record, migrate
from tests.targets.builder import ADD_NAME, Project, shop_project

ALL = ["0001_initial", "0002_name", "0003_price"]


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest) -> Project:
    """Three migrations, on either kind of database."""
    found: Project = request.getfixturevalue("shop" if request.param == "sqlite" else "postgres_shop")
    return found


def steps(record: Record, name: str = "step_finished") -> list[str]:
    return [event["name"] for event in record.events(name) if event["kind"] == "migration"]


def recorded(record: Record) -> list[str]:
    return [name for _, name in record.answer["recorded_after"]]


def test_the_whole_project(either: Project) -> None:
    record = migrate(either.address())
    assert record.events("plan")[0]["migrations"] == [["shop", name] for name in ALL]
    assert steps(record, "step_started") == steps(record) == recorded(record) == ALL
    assert record.answer["recorded_before"] == []
    assert b"Applying shop.0003_price... OK" in record.output
    assert record.end.status == 0


def test_one_app(either: Project) -> None:
    either.settings(apps=("shop", "bills"))
    either.write("bills/__init__.py", "")
    either.migration("0001_initial", "", app="bills")
    assert migrate(either.address(), app="bills").answer["recorded_after"] == [["bills", "0001_initial"]]


def test_one_app_up_to_a_named_migration(either: Project) -> None:
    assert recorded(migrate(either.address(), app="shop", migration="0002")) == ALL[:2]
    again = migrate(either.address(), app="shop", migration="0002_name")
    assert (again.answer["nothing_to_do"], recorded(again)) == (True, [])
    assert recorded(migrate(either.address())) == ALL[2:]


def test_each_step_has_its_duration_and_its_statements(either: Project) -> None:
    source = "for n in range(7):\n    schema_editor.execute('SELECT 1')\n    time.sleep(0.1)"
    either.python("0004_counts", source)
    finished = migrate(either.address()).events("step_finished")
    counts = next(event for event in finished if event.get("name") == "0004_counts")
    assert 700 <= counts["duration_ms"] < 5000
    # The seven, and what records the migration.
    assert 7 <= counts["statements"] < 20


def test_the_running_count_of_statements_is_told_meanwhile_and_not_for_each(postgres_shop: Project) -> None:
    source = "for n in range(3000):\n    schema_editor.execute('SELECT 1')\n    time.sleep(0.0005)"
    postgres_shop.python("0004_counts", source)
    told = [event["statements"] for event in migrate(postgres_shop.address()).events("sql")]
    assert told == sorted(told)
    assert 1 <= len(told) < 40


def test_what_follows_the_last_migration_is_a_step(either: Project) -> None:
    either.write(
        "shop/apps.py",
        "from django.apps import AppConfig\n"
        "from django.db.models.signals import post_migrate\n"
        "def after(**_):\n    raise RuntimeError('too late')\n"
        "class Shop(AppConfig):\n    name = 'shop'\n"
        "    def ready(self):\n        post_migrate.connect(after, sender=self)\n",
    )
    record = migrate(either.address())
    assert [event["kind"] for event in record.events("step_failed")] == ["post_migrate"]
    assert record.failure.facts["recorded_after"] == [["shop", name] for name in ALL]


def test_a_failure_has_the_target_s_traceback_and_what_is_recorded_now(either: Project) -> None:
    either.python("0004_breaks", "raise LookupError('nobody home')")
    record = migrate(either.address())
    failure = record.failure
    assert (failure.type, failure.fault) == ("failed", "target")
    assert failure.message == "LookupError: nobody home"
    assert failure.facts["recorded_known"]
    assert failure.facts["recorded_after"] == [["shop", name] for name in ALL]
    assert "0004_breaks.py" in failure.traceback and "opsdash-agent" not in failure.traceback
    assert b"LookupError: nobody home" in record.output
    assert [event["name"] for event in record.events("step_failed")] == ["0004_breaks"]
    assert record.end.status == 1


def test_a_failure_of_the_database_has_its_code(postgres_shop: Project) -> None:
    postgres_shop.migration("0004_bad", 'migrations.RunSQL("SELECT nothing")')
    assert migrate(postgres_shop.address()).failure.facts["sqlstate"] == "42703"


def test_a_failure_in_an_aborted_transaction_still_knows_what_is_recorded(postgres_shop: Project) -> None:
    source = "from django.db import transaction\ntransaction.set_autocommit(False)\n"
    source += "schema_editor.execute('SELECT nothing')"
    postgres_shop.python("0004_bad", source, body="atomic = False")
    assert len(migrate(postgres_shop.address()).failure.facts["recorded_after"]) == 3


def test_rows_that_may_not_be_are_named_on_every_database(either: Project) -> None:
    """On SQLite the last word is that the transaction is broken."""
    either.python(
        "0004_rows",
        "items = apps.get_model('shop', 'Item').objects\nitems.create(pk=1)\nitems.create(pk=1)",
    )
    assert migrate(either.address()).failure.message.startswith("IntegrityError: ")


def test_a_failure_in_a_transaction_that_was_left_open_still_knows_what_is_recorded(either: Project) -> None:
    source = (
        "from django.db import transaction\ntransaction.atomic().__enter__()\nraise ValueError('left open')"
    )
    either.python("0004_bad", source, body="atomic = False")
    facts = migrate(either.address()).failure.facts
    assert (facts["recorded_known"], len(facts["recorded_after"])) == (True, 3)


def test_a_database_that_goes_away_is_said_to_be_unknown(postgres_shop: Project, database: Database) -> None:
    source = (
        f"schema_editor.execute('ALTER DATABASE {database.name} CONNECTION LIMIT 0')\n"
        "schema_editor.execute('SELECT pg_terminate_backend(pg_backend_pid())')"
    )
    postgres_shop.python("0004_gone", source, body="atomic = False")
    facts = migrate(postgres_shop.address()).failure.facts
    assert (facts["recorded_known"], facts["recorded_after"]) == (False, [])


def test_the_transcript_of_a_command_error_is_the_command_s_own(shop: Project) -> None:
    shop.migration("0003_rival", ADD_NAME, after=[("shop", "0002_name")])
    record = migrate(shop.address())
    assert record.failure.type == "failed"
    assert "Conflicting migrations detected" in record.failure.message
    assert b"CommandError: Conflicting migrations detected" in record.output
    assert b"Traceback" not in record.output


def test_a_project_whose_system_checks_fail_is_not_migrated(shop: Project) -> None:
    shop.write(
        "shop/models.py",
        "from django.core.checks import Error, Tags, register\n"
        "@register(Tags.database)\n"
        "def check(**_):\n    return [Error('out of order')]\n",
    )
    record = migrate(shop.address())
    assert "out of order" in record.failure.message
    assert record.failure.facts["recorded_after"] == []


def test_a_command_that_exits_is_a_failure_unless_it_says_zero(project: Project) -> None:
    project.python("0001_leaves", "sys.exit(4)")
    record = migrate(project.address())
    assert record.failure.type == "failed"
    assert record.failure.message == "its code ended the process itself, with sys.exit(4)"


@pytest.mark.parametrize(
    ("name", "reversed_"), [("0001", ["shop.0003_price", "shop.0002_name"]), ("zero", None)]
)
def test_going_backwards_is_refused_before_anything_runs(
    either: Project, name: str, reversed_: list[str] | None
) -> None:
    migrate(either.address())
    record = migrate(either.address(), app="shop", migration=name)
    failure = record.failure
    assert failure.type == "would_reverse"
    assert "shop.0003_price" in failure.message
    assert reversed_ is None or failure.facts["reversed"] == reversed_
    assert record.events("working") == []
    error = errors.from_failure("shop", failure)
    assert isinstance(error, errors.WouldReverse)
    assert "Nothing was changed" in str(error)


@pytest.mark.parametrize(
    "arguments",
    [
        {"app": "--fake"},
        {"app": "shop", "migration": "--fake"},
        {"app": "shop", "migration": "0009"},
        {"app": "shoop"},
    ],
)
def test_words_that_are_none_never_reach_the_command(shop: Project, arguments: dict[str, Any]) -> None:
    record = migrate(shop.address(), **arguments)
    assert record.failure.type == "bad_argument"
    assert record.events("working") == []


def test_not_even_where_the_graph_cannot_be_built_to_look_them_up(shop: Project) -> None:
    shop.migration("0004_lost", "", after=[("shop", "0003_gone")])
    assert migrate(shop.address(), app="--version").failure.type == "bad_argument"


def test_an_unknown_operation_is_refused(shop: Project) -> None:
    assert migrate(shop.address(), operation="destroy").failure.type == "bad_request"


def test_opsdash_s_own_database_is_refused_before_anything_is_changed(
    postgres_shop: Project, database: Database
) -> None:
    record = migrate(postgres_shop.address(), forbidden_identity=database.identity())
    assert record.failure.type == "own_database"
    assert database.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_a_second_alias_is_migrated_by_its_name(tmp_path: Path, database: Database) -> None:
    lite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "default.sqlite3")}
    project = shop_project(tmp_path / "shop", {"default": lite, "second": database.settings})
    assert recorded(migrate(project.address(), alias="second")) == ALL
    assert database.recorded() == ALL
    assert not (tmp_path / "default.sqlite3").exists()


def test_the_backend_of_the_work_and_of_the_guard_are_told(
    postgres_shop: Project, database: Database
) -> None:
    postgres_shop.python(
        "0004_pid", "print('pid', schema_editor.connection.connection.info.backend_pid, '!')"
    )
    record = migrate(postgres_shop.address())
    told = {event["purpose"]: event["backend_pid"] for event in reversed(record.events("connection"))}
    assert int(record.output.partition(b"pid ")[2].split()[0]) == told["work"]
    assert told["guard"] not in (None, told["work"])


def test_a_partly_applied_squash_stands_for_its_last_migration(shop: Project) -> None:
    migrate(shop.address(), app="shop", migration="0001")
    replaces = f"replaces = {[('shop', name) for name in ALL]!r}"
    shop.migration("0001_squashed", "", after=[], body=replaces)
    assert recorded(migrate(shop.address(), app="shop", migration="0001_squashed")) == [
        *ALL[1:],
        "0001_squashed",
    ]


@pytest.mark.parametrize("trick", ["__str__", "__repr__", "__str__ and cause"])
def test_an_exception_without_words_is_a_failure_like_any_other(shop: Project, trick: str) -> None:
    source = "class Bad(Exception):\n    def __str__(self):\n        raise ValueError('no words')\n"
    source += "    __repr__ = __str__\n" if trick == "__repr__" else ""
    source += "raise Bad() from Bad()" if trick == "__str__ and cause" else "raise Bad()"
    shop.python("0004_bad", source)
    record = migrate(shop.address())
    failure = record.failure
    assert (failure.type, failure.fault, failure.message) == ("failed", "target", "Bad")
    assert "0004_bad.py" in failure.traceback
    assert failure.facts["recorded_after"] == [["shop", name] for name in ALL]
    assert [event["name"] for event in record.events("step_failed")] == ["0004_bad"]


def test_a_failure_after_the_work_began_never_says_that_nothing_was_changed(postgres_shop: Project) -> None:
    source = "def breaks(self):\n    raise LookupError('cannot close')\n"
    source += "type(schema_editor.connection).close = breaks"
    postgres_shop.python("0004_breaks", source)
    failure = migrate(postgres_shop.address()).failure
    assert (failure.type, failure.facts["recorded_known"]) == ("failed", False)
    assert "Nothing was changed" not in str(errors.from_failure("shop", failure))


def test_a_failure_with_endless_words_is_cut_in_the_middle(shop: Project) -> None:
    shop.python("0004_long", "raise RuntimeError('begins' + 'x' * 3_000_000 + 'ends')")
    record = migrate(shop.address())
    message, traceback = record.failure.message, record.failure.traceback
    assert 19_000 < len(message) < 21_000 and 59_000 < len(traceback) < 61_000
    assert "begins" in message and "bytes are left out" in message and message.endswith("ends")
    assert "0004_long.py" in traceback and "bytes are left out" in traceback
    assert len(record.output) < 70_000


def test_a_migration_that_ends_the_command_is_not_finished(shop: Project) -> None:
    shop.python("0004_leaves", "sys.exit(0)")
    record = migrate(shop.address())
    assert [event["name"] for event in record.events("step_failed")] == ["0004_leaves"]
    assert "0004_leaves" not in [event.get("name") for event in record.events("step_finished")]
    assert record.failure.message == "its code ended the process itself, with sys.exit(0)"
    assert ["shop", "0004_leaves"] not in record.failure.facts["recorded_after"]


def test_a_migration_whose_failure_is_swallowed_is_not_finished(shop: Project) -> None:
    shop.python("0004_breaks", "raise LookupError('nobody home')")
    for folder in ("management", "management/commands"):
        shop.write(f"shop/{folder}/__init__.py", "")
    command = "from django.core.management.commands.migrate import Command as Original\n"
    command += "class Command(Original):\n    def handle(self, *args, **options):\n        try:\n"
    command += "            return super().handle(*args, **options)\n        except LookupError:\n"
    command += "            self.stderr.write('swallowed')\n"
    shop.write("shop/management/commands/migrate.py", command)
    record = migrate(shop.address())
    assert b"swallowed" in record.output
    assert [event["name"] for event in record.events("step_failed")] == ["0004_breaks"]


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    {}['n']\nexcept KeyError as problem:\n    raise problem from problem",
        "a, b = KeyError('n'), ValueError()\na.__cause__, b.__cause__ = b, a\nraise a",
    ],
    ids=["itself", "one another"],
)
def test_an_exception_that_was_raised_from_itself_is_a_failure_like_any_other(
    shop: Project, source: str
) -> None:
    shop.python("0004_circle", source)
    record = migrate(shop.address())
    assert (record.failure.type, record.failure.message) == ("failed", "KeyError: 'n'")
    assert record.failure.facts["recorded_after"] == [["shop", name] for name in ALL]
    assert "0004_circle.py" in record.failure.traceback
