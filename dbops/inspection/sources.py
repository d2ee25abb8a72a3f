"""The archive of migrations' sources: what every file was when it was applied, in a constant number of
queries.

Two inspections at once: of one target's, that which comes later waits for the other at the target's row
(inspect); texts are shared by all targets and only ever added, those that exist already are no error.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils.dateparse import parse_datetime

from dbops.inspection.archived import NOTHING, Archived, Edit, Key
from dbops.inspection.clean import Clean
from dbops.inspection.differences import only_looks, unified
from dbops.inspection.verdicts_files import broken
from dbops.inspection.verdicts_reach import has_records
from dbops.models import MigrationSource, SeenMigration, Target, TargetDatabase

# As long as Django lets a name be; a longer one, in a SQLite file, is nobody's.
LONGEST = 255
HASH = re.compile(r"[0-9a-f]{64}")
# As Python reads a file.
LINE_END = re.compile(r"\r\n?")
BYTE_ORDER_MARK = re.compile(r"\A\ufeff")
# What is put in anew is referred to within an inspection's time.
KEPT_FOR = timedelta(days=1)
THINNED_AT_ONCE = 500
# The furthest offset from UTC; each is a multiple of a quarter.
OFFSETS = timedelta(hours=14)
QUARTER = timedelta(minutes=15)
CHANGED = ["applied", "applied_at", "hash", "hash_now", "seen_before", "frozen_at"]


def known_sources(target: Target) -> list[str]:
    """Hashes whose text need not be sent: of the files that this target had when it was inspected last."""
    mine = SeenMigration.objects.filter(database__target=target).exclude(hash_now="").values("hash_now")
    return sorted(set(_readable(target.pk).filter(hash__in=mine).values_list("hash", flat=True)))


def remember(
    database: TargetDatabase, report: Mapping[str, Any], project: Mapping[str, Any], at: datetime
) -> Archived:
    """Keep what an inspection saw of one database; what the archive says of it. NOTHING where it cannot say:
    a report without hashes, a database that does not tell what is applied. Where files cannot be read, only
    what was archived before is told."""
    if not is_told(report, project):
        return kept_of_ghosts(database, report) if has_records(report) else NOTHING
    rows = keep_seen(database, sighting(project["disk"], report.get("applied") or [], at))
    return archived(rows, report.get("ghosts") or [], database.target_id)


def kept_of_ghosts(database: TargetDatabase, report: Mapping[str, Any]) -> Archived:
    ghosts = report.get("ghosts") or []
    rows = SeenMigration.objects.filter(database=database) if ghosts else []
    return replace(archived(rows, ghosts, database.target_id), edits=[], judged=False)


def is_told(report: Mapping[str, Any], project: Mapping[str, Any]) -> bool:
    return project.get("disk") is not None and has_records(report) and not broken(report)


def keep_sources(
    sources: Mapping[str, Mapping[str, Any]], clean: Clean, now: datetime, target: Target
) -> None:
    """Add texts: those that have the hash which the target told for all, others for this target alone. One
    that another target brought is cleaned of this one's secrets as well."""
    rows = [
        _source(hash_, sources[hash_], clean, now, target)
        # In one order, so that two who add the same never wait for each other.
        for hash_ in sorted(sources)
        if HASH.fullmatch(hash_)
    ]
    hashes = [row.hash for row in rows]
    there = list(_readable(target.pk).filter(hash__in=hashes).order_by("hash")) if rows else []
    MigrationSource.objects.bulk_create(rows, ignore_conflicts=True)
    for row in there:
        if (cleaned := clean(row.text)) != row.text:
            MigrationSource.objects.filter(pk=row.pk).update(text=cleaned, exact=False)


def _source(
    hash_: str, told: Mapping[str, Any], clean: Clean, now: datetime, target: Target
) -> MigrationSource:
    raw, cut = str(told["text"]), bool(told.get("cut"))
    proven = not cut and hashlib.sha256(raw.encode(errors="replace")).hexdigest() == hash_
    text = BYTE_ORDER_MARK.sub("", LINE_END.sub("\n", raw))
    shown = clean(text)
    return MigrationSource(
        hash=hash_,
        target=None if proven else target,
        text=shown,
        cut=cut,
        exact=proven and shown == text,
        first_seen_at=now,
    )


def _readable(target_id: int) -> QuerySet[MigrationSource]:
    """What is proven, and what this target said itself."""
    return MigrationSource.objects.filter(Q(target=None) | Q(target=target_id))


@dataclass(frozen=True)
class Sighting:
    """What an inspection saw of one database. `files`: hash by migration; `rows`: when it was
    applied, by migration."""

    files: Mapping[Key, str]
    rows: Mapping[Key, datetime | None]
    at: datetime

    @property
    def keys(self) -> list[Key]:
        found = dict.fromkeys([*self.files, *self.rows])
        return [key for key in found if len(key[0]) <= LONGEST and len(key[1]) <= LONGEST]


def sighting(disk: Sequence[Mapping[str, Any]], applied: Iterable[Sequence[Any]], at: datetime) -> Sighting:
    files = {(one["app"], one["name"]): hash_of(one) for one in disk}
    rows = {(app, name): moment_of(when) for app, name, when in applied}
    return Sighting(files, rows, at)


def hash_of(one: Mapping[str, Any]) -> str:
    """As the agent tells it; what is no hash is taken for none."""
    found = str(one.get("hash") or "")
    return found if HASH.fullmatch(found) else ""


def moment_of(text: Any) -> datetime | None:
    """An aware moment of a report; a target without USE_TZ tells its local time, which is not known here."""
    try:
        found = parse_datetime(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or UTC) if found else None


def is_same_moment(one: datetime | None, other: datetime | None) -> bool:
    """A target without USE_TZ tells local times, the server and a target with another setting do not: what
    differs by whole quarters of an hour, as offsets do, is one moment told twice."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= OFFSETS and not (one - other) % QUARTER


@dataclass(frozen=True)
class Followed:
    """The rows of one database as they are to be, and which of them are to be written or taken away."""

    rows: list[SeenMigration]
    written: list[SeenMigration]
    lost: list[int]


def keep_seen(database: TargetDatabase, seen: Sighting) -> list[SeenMigration]:
    """Bring the rows of one database up to what was seen, and give them back."""
    followed = follow(database, SeenMigration.objects.filter(database=database), seen)
    write([followed])
    return followed.rows


def follow(database: TargetDatabase, known: Iterable[SeenMigration], seen: Sighting) -> Followed:
    there = {(row.app, row.name): row for row in known}
    new = [_first(database, key, seen) for key in seen.keys if key not in there]
    changed = [there[key] for key in seen.keys if key in there and _follow(there[key], key, seen)]
    lost = [row.pk for key, row in there.items() if key not in seen.files and key not in seen.rows]
    rows = [*new, *(row for row in there.values() if row.pk not in lost)]
    return Followed(rows, [*new, *map(_copy, changed)], lost)


def write(followed: Sequence[Followed]) -> None:
    written = [row for one in followed for row in one.written]
    lost = [pk for one in followed for pk in one.lost]
    if written:
        SeenMigration.objects.bulk_create(
            written,
            update_conflicts=True,
            unique_fields=["database", "app", "name"],
            update_fields=CHANGED,
        )
    if lost:
        SeenMigration.objects.filter(pk__in=lost).delete()


def _copy(row: SeenMigration) -> SeenMigration:
    """To be written over the row itself: without its key."""
    names = ("database_id", "app", "name", "first_seen_at", *CHANGED)
    return SeenMigration(**{name: getattr(row, name) for name in names})


def _first(database: TargetDatabase, key: Key, seen: Sighting) -> SeenMigration:
    applied, file = key in seen.rows, seen.files.get(key, "")
    return SeenMigration(
        database=database,
        app=key[0],
        name=key[1],
        applied=applied,
        applied_at=seen.rows.get(key),
        hash=file,
        hash_now=file,
        first_seen_at=seen.at,
        frozen_at=seen.at if applied else None,
    )


def _follow(row: SeenMigration, key: Key, seen: Sighting) -> bool:
    """Make the row be what is seen now; whether that changed it."""
    before = [getattr(row, name) for name in CHANGED]
    file = seen.files.get(key, "")
    if key not in seen.rows:
        row.applied, row.applied_at, row.frozen_at = False, None, None
        row.hash, row.seen_before = file, False
    elif not row.applied or not row.hash or not is_same_moment(row.applied_at, seen.rows[key]):
        _freeze(row, file, seen.rows[key], seen.at)
    row.hash_now = file
    return before != [getattr(row, name) for name in CHANGED]


def _freeze(row: SeenMigration, file: str, applied_at: datetime | None, at: datetime) -> None:
    """It was applied since it was seen last, or again. A text of before is that of then only where it is the
    same still."""
    same = bool(file) and row.hash == file
    row.seen_before = same and (not row.applied or row.seen_before)
    row.applied, row.applied_at, row.frozen_at = True, applied_at, at
    row.hash = file or row.hash


def archived(rows: Iterable[SeenMigration], ghosts: Iterable[Sequence[str]], target_id: int) -> Archived:
    """What the archive says of one database: edits with their diffs, sources of files that are gone."""
    rows = list(rows)
    edited = [row for row in rows if row.is_edited]
    gone = {(app, name) for app, name in ghosts}
    lost = [row for row in rows if (row.app, row.name) in gone and row.hash]
    hashes = [hash_ for row in edited for hash_ in (row.hash, row.hash_now)] + [row.hash for row in lost]
    texts = texts_of(hashes, target_id)
    return Archived(
        edits=[edit_of(row, texts) for row in sorted(edited, key=str)],
        gone={(row.app, row.name): texts[row.hash].text for row in lost if row.hash in texts},
        judged=True,
    )


def texts_of(hashes: Iterable[str], target_id: int) -> dict[str, MigrationSource]:
    """As this target may read them; one that is proven goes before its own word."""
    wanted = {hash_ for hash_ in hashes if hash_}
    if not wanted:
        return {}
    found = _readable(target_id).filter(hash__in=wanted).order_by(F("target_id").asc(nulls_last=True))
    return {source.hash: source for source in found}


def edit_of(row: SeenMigration, texts: Mapping[str, MigrationSource]) -> Edit:
    then, now = texts.get(row.hash), texts.get(row.hash_now)
    problem, diff, looks = "", "", False
    if then is None or now is None:
        problem = "The change cannot be shown: the text of one of the two files is not in the archive."
    else:
        diff = unified(then.text, now.text, f"{row.app}.{row.name}")
        # What is masked in both may differ.
        looks = then.exact and now.exact and only_looks(then.text, now.text)
        problem = "" if diff else _no_line(then, now)
    return Edit(row.app, row.name, row.applied_at, diff, looks, problem, row.seen_before)


def _no_line(then: MigrationSource, now: MigrationSource) -> str:
    if then.cut or now.cut:
        return "The file is another; it differs behind the part that is kept."
    if then.exact and now.exact:
        return "The file is another; it differs in the ends of its lines alone."
    return "The file is another; it differs in what is hidden here, or in how the file is written."


def thin() -> None:
    """Take away texts that nothing refers to any more."""
    old = MigrationSource.objects.filter(
        ~Exists(SeenMigration.objects.filter(hash=OuterRef("hash"))),
        ~Exists(SeenMigration.objects.filter(hash_now=OuterRef("hash"))),
        first_seen_at__lt=Now() - KEPT_FOR,
    )
    with transaction.atomic():
        # Skips what another one takes away just now.
        found = old.order_by("hash").select_for_update(skip_locked=True)[:THINNED_AT_ONCE]
        MigrationSource.objects.filter(pk__in=[row.pk for row in found.only("pk")]).delete()
