"""What Django would send to Postgres where its SQL cannot be had, as far as the fields decide it."""

from collections.abc import Iterator
from dataclasses import replace

from .act import Act
from .change import Change, Facts


def supposed(change: Change) -> Change:
    """The same change with the acts that its fields make certain, where its SQL is not known."""
    if not change.unknown_sql or change.sql or not change.is_of_django:
        return change
    acts = tuple(replace(act, operation=change.position) for act in acts_of(change))
    return replace(change, acts=acts) if acts else change


def acts_of(change: Change) -> Iterator[Act]:
    if change.kind == "AddField" and change.after:
        yield from added(change, change.after)
    elif change.kind == "RemoveField" and change.before:
        yield removed(change, change.before)
    elif change.kind == "AlterField" and change.before and change.after:
        yield from altered(change, change.before, change.after)
    elif change.kind == "DeleteModel" and change.table:
        yield Act("drop table", change.table)
    elif change.kind == "CreateModel" and change.table:
        yield Act("create table", change.table)
    elif change.kind in ("AddIndex", "AddIndexConcurrently"):
        yield index(change, change.facts.get("index") or {})
    elif change.kind in ("AddConstraint", "AddConstraintNotValid"):
        yield constraint(change, change.facts.get("constraint") or {})


def added(change: Change, field: Facts) -> Iterator[Act]:
    if field.get("many_to_many"):
        yield Act("create table", str(field.get("through_table") or ""))
        return
    column = str(field.get("column") or "")
    flags = {
        "not null": not field.get("null"),
        "default": field.get("has_default") or field.get("db_default"),
        "check": field.get("check"),
        "unique": field.get("unique"),
        "stored": field.get("generated_stored"),
        "generated": field.get("generated"),
    }
    held = frozenset(flag for flag, is_so in flags.items() if is_so)
    if "not null" in held and "default" not in held and may_be_filled(field):
        held -= {"not null"}
    yield Act("add column", change.table, column, type=str(field.get("db_type") or ""), flags=held,
              expression=str(field.get("db_default") or ""))  # fmt: skip
    if field.get("db_index") and not field.get("unique"):
        yield Act("create index", change.table, "", columns=(column,))


def may_be_filled(field: Facts) -> bool:
    """A text that may be blank is filled with "", a moment with now; the facts do not tell."""
    return field.get("max_length") is not None or str(field.get("type")) in (
        "TextField",
        "DateTimeField",
        "DateField",
        "TimeField",
    )


def removed(change: Change, field: Facts) -> Act:
    if field.get("many_to_many"):
        return Act("drop table", str(field.get("through_table") or ""))
    return Act("drop column", change.table, str(field.get("column") or ""))


def altered(change: Change, before: Facts, after: Facts) -> Iterator[Act]:
    column = str(after.get("column") or "")
    if before.get("db_type") and after.get("db_type") and before["db_type"] != after["db_type"]:
        using = f'"{column}"::{after["db_type"]}' if before.get("type") != after.get("type") else ""
        yield Act("type", change.table, column, type=str(after["db_type"]), expression=using)
    if before.get("null") and not after.get("null"):
        yield Act("set not null", change.table, column)
    if after.get("check") and not before.get("check"):
        yield Act(
            "add constraint",
            change.table,
            "",
            columns=(column,),
            type="check",
            expression=str(after["check"]),
        )


def index(change: Change, facts: Facts) -> Act:
    flags = frozenset({"concurrently"} if facts.get("concurrently") else ())
    return Act("create index", change.table, str(facts.get("name") or ""), flags=flags)


def constraint(change: Change, facts: Facts) -> Act:
    name, kind = str(facts.get("name") or ""), str(facts.get("kind") or "")
    if kind == "unique" and (facts.get("condition") or facts.get("expressions")):
        return Act("create index", change.table, name, flags=frozenset({"unique"}))
    flags = frozenset({"not valid"} if facts.get("not_valid") else ())
    return Act(
        "add constraint", change.table, name, type={"exclusion": "exclude"}.get(kind, kind), flags=flags
    )
