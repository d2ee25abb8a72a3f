"""Whether a default is asked anew for every row: then adding its column writes the whole table."""

from itertools import pairwise

from .lexer import MARK, WORD, tokens

YES, NO, UNKNOWN = "yes", "no", "unknown"

# Functions of Postgres, by pg_proc.provolatile.
VOLATILE = frozenset(
    """
    RANDOM GEN_RANDOM_UUID UUIDV4 UUIDV7 CLOCK_TIMESTAMP TIMEOFDAY NEXTVAL SETVAL CURRVAL LASTVAL
    UUID_GENERATE_V1 UUID_GENERATE_V1MC UUID_GENERATE_V4 GEN_RANDOM_BYTES RANDOM_NORMAL PG_SLEEP SETSEED
""".split()  # noqa: SIM905
)
# Also the words of types and operators that a parenthesis may follow.
STABLE = frozenset(
    """
    NOW STATEMENT_TIMESTAMP TRANSACTION_TIMESTAMP CURRENT_SETTING TO_CHAR TO_TIMESTAMP TO_DATE TO_NUMBER
    AGE COALESCE NULLIF GREATEST LEAST LOWER UPPER CONCAT LENGTH ROUND FLOOR CEIL CEILING ABS MOD POWER
    SQRT SIN COS PI TRIM BTRIM LTRIM RTRIM SUBSTRING SUBSTR REPLACE LPAD RPAD MD5 EXTRACT DATE_TRUNC
    DATE_PART MAKE_DATE MAKE_TIME MAKE_TIMESTAMP MAKE_INTERVAL JSONB_BUILD_OBJECT JSON_BUILD_OBJECT
    JSONB_BUILD_ARRAY JSON_BUILD_ARRAY TO_JSONB TO_JSON ARRAY CAST ROW STRPOS REVERSE REPEAT SIGN TRUNC
    LOG LN EXP LEFT RIGHT VARCHAR NUMERIC CHAR TIMESTAMP TIME INTERVAL IN AND OR NOT CASE WHEN THEN ELSE
    AS DECIMAL BIT CHARACTER VARYING
""".split()  # noqa: SIM905
)


def is_volatile(expression: str) -> str:
    """YES, NO, or UNKNOWN where it calls what is not known here. Constants and CURRENT_TIMESTAMP are not."""
    words = tokens(expression)
    called = {
        token.value.upper()
        for token, behind in pairwise(words)
        if token.kind in (WORD, "name") and behind.kind == MARK and behind.value == "("
    }
    if called & VOLATILE:
        return YES
    return NO if called <= STABLE else UNKNOWN
