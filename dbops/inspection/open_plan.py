"""A plan as it is kept: no secret in its texts, nothing that steers a terminal, no more than so many bytes.

Names (apps, migrations, tables, files) are left alone: a migration may be called like somebody's password,
and what is called otherwise would be another one.
"""

from collections.abc import Mapping
from typing import Any

from dbops import conf
from dbops.plain import plain
from dbops.redaction import Redactor

NAMES = {
    "alias", "app", "column", "db_type", "dependencies", "fields", "file", "fingerprint", "hash", "identity",
    "kind", "migration", "model", "module", "name", "renames", "replaces", "run_before", "table",
    "table_created_in", "through_table", "type",
}  # fmt: skip
# By far the longest; where a plan is too large, they are what is missing.
LONG = {
    "sql": "sql_problem",
    "reverse_sql": "reverse_sql_problem",
    "source": "source_problem",
    "reverse_source": "source_problem",
}
# Their keys are names, and their values text.
DEFINITIONS = ("indexes", "constraints")


def plan_in_the_open(plan: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    opened: dict[str, Any] = _Cleaner(redactor, conf.knob("PLAN_BYTES")).mapping(plan)
    return opened


class _Cleaner:
    def __init__(self, redactor: Redactor, budget: int) -> None:
        self.redactor = redactor
        self.left = budget

    def mapping(self, value: Mapping[str, Any]) -> dict[str, Any]:
        # A table may have columns of these names.
        long = [key for key in LONG if key in value and not isinstance(value[key], Mapping)]
        opened = {key: self.value(key, inner) for key, inner in value.items() if key not in long}
        for key in long:
            opened[key] = self.long(key, value[key], opened)
        return opened

    def value(self, key: str, value: Any) -> Any:
        if isinstance(value, str):
            return value if key in NAMES else self.text(value)
        if isinstance(value, list):
            return [self.value(key, inner) for inner in value]
        if isinstance(value, Mapping):
            if key in DEFINITIONS:
                return {name: self.value("", inner) for name, inner in value.items()}
            return self.mapping(value)
        return value

    def long(self, key: str, value: Any, beside: dict[str, Any]) -> Any:
        self.left -= sum(map(len, value)) if isinstance(value, list) else len(value or "")
        if self.left >= 0 or not value:
            return self.value(key, value)
        limit = conf.knob("PLAN_BYTES")
        beside[LONG[key]] = f"It is not kept: the texts of this plan have more than {limit:,} characters."
        return None

    def text(self, text: str) -> str:
        return self.redactor.clean(plain(text))
