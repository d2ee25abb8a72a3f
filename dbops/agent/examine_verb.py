"""examine: what of a migration is in the schema, and which indexes are invalid. Changes nothing that lasts.

Arguments: alias, migrations [[app, name]] (LIMIT at most), session, forbidden_identity, expected_identity.
Answer: alias, identity, vendor, migrations: one an asked one, see `examined`; invalid_indexes: see there.

What is compared: tables, columns (type, null, default, identity, collation), indexes and constraints by what
they are on, and by name where the project names them. Not: rows, comments, triggers, tablespaces, content
types, and what was done one after another to the same thing (see touches).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.migrations.executor import MigrationExecutor

from . import databases, targets
from .blueprint import compared
from .change import CannotTell, Change
from .differences import APPLIED, Differences
from .failures import Failure, clean, describe, let_a_stop_through
from .invalid_indexes import invalid_indexes

if TYPE_CHECKING:
    from typing import Any

LIMIT = 20
# How many parts are told of each kind.
PARTS_TOLD = 50
UNKNOWN = "unknown"
LISTS = ("there", "lacking", "otherwise", "invalid", "undo")
BLANK = {"recorded": None, "atomic": None, "unseen": [], "no_undo": "", **{name: [] for name in LISTS}}


def run(arguments: dict[str, Any], session: Any, channel: Any, utility: Any) -> dict[str, Any]:
    asked = arguments.get("migrations") or []
    if len(asked) > LIMIT:
        raise Failure("bad_request", f"{len(asked)} migrations are more than {LIMIT}.", "caller")
    forbidden = arguments.get("forbidden_identity") or ""
    expected = arguments.get("expected_identity") or ""
    connection = databases.open_or_refuse(arguments.get("alias") or "default", forbidden, expected)
    return {
        "alias": connection.alias,
        "identity": databases.identity(connection),
        "vendor": connection.vendor,
        "migrations": [examined(connection, app, name) for app, name in asked],
        "invalid_indexes": invalid_indexes(connection),
    }


def examined(connection: Any, app: str, name: str) -> dict[str, Any]:
    """{app, name, recorded, atomic, verdict, why, there, lacking, otherwise, invalid, undo, no_undo,
    unseen, recordable}.

    `verdict`: applied, untouched, partly, differs (all or nothing of it is there, and its tables differ from
    what is recorded in something else), unseen (it changes nothing that could be compared) or unknown, and
    then `why`. `no_undo`: why `undo` holds no statements though something is there. `recordable`: it may be
    recorded as applied without a doubt.
    """
    targets.check_words(app, name)
    facts = dict(BLANK, app=app, name=name, verdict=UNKNOWN, why="", recordable=False)
    try:
        executor = MigrationExecutor(connection)
        facts["recorded"] = (app, name) in executor.loader.applied_migrations
        change = Change(connection, executor, (app, name))
        facts.update(atomic=change.migration.atomic, unseen=change.unseen)
        facts.update(found(connection, change))
    except CannotTell as reason:
        facts["why"] = clean(reason)
    except Exception as problem:
        # The project's own migrations and models take part.
        let_a_stop_through(problem)
        facts["why"] = clean(describe(problem))
    return facts


def found(connection: Any, change: Change) -> dict[str, Any]:
    differences = Differences(change, *compared(connection, change), connection.ops.quote_name)
    verdict = differences.verdict
    lists = {name: shortened(getattr(differences, name)) for name in LISTS}
    unseen = [*change.unseen, *(filled(connection, change) if differences.there else [])]
    proven = verdict == APPLIED and not unseen
    recordable = proven and not change.recorded and not change.migration.replaces
    told = {"unseen": unseen, "no_undo": clean(differences.no_undo)}
    return dict(lists, **told, verdict=verdict, recordable=recordable)


def filled(connection: Any, change: Change) -> list[str]:
    """Its operations that give rows a value where there may be rows, in words: a column does not show it."""
    return [
        f"{type(touch.operation).__name__} {touch.operation.name}"
        for touch in change.touches
        if touch.fills and any(may_have_rows(connection, table) for table in change.tables_of(touch))
    ]


def may_have_rows(connection: Any, table: str) -> bool:
    query = f"SELECT 1 FROM {connection.ops.quote_name(table)} LIMIT 1"  # noqa: S608
    return databases.allowed_rows(connection, query, None) != []


def shortened(words: list[str]) -> list[str]:
    more = len(words) - PARTS_TOLD
    told = [clean(text, 2000) for text in words[:PARTS_TOLD]]
    return [*told, f"and {more} more"] if more > 0 else told
