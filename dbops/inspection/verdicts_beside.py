"""What is true and worth knowing beside the verdicts, typed by its reason: squashes, routers, rights,
schemas."""

from collections.abc import Mapping
from typing import Any

from dbops.inspection.verdicts_reach import has_records, is_reachable
from dbops.inspection.words import counted, evidence, name_some
from dbops.models.status import Status
from dbops.target.rights import lack_of

Report = Mapping[str, Any]


def noted(report: Report) -> list[Status]:
    if not is_reachable(report):
        return _same_database(report)
    of_rows = (
        [*_squashes(report), *_replaced_rows(report), *_not_routed(report)] if has_records(report) else []
    )
    return [*of_rows, *_no_create_right(report), *_many_schemas(report), *_same_database(report)]


def _squashes(report: Report) -> list[Status]:
    partial = [one for one in report.get("squashes") or [] if one["state"] == "partial"]
    unrecorded = [one for one in report.get("squashes") or [] if one["state"] == "unrecorded"]
    return [*_partial(partial), *_unrecorded(unrecorded)]


def _partial(squashes: list[Mapping[str, Any]]) -> list[Status]:
    if not squashes:
        return []
    return [
        Status(
            "noted",
            f"{counted(len(squashes), 'squashed migration')} of which only a part is applied: "
            f"{name_some(_names(squashes))}. Django leaves the squash aside and goes on with single ones.",
            "Keep the single files until all of them are applied here.",
            reason="squash_partial",
            evidence=evidence(line for squash in squashes for line in _parts(squash)),
        )
    ]


def _parts(squash: Mapping[str, Any]) -> list[str]:
    gone = {tuple(key) for key in squash.get("files_gone") or []}
    named = [
        *((key, "applied") for key in squash.get("applied") or []),
        *((key, "not applied") for key in squash.get("unapplied") or []),
    ]
    lines = [
        f"  {'.'.join(key)}: {word}{', its file is gone' if tuple(key) in gone else ''}"
        for key, word in named
    ]
    return [f"{squash['app']}.{squash['name']} stands for", *lines]


def _unrecorded(squashes: list[Mapping[str, Any]]) -> list[Status]:
    if not squashes:
        return []
    return [
        Status(
            "noted",
            f"All that {name_some(_names(squashes))} stands for is applied; itself it is not recorded.",
            "Any migrate records it. Until then the single files must stay.",
            reason="squash_unrecorded",
            evidence=evidence(line for squash in squashes for line in _parts(squash)),
        )
    ]


def _names(squashes: list[Mapping[str, Any]]) -> list[list[str]]:
    return [[squash["app"], squash["name"]] for squash in squashes]


def _replaced_rows(report: Report) -> list[Status]:
    rows = report.get("prunable") or []
    if not rows:
        return []
    return [
        Status(
            "noted",
            f"{len(rows)} recorded without a file, each replaced by a squash on disk: {name_some(rows)}.",
            "That is how a squash leaves it. migrate --prune takes such rows away, once the squash names "
            "them no more.",
            reason="replaced_rows",
            evidence=evidence(".".join(row) for row in rows),
        )
    ]


def _not_routed(report: Report) -> list[Status]:
    rows = report.get("not_routed") or []
    if not rows:
        return []
    return [
        Status(
            "noted",
            f"{len(rows)} recorded here whose models the project's router keeps away from this alias: "
            f"{name_some(rows)}. Recorded says nothing about tables then.",
            "",
            reason="not_routed",
            evidence=evidence(".".join(row) for row in rows),
        )
    ]


def _no_create_right(report: Report) -> list[Status]:
    """With the statement that gives it."""
    if report.get("can_create") is not False:
        return []
    schema = str(report.get("schema") or "")
    lack = lack_of(report.get("rights"))
    return [
        Status(
            "noted",
            f"Its role may not create tables in {f'the schema {schema}' if schema else 'its schema'}: a "
            "migration that creates one will fail.",
            str(lack) if lack else f"Whoever owns the schema gives the right: {_grant(report, schema)}",
            reason="no_create_right",
        )
    ]


def _grant(report: Report, schema: str) -> str:
    role = str(report.get("current_user") or report.get("user") or "role")
    return f"GRANT CREATE ON SCHEMA {quoted(schema or 'public')} TO {quoted(role)};"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _many_schemas(report: Report) -> list[Status]:
    schemas = report.get("schemas") or []
    if len(schemas) < 2:
        return []
    current = next((str(one["schema"]) for one in schemas if one.get("current")), "")
    behind = sum(bool(one.get("pending")) for one in schemas)
    return [
        Status(
            "noted",
            f"{len(schemas)} schemas have a table of migrations; what is said here is of "
            f"{current or 'the current one'}. {counted(behind, 'schema')} with pending migrations.",
            "",
            reason="many_schemas",
            evidence=evidence(_schema(one) for one in schemas),
        )
    ]


def _schema(one: Mapping[str, Any]) -> str:
    here = " (current)" if one.get("current") else ""
    unknown = f", {one['unknown']} without a file" if one.get("unknown") else ""
    return f"{one['schema']}{here}: {one['recorded']} recorded, {one['pending']} pending{unknown}"


def _same_database(report: Report) -> list[Status]:
    others = report.get("same_as") or []
    if not others:
        return []
    several = len(others) > 1
    return [
        Status(
            "noted",
            f"The alias{'es' if several else ''} {', '.join(others)} lead{'' if several else 's'} to the "
            "same database.",
            "",
            reason="same_database",
        )
    ]
