"""A statement -> its acts. What is not known for certain is "unknown"; what does no harm is "benign"."""

from collections.abc import Callable
from dataclasses import replace

from . import alter_table
from .act import Act
from .cursor import Cursor, first_names, outside, said, split, written
from .lexer import BROKEN, Token, statements

# They hold nothing for long, lose nothing and scan nothing, by their first words.
OWN = "SET|RESET|SHOW|SAVEPOINT|RELEASE|GRANT|REVOKE|COMMENT|ANALYZE|PRAGMA|SELECT SETVAL|SELECT SET_CONFIG"
CREATED = (
    "EXTENSION|SCHEMA|SEQUENCE|TYPE|DOMAIN|FUNCTION|OR "
    "REPLACE|PROCEDURE|VIEW|COLLATION|STATISTICS|ROLE|POLICY|OPERATOR|"
    "CAST|AGGREGATE|TEXT|TRIGGER|CONSTRAINT TRIGGER|MATERIALIZED VIEW"
)
ALTERED = "SEQUENCE|VIEW|FUNCTION|PROCEDURE|ROLE|DEFAULT|POLICY|COLLATION|TRIGGER"
DROPPED = (
    "VIEW|FUNCTION|PROCEDURE|TRIGGER|POLICY|STATISTICS|COLLATION|AGGREGATE|RULE|OPERATOR|MATERIALIZED|TEXT|CAST|"
    "ROLE"
)
BENIGN = (
    *OWN.split("|"),
    *(f"CREATE {word}" for word in CREATED.split("|")),
    *(f"ALTER {word}" for word in ALTERED.split("|")),
    *(f"DROP {word}" for word in DROPPED.split("|")),
)


def acts_of(sql: str, operation: int | None = None) -> list[Act]:
    """Every act of this SQL, in order."""
    found = []
    for tokens in statements(sql):
        text = written(tokens[:40])[:200]
        found += [replace(act, text=text, operation=operation) for act in acts(tokens)]
    return found


def acts(tokens: list[Token]) -> list[Act]:
    if any(token.kind == BROKEN for token in tokens):
        return [Act("unknown")]
    cursor = Cursor(tokens)
    for words, reader in READERS:
        if cursor.take(*words.split()):
            return reader(cursor)
    if any(Cursor(tokens).take(*words.split()) for words in BENIGN) and not drops_others(tokens):
        return [Act("benign")]
    return [Act("unknown")]


def drops_others(tokens: list[Token]) -> bool:
    """A view's CASCADE reaches views only; that of a function may reach columns."""
    return said(tokens[0], "DROP") and not said(tokens[1], "VIEW") and said(tokens[-1], "CASCADE")


def create_table(cursor: Cursor) -> list[Act]:
    flags = frozenset({"if not exists"} if cursor.take("IF", "NOT", "EXISTS") else ())
    return [Act("create table", cursor.name(), flags=flags)]


def create_index(cursor: Cursor, unique: bool = False) -> list[Act]:
    flags = {"unique"} if unique else set()
    if cursor.take("CONCURRENTLY"):
        flags.add("concurrently")
    cursor.take("IF", "NOT", "EXISTS")
    name = "" if not cursor.ended and said(cursor.rest[0], "ON") else cursor.name()
    if not cursor.take("ON"):
        return [Act("unknown")]
    cursor.take("ONLY")
    table = cursor.name()
    of = written(cursor.rest)
    if cursor.take("USING"):
        cursor.name()
    columns = first_names(cursor.parenthesis())
    return [Act("create index", table, name, columns=columns, flags=frozenset(flags), expression=of)]


def create_unique_index(cursor: Cursor) -> list[Act]:
    return create_index(cursor, unique=True)


def drop_table(cursor: Cursor) -> list[Act]:
    cursor.take("IF", "EXISTS")
    cascade = frozenset({"cascade"} if alter_table.follow(cursor.rest, "CASCADE") else ())
    return [Act("drop table", Cursor(part).name(), flags=cascade) for part in split(cursor.rest) if part]


def drop_index(cursor: Cursor) -> list[Act]:
    concurrently = frozenset({"concurrently"} if cursor.take("CONCURRENTLY") else ())
    cursor.take("IF", "EXISTS")
    return [
        Act("drop index", "", Cursor(part).name(), flags=concurrently) for part in split(cursor.rest) if part
    ]


def truncate(cursor: Cursor) -> list[Act]:
    cursor.take("TABLE")
    cursor.take("ONLY")
    cascade = frozenset({"cascade"} if alter_table.follow(cursor.rest, "CASCADE") else ())
    return [Act("truncate", Cursor(part).name(), flags=cascade) for part in split(cursor.rest) if part]


def delete(cursor: Cursor) -> list[Act]:
    cursor.take("ONLY")
    return [Act("delete", cursor.name(), flags=where(cursor))]


def update(cursor: Cursor) -> list[Act]:
    cursor.take("ONLY")
    return [Act("update", cursor.name(), flags=where(cursor))]


def where(cursor: Cursor) -> frozenset[str]:
    return frozenset({"where"} if any(said(token, "WHERE") for token in outside(cursor.rest)) else ())


def insert(cursor: Cursor) -> list[Act]:
    table = cursor.name()
    from_query = any(said(token, "SELECT") for token in cursor.rest)
    return [Act("insert", table, flags=frozenset({"select"} if from_query else ()))]


def vacuum(cursor: Cursor) -> list[Act]:
    options = cursor.parenthesis()
    full = cursor.take("FULL") or alter_table.follow(options, "FULL")
    for word in ("FREEZE", "VERBOSE", "ANALYZE"):
        cursor.take(word)
    return [Act("vacuum full" if full else "vacuum", cursor.name())]


def cluster(cursor: Cursor) -> list[Act]:
    cursor.parenthesis()
    cursor.take("VERBOSE")
    return [Act("cluster", cursor.name())]


def reindex(cursor: Cursor) -> list[Act]:
    options = cursor.parenthesis()
    what = cursor.take_one("TABLE", "INDEX", "SCHEMA", "DATABASE", "SYSTEM")
    concurrently = cursor.take("CONCURRENTLY") or alter_table.follow(options, "CONCURRENTLY")
    name = cursor.name()
    flags = frozenset({"concurrently"} if concurrently else ())
    return [Act("reindex", name if what == "TABLE" else "", "" if what == "TABLE" else name, flags=flags)]


def refresh(cursor: Cursor) -> list[Act]:
    concurrently = frozenset({"concurrently"} if cursor.take("CONCURRENTLY") else ())
    return [Act("refresh", cursor.name(), flags=concurrently)]


def lock(cursor: Cursor) -> list[Act]:
    cursor.take("TABLE")
    cursor.take("ONLY")
    named = cursor.name()
    others = [Cursor(part).name() for part in split(cursor.rest)[1:]]
    mode = written(cursor.rest).upper().partition(" MODE")[0].rpartition("IN ")[2] or "ACCESS EXCLUSIVE"
    return [Act("lock", table, expression=mode) for table in (named, *others)]


def drop_many(kind: str) -> Callable[[Cursor], list[Act]]:
    def read(cursor: Cursor) -> list[Act]:
        cursor.take("IF", "EXISTS")
        cascade = alter_table.follow(cursor.rest, "CASCADE")
        return [Act(kind, name=cursor.name(), flags=frozenset({"cascade"} if cascade else ()))]

    return read


def alter_type(cursor: Cursor) -> list[Act]:
    name = cursor.name()
    return [Act("add enum value" if cursor.take("ADD", "VALUE") else "benign", name=name)]


def alter_index(cursor: Cursor) -> list[Act]:
    cursor.take("IF", "EXISTS")
    name = cursor.name()
    return [Act("benign" if cursor.take("RENAME") or cursor.take("SET", "(") else "unknown", name=name)]


# The longer words first.
READERS: tuple[tuple[str, Callable[[Cursor], list[Act]]], ...] = (
    ("ALTER TABLE", alter_table.acts),
    ("ALTER TYPE", alter_type),
    ("ALTER INDEX", alter_index),
    ("CREATE UNIQUE INDEX", create_unique_index),
    ("CREATE INDEX", create_index),
    ("CREATE TABLE", create_table),
    ("CREATE UNLOGGED TABLE", create_table),
    ("CREATE TEMPORARY TABLE", create_table),
    ("CREATE TEMP TABLE", create_table),
    ("DROP TABLE", drop_table),
    ("DROP INDEX", drop_index),
    ("DROP SCHEMA", drop_many("drop schema")),
    ("DROP DATABASE", drop_many("drop schema")),
    ("DROP TYPE", drop_many("drop type")),
    ("DROP DOMAIN", drop_many("drop type")),
    ("DROP EXTENSION", drop_many("drop type")),
    ("DROP SEQUENCE", drop_many("drop type")),
    ("TRUNCATE", truncate),
    ("DELETE FROM", delete),
    ("UPDATE", update),
    ("INSERT INTO", insert),
    ("VACUUM", vacuum),
    ("CLUSTER", cluster),
    ("REINDEX", reindex),
    ("REFRESH MATERIALIZED VIEW", refresh),
    ("LOCK", lock),
)
