"""ALTER COLUMN TYPE on Postgres: what is rewritten, what values are lost, what may not fit.

Measured, the same on 12, 14, 15 and 18: the table's file is kept where every value is stored as before.
"""

import re
from dataclasses import dataclass

REWRITE, KEPT, UNKNOWN = "rewrite", "kept", "unknown"
# Kept in a session whose TimeZone is UTC only.
BY_TIME_ZONE = "by time zone"

ALIASES = {
    "character varying": "varchar",
    "character": "char",
    "bpchar": "char",
    "int": "integer",
    "int4": "integer",
    "int8": "bigint",
    "int2": "smallint",
    "serial": "integer",
    "bigserial": "bigint",
    "smallserial": "smallint",
    "bool": "boolean",
    "decimal": "numeric",
    "float8": "double precision",
    "float4": "real",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
    "time with time zone": "timetz",
    "time without time zone": "time",
    "bit varying": "varbit",
}
WHOLE = {"smallint": 16, "integer": 32, "bigint": 64}
TEXTS = {"varchar", "text", "char", "citext"}
CLOCKS = {"timestamp", "timestamptz", "time", "timetz", "interval"}
OTHERS = "date interval uuid json jsonb inet cidr bytea bit macaddr xml money hstore tsvector"
KNOWN = {*ALIASES.values(), *TEXTS, *OTHERS.split()}


@dataclass(frozen=True)
class Type:
    name: str
    # (20,) of varchar(20), (10, 2) of numeric(10, 2)
    size: tuple[int, ...] = ()
    array: bool = False


def parsed(words: str) -> Type:
    text = " ".join(words.lower().replace('"', "").split())
    found = re.fullmatch(
        r"(?P<name>[^(\[]+?) ?(?:\((?P<size>[\d, -]+)\))? ?(?P<zone>with(?:out)? time zone)?(?P<array> "
        r"?\[.*)?",
        text,
    )
    if not found:
        return Type(text)
    name = " ".join(filter(None, (found["name"], found["zone"])))
    size = tuple(int(part) for part in (found["size"] or "").split(",") if part.strip())
    return Type(ALIASES.get(name, name), size, bool(found["array"]))


def outcome(old: str, new: str, using: str = "", column: str = "") -> str:
    """REWRITE, KEPT, BY_TIME_ZONE or UNKNOWN."""
    before, after = parsed(old), parsed(new)
    if using and not is_plain_cast(using, column, new):
        return REWRITE
    if before == after:
        return KEPT
    if before.array or after.array:
        return REWRITE
    if before.name in TEXTS and after.name in TEXTS:
        return texts(before, after)
    if before.name == after.name:
        return sizes(before, after)
    if {before.name, after.name} == {"timestamp", "timestamptz"}:
        return REWRITE if before.size or after.size else BY_TIME_ZONE
    if (before.name, after.name) == ("cidr", "inet"):
        return KEPT
    return REWRITE if before.name in KNOWN and after.name in KNOWN else UNKNOWN


def is_plain_cast(using: str, column: str, new: str) -> bool:
    """`"c"::type`, which is what happens without USING as well."""
    cast = re.fullmatch(r'"?([^":]+?)"? ?:: ?(.+)', using.strip())
    return (
        bool(cast) and (not column or cast[1] == column) and parsed(cast[2].replace(" (", "(")) == parsed(new)
    )


def texts(before: Type, after: Type) -> str:
    if "char" in (before.name, after.name):
        return sizes(before, after) if before.name == after.name else REWRITE
    if not after.size:
        return KEPT
    fits = before.name == after.name == "varchar" and before.size and before.size[0] <= after.size[0]
    return KEPT if fits else REWRITE


def sizes(before: Type, after: Type) -> str:
    """The same type in another size."""
    name = after.name
    if name == "numeric":
        return KEPT if not after.size or (before.size and holds(before, after)) else REWRITE
    if name in CLOCKS:
        return (
            KEPT
            if not after.size or (before.size and before.size[0] <= after.size[0]) or after.size == (6,)
            else REWRITE
        )
    if name == "varbit":
        return KEPT if not after.size or (before.size and before.size[0] <= after.size[0]) else REWRITE
    return REWRITE if name in ("char", "bit") else UNKNOWN


def holds(before: Type, after: Type) -> bool:
    """Wider at the same scale. Another scale stores every value anew."""
    return before.size[0] <= after.size[0] and scale(before) == scale(after)


def scale(one: Type) -> int:
    return one.size[1] if len(one.size) > 1 else 0


def loss(old: str, new: str, using: str = "") -> str:
    """What becomes of values, as the end of a sentence; "" where each stays what it is, as far as known."""
    before, after = parsed(old), parsed(new)
    if before.array or after.array or before == after:
        return ""
    if before.name in TEXTS and after.name in TEXTS and after.size and using and not text_fits(before, after):
        return f"longer values are cut off after {after.size[0]} characters, without an error"
    if before.name == "numeric" and after.name == "numeric" and after.size and less_scale(before, after):
        return f"values are rounded to {scale(after)} decimal places"
    if (
        before.name in ("numeric", "double precision", "real")
        and after.name in WHOLE
        and not is_whole(before)
    ):
        return "values are rounded to whole numbers"
    if (before.name, after.name) in LESS_EXACT or (
        before.name == "numeric" and after.name in ("double precision", "real")
    ):
        return "values lose digits that the new type cannot hold"
    if before.name in WHOLE and after.name == "boolean":
        return "every number but 0 becomes true"
    if before.name in ("timestamp", "timestamptz") and after.name == "date":
        return "the time of day is dropped"
    if before.name in ("timestamp", "timestamptz") and after.name in ("time", "timetz"):
        return "the date is dropped"
    if before.name in CLOCKS and before.name == after.name and sizes(before, after) == REWRITE:
        return f"values are rounded to {after.size[0]} digits of a second"
    return ""


LESS_EXACT = {
    ("double precision", "real"), ("bigint", "double precision"), ("bigint", "real"), ("integer", "real"),
}  # fmt: skip


def is_whole(one: Type) -> bool:
    return one.name == "numeric" and bool(one.size) and scale(one) == 0


def less_scale(before: Type, after: Type) -> bool:
    return not before.size or scale(after) < scale(before)


def text_fits(before: Type, after: Type) -> bool:
    return bool(before.size) and before.size[0] <= after.size[0]


def misfit(old: str, new: str, using: str = "") -> str:
    """What makes it fail, as the end of a sentence; "" where every value is known to fit, or is changed."""
    before, after = parsed(old), parsed(new)
    if before.array or after.array or before == after:
        return ""
    if (
        before.name in TEXTS
        and after.name in TEXTS
        and after.size
        and not using
        and not text_fits(before, after)
    ):
        return f"it fails where a value is longer than {after.size[0]} characters"
    if before.name in WHOLE and after.name in WHOLE and WHOLE[after.name] < WHOLE[before.name]:
        return f"it fails where a value is too large for {after.name}"
    if (
        before.name == after.name == "numeric"
        and after.size
        and (not before.size or whole_digits(after) < whole_digits(before))
    ):
        return "it fails where a value has too many digits"
    if before.name in TEXTS and after.name in KNOWN - TEXTS:
        return f"it fails where a value does not read as {after.name}"
    return ""


def whole_digits(one: Type) -> int:
    return one.size[0] - scale(one)
