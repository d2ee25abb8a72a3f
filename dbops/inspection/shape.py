"""The shape of what an agent answers: what is not so is not kept, so that no page ever meets it.

An agent is ours, but it runs in the target's process: its answer is the word of a target. What is not named
here is not looked at by anything.
"""

from collections.abc import Callable, Mapping
from typing import Any

from dbops.target.errors import ProtocolBroken

# A check says what of a value is not as it should be: where, and what it is not; "" where all is well.
Check = Callable[[Any], str]

# Beyond JSON's own: what neither Postgres nor a page can hold as a number.
LARGEST = 2**53
DEEPEST = 100


def insist(target: str, answer: Any, check: Check) -> None:
    """Raises ProtocolBroken; nothing of such an answer is kept."""
    if found := check(answer):
        raise ProtocolBroken(
            f"What came from {target} has not the shape of an answer: what it says{found[:300]}. Nothing of "
            "it was kept; what was known before is still shown. Something in the target's process changes "
            "what our agent tells."
        )


def text(value: Any) -> str:
    return "" if isinstance(value, str) else " is no text"


def flag(value: Any) -> str:
    return "" if isinstance(value, bool) else " is neither true nor false"


def number(value: Any) -> str:
    known = isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST
    return "" if known else " is no number"


def anything(value: Any, depth: int = 0) -> str:
    """That can be kept."""
    if depth > DEEPEST:
        return " is too deep"
    if isinstance(value, float) and not -LARGEST < value < LARGEST:
        return " is no number"
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return next((found for item in inner if (found := anything(item, depth + 1))), "")


def maybe(check: Check) -> Check:
    return lambda value: "" if value is None else check(value)


def each(check: Check, *, count: int | None = None) -> Check:
    """A list; of exactly so many, where that is said."""

    def look(value: Any) -> str:
        if not isinstance(value, list) or (count is not None and len(value) != count):
            return " is no list" if count is None else f" is no list of {count}"
        return next((f"[{at}]{found}" for at, item in enumerate(value) if (found := check(item))), "")

    return look


def named(check: Check) -> Check:
    """Anything by names that are the target's."""

    def look(value: Any) -> str:
        if not isinstance(value, Mapping):
            return " is no table"
        return next((f".{name}{found}" for name, item in value.items() if (found := check(item))), "")

    return look


def record(*needed: str, **fields: Check) -> Check:
    """`needed` must be there, the others may be. What is not named is only looked at as to whether it can be
    kept."""

    def look(value: Any) -> str:
        if not isinstance(value, Mapping):
            return " is no record"
        if missing := next((name for name in needed if name not in value), ""):
            return f".{missing} is missing"
        checks = ((name, fields.get(name, anything), item) for name, item in value.items())
        return next((f".{name}{found}" for name, check, item in checks if (found := check(item))), "")

    return look


def whole(**fields: Check) -> Check:
    """All of them are there."""
    return record(*fields, **fields)


pair = each(text, count=2)
migration = record("app", "name", app=text, name=text)
on_disk = whole(
    app=text,
    name=text,
    hash=text,
    file=text,
    dependencies=each(pair),
    run_before=each(pair),
    replaces=each(pair),
    atomic=flag,
    initial=maybe(flag),
    broken=flag,
)
row = record(
    "app", "name", app=text, name=text, applied=flag, applied_at=maybe(text), replaces=each(pair), file=text
)
trouble = whole(type=text, message=text, traceback=text, app=text, name=text, file=text)
inconsistency = whole(
    migration=pair,
    dependency=pair,
    applied_at=maybe(text),
    dependency_applied_at=maybe(text),
)
squash = record(app=text, name=text, state=text, applied=each(pair), missing=each(pair), replaces=each(pair))
session = record("pid", pid=number, application_name=maybe(text), state=maybe(text))
guard = record(held=maybe(flag), by=maybe(text), pid=maybe(number), kind=text)
schema = record("schema", schema=text, recorded=number, current=flag, pending=number, unknown=number)
lack = named(text)

column = whole(type=text, null=flag, default=text, primary_key=flag, comment=text, identity=flag)
table = whole(columns=named(column), indexes=named(text), constraints=named(text), comment=text)
field = maybe(record(type=text))
sql = maybe(each(text))


def operation(value: Any, depth: int = 0) -> str:
    """Some hold others."""
    if depth > DEEPEST:
        return " is too deep"
    nested = each(lambda inner: operation(inner, depth + 1))
    check = whole(
        kind=text,
        module=text,
        words=text,
        reversible=flag,
        reduces_to_sql=flag,
        elidable=flag,
        atomic=maybe(flag),
        model=text,
        table=text,
        table_created_in=text,
        name=text,
        column=text,
        options=named(anything),
        state_only=flag,
        database_only=flag,
        nested=nested,
        routed=maybe(flag),
        sql=sql,
        sql_problem=maybe(text),
        reverse_sql=sql,
        reverse_sql_problem=maybe(text),
        source=maybe(text),
        reverse_source=maybe(text),
        sql_cut=flag,
        before=maybe(named(anything)),
        after=maybe(named(anything)),
    )
    return check(value)


step = whole(
    app=text,
    name=text,
    backwards=flag,
    file=text,
    docstring=text,
    hash=text,
    atomic=flag,
    initial=maybe(flag),
    reversible=maybe(flag),
    irreversible=each(anything),
    dependencies=each(pair),
    run_before=each(pair),
    replaces=each(pair),
    operations=each(operation),
    deferred=sql,
    reverse_deferred=sql,
    sql_problem=maybe(text),
    reverse_sql_problem=maybe(text),
    before=maybe(named(table)),
    after=maybe(named(table)),
    problem=maybe(text),
    renames=each(anything),
)
plan = whole(
    alias=text,
    identity=text,
    read_only_confirmed=flag,
    app=text,
    migration=text,
    fingerprint=text,
    complete=flag,
    stopped=maybe(text),
    renames=each(anything),
    migrations=each(step),
)
database = record(
    "alias",
    alias=text,
    vendor=maybe(text),
    engine=text,
    name=maybe(text),
    host=maybe(text),
    port=maybe(text),
    user=text,
    connection=maybe(named(anything)),
    server_version=maybe(text),
    identity=maybe(text),
    reachable=flag,
    missing=flag,
    reason=text,
    detail=maybe(text),
    own_database=flag,
    read_only_confirmed=flag,
    guard=guard,
    job_sessions=maybe(each(session)),
    rights=maybe(lack),
    applied=each(each(maybe(text))),
    migrations=named(each(row)),
    plan=each(migration),
    conflicts=named(each(text)),
    errors=each(trouble),
    ghosts=each(pair),
    prunable=each(pair),
    inconsistencies=each(inconsistency),
    squashes=each(squash),
    not_routed=each(pair),
    records_problem=maybe(record("type", "message", type=text, message=text)),
    schema=text,
    schemas=each(schema),
    can_create=maybe(flag),
    same_as=each(text),
    plan_detail=maybe(plan),
    plan_problem=text,
)
unmade = whole(
    state=text,
    words=text,
    traceback=text,
    migrations=each(record("app", app=text, name=text, file=text, source=text, operations=each(text))),
    questions=each(record(words=text)),
)
merge = whole(leaves=each(text), file=text, source=text, problem=text)
inspection = record(
    "python",
    "django",
    "databases",
    python=text,
    django=text,
    settings_module=text,
    databases=each(database),
    disk=each(on_disk),
    apps=whole(migrated=each(text), unmigrated=each(text)),
    packages=each(record("app", "directory", "files", app=text, directory=text, files=each(each(anything)))),
    settings_files=each(each(anything)),
    sources=named(record("text", text=text, cut=flag)),
    project=record(user_model=text, routers=each(text), commands=named(text)),
    unmade=maybe(unmade),
    merges=named(merge),
    previews=named(text),
)
snapshot = record("schema", schema=named(table), not_in_schema=maybe(each(anything)), identity=text)
