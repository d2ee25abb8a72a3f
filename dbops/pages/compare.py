"""Two target databases side by side: what is recorded and on disk, and the schemas that follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from dbops.inspection.compare import Comparison, History, compare, history_of
from dbops.inspection.knowledge import database_statuses, latest_done, report_now
from dbops.inspection.schema_diff import SchemaDiff, between
from dbops.inspection.words import name_some
from dbops.models import Snapshot, TargetDatabase
from dbops.models.status import Status
from dbops.rights import Rights, Role
from dbops.serving import Service, services

# Rows of the table of migrations.
MOST = 500
NOT_REACHED = ("unreachable", "broken")


@dataclass(frozen=True)
class Side:
    """What is known of one of the two."""

    database: TargetDatabase
    statuses: list[Status]
    # When the complete inspection began that its migrations come from; None: there was none.
    reported_at: datetime | None
    history: History
    # The latest schema that was read, one that is asked for, and why the latest could not be.
    schema: Snapshot | None
    open: Snapshot | None
    failed: Snapshot | None

    @property
    def name(self) -> str:
        return str(self.database)

    @property
    def doubts(self) -> list[str]:
        """Why what is compared may not be what is there now."""
        if self.reported_at is None:
            return ["Never inspected completely: what is applied there, and its files, are not known."]
        found = [status for status in self.statuses if status.state in (*NOT_REACHED, "unknown")]
        doubts = [f"{status.state.capitalize()}: {status.detail}" for status in found[:1]]
        if not self.history.is_read:
            doubts.append("Its database did not answer then; what is recorded there is not known.")
        return doubts

    @property
    def schema_doubts(self) -> list[str]:
        if not self.schema:
            return []
        return [*self._led_elsewhere(self.schema), *_left_out(self.schema.lacking)]

    def _led_elsewhere(self, schema: Snapshot) -> list[str]:
        if not schema.identity or self.database.identity in ("", schema.identity):
            return []
        return ["The alias leads to another database now than the one that this schema was read from."]


@dataclass(frozen=True)
class ComparePage:
    # On both of them.
    role: Role
    # As they were typed, and what is wrong with them.
    a: str
    b: str
    problems: list[str]
    # "target/alias" of every one that there is.
    choices: list[str]
    sides: tuple[Side, Side] | None
    comparison: Comparison | None
    diff: SchemaDiff | None
    # "split": side by side.
    view: str
    # Queues that nobody serves, where a schema waits for them.
    unserved: list[Service]

    @property
    def compared(self) -> str:
        if not self.comparison:
            return ""
        read = all(side.history.is_read for side in self.sides or ())
        return sentence(self.comparison, read)

    @property
    def shown(self) -> list[Any]:
        return self.comparison.differences[:MOST] if self.comparison else []

    @property
    def left_out(self) -> int:
        return len(self.comparison.differences) - len(self.shown) if self.comparison else 0

    @property
    def is_open(self) -> bool:
        return bool(self.sides) and any(side.open for side in self.sides or ())

    @property
    def vendors(self) -> list[str]:
        """Both, where they are not the same."""
        found = [side.database.vendor for side in self.sides or () if side.database.vendor]
        return found if len(set(found)) > 1 else []

    @property
    def may_ask(self) -> bool:
        return self.role >= Role.OPERATOR


def compare_page(rights: Rights, a: str, b: str, view: str = "") -> ComparePage:
    found = {name: _find(rights, name) for name in (a, b) if name}
    problems = _problems(a, b, found)
    one, other = found.get(a), found.get(b)
    sides = (_side(one), _side(other)) if one and other and not problems else None
    waiting = {side.open.database.target.inspect_queue for side in sides or () if side.open}
    return ComparePage(
        role=min(rights.on(side.database.target_id) for side in sides) if sides else rights.highest,
        a=a,
        b=b,
        problems=problems,
        choices=_choices(rights),
        sides=sides,
        comparison=compare(*(side.history for side in sides)) if sides and _both_known(sides) else None,
        diff=_diff(sides) if sides else None,
        view=view,
        unserved=[found for found in services(sorted(waiting)).values() if found.nobody] if waiting else [],
    )


def sentence(found: Comparison, both_read: bool) -> str:
    """How many differ, and in what; nothing is said of rows that were not read on both sides."""
    if not found.differences:
        what = "the same are applied, with the same files" if both_read else "the same files"
        return f"{found.total} migrations: {what}."
    recorded = [len(found.recorded_on(side)) for side in ("one", "other")]
    files = [len(found.file_on(side)) for side in ("one", "other")]
    applied = f"Applied in A only: {recorded[0]}, in B only: {recorded[1]}. " if both_read else ""
    return (
        f"{len(found.differences)} of {found.total} migrations differ. {applied}"
        f"Files in A only: {files[0]}, in B only: {files[1]}. "
        f"Same name, other source: {len(found.edited)}."
    )


def _left_out(lacking: list[dict[str, str]]) -> list[str]:
    """One sentence, however many they are."""
    if not lacking:
        return []
    names = name_some([[one["app"], one["name"]] for one in lacking])
    why = lacking[0]["problem"].rstrip(".")
    return [
        f"What {names} changed is not in this schema, nor what builds on it: recorded there, and not to be "
        f"put into the states. {'Of the first' if len(lacking) > 1 else 'Why'}: {why}."
    ]


def _known(rights: Rights) -> QuerySet[TargetDatabase]:
    return TargetDatabase.objects.filter(rights.within("target_id"), in_settings=True)


def _choices(rights: Rights) -> list[str]:
    known = _known(rights).order_by("target__name", "alias")
    return [f"{target}/{alias}" for target, alias in known.values_list("target__name", "alias")]


def _find(rights: Rights, name: str) -> TargetDatabase | None:
    """A target's name has no slash; an alias may."""
    target, _, alias = name.partition("/")
    known = _known(rights).select_related("target")
    # Postgres refuses to look for a text with a NUL.
    return None if "\0" in name else known.filter(target__name=target, alias=alias).first()


def _problems(a: str, b: str, found: Mapping[str, TargetDatabase | None]) -> list[str]:
    unknown = [name for name, database in found.items() if not database]
    problems = [
        f"There is no database {name}. Choose one of the list, as TARGET/ALIAS; nothing is compared."
        for name in unknown
    ]
    return problems + (["These are one and the same. Choose two."] if a and a == b else [])


def _both_known(sides: tuple[Side, Side]) -> bool:
    return all(side.reported_at for side in sides)


def _side(database: TargetDatabase) -> Side:
    inspection = latest_done(database.target)
    report = report_now(database, inspection)
    disk = (inspection.report or {}).get("disk") if inspection else None
    latest = Snapshot.objects.filter(database=database).defer("content").first()
    if latest:
        latest.database = database
    return Side(
        database=database,
        statuses=database_statuses(database),
        reported_at=inspection.started_at if inspection and report else None,
        history=history_of(disk, report),
        schema=Snapshot.objects.filter(database=database, state="done").first(),
        open=latest if latest and latest.is_open else None,
        failed=latest if latest and latest.state == "failed" else None,
    )


def _diff(sides: tuple[Side, Side]) -> SchemaDiff | None:
    one, other = (side.schema.content if side.schema else None for side in sides)
    return between(one, other) if one is not None and other is not None else None
