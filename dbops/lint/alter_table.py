"""The actions of an ALTER TABLE, as acts. https://www.postgresql.org/docs/current/sql-altertable.html"""

from collections.abc import Sequence
from dataclasses import replace

from .act import Act
from .cursor import Cursor, first_names, outside, said, split, written
from .lexer import MARK, WORD, Token

# Where the type of a column ends.
AFTER_TYPE = frozenset(
    """
    COLLATE CONSTRAINT NOT NULL DEFAULT CHECK UNIQUE PRIMARY REFERENCES GENERATED USING STORAGE COMPRESSION
    FIRST AFTER COMMENT DEFERRABLE INITIALLY AUTO_INCREMENT
    """.split()  # noqa: SIM905
)
SERIAL = {"serial", "bigserial", "smallserial"}


def acts(cursor: Cursor) -> list[Act]:
    """Behind ALTER TABLE."""
    cursor.take("IF", "EXISTS")
    cursor.take("ONLY")
    table = cursor.name()
    cursor.take("*")
    return [action(table, Cursor(part)) for part in split(cursor.rest) if part] if table else [Act("unknown")]


def action(table: str, cursor: Cursor) -> Act:
    verb = cursor.take_one(
        "ADD", "DROP", "ALTER", "RENAME", "VALIDATE", "SET", "ATTACH", "DETACH", "CHANGE", "MODIFY"
    )
    reader = {"ADD": add, "DROP": drop, "ALTER": alter, "RENAME": rename, "SET": set_of_table}.get(verb)
    if reader:
        return reader(table, cursor)
    if verb == "VALIDATE":
        cursor.take("CONSTRAINT")
        return Act("validate constraint", table, cursor.name())
    if verb in ("ATTACH", "DETACH"):
        cursor.take("PARTITION")
        concurrently = any(said(token, "CONCURRENTLY") for token in cursor.rest)
        flags = frozenset({"concurrently"}) if concurrently else frozenset()
        return Act(f"{verb.lower()} partition", table, other=cursor.name(), flags=flags)
    if verb in ("CHANGE", "MODIFY"):
        return Act("unknown", table)
    # ENABLE TRIGGER, OWNER TO, REPLICA IDENTITY, INHERIT ...: brief.
    return Act("alter table", table)


def add(table: str, cursor: Cursor) -> Act:
    if cursor.take("CONSTRAINT"):
        return constraint(table, cursor.name(), cursor)
    if (
        not cursor.ended
        and cursor.rest[0].value in ("CHECK", "UNIQUE", "PRIMARY", "FOREIGN", "EXCLUDE")
        and (cursor.rest[0].kind == WORD)
    ):
        return constraint(table, "", cursor)
    cursor.take("COLUMN")
    may_be_there = cursor.take("IF", "NOT", "EXISTS")
    act = column(table, cursor.name(), cursor)
    return replace(act, flags=act.flags | {"if not exists"}) if may_be_there else act


def constraint(table: str, name: str, cursor: Cursor) -> Act:
    kind = next((word for word in KINDS if cursor.take(*word.upper().split())), "")
    flags = set()
    if cursor.take("NULLS", "NOT", "DISTINCT"):
        flags.add("nulls not distinct")
    if cursor.take("USING", "INDEX"):
        flags.add("using index")
    if cursor.take("USING"):
        cursor.name()
    if kind == "not null":
        columns: tuple[str, ...] = (cursor.name(),)
    else:
        columns = first_names(cursor.parenthesis()) if kind != "check" else ()
        expression = written(cursor.parenthesis()) if kind == "check" else ""
        other = cursor.name() if kind == "foreign key" and cursor.take("REFERENCES") else ""
        if follow(cursor.rest, "NOT", "VALID"):
            flags.add("not valid")
        expression = expression or written(cursor.rest)
        return Act("add constraint", table, name, other, columns, kind, frozenset(flags), expression)
    if follow(cursor.rest, "NOT", "VALID"):
        flags.add("not valid")
    return Act("add constraint", table, name, "", columns, kind, frozenset(flags))


KINDS = ("check", "unique", "primary key", "foreign key", "exclude", "not null")


def column(table: str, name: str, cursor: Cursor) -> Act:
    kind = type_of(cursor)
    words = list(cursor.rest)
    around = outside(words)
    flags = {flag for flag, parts in COLUMN_WORDS.items() if follow(around, *parts)}
    if kind in SERIAL:
        flags |= {"identity", "not null"}
    default = default_of(words)
    if not default or default.upper() == "NULL":
        flags.discard("default")
    other = ""
    reader = Cursor(words)
    while not reader.ended and not other:
        if reader.take("REFERENCES"):
            other = reader.name()
        else:
            reader.place += 1
    return Act("add column", table, name, other, (), kind, frozenset(flags), default)


COLUMN_WORDS = {
    "not null": ("NOT", "NULL"), "default": ("DEFAULT",), "check": ("CHECK",),
    "unique": ("UNIQUE",), "primary key": ("PRIMARY", "KEY"), "references": ("REFERENCES",),
    "stored": ("STORED",), "virtual": ("VIRTUAL",), "identity": ("IDENTITY",), "generated": ("GENERATED",),
}  # fmt: skip


def type_of(cursor: Cursor) -> str:
    """Up to the first word that cannot be of a type, in lower case."""
    start, depth = cursor.place, 0
    while not cursor.ended:
        token = cursor.tokens[cursor.place]
        if not depth and token.kind == WORD and token.value in AFTER_TYPE:
            break
        depth += said(token, "(") - said(token, ")")
        cursor.place += 1
    return joined(cursor.tokens[start : cursor.place])


def joined(tokens: Sequence[Token]) -> str:
    """numeric(10,2), timestamp with time zone, varchar(20)[]"""
    text = ""
    for token in tokens:
        glued = token.kind == MARK or text.endswith(("(", ",", "[", ".")) or not text
        text += ("" if glued else " ") + (token.value if token.kind == "name" else token.written.lower())
    return text


def default_of(words: Sequence[Token]) -> str:
    """Behind DEFAULT, up to what can only belong to the column; GENERATED BY DEFAULT is none."""
    depth = 0
    for place, token in enumerate(words):
        depth += said(token, "(") - said(token, ")")
        if not depth and said(token, "DEFAULT") and not (place and said(words[place - 1], "BY")):
            return default_from(words, place + 1)
    return ""


def default_from(words: Sequence[Token], start: int) -> str:
    depth, end = 0, start
    for token in words[start:]:
        if not depth and end > start and token.kind == WORD and token.value in AFTER_TYPE:
            break
        depth += said(token, "(") - said(token, ")")
        end += 1
    return written(words[start:end])


def drop(table: str, cursor: Cursor) -> Act:
    if cursor.take("CONSTRAINT"):
        cursor.take("IF", "EXISTS")
        return Act("drop constraint", table, cursor.name())
    kind = cursor.take_one("PRIMARY", "FOREIGN", "INDEX", "KEY", "CHECK")
    if kind:  # MySQL
        return Act("drop constraint", table, cursor.name())
    cursor.take("COLUMN")
    cursor.take("IF", "EXISTS")
    name = cursor.name()
    return Act("drop column", table, name, flags=frozenset({"cascade"} if cursor.take("CASCADE") else ()))


def alter(table: str, cursor: Cursor) -> Act:
    if cursor.take("CONSTRAINT") or cursor.take("INDEX"):
        return Act("alter table", table)
    cursor.take("COLUMN")
    name = cursor.name()
    if cursor.take("SET", "NOT", "NULL"):
        return Act("set not null", table, name)
    if cursor.take("SET", "DATA", "TYPE") or cursor.take("TYPE"):
        return retype(table, name, cursor)
    if cursor.take("DROP", "DEFAULT"):
        return Act("drop default", table, name)
    if cursor.take("SET", "DEFAULT"):
        return Act("set default", table, name, expression=written(cursor.rest))
    if cursor.take("SET", "STATISTICS") or cursor.take("SET", "("):
        return Act("gentle", table, name)
    if cursor.take("DROP", "EXPRESSION") or cursor.take("DROP", "NOT", "NULL"):
        return Act("alter table", table, name)
    return Act("alter table", table, name)


def retype(table: str, name: str, cursor: Cursor) -> Act:
    kind = type_of(cursor)
    collation = cursor.name() if cursor.take("COLLATE") else ""
    using = written(cursor.rest) if cursor.take("USING") else ""
    flags = frozenset({"collate"} if collation else ())
    return Act("type", table, name, type=kind, expression=using, flags=flags)


def rename(table: str, cursor: Cursor) -> Act:
    if cursor.take("TO") or cursor.take("AS"):
        return Act("rename table", table, other=cursor.name())
    if cursor.take("CONSTRAINT") or cursor.take("INDEX") or cursor.take("KEY"):
        return Act("alter table", table)
    cursor.take("COLUMN")
    name = cursor.name()
    cursor.take("TO")
    return Act("rename column", table, name, cursor.name())


def set_of_table(table: str, cursor: Cursor) -> Act:
    if cursor.take("SCHEMA"):
        return Act("rename table", table, other=f"{cursor.name()}.{table}")
    if cursor.take_one("LOGGED", "UNLOGGED", "TABLESPACE") or cursor.take("ACCESS", "METHOD"):
        return Act("rewrite table", table)
    return Act("gentle" if cursor.take("(") else "alter table", table)


def follow(tokens: Sequence[Token], *words: str) -> bool:
    """These words stand somewhere, one behind the other."""
    return any(
        all(said(token, word) for token, word in zip(tokens[place : place + len(words)], words, strict=True))
        for place in range(len(tokens) - len(words) + 1)
    )
